"""Step 16, and what step 8 asks of a fork: that its log goes on from the head that it names, as it says.

The first entry of a fork carries what its parent's log had come to, and all that follows is judged by that.
Whether the parent's log really came to it is for that log to say: where it is at hand, its first entries are
folded again, and their root has to be the one that the fork names. Without it the question stays open.
"""

from __future__ import annotations

__all__ = ["PARENT", "check_parent", "fork_complaints", "parent_in_words"]

from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    KeyType,
    VerifierKey,
    origin_of,
    parse_note,
    verify_log,
)
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.fork_parts import ForkedTask, JudgedHoldout, ParentLog, subject_of_parent
from cryoflux.receipts.key_statement import KeyRotationStatement
from cryoflux.receipts.log_key import other_subjects, vouched_log_key
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.statement import ZERO_HASH, Fork
from cryoflux.receipts.tiles import Edge
from cryoflux.receipts.voucher import voucher_complaint
from cryoflux.signing.ed25519 import refuse_weak_key
from cryoflux.signing.envelope import decode_base64
from cryoflux.signing.keys import raw_key_id
from cryoflux.verification.parent_log import PublishedLog, open_parent
from cryoflux.verification.result import Check, Finding, NumberedStep, conclude, failed, unknown

PARENT = NumberedStep(16, "goes on from its parent")


def _signed_head(said: ParentLog) -> Checkpoint:
    """The head that a fork names, if the key that it names signed it.

    Raises:
        VerificationError: it did not, or is no sound key.
    """
    note, raw = parse_note(said.checkpoint.encode()), decode_base64(said.log_key, "The parent's log key")
    refuse_weak_key(raw, "The parent's log key")
    verify_log(note, VerifierKey(note.checkpoint.origin, KeyType.LOG, raw))
    return note.checkpoint


def fork_complaints(entry: Entry, fork: Fork, key: Ed25519PublicKey | None) -> Iterator[str]:
    """What is wrong with a fork, as far as it can be told without its parent.

    Args:
        entry: that it is.
        fork: what it says.
        key: that its log began under; none where nobody brings it.
    """
    if entry.index:
        yield "says that the log goes on from another one, which only its first entry can"
    try:
        point = _signed_head(fork.parent)
    except VerificationError as error:
        yield f"names no signed head of its parent: {error.what}"
        return
    if other_subjects(entry) != subject_of_parent(fork.parent.checkpoint):
        yield "its subject is not the head that it goes on from"
    told = bool(fork.tasks or fork.judged or fork.guests)
    if (point.size == 0) != (fork.parent.last == ZERO_HASH) or (point.size == 0 and told):
        yield "says what a log without entries had come to"
    yield from _wrong_tasks(fork.tasks)
    yield from _wrong_judged(fork.judged)
    if len(set(fork.guests)) < len(fork.guests):
        yield "says twice that a guest holdout was entered"
    if key is not None:
        yield from _wrong_keys(fork.parent, point, key)


def _wrong_keys(said: ParentLog, point: Checkpoint, key: Ed25519PublicKey) -> Iterator[str]:
    if point.origin == origin_of(key):
        yield "goes on from itself: a fork is a log of its own, under a key of its own"
    if said.voucher and (
        complaint := voucher_complaint(said.voucher, point, said.log_key, key, said.receipt_key)
    ):
        yield complaint


def _wrong_tasks(tasks: Sequence[ForkedTask]) -> Iterator[str]:
    if len({said.task for said in tasks}) < len(tasks):
        yield "says twice what a task had come to"
    for said in tasks:
        if len({used.sha256 for used in said.holdouts}) < len(said.holdouts):
            yield f"says twice what a holdout of {said.task} was used for"
        for used in said.holdouts:
            if not used.kept <= used.looks <= used.uses:
                yield (
                    f"says that a holdout of {said.task} gave {used.looks} verdicts, {used.kept} of them "
                    f"acceptances, in {used.uses} attempts"
                )


def _wrong_judged(judged: Sequence[JudgedHoldout]) -> Iterator[str]:
    if len({said.sha256 for said in judged}) < len(judged):
        yield "says twice what a holdout was used for that judges what others made"
    for said in judged:
        if said.kept > said.looks:
            yield f"says that a holdout gave {said.looks} verdicts on others, {said.kept} of them acceptances"


def parent_in_words(fork: Fork) -> str:
    """The head that a fork goes on from, for a line of the report; empty where it names none."""
    try:
        point = parse_note(fork.parent.checkpoint.encode()).checkpoint
    except VerificationError:
        return ""
    return (
        f"the first {point.size} entries of {point.origin}" if point.size else f"{point.origin}, still empty"
    )


def check_parent(fork: Fork | None, place: str | None) -> list[Check]:
    """Step 16: the parent's log has the head that the fork names, and had come to what it says.

    Args:
        fork: the first entry of the log; none where it is no fork.
        place: state, folder or URL of the parent's log; none where nobody brings it.
    """
    if fork is None:
        if place is None:
            return []
        return conclude(PARENT, [failed(place, "this log is no fork: it goes on from no other log")], "")
    where = parent_in_words(fork)
    if place is None:
        detail = (
            f"it goes on from {where}; that this log had come to what it says, looks at the holdout "
            "included, is not checked: name it with --parent"
        )
        return conclude(PARENT, [unknown("its parent", detail), *_unvouched(fork), *_other_key(fork)], "")
    try:
        with open_parent(place) as parent:
            return _compared(fork, _signed_head(fork.parent), parent)
    except CryoFluxError as error:
        return conclude(PARENT, [failed(place, error.what)], "")


def _unvouched(fork: Fork) -> Iterator[Finding]:
    if not fork.parent.voucher:
        detail = "its receipt key does not vouch for this log: anybody who has the signed head can fork it"
        yield unknown("its parent", detail)


def _other_key(fork: Fork) -> Iterator[Finding]:
    """Whether the voucher is of another key than the one that names the parent's log."""
    try:
        origin = parse_note(fork.parent.checkpoint.encode()).checkpoint.origin
        raw = decode_base64(fork.parent.receipt_key, "The parent's receipt key")
        named = origin_of(Ed25519PublicKey.from_public_bytes(raw)) == origin
    except VerificationError:  # step 8 says so
        return
    if fork.parent.voucher and not named:
        detail = "the key that vouches is not the one that this log is named after; only it shows a rotation"
        yield unknown("its parent", detail)


def _compared(fork: Fork, point: Checkpoint, parent: PublishedLog) -> list[Check]:
    said, name = fork.parent, parent.name
    now, raw = parse_note(parent.note), decode_base64(said.log_key, "The parent's log key")
    verify_log(now, VerifierKey(point.origin, KeyType.LOG, raw))
    size = now.checkpoint.size
    if size < point.size:
        detail = f"has {size} entries; the fork goes on from {point.size}, which it does not have"
        return conclude(PARENT, [failed(name, detail)], "")
    read = _Read.of(parent.envelopes(size), point.size, size)
    if read.root != now.checkpoint.root:
        return conclude(PARENT, [failed(name, "its entries are not those of its own signed head")], "")
    if (read.root_then, read.memory.last) != (point.root, said.last):
        detail = f"its first {point.size} entries are others than those that the fork goes on from"
        return conclude(PARENT, [failed(name, f"{detail}: it never had this head")], "")
    findings = [failed("its first entry", complaint) for complaint in _differences(fork, read.memory)]
    if not read.has_key(said.receipt_key, point.origin):
        findings.append(failed("its first entry", "names another receipt key of its parent than that log"))
    if read.log_key not in {"", raw_key_id(raw)}:
        detail = "names another log key of its parent than the one that the parent's first entry vouches for"
        findings.append(failed("its first entry", detail))
    grown = f", which has {size} now" if size > point.size else ""
    summary = (
        f"{parent_in_words(fork)}{grown}: head, looks and data are those that it had come to; that log "
        "itself is not verified by this"
    )
    return conclude(PARENT, [*findings, *_unvouched(fork)], summary)


class _Read:
    """The parent's entries, folded up to where the fork goes on."""

    def __init__(self) -> None:
        self.memory, self.root, self.root_then = LogState(), b"", Edge().root()
        self.log_key = ""
        """id of the log key that its first entry vouches for; empty where it names none"""
        self.successor = ""
        """the last receipt key that came by a rotation; empty where none did"""

    @classmethod
    def of(cls, envelopes: Iterator[bytes], until: int, size: int) -> _Read:
        """Read them.

        Raises:
            VerificationError: one that matters is malformed, or they are fewer.
        """
        read, edge = cls(), Edge()
        for envelope in envelopes:
            if edge.size < until:
                read.take(parse_entry(edge.size, envelope))
            edge.append(leaf_hash(envelope))
            if edge.size == until:
                read.root_then = edge.root()
        if edge.size != size:
            raise VerificationError(f"The log has {edge.size} entries; its signed head covers {size}.")
        read.root = edge.root()
        return read

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        self.memory.take(entry)
        self.log_key = self.log_key or vouched_log_key(entry)
        if isinstance(entry.statement, KeyRotationStatement):
            self.successor = entry.statement.predicate.successor.ed25519

    def has_key(self, said: str, origin: str) -> bool:
        """Whether this is the receipt key that was there last: the first one, or what came by a rotation."""
        if self.successor:
            return said == self.successor
        raw = decode_base64(said, "The parent's receipt key")
        return origin_of(Ed25519PublicKey.from_public_bytes(raw)) == origin


def _differences(fork: Fork, memory: LogState) -> Iterator[str]:
    due = {found.task: found for found in memory.handed_on()}
    said = {found.task: found for found in fork.tasks}
    for task in sorted(due.keys() | said.keys()):
        if task not in said or task not in due:
            there = "its parent" if task in due else "it, and its parent does not know it"
            yield f"the task {task} is only in {there}"
        elif said[task] != due[task]:
            yield f"{task}: {_first_difference(said[task], due[task])}"
    if fork.judged != (judged := memory.judged_handed_on()):
        looks = [sum(one.looks for one in found) for found in (fork.judged, judged)]
        yield f"says of {looks[0]} verdicts on what others made; by its parent's log there were {looks[1]}"
    if sorted(fork.guests) != (guests := memory.guests_handed_on()):
        yield f"says of {len(fork.guests)} guest holdouts that they stay behind; its parent has {len(guests)}"


def _first_difference(said: ForkedTask, due: ForkedTask) -> str:
    for one, other in zip(said.holdouts, due.holdouts, strict=False):
        if one != other:
            gave = f"says that a holdout gave {one.looks} verdicts, {one.kept} of them acceptances"
            return f"{gave}; by its parent's log it gave {other.looks}, {other.kept} of them acceptances"
    if said.head != due.head:
        return f"goes on from {said.head.digest[:16]}…, but the head was {due.head.digest[:16]}…"
    names = [name for name in said.__struct_fields__ if getattr(said, name) != getattr(due, name)]
    return f"says another {', '.join(names)} than its parent's log"
