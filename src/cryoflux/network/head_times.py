"""When a quorum of witnesses had seen an entry: by all heads of its log that they cosigned.

A node publishes the heads that witnesses cosigned, append-only, and witnesses publish the newest of each log.
An entry was committed at the earliest time by which a quorum had seen a head that covers it
(`witness.commitment`). So whoever leaves heads out can only make its own commitments later; and a head that
was there once has to stay.
"""

from __future__ import annotations

__all__ = [
    "HeadTimes",
    "all_heads",
    "continued",
    "merged",
    "not_there",
    "reached_by",
    "together",
]

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import Checkpoint, Note, NoteSignature, cosigned_at
from cryoflux.witness.commitment import quorum_time
from cryoflux.witness.policy import Policy

_MOST_OF_A_KEY = 8
"""signatures of one key under one head"""


@dataclass(frozen=True, slots=True)
class HeadTimes:
    """Since when a quorum had seen how much of a log."""

    sizes: tuple[int, ...] = ()
    """of the heads, rising"""
    times_s: tuple[int, ...] = ()
    """of each, the earliest time by which a quorum had seen it or a larger one, Unix seconds"""

    @classmethod
    def of(cls, seen: Iterable[tuple[int, int]]) -> HeadTimes:
        """Of some heads: size, and when a quorum had seen it; in any order."""
        earliest: int | None = None
        found: list[tuple[int, int]] = []
        for size, time_s in sorted(seen, reverse=True):
            earliest = time_s if earliest is None else min(earliest, time_s)
            found.append((size, earliest))
        found.reverse()
        return cls(tuple(size for size, _ in found), tuple(time_s for _, time_s in found))

    def at(self, index: int) -> int | None:
        """When a quorum had seen an entry; none where it has not.

        Args:
            index: its position in the log.
        """
        place = bisect_right(self.sizes, index)
        return self.times_s[place] if place < len(self.sizes) else None

    @property
    def newest_s(self) -> int:
        """The latest of these times; 0 where there is none."""
        return max(self.times_s, default=0)

    @property
    def size(self) -> int:
        """Entries that a quorum has seen."""
        return self.sizes[-1] if self.sizes else 0


def all_heads(notes: Iterable[Note]) -> bytes:
    """A file of heads."""
    return b"\n".join(note.content for note in notes)


def not_there(kept: Sequence[Note], came: Sequence[Note]) -> Note | None:
    """The first head that a peer has published before and that is not where it was; none where all are.

    Args:
        kept: those that it has published before.
        came: those that it publishes.
    """
    for place, note in enumerate(kept):
        if place >= len(came) or came[place].checkpoint != note.checkpoint:
            return note
    return None


def continued(kept: Sequence[Note], came: Sequence[Note]) -> tuple[Note, ...]:
    """The heads that a peer publishes now, with every signature that was seen of them.

    Args:
        kept: those that it has published before, all of which are there.
        came: those that it publishes.
    """
    return (*map(merged, kept, came), *came[len(kept) :])


def merged(one: Note, other: Note) -> Note:
    """A head with the signatures of both; of one key at most eight, the first ones.

    Not one alone: somebody on the way may have brought a false one before the true one came.
    """
    lines: dict[tuple[str, bytes], list[NoteSignature]] = {}
    for line in (*one.signatures, *other.signatures):
        known = lines.setdefault((line.name, line.key_id), [])
        if line not in known and len(known) < _MOST_OF_A_KEY:
            known.append(line)
    return Note(one.checkpoint, tuple(line for some in lines.values() for line in some))


def together(notes: Iterable[Note]) -> Iterator[Note]:
    """Heads of one log, smaller ones first; of one that is there twice, both signatures."""
    found: dict[Checkpoint, Note] = {}
    for note in notes:
        known = found.get(note.checkpoint)
        found[note.checkpoint] = merged(known, note) if known is not None else note
    yield from sorted(found.values(), key=lambda note: (note.checkpoint.size, note.checkpoint.root))


def reached_by(note: Note, policy: Policy) -> int | None:
    """When a quorum had seen a head, Unix seconds; none where it has not, or the policy needs nobody.

    A false cosignature counts for nothing, and takes nothing from those that are true.
    """
    reached, time_s = quorum_time(_true_lines(note, policy), policy)
    return time_s if reached else None


def _true_lines(note: Note, policy: Policy) -> Note:
    """A head with what its witnesses have signed, of each key the earliest."""
    earliest: list[NoteSignature] = []
    for witness in policy.witnesses:
        times = []
        for line in note.signatures:
            if (line.name, line.key_id) == (witness.key.name, witness.key.id):
                with suppress(VerificationError):
                    times.append((cosigned_at(Note(note.checkpoint, (line,)), witness.key), line))
        known = [(time_s, line) for time_s, line in times if time_s is not None]
        earliest += [min(known, key=lambda one: one[0])[1]] if known else []
    return Note(note.checkpoint, tuple(earliest))
