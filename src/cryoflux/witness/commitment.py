"""When an entry was committed to: the earliest time at which a quorum of witnesses had seen it.

Heads are published append-only, with their cosignatures. Of those that cover an entry, each has the time by
which a quorum had seen it (`Policy.seen_by`): that of its last member, so that a single witness who lies
dates nothing back. The earliest of these times is the commitment. So a head that is left out can make a
commitment later, never earlier.

A note that the log did not sign, or with a false cosignature, counts for nothing here: it must not hide the
others.
"""

from __future__ import annotations

__all__ = ["Commitment", "commitment_of", "committed_at", "quorum_time"]

from collections.abc import Iterable
from dataclasses import dataclass

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import Note, VerifierKey, cosigned_times, verify_log
from cryoflux.witness.policy import Policy


@dataclass(frozen=True, slots=True)
class Commitment:
    """A head that commits to an entry."""

    note: Note
    committed_s: int | None
    """when a quorum had seen it, POSIX seconds; none where the policy needs nobody"""


def quorum_time(note: Note, policy: Policy) -> tuple[bool, int | None]:
    """Whether a quorum cosigned a note, and since when: of each witness its first time counts.

    Returns:
        and the time, POSIX seconds; none where there is no quorum, or nobody is needed for one.

    Raises:
        VerificationError: what claims to be a witness's cosignature is not.
    """
    said = {line.name: cosigned_times(note, line.key) for line in policy.witnesses}
    times = {name: min(some) for name, some in said.items() if some}
    if policy.reached(set()):
        return True, None
    return policy.reached(set(times)), policy.seen_by(times)


def commitment_of(index: int, notes: Iterable[Note], key: VerifierKey, policy: Policy) -> Commitment | None:
    """The head that committed to an entry first.

    That the heads are of one history, the one that the entry is in, is for the caller to have checked.

    Args:
        index: position of the entry in its log.
        notes: heads of that log, with their cosignatures.
        key: of the log.
        policy: who makes a quorum.

    Returns:
        none where no head covers the entry that a quorum has seen. Of equally early ones, the first.
    """
    found: Commitment | None = None
    for note in notes:
        if note.checkpoint.size <= index:
            continue
        try:
            verify_log(note, key)
            reached, time_s = quorum_time(note, policy)
        except VerificationError:
            continue
        if reached and (found is None or (time_s or 0) < (found.committed_s or 0)):
            found = Commitment(note, time_s)
    return found


def committed_at(index: int, notes: Iterable[Note], key: VerifierKey, policy: Policy) -> int | None:
    """When an entry was committed to, POSIX seconds.

    Args:
        index: position of the entry in its log.
        notes: heads of that log, with their cosignatures.
        key: of the log.
        policy: who makes a quorum.

    Returns:
        none where no quorum has seen it, or the policy needs nobody.
    """
    found = commitment_of(index, notes, key, policy)
    return found.committed_s if found is not None else None
