"""The sets of a data set as they were read, before they are compared."""

from __future__ import annotations

__all__ = ["AUDIT", "HOLDOUT", "MONITOR", "SIMILAR", "TRAIN", "ReadSets", "TextLine"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cryoflux.data.examples import normalise
from cryoflux.data.fold import fold
from cryoflux.data.near_answers import Answered
from cryoflux.receipts.statement import SetRules

if TYPE_CHECKING:
    from cryoflux.verification.beginning import FirstReading

TRAIN, HOLDOUT, AUDIT, MONITOR = "train.jsonl", "holdout.jsonl", "audit.jsonl", "monitor.jsonl"
SIMILAR = "similar.jsonl"
"""training examples that were left out since they, or their answers, are like one that judges"""


class TextLine(NamedTuple):
    """One example of a set."""

    text: str
    """the line itself where it has none"""
    written: bool
    """whether it has a text"""
    label: str = ""
    """its class; empty where it has none"""
    answer: str = ""
    """what of it is learned; empty where it is not told apart from what comes before"""
    group: str = ""
    """what it is a chunk of; empty where it is whole"""


@dataclass(slots=True)
class ReadSets:
    """The sets of one data set that are here and have the signed bytes."""

    where: str
    rules: SetRules | None
    """by which the log says that they were made"""
    lines: Mapping[str, Sequence[TextLine]]
    """file → its examples; holdouts in the order of their use"""
    digests: Mapping[str, str]
    """files that the data set has, here or not, and their SHA-256"""
    begun: Mapping[str, FirstReading] = field(default_factory=dict)
    """task → what the log signs of its first version on one of these sets"""
    first: int = 0
    """training examples that there were when the sets were made; those after them joined later"""
    left_out: Sequence[TextLine] = ()
    """training examples that were left out since they are like one that judges, by what the log says"""
    said: list[str] = field(default_factory=list)
    """what was looked for and not found"""
    keys: dict[str, list[str]] = field(init=False)
    """file → what each example is called by the split"""
    folds: dict[str, list[str]] = field(init=False)
    """file → what the copies of each example share"""

    def __post_init__(self) -> None:
        self.keys = {
            file: [normalise(line.text) if line.written else line.text for line in lines]
            for file, lines in self.lines.items()
        }
        self.folds = {
            file: [fold(line.text) if line.written else line.text for line in lines]
            for file, lines in self.lines.items()
        }

    @property
    def listed(self) -> frozenset[str]:
        """Files that the data set has, here or not."""
        return frozenset(self.digests)

    @property
    def holdouts(self) -> list[str]:
        """Files that are holdouts, here or not, in the order of their use."""
        spares = self.listed - {TRAIN, HOLDOUT, AUDIT, MONITOR, SIMILAR}
        return [HOLDOUT, *sorted(spares, key=lambda file: (len(file), file))]

    @property
    def judging(self) -> list[str]:
        """Files of sets that judge and that are here, in the order in which they are read."""
        return [file for file in self.lines if file != TRAIN]

    def answered(self, file: str) -> list[Answered]:
        """The examples of a set that have a text, with what of them is learned."""
        lines = [line for line in self.lines.get(file, ()) if line.written]
        return [Answered(line.text, line.answer or line.text) for line in lines]

    def texts(self, file: str) -> list[str]:
        """The examples of a set that have a text."""
        return [line.text for line in self.lines.get(file, ()) if line.written]

    def drawn_from(self, file: str) -> Sequence[TextLine]:
        """Examples of a set that were there when the sets were made."""
        lines = self.lines[file]
        return lines[: self.first] if file == TRAIN and self.first else lines

    def count(self) -> int:
        """Examples of all sets that are here and were there when they were made."""
        return sum(len(self.drawn_from(file)) for file in self.lines) + len(self.left_out)
