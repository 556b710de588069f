"""When a quorum of witnesses had seen an entry: by all heads of its log that they cosigned.

A node publishes the heads that witnesses cosigned, append-only, and witnesses publish the newest of each log.
An entry was committed at the earliest time by which a quorum had seen a head that covers it
(`witness.commitment`). So whoever leaves heads out can only make its own commitments later; and a head that
was there once has to stay. Until when a log had nothing more is said by the newest cosignatures of a head: of
a quiet log by those that came long after the first.

Of two entries of two logs, times of different witnesses may say the wrong order, because their clocks differ.
Which of the two it had seen first each witness says by its own clock alone. Nobody shows an entry before a
quorum has seen it, so whoever made the one knowing the other leaves a quorum that had seen the other first.
Where those that had not seen the one first hold no quorum any more, it was made knowing nothing; where that
is so of one of the two alone, that one was first. Else nobody can tell. As long as fewer witnesses lie than
any two quorums have in common, no copy is ever told to be first, whoever else is absent. Where that is a
single one, none may lie: there clocks are asked as well, and nobody can tell where they say the opposite.
"""

from __future__ import annotations

__all__ = [
    "CONTESTED_S",
    "HeadTimes",
    "SeenAt",
    "SeenBy",
    "all_heads",
    "continued",
    "cosigned_by",
    "joined",
    "last_reached_by",
    "merged",
    "not_there",
    "reached_by",
    "seen_before",
    "times_of",
    "together",
    "trusted_keys",
]

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    KeyType,
    Note,
    NoteSignature,
    VerifierKey,
    cosigned_at,
    parse_note,
    verify_log,
)
from cryoflux.witness.policy import Policy

CONTESTED_S = 600
"""where two quorums need share no witness, clocks alone tell who was first, and of what is no more than so
many seconds apart they do not"""
_MOST_OF_A_KEY = 8
"""signatures under one head of a key that is not known here"""
_MOST_LINES = 64
"""signatures that a note has"""


class SeenBy(NamedTuple):
    """When an entry was seen."""

    time_s: int
    """by a quorum, Unix seconds"""
    by: Mapping[str, int] = {}
    """by each witness that has seen it, by its own clock"""


class SeenAt(NamedTuple):
    """When a witness had seen a head, by its own clock, Unix seconds."""

    first_s: int
    last_s: int

    def joined(self, other: SeenAt) -> SeenAt:
        """Of both times that it had."""
        return SeenAt(min(self.first_s, other.first_s), max(self.last_s, other.last_s))


@dataclass(frozen=True, slots=True)
class HeadTimes:
    """Since when a quorum had seen how much of a log."""

    sizes: tuple[int, ...] = ()
    """of the heads, rising"""
    times_s: tuple[int, ...] = ()
    """of each, the earliest time by which a quorum had seen it or a larger one, Unix seconds"""
    witnesses: Mapping[str, HeadTimes] = field(default_factory=dict)
    """the same of each witness alone, by its name in the policy"""
    last_s: int = 0
    """the latest time at which a quorum still saw one of them, Unix seconds; 0 where no witness says when"""

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

    def seen(self, index: int) -> SeenBy | None:
        """When an entry was seen; none where no quorum has seen it.

        Args:
            index: its position in the log.
        """
        if (quorum_s := self.at(index)) is None:
            return None
        times = {name: alone.at(index) for name, alone in self.witnesses.items()}
        return SeenBy(quorum_s, {name: time_s for name, time_s in times.items() if time_s is not None})

    @property
    def newest_s(self) -> int:
        """When a quorum had last seen the log; 0 where none has."""
        return self.last_s or max(self.times_s, default=0)

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


def trusted_keys(log: VerifierKey, policy: Policy) -> tuple[VerifierKey, ...]:
    """The keys whose signatures under a head have their place before those of others.

    Args:
        log: key of the log.
        policy: who makes a quorum.
    """
    return (log, *(witness.key for witness in policy.witnesses))


def continued(
    kept: Sequence[Note], came: Sequence[Note], keys: Sequence[VerifierKey] = ()
) -> tuple[Note, ...]:
    """The heads that a peer publishes now, with the signatures that were seen of them.

    Args:
        kept: those that it has published before, all of which are there.
        came: those that it publishes.
        keys: as of `merged`.
    """
    both = zip(kept, came, strict=False)
    return (*(merged(one, other, keys) for one, other in both), *came[len(kept) :])


def merged(one: Note, other: Note, keys: Sequence[VerifierKey] = ()) -> Note:
    """A head with the signatures of both, as far as they fit into a note.

    Of each trusted key what verifies stands, the first time and the last one. Of a key that nobody here knows
    at most eight lines do, those that came first and last: somebody on the way may have brought a false one
    before the true one came. Where there are too many such keys, those of the newest answer stand.

    Args:
        one: as it was kept.
        other: as it came.
        keys: trusted ones, of the log and of witnesses.
    """
    if set(other.signatures) <= set(one.signatures):
        return one  # as of all heads but the newest
    lines = tuple(dict.fromkeys((*one.signatures, *other.signatures)))
    sure = [line for key in keys for line in _true_ends(one.checkpoint, lines, key)]
    named = {(key.name, key.id) for key in keys}
    newest_first = (*other.signatures, *one.signatures)
    groups = {(line.name, line.key_id): list[NoteSignature]() for line in newest_first}
    for line in lines:
        groups[line.name, line.key_id].append(line)
    others = [each for key, each in groups.items() if key not in named]
    for most in (_MOST_OF_A_KEY, 2, 1):
        last = most // 2
        some = [line for each in others for line in _ends(each, most - last, last)]
        if (found := _note(one.checkpoint, [*sure, *some])) is not None:
            return found
    fresh = [each[-1] for each in others][: max(0, _MOST_LINES - len(sure))]
    return _note(one.checkpoint, [*sure, *fresh]) or _note(one.checkpoint, sure) or one


def _note(head: Checkpoint, lines: Sequence[NoteSignature]) -> Note | None:
    """A head with signatures; none where they do not fit into a note."""
    with suppress(VerificationError):
        return parse_note(Note(head, tuple(lines)).content)
    return None


def _true_ends(head: Checkpoint, lines: Iterable[NoteSignature], key: VerifierKey) -> list[NoteSignature]:
    """Of a key the lines that verify, the one of the first time and the one of the last."""
    found = sorted(_verified(head, lines, key), key=lambda one: one[0])
    return [line for _, line in (found[:1] + found[1:][-1:])]


def _verified(
    head: Checkpoint, lines: Iterable[NoteSignature], key: VerifierKey
) -> Iterator[tuple[int, NoteSignature]]:
    """The lines of a key that verify, with their times: a false one takes nothing from true ones."""
    for line in lines:
        if (line.name, line.key_id) == (key.name, key.id):
            with suppress(VerificationError):
                yield _time_s(Note(head, (line,)), key), line


def _time_s(note: Note, key: VerifierKey) -> int:
    """When a key signed a head; 0 where its signatures have no time.

    Raises:
        VerificationError: it did not.
    """
    if key.kind is KeyType.WITNESS:
        return cosigned_at(note, key) or 0
    verify_log(note, key)
    return 0


def _ends(lines: list[NoteSignature], first: int, last: int) -> list[NoteSignature]:
    """The first lines and the last ones."""
    return lines if len(lines) <= first + last else lines[:first] + lines[len(lines) - last :]


def together(notes: Iterable[Note], keys: Sequence[VerifierKey] = ()) -> Iterator[Note]:
    """Heads of one log, smaller ones first; of one that is there twice, the signatures of both.

    Args:
        notes: the heads.
        keys: as of `merged`.
    """
    found: dict[Checkpoint, Note] = {}
    for note in notes:
        known = found.get(note.checkpoint)
        found[note.checkpoint] = merged(known, note, keys) if known is not None else note
    yield from sorted(found.values(), key=lambda note: (note.checkpoint.size, note.checkpoint.root))


def reached_by(times: Mapping[str, SeenAt], policy: Policy) -> int | None:
    """When a quorum had seen a head, Unix seconds; none where it has not, or the policy needs nobody.

    Args:
        times: when each witness had seen the head.
        policy: who makes a quorum.
    """
    if policy.reached(set()):
        return None
    return policy.seen_by({name: seen.first_s for name, seen in times.items()})


def last_reached_by(times: Mapping[str, SeenAt], policy: Policy) -> int | None:
    """When a quorum had seen a head last, Unix seconds; none where it has not, or the policy needs nobody.

    Fewer than a quorum cannot date it forward (`Policy.reached_at`): what is to follow from a log's silence
    needs it to be silent.

    Args:
        times: when each witness had seen the head.
        policy: who makes a quorum.
    """
    if policy.reached(set()):
        return None
    return policy.reached_at({name: seen.last_s for name, seen in times.items()})


def cosigned_by(note: Note, policy: Policy) -> dict[str, SeenAt]:
    """Which witnesses of a policy had seen a head, and when.

    A false cosignature counts for nothing, and takes nothing from those that are true.
    """
    found: dict[str, SeenAt] = {}
    for witness in policy.witnesses:
        times = [time_s for time_s, _ in _verified(note.checkpoint, note.signatures, witness.key)]
        if times:
            found[witness.name] = SeenAt(min(times), max(times))
    return found


def joined(seen: Iterable[tuple[Checkpoint, Mapping[str, SeenAt]]]) -> dict[Checkpoint, dict[str, SeenAt]]:
    """Of each head all that is known of who had seen it when.

    Args:
        seen: heads, one of them perhaps more than once, and which witnesses had seen each when.
    """
    found: dict[Checkpoint, dict[str, SeenAt]] = {}
    for head, times in seen:
        known = found.setdefault(head, {})
        for name, one in times.items():
            known[name] = one.joined(known.get(name, one))
    return found


def times_of(heads: Iterable[tuple[int, dict[str, SeenAt]]], policy: Policy) -> HeadTimes:
    """Since when a quorum had seen how much, by some heads.

    Args:
        heads: the size of each, and which witnesses had seen it when.
        policy: who makes a quorum.
    """
    alone: dict[str, list[tuple[int, int]]] = {}
    quorum, last_s = [], 0
    for size, times in heads:
        if (time_s := reached_by(times, policy)) is not None:
            quorum.append((size, time_s))
        last_s = max(last_s, last_reached_by(times, policy) or 0)
        for name, seen in times.items():
            alone.setdefault(name, []).append((size, seen.first_s))
    each = {name: HeadTimes.of(pairs) for name, pairs in alone.items()}
    return replace(HeadTimes.of(quorum), witnesses=each, last_s=last_s)


def seen_before(one: SeenBy, other: SeenBy, policy: Policy) -> bool:
    """Whether one entry was surely there before another one of another log.

    Of two of which neither was, nobody can tell whose was first.

    Args:
        one: when it was seen.
        other: the same of the other one.
        policy: who makes a quorum.
    """
    if policy.shared:
        told = not _may_know(one, other, policy) and _may_know(other, one, policy)
        return told and (policy.shared > 1 or one.time_s <= other.time_s)
    # The clock by which logs arrive here is one clock.
    least_s = 0 if policy.reached(set()) else CONTESTED_S
    return other.time_s - one.time_s > least_s


def _may_know(one: SeenBy, other: SeenBy, policy: Policy) -> bool:
    """Whether who made an entry may have been shown another one: a quorum may have seen that one first."""
    never_s = max((*one.by.values(), *other.by.values()), default=0) + 1
    every = {line.name for line in policy.witnesses}
    first = {name for name in every if one.by.get(name, never_s) < other.by.get(name, never_s)}
    return policy.reached(every - first)
