"""The files of a data set, read as the settings say: one that is split, or one for each set."""

from __future__ import annotations

__all__ = ["GivenSets", "read_sets"]

from dataclasses import dataclass, replace

from cryoflux.data.balance import balanced
from cryoflux.data.columns import Wishes
from cryoflux.data.examples import Example
from cryoflux.data.formats import open_examples
from cryoflux.data.found import FileFound
from cryoflux.settings import DataSettings


@dataclass(frozen=True, slots=True)
class GivenSets:
    """What was read of each file."""

    train: list[Example]
    holdout: list[Example] | None
    """none where it is split off"""
    audit: list[Example] | None
    found: dict[str, FileFound]
    """set → how its file was read"""
    unbalanced: int = 0
    """training examples that were left out because their class has too many"""

    def lines(self) -> list[str]:
        """What was found where a file is not exactly text,label, in words."""
        said = [
            f"{name}: {line}"
            for name, found in self.found.items()
            if not found.plain
            for line in found.lines()
        ]
        if self.unbalanced:
            said.append(f"train: {self.unbalanced} examples of frequent classes left out (--balance)")
        return said


def read_sets(data: DataSettings, *, lenient: bool = False) -> GivenSets:
    """Read the files that the settings name.

    Args:
        data: the settings.
        lenient: whether any share of the rows may lack a text or a label, as long as one is left.

    Raises:
        DataError, UsageError: as `cryoflux.data.formats.read_examples`.
    """
    wishes, found = Wishes.of(data), dict[str, FileFound]()
    if lenient:
        wishes = replace(wishes, most_dropped=1.0)

    def read(name: str, path: str) -> list[Example]:
        opened = open_examples(path, wishes)
        examples = [example for _, example in opened]
        found[name] = opened.found
        return examples

    train = read("train", data.train)
    holdout = read("holdout", data.holdout) if data.holdout else None
    audit = read("audit", data.audit) if data.audit else None
    kept = balanced(train, data.balance)
    return GivenSets(kept, holdout, audit, found, len(train) - len(kept))
