"""A claim, unpacked, and the folds that look at it as a part of a log.

A claim carries some entries of a log with what leads from them to its signed head. Steps 4 and 21 are about
that way; all other steps are those of `cryoflux.verification`.
"""

from __future__ import annotations

__all__ = ["RANGE", "Carried", "Place", "Range", "open_question", "unpacked"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.claims.backing import BackedRounds, backing_of
from cryoflux.claims.document import Claim
from cryoflux.claims.evaluation import Figures, Told, add_up, told_by
from cryoflux.claims.evidence import root_over, unpack
from cryoflux.errors import VerificationError
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import Checkpoint, parse_checkpoint
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.key_statement import public_key_of
from cryoflux.receipts.log_key import log_key_complaint, vouched_log_key
from cryoflux.receipts.statement import Receipt
from cryoflux.receipts.store import Row
from cryoflux.verification.binding import LogKey
from cryoflux.verification.growing_tree import TREE
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, Finding, NumberedStep, conclude, failed, unknown
from cryoflux.verification.walk import Fold, Seen

RANGE = NumberedStep(21, "range is complete")


@dataclass(frozen=True, slots=True)
class Carried:
    """A claim, unpacked; its head is signed by the log's key, and nothing else is known."""

    claim: Claim
    point: Checkpoint
    material: Material
    """its rows are the entries that are here"""
    key: Ed25519PublicKey
    """that the log began under"""

    @property
    def complete(self) -> bool:
        """Whether every entry up to the head is here."""
        return len(self.material.rows) == self.point.size

    @property
    def begins(self) -> bool:
        """Whether the range begins with the log."""
        return self.claim.predicate.first == 0


def unpacked(
    claim: Claim,
    target: Path,
    key: Ed25519PublicKey | None,
    log_key: Ed25519PublicKey | None,
    meters: Sequence[Ed25519PublicKey],
) -> Carried:
    """The entries of a claim, and its head.

    Raises:
        VerificationError: the head is not signed, or the claim does not hold what it says.
    """
    said = claim.predicate
    signs_head = log_key or public_key_of(said.log_key)
    point = parse_checkpoint(claim.checkpoint, signs_head)
    if claim.spans[-1][1] > point.size:
        raise VerificationError(f"The claim carries entries beyond the {point.size} that its head covers.")
    envelopes = unpack(claim.packed, claim.carried)
    indexes = (index for first, end in claim.spans for index in range(first, end))
    first_key = key or public_key_of(said.first_key)
    material = Material(
        target=target,
        rows=tuple(Row(index, None, None, one) for index, one in zip(indexes, envelopes, strict=True)),
        state=None,
        key=first_key,
        pinned=key is not None,
        log_key=signs_head,
        log_key_named=log_key is not None,
        pinned_meters=tuple(meters),
        checkpoint=claim.checkpoint,
    )
    return Carried(claim, point, material, first_key)


class Place(Fold):
    """Step 4: the entries that are here lead to the signed root, and its key is the log's."""

    step: ClassVar = TREE

    def __init__(self, carried: Carried) -> None:
        super().__init__()
        self._carried = carried
        self.leaves: dict[int, bytes] = {}
        """index of an entry → its leaf hash"""
        self._vouched = ""

    @property
    def log_key(self) -> LogKey:
        """The key that signed the head, and what vouches for it."""
        material = self._carried.material
        return LogKey(material.log_key, material.log_key_named, self._vouched)

    def take(self, seen: Seen, memory: LogState) -> None:  # noqa: ARG002
        """Keep the hash of the next entry."""
        self.leaves[seen.index] = bytes.fromhex(seen.leaf)
        if seen.entry is not None:
            if complaint := log_key_complaint(seen.entry):
                self.findings.add(failed(seen.name, complaint))
            self._vouched = self._vouched or vouched_log_key(seen.entry)

    def conclude(self, memory: LogState) -> list[Check]:  # noqa: ARG002
        """The lines of the step."""
        claim, point = self._carried.claim, self._carried.point
        if root_over(self.leaves, claim.spans, point.size, claim.hashes) != point.root:
            detail = "the entries do not lead to its root: one was changed, moved, added or left out"
            self.findings.add(failed("signed head", detail))
        self.findings.extend(self.log_key.findings(first_is_here=0 in self.leaves))
        said = f"root {point.root.hex()[:16]}… over {point.size} entries is the signed one"
        return self.findings.conclude(TREE, said)


class Range(Fold):
    """Step 21: the range is complete, and begins and ends between attempts."""

    step: ClassVar = RANGE

    def __init__(self, carried: Carried) -> None:
        super().__init__()
        self._carried = carried
        self.receipts: list[Receipt] = []
        """those that are here"""
        self.told: list[Told] = []
        """the same, sessions, rounds and moves of heads, in order"""
        self._said_by_node: list[Entry] = []

    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at the next entry: its place, and what it adds."""
        said = self._carried.claim.predicate
        if seen.entry is None or seen.entry.key is not None:
            return
        if seen.entry.fork is not None:
            detail = "the log goes on from another one, whose attempts and joules are not in the range"
            self.findings.add(unknown("range", detail))
        if not said.first <= seen.index < said.end:
            self.findings.add(failed(seen.name, "is no entry of the range"))
        if seen.paired is not None:
            self.receipts.append(seen.paired.receipt)
        if seen.entry.network is not None:
            self._take_of_node(seen.entry, memory)
        if (told := told_by(seen.entry)) is not None:
            self.told.append(told)

    def _take_of_node(self, entry: Entry, memory: LogState) -> None:
        self._said_by_node.append(entry)
        if (record := entry.round) is not None:
            node = memory.nodes.get(record.task)
            if node is None or record.intent not in node.open:
                self.findings.add(failed("range", "begins within a round, whose announcement is not in it"))

    @property
    def figures(self) -> Figures:
        """What the range comes to."""
        return add_up(self.told)

    @property
    def backed(self) -> BackedRounds | None:
        """What stands behind what its rounds certify; none where none does."""
        figures = self.figures
        return backing_of(self._said_by_node, figures.certified, figures.hi_uj, figures.tier)

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        said, spans, size = self._carried.claim.predicate, self._carried.claim.spans, self._carried.point.size
        findings = [*self._left_out(memory)]
        if (said.first, said.end) not in spans:
            findings.append(failed("range", "its entries are not all here, in one piece"))
        if (said.first, said.end) != (0, size):
            where = f"entries {said.first} to {said.end - 1} of {size}"
            detail = f"{where}: whoever claims chose what to leave out, and what is said of keys elsewhere"
            findings.append(unknown("range", detail))
        self.findings.extend(findings)
        return self.findings.conclude(RANGE, f"{_in_all(self.figures)}, with every entry between them")

    def _left_out(self, memory: LogState) -> Iterator[Finding]:
        said = self._carried.claim.predicate
        if said.attempts != len(self.receipts):
            detail = f"says that it has {said.attempts} attempts; there are {len(self.receipts)}"
            yield failed("range", detail)
        if memory.open:
            yield failed("range", "ends within an attempt, whose joules are not in it")
        if any(node.open for node in memory.nodes.values()):
            yield failed("range", "ends within a round, whose joules are not in it")


def _in_all(figures: Figures) -> str:
    over = f" of {figures.tasks} tasks" if figures.tasks > 1 else ""
    back = []
    if figures.taken_back:
        back.append(f"{figures.taken_back} of {figures.kept} kept updates were taken back")
    if figures.withdrawn:
        back.append(f"{figures.withdrawn} accepted rounds were recalled or taken back")
    counts = f" ({'; '.join(back)}, and count for joules alone)" if back else ""
    return f"{figures.in_words}{over}{counts}"


def open_question(step: NumberedStep, detail: str) -> list[Check]:
    """A line that leaves a question about the range open."""
    return conclude(step, [unknown("range", detail)], "")
