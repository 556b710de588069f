"""A training set grows: examples that nobody judges by join it, at its end, and nothing else changes.

What may not join, each counted with its file and line:

- a text that is a copy (`fold`) or a near duplicate (`near`), either way, of one of a set that judges: it
  would be measured by what it was taught;
- where the data set has a leak guard, a text that it finds to be like one that judges;
- a text that is a copy or a near duplicate of one that is trained on: it would count twice. Of one that is
  quarantined (`cryoflux.task_state`) only what has its label, too: a label that was mended may come again;
- an example of a class that the model does not have.

The grown set is a folder of its own below ``data/``: the training file, and links to the files that are the
same. It counts from the first intent that names it. Until then the old folder is the data set, and what a
crash leaves of the new one is thrown away: the examples join again. After that the old folder goes: its
training file is the beginning of the new one, line by line, so that one file serves every digest.
"""

from __future__ import annotations

__all__ = ["Joining", "Refusal", "Refused", "Similar", "drop_others", "grow"]

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

from cryoflux.data.examples import Example
from cryoflux.data.fold import fold
from cryoflux.data.near import find_near
from cryoflux.data.prepared import PreparedData, example_line, open_prepared
from cryoflux.digests import CHECKSUMS, checksum_lines, listed_digests, sha256_hex
from cryoflux.files import MOST_FILE_BYTES, read_regular, storage_errors, sync_folder, write_atomic

_TRAIN = "train.jsonl"
_DIGEST = 64
"""characters of a folder's name"""
_MOST_CHARACTERS = 10_000_000
"""of texts that are looked at together: half of what `find_near` reads"""

Similar = Callable[[Sequence[str], Mapping[str, Sequence[str]]], Mapping[int, str]]
"""Texts, and sets that judge → places of those that are like one of a set, and of which."""


class Refusal(StrEnum):
    """Why an example does not join."""

    JUDGED = "judged"
    """its text, or one near to it, is in a set that judges"""
    KNOWN = "known"
    """its text, or one near to it, is trained on already"""
    CLASS = "class"
    """the model has no such class"""
    SIMILAR = "similar"
    """the leak guard of the data set finds it to be like a text that judges"""
    UNSEARCHED = "unsearched"
    """the sets that judge are too large, or too much alike, to be searched wholly"""


@dataclass(frozen=True, slots=True)
class Refused:
    """An example that did not join."""

    file: str
    line: int
    why: Refusal


@dataclass(slots=True)
class Joining:
    """Decides which examples join a training set; of one that they have joined it is made anew."""

    data: PreparedData
    joined: list[Example] = field(default_factory=list)
    """those that may, in order"""
    similar: Similar | None = None
    """finds places of texts that are like one of a set that judges, where the data set has a leak guard"""
    quarantined: Collection[int] = ()
    """training examples, by index, that nothing learns from any more"""
    _judged: dict[str, set[str]] = field(default_factory=dict, repr=False)
    _learned: list[str] = field(default_factory=list, repr=False)
    _trained: set[str] = field(default_factory=set, repr=False)
    _spoiled: list[Example] = field(default_factory=list, repr=False)
    _said: set[tuple[str, str]] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        parts = [name for name in self.data.sets if name != "train"]
        self._judged = {name: {fold(e.text) for e in self.data.examples(name)} for name in parts}
        train, spoiled = self.data.examples("train"), frozenset(self.quarantined)
        self._learned = [example.text for index, example in enumerate(train) if index not in spoiled]
        self._spoiled = [example for index, example in enumerate(train) if index in spoiled]
        self._trained = {fold(text) for text in self._learned}
        self._said = {(fold(example.text), example.label) for example in self._spoiled}

    def offer(self, file: str, numbered: Iterable[tuple[int, Example]]) -> tuple[int, list[Refused]]:
        """Take what may join of a file; how many that were, and what did not.

        Args:
            file: what it is called.
            numbered: its examples, each with its line.
        """
        refused: list[Refused] = []
        wanted: list[tuple[int, Example]] = []
        batches = [wanted]
        left = _MOST_CHARACTERS
        for line, example in numbered:
            if (why := self._plainly(example)) is not None:
                refused.append(Refused(file, line, why))
                continue
            self._trained.add(fold(example.text))
            left -= len(example.text)
            if left < 0:
                wanted, left = [], _MOST_CHARACTERS - len(example.text)
                batches.append(wanted)
            wanted.append((line, example))
        joined = 0
        for batch in batches:
            near = self._near([example for _, example in batch]) if batch else {}
            for place, (line, example) in enumerate(batch):
                if place in near:
                    refused.append(Refused(file, line, near[place]))
                else:
                    self.joined.append(example)
                    joined += 1
        return joined, sorted(refused, key=lambda one: one.line)

    def _plainly(self, example: Example) -> Refusal | None:
        """Why an example does not join, as far as that is seen without a search."""
        if example.label not in self.data.labels:
            return Refusal.CLASS
        folded = fold(example.text)
        if any(folded in texts for texts in self._judged.values()):
            return Refusal.JUDGED
        known = folded in self._trained or (folded, example.label) in self._said
        return Refusal.KNOWN if known else None

    def _near(self, examples: Sequence[Example]) -> dict[int, Refusal]:
        """Place → why an example does not join, by a search for near duplicates."""
        texts = [example.text for example in examples]
        judged = {name: [e.text for e in self.data.examples(name)] for name in self._judged}
        judging = [text for those in judged.values() for text in those]
        found: dict[int, Refusal] = {}
        there = find_near(texts, judging)
        whole = there.whole
        found |= dict.fromkeys(there.near, Refusal.JUDGED)
        while whole:  # of each text that judges only one that is near to it is found at a time
            back = find_near(judging, texts, partial(_is_left, found))
            whole = back.whole
            if not back.near:
                break
            found |= dict.fromkeys(back.near.values(), Refusal.JUDGED)
        if not whole:
            return dict.fromkeys(range(len(texts)), Refusal.UNSEARCHED)
        if self.similar is not None:
            left = [place for place in range(len(texts)) if place not in found]
            alike = self.similar([texts[place] for place in left], judged)
            found |= dict.fromkeys((left[place] for place in alike), Refusal.SIMILAR)
        for place in find_near(texts, [*self._learned, *(e.text for e in self.joined)]).near:
            found.setdefault(place, Refusal.KNOWN)
        for place in self._quarantined_before(examples):
            found.setdefault(place, Refusal.KNOWN)
        among = find_near(texts, texts, lambda place, other: other < place and other not in found)
        for place in among.near:
            found.setdefault(place, Refusal.KNOWN)
        return found

    def _quarantined_before(self, examples: Sequence[Example]) -> Collection[int]:
        """Places of examples that are near to a quarantined one and have its label."""
        spoiled = self._spoiled
        if not spoiled:  # as nearly always: the search would read all texts for nothing
            return ()
        return find_near(
            [example.text for example in examples],
            [example.text for example in spoiled],
            lambda place, other: examples[place].label == spoiled[other].label,
        ).near


def _is_left(found: Mapping[int, Refusal], _wanted: int, place: int) -> bool:
    return place not in found


def grow(data: PreparedData, examples: Sequence[Example]) -> PreparedData:
    """A data set with more training examples, written beside it; the old one stays as it is.

    Args:
        data: what there is.
        examples: those that join, in order; one at least.

    Raises:
        StorageError: the disk is full, read-only, or refuses; nothing has changed then.
        StateTamperedError: a file is not what it was.
    """
    root = data.folder.parent
    train = read_regular(data.folder / _TRAIN, MOST_FILE_BYTES)
    train += b"".join(example_line(example) + b"\n" for example in examples)
    listed = {**listed_digests(data.folder), _TRAIN: sha256_hex(train)}
    sums = checksum_lines(listed)
    digest = sha256_hex(sums)
    folder, draft = root / digest, root / f".{digest}"
    with storage_errors(draft):
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir()
            for name in listed.keys() - {_TRAIN}:
                os.link(data.folder / name, draft / name)
            write_atomic(draft / _TRAIN, train)
            write_atomic(draft / CHECKSUMS, sums)
            if not folder.exists():
                draft.rename(folder)
            sync_folder(root)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return open_prepared(folder, data.name, data.rules)


def drop_others(folder: Path, keep: Collection[str] = ()) -> None:
    """Throw away what a data set was before examples joined, and drafts of what it did not become.

    Args:
        folder: of the data set that the log names; what differs from it in the training file alone goes.
        keep: digests of data sets that other tasks have.
    """
    try:
        here = {**listed_digests(folder), _TRAIN: ""}
    except (OSError, UnicodeError):
        return
    for other in folder.parent.iterdir():
        if other.name.startswith(".") and len(other.name) == _DIGEST + 1:
            shutil.rmtree(other, ignore_errors=True)
            continue
        try:
            listed = {**listed_digests(other), _TRAIN: ""}
        except (OSError, UnicodeError):
            continue
        if listed == here and other.name not in {folder.name, *keep}:
            shutil.rmtree(other, ignore_errors=True)
