"""The examples that heads were held against: whether they are those that were signed, and fresh.

Of a sealed slice `datasets` and `disjoint` look at that. A fed file lies in the state by its digest. It has
no copy of a text that a decision reads, or that was trained on by then. For one head it may only grow, since
the evidence of examples that were chosen anew does not go on from that of those before. So for each head one
file, the last one, is read, and those before it have to be its beginning.
"""

from __future__ import annotations

__all__ = ["Monitored"]

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from cryoflux.data.fold import fold
from cryoflux.digests import Hashing, digests_of_lines
from cryoflux.files import read_lines
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Move
from cryoflux.state import StateFolder
from cryoflux.verification.alike import in_training
from cryoflux.verification.read_sets import MONITOR, TRAIN, ReadSets, TextLine
from cryoflux.verification.result import Finding, failed, unknown
from cryoflux.verification.topics import Topic

_MOST_HEADS = 64
"""heads, the newest ones, whose examples are looked at; of a fed file each reads the training set once"""
_MOST_SEARCHED = 2
"""files, the newest ones, in which near copies of training examples are searched for: each costs seconds"""
_MOST_FILES = 4096
"""of one head"""
_LONGEST_LINE = 8_000_000


class _Shown(Struct, array_like=True):
    """Examples that a head was held against."""

    name: str
    """the first entry that says so"""
    sha256: str
    count: int
    trained: int
    """training examples that there were by then, at least"""
    at_most: int
    """the same, at most: a look may have come at any time of its session"""


class _Held(Struct, array_like=True):
    """A head, and what it was held against."""

    task: str
    number: int
    """of the head; 0 where an older look does not say it"""
    shown: list[_Shown]


class Monitored(Struct):
    """What heads were held against, head by head."""

    heads: list[_Held] = field(default_factory=list)
    trained: dict[str, int] = field(default_factory=dict)
    """task → training examples that there were when its last session ended"""

    def take(self, entry: Entry, memory: LogState) -> None:
        """Take note of the next entry, where it tells of a monitor."""
        move = entry.move
        if (session := entry.session) is not None:
            for check in session.checks:
                if (known := memory.tasks.get(check.task)) is not None:
                    least = self.trained.get(check.task, known.data.train_count)
                    shown = _Shown(entry.name, check.sha256, check.count, least, known.latest.train_count)
                    self._add(check.task, check.head_number, shown)
            self.trained = {task: known.latest.train_count for task, known in memory.tasks.items()}
        elif move is not None and move.move is Move.ROLLBACK and move.test is not None:
            known = memory.tasks.get(move.task)
            count = known.latest.train_count if known is not None else 0
            for one in move.evidence:
                shown = _Shown(entry.name, one.sha256, one.count, count, count)
                self._add(move.task, move.test.head_number, shown)

    def _add(self, task: str, number: int, one: _Shown) -> None:
        held = next((h for h in self.heads if (h.task, h.number) == (task, number)), None)
        if held is None:
            self.heads = [*self.heads, _Held(task, number, [one])][-_MOST_HEADS:]
        elif len(held.shown) < _MOST_FILES and all(
            (other.sha256, other.count) != (one.sha256, one.count) for other in held.shown
        ):
            held.shown.append(one)

    def findings(
        self, state: StateFolder, memory: LogState, read_sets: Sequence[ReadSets], hashing: Hashing
    ) -> Iterator[Finding]:
        """What is wrong or open about them.

        Args:
            state: where they lie.
            memory: what the log has come to.
            read_sets: the data sets that are here.
            hashing: what was hashed of other files before.
        """
        looked_at: set[tuple[str, str, int]] = set()
        for held in reversed(self.heads):
            known = memory.tasks.get(held.task)
            folder = state.data(known.latest.digest) if known is not None else None
            where = folder.relative_to(state.path).as_posix() if folder is not None else ""
            sets = next((one for one in read_sets if one.where == where), None)
            if len(held.shown) > 1 and held.number:
                yield from _exchanged(state, held, sets)
            last = held.shown[-1]
            place = (held.task, last.sha256, last.count)
            if place not in looked_at:
                looked_at.add(place)
                yield from _examined(state, last, sets, hashing, near=len(looked_at) <= _MOST_SEARCHED)


def _examined(
    state: StateFolder, shown: _Shown, sets: ReadSets | None, hashing: Hashing, *, near: bool
) -> Iterator[Finding]:
    """What is wrong with the examples of one look."""
    if sets is not None and shown.sha256 == sets.digests.get(MONITOR):
        slice_lines = sets.lines.get(MONITOR)
        if slice_lines is not None and len(slice_lines) != shown.count:
            yield failed(
                f"{sets.where}/{MONITOR}",
                f"holds {len(slice_lines)} examples, not {shown.count} ({shown.name})",
            )
        return
    path = state.monitor(shown.sha256)
    where = path.relative_to(state.path).as_posix()
    if not path.exists():
        yield unknown(where, f"the examples that {shown.name} was held against are not kept here")
    elif isinstance(lines := _signed(path, shown.sha256, hashing), str):
        yield failed(where, lines)
    else:
        if len(lines) != shown.count:
            yield failed(where, f"holds {len(lines)} examples, not {shown.count} as {shown.name} says")
        if sets is not None:
            yield from _fresh(where, lines, shown, sets)
            yield from _near(where, lines, shown, sets) if near else ()


def _signed(path: Path, digest: str, hashing: Hashing) -> list[TextLine] | str:
    """The examples of a file, or what is wrong with it."""
    try:
        if hashing.digest(path) != digest:
            return "is not the file that was signed"
        return _read(path)
    except OSError:
        return "cannot be read"
    except (ValueError, LookupError, TypeError, RecursionError):
        return "holds a line that is no example"


def _read(path: Path) -> list[TextLine]:
    found = []
    for line, _ in read_lines(path, _LONGEST_LINE):
        if line:
            row = json.loads(line)
            text, label = row["text"], row["label"]
            if not (isinstance(text, str) and isinstance(label, str)):
                raise ValueError("no text with its class")
            found.append(TextLine(text, True, label))
    return found


def _fresh(where: str, lines: Sequence[TextLine], shown: _Shown, sets: ReadSets) -> Iterator[Finding]:
    """Whether training or decisions had read them by then."""
    folds = [fold(line.text) for line in lines]
    for file, known in sets.folds.items():
        if file == MONITOR:
            continue
        before = known[: shown.trained] if file == TRAIN else known
        if copies := len({*before} & {*folds}):
            detail = (
                f"{copies} of its {len(lines)} texts are copies of texts in {file}: it is no fresh monitor"
            )
            yield failed(where, detail, Topic.HOLDOUT)
        elif file == TRAIN and (copies := len({*known[shown.trained : shown.at_most]} & {*folds})):
            detail = f"{copies} of its {len(lines)} texts joined {file} while {shown.name} went on"
            yield unknown(where, detail, Topic.HOLDOUT)


def _near(where: str, lines: Sequence[TextLine], shown: _Shown, sets: ReadSets) -> Iterator[Finding]:
    """Whether many of them are near to what was trained on."""
    trained = sets.lines.get(TRAIN, ())[: shown.trained]
    for finding in in_training(ReadSets(where, None, {TRAIN: trained, MONITOR: lines}, {})):
        yield unknown(finding.subject, finding.detail, Topic.HOLDOUT)


def _exchanged(state: StateFolder, held: _Held, sets: ReadSets | None) -> Iterator[Finding]:
    """Whether what a head was held against went on from what it was held against before."""
    last = held.shown[-1]
    path = state.monitor(last.sha256)
    if sets is not None and last.sha256 == sets.digests.get(MONITOR):
        begins: Mapping[int, str] = {}
    elif not path.exists():
        return  # asked for
    else:
        try:
            begins = digests_of_lines(path, [one.count for one in held.shown])
        except OSError:
            return  # said by whoever reads it
    for one in held.shown[:-1]:
        if begins.get(one.count) != one.sha256 and not _went_on(state, one, path, sets):
            yield unknown(
                last.name,
                f"holds head {held.number} of {held.task} against examples that do not go on from those that "
                f"it was held against before ({one.name}): each of them may err with all its part of α",
                Topic.HOLDOUT,
            )
            return


def _went_on(state: StateFolder, one: _Shown, path: Path, sets: ReadSets | None) -> bool:
    """Whether a file is the beginning of a later one, but for rows that have joined the training set."""
    trained = set(sets.folds.get(TRAIN, ())) if sets is not None else set()
    try:
        earlier = [fold(line.text) for line in _read(state.monitor(one.sha256))]
        later = [fold(line.text) for line in _read(path)]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    left = [folded for folded in earlier if folded not in trained]
    return left == [folded for folded in later[: len(earlier)] if folded not in trained][: len(left)]
