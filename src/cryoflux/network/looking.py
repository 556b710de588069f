"""The look at a guest holdout, and guard sets: what is composed is read back from the disk and scored.

A look reads every example, whatever it finds on the way: one that stopped early would tell by its joules how
the losses run. Head and composition are both scored, and the head's losses kept.
"""

from __future__ import annotations

__all__ = [
    "GuardSet",
    "GuestReading",
    "Looking",
    "guard_passes",
    "keep_losses",
    "look_at_guest",
    "seal_look",
]

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.watch import AttemptStopped
from cryoflux.data.formats import read_arrived
from cryoflux.data.prepared import GUEST_SET, example_line
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.digests import file_digest
from cryoflux.errors import DataError
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import EvaluationFailedError, Losses, write_evidence
from cryoflux.evaluation.scoring import score
from cryoflux.files import storage_errors
from cryoflux.network.guest import GuestFolder
from cryoflux.network.round_losses import LossesOfLists
from cryoflux.quantities import NANO
from cryoflux.receipts.guest_tree import sealed_losses_root
from cryoflux.receipts.losses_tree import loss_leaves
from cryoflux.receipts.network_parts import GuardResult, SealedSums
from cryoflux.receipts.statement import Base, Cause
from cryoflux.registry.composition import Composition
from cryoflux.registry.versions import Version

_GUARD_SET = "guard"
_WORSE_NANO = NANO // 20
"""by which a guard set may get worse on average, billionths of the unit: 0.05 nats"""
_ONE_SIDED_95 = 1.645
MOST_GUARDS = 8
"""guard sets of a round"""

BeforeBatch = Callable[[int], None]
"""called with examples done before each batch; may raise to stop"""


@dataclass(frozen=True, slots=True)
class GuestReading:
    """Losses on a guest holdout of the head and of what was composed."""

    head: Version
    draft: Version
    base: Losses
    new: Losses
    profile: str

    @property
    def evidence(self) -> Evidence:
        """Of what was composed against the head: by loss alone."""
        return pair_losses(self.base.nano_nats, self.new.nano_nats)

    @property
    def losses(self) -> bytes:
        """Example by example."""
        return write_evidence(self.base, self.new)


@dataclass(frozen=True, slots=True)
class GuardSet:
    """A set that what is adopted must not make worse."""

    name: str
    part: str
    """what the data set calls it"""
    sha256: str
    """of its file"""


@dataclass(frozen=True, slots=True)
class Looking:
    """What a round looks with."""

    opened: Opened
    guest: GuestFolder
    part: str
    """what the data set calls the guest holdout"""
    guard_sets: Sequence[GuardSet]
    cost_uj: int
    """of evaluating a version on the guest holdout, by what that cost before or by its products, µJ"""

    @classmethod
    def of(cls, opened: Opened, guest: GuestFolder, guards: Mapping[str, Path]) -> Looking:
        """Make the sets of a round known to its task.

        Raises:
            DataError: a guard set cannot be read.
        """
        part = opened.data.add_set(GUEST_SET, guest.content)
        sets = [
            GuardSet(
                name, opened.data.add_set(f"{_GUARD_SET}{number}", _guard_lines(opened, path)), _digest(path)
            )
            for number, (name, path) in enumerate(sorted(guards.items()))
        ]
        return cls(opened, guest, part, sets, opened.task.evaluation_uj(part))

    def guards(
        self, losses: LossesOfLists, head: Composition, composed: Composition, between: BeforeBatch
    ) -> tuple[GuardResult, ...]:
        """Whether each guard set stays as good as it was, as far as its examples can tell."""
        results, data = [], self.opened.data
        for one in self.guard_sets:
            indices = list(range(data.count(one.part)))
            try:
                base, new = (losses(made, one.part, indices, between) for made in (head, composed))
                passed = guard_passes(pair_losses(base, new))
            except EvaluationFailedError:
                passed = False  # what was composed is broken there
            found = GuardResult(name=one.name, sha256=one.sha256, count=len(indices), passed=passed)
            results.append(found)
        return tuple(results)


def guard_passes(evidence: Evidence) -> bool:
    """Whether a set gets worse by no more than 0.05 nats on average, at 95 %, one-sided.

    Args:
        evidence: of what was composed against the head.
    """
    mean_nano = -evidence.delta / evidence.count
    variance = max(0.0, evidence.delta_squared / evidence.count - mean_nano**2)
    error_nano = math.sqrt(variance / evidence.count)
    return mean_nano + _ONE_SIDED_95 * error_nano <= _WORSE_NANO


def look_at_guest(context: Context, looking: Looking, draft: Version, between: BeforeBatch) -> GuestReading:
    """Read the whole guest holdout with the head and with what was composed.

    Args:
        context: the run.
        looking: at what.
        draft: what was composed, on the disk.
        between: called before each batch; may raise to stop.

    Raises:
        AttemptStopped: a loss is no number, or somebody asked to stop.
    """
    opened, part = looking.opened, looking.part
    profile, digest = opened.task.profile(part), opened.data.file_digests[part]
    count, head = opened.data.count(part), opened.task.head
    known = context.losses.get(head.digest, digest, opened.task.cut, count, profile)
    base = known.losses if known is not None else _losses(opened, head, part, between)
    if known is None:
        keep_losses(context, looking, head, base)
    return GuestReading(head, draft, base, _losses(opened, draft, part, between), profile)


def keep_losses(context: Context, looking: Looking, head: Version, losses: Losses) -> None:
    """Keep the losses of a head on the guest holdout: the next look needs them again.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    opened = looking.opened
    profile, digest = opened.task.profile(looking.part), opened.data.file_digests[looking.part]
    context.losses.put(head.digest, digest, opened.task.cut, KnownLosses(losses, 0), profile)


def _losses(opened: Opened, version: Version, part: str, between: BeforeBatch) -> Losses:
    count = opened.data.count(part)

    try:
        scorer = opened.task.scorer(version, part)
        found = score(scorer, list(range(count)), between, opened.task.largest)
    except EvaluationFailedError as error:
        raise AttemptStopped(Cause.FAILED, "failed", what=error.what) from error
    return Losses(tuple(found[0]), tuple(found[1]))


def seal_look(reading: GuestReading, base: Base, guest: GuestFolder, intent: str) -> tuple[SealedSums, str]:
    """What is sealed of a look: its sums, and the root of its losses.

    Args:
        reading: the look.
        base: the head.
        guest: whose key seals.
        intent: leaf hash of the announcement of the round.
    """
    evidence, count = reading.evidence, len(reading.base.nano_nats)
    sums = SealedSums(
        base=base,
        candidate=Base(digest=reading.draft.digest, files=reading.draft.files),
        profile=reading.profile,
        base_loss_sum=evidence.base_loss,
        new_loss_sum=evidence.new_loss,
        delta_squared_sum=str(evidence.delta_squared),
    )
    columns = (reading.base.nano_nats, reading.new.nano_nats, reading.base.correct, reading.new.correct)
    return sums, sealed_losses_root(loss_leaves(range(count), *columns), guest.key, intent)


def _guard_lines(opened: Opened, path: Path) -> bytes:
    """The examples of a guard set as a data set has them, one a line."""
    rows = [example for _, example in read_arrived(path).numbered]
    strange = sorted({row.label for row in rows} - set(opened.data.labels))
    if strange or not rows:
        why = f"Of class {strange[0]!r} the model knows nothing." if strange else "It has no labelled text."
        raise DataError(
            f"The guard set {path} cannot judge.",
            why=f"{why} What is adopted must not make it worse, so each of its rows has to be scored.",
            hint="Mend the file, or leave it out of the setting guards.",
        )
    return b"".join(example_line(row) + b"\n" for row in rows)


def _digest(path: Path) -> str:
    with storage_errors(path):
        return file_digest(path)
