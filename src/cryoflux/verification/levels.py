"""How far each receipt was recomputed, and in which words that is said.

| level | what was done again | best word |
|---|---|---|
| bytes | hashes, signatures and the order of the log | consistent |
| arithmetic | sums, Δ, the decision | consistent |
| spot-check | losses of some examples that the signer could not choose | reproduced exactly |
| merge | base and adapter into the candidate | reproduced exactly |
| losses | losses of all examples that were read | reproduced exactly |
| retraining | the adapter itself, from data, recipe and seed | reproduced exactly |

The words below the best: ``reproduced within tolerance`` (a profile that has one), ``reproduced in fp64``
(float32 differed too much, float64 did not), ``reproduced from other bytes`` (a retrained adapter is another
one, by so much), ``refuted``. A level that is not named for a receipt was not looked at.
"""

from __future__ import annotations

__all__ = ["Level", "Levels", "Word", "levels_json"]

from enum import StrEnum
from typing import Any

from cryoflux.verification.walk import Paired


class Level(StrEnum):
    """What of a receipt was done again."""

    BYTES = "bytes"
    ARITHMETIC = "arithmetic"
    SPOT_CHECK = "spot-check"
    MERGE = "merge"
    LOSSES = "losses"
    RETRAINING = "retraining"


class Word(StrEnum):
    """What came of it."""

    CONSISTENT = "consistent"
    INCONSISTENT = "not consistent"
    EXACT = "reproduced exactly"
    TOLERATED = "reproduced within tolerance"
    ARBITRATED = "reproduced in fp64"
    OTHER_BYTES = "reproduced from other bytes"
    REFUTED = "refuted"
    OPEN = "unknown"

    @property
    def reproduced(self) -> bool:
        """Whether what was done again came out, exactly or in the way that the word says."""
        return self in {Word.EXACT, Word.TOLERATED, Word.ARBITRATED, Word.OTHER_BYTES}


class Levels:
    """The words of each receipt that was recomputed; a refutation is never overwritten."""

    def __init__(self, *, bytes_hold: bool = True, arithmetic_holds: bool = True) -> None:
        """Take what holds for the whole log, and so for each receipt."""
        self._held = {
            Level.BYTES: Word.CONSISTENT if bytes_hold else Word.INCONSISTENT,
            Level.ARITHMETIC: Word.CONSISTENT if arithmetic_holds else Word.INCONSISTENT,
        }
        self._said: dict[int, tuple[str, dict[Level, Word]]] = {}

    def say(self, paired: Paired, level: Level, word: Word) -> None:
        """Note what came of a level."""
        _, words = self._said.setdefault(paired.entry.index, (paired.receipt.task.id, {}))
        if words.get(level) is not Word.REFUTED:
            words[level] = word

    def found(self) -> list[tuple[int, str, dict[Level, Word]]]:
        """Entry, task and words, in the log's order."""
        return [(index, task, {**self._held, **words}) for index, (task, words) in sorted(self._said.items())]


def levels_json(found: list[tuple[int, str, dict[Level, Word]]]) -> list[dict[str, Any]]:
    """The same as JSON objects."""
    said = [(index, task, {level.value: word.value for level, word in w.items()}) for index, task, w in found]
    return [{"entry": index, "receipt": task, "levels": words} for index, task, words in said]
