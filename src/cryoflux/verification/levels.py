"""How far each receipt was recomputed, and in which words that is said.

| level | what was done again | best word |
|---|---|---|
| bytes | hashes, signatures and the order of the log | consistent |
| arithmetic | sums, Δ, the decision | consistent |
| spot-check | losses of examples that the verifier, or a named seed, drew | reproduced exactly |
| merge | genesis and updates, or base and adapter, into the candidate | reproduced exactly |
| losses | losses of all examples that were read | reproduced exactly |
| retraining | the adapter itself, from data, recipe and seed | reproduced exactly |

The words below the best: ``reproduced within tolerance`` (a profile that has one), ``reproduced in fp64``
(float32 differed too much, float64 did not), ``refuted``. Of an adapter that was trained again and is
another one: ``other bytes`` where software or machine are others than recorded, or not recorded, which
leaves open whether it was trained so; ``not reproduced`` where they are the same. Neither counts as
reproduced. A level that is not named for a receipt was not looked at.
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
    OTHER_BYTES = "other bytes"
    NOT_REPRODUCED = "not reproduced"
    REFUTED = "refuted"
    OPEN = "unknown"

    @property
    def reproduced(self) -> bool:
        """Whether what was done again came out, exactly or as near as its profile asks for."""
        return self in {Word.EXACT, Word.TOLERATED, Word.ARBITRATED}


class Levels:
    """The words of each receipt that was recomputed; a refutation is never overwritten."""

    def __init__(self, *, bytes_hold: bool = True, arithmetic_holds: bool = True) -> None:
        """Take what holds for the whole log, and so for each receipt."""
        self._held = {
            Level.BYTES: Word.CONSISTENT if bytes_hold else Word.INCONSISTENT,
            Level.ARITHMETIC: Word.CONSISTENT if arithmetic_holds else Word.INCONSISTENT,
        }
        self._said: dict[int, tuple[str, dict[Level, Word]]] = {}
        self.draws: dict[int, dict[str, Any]] = {}
        """entry → which draw chose its examples, as a JSON object"""
        self.trained: dict[int, dict[str, Any]] = {}
        """entry → how far from its adapter training again ended, as a JSON object"""

    def say(self, paired: Paired, level: Level, word: Word) -> None:
        """Note what came of a level."""
        _, words = self._said.setdefault(paired.entry.index, (paired.receipt.task.id, {}))
        if words.get(level) is not Word.REFUTED:
            words[level] = word

    def drew(self, paired: Paired, draw: dict[str, Any]) -> None:
        """Note which draw chose the examples of a receipt, as a JSON object."""
        self.draws[paired.entry.index] = draw

    def trained_again(self, paired: Paired, apart: dict[str, Any]) -> None:
        """Note how far from a receipt's adapter training again ended, as a JSON object."""
        self.trained[paired.entry.index] = apart

    def found(self) -> list[tuple[int, str, dict[Level, Word]]]:
        """Entry, task and words, in the log's order."""
        return [(index, task, {**self._held, **words}) for index, (task, words) in sorted(self._said.items())]


def levels_json(levels: Levels) -> list[dict[str, Any]]:
    """What was done again of each receipt as JSON objects, in the log's order."""
    found: list[dict[str, Any]] = []
    for index, task, words in levels.found():
        said = {level.value: word.value for level, word in words.items()}
        one: dict[str, Any] = {"entry": index, "receipt": task, "levels": said}
        if index in levels.draws:
            one["draw"] = levels.draws[index]
        if index in levels.trained:
            one["trained_again"] = levels.trained[index]
        found.append(one)
    return found
