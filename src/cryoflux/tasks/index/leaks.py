"""Texts that say nearly the same in two sets of a data set, found by the similarity of their embeddings.

`cryoflux.data.near` finds copies that share their words; this finds some of what was put in other words, too.
Each text of a set that judges is held against all that are trained on, by the same function as the leak
guard (`guard`), which leaves such texts out. This is a report and changes no set.
"""

from __future__ import annotations

__all__ = ["LEAK_THRESHOLD", "Leak", "LeakCount", "find_leaks"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryoflux.data.prepared import MONITOR_SET, PreparedData
from cryoflux.state import StateFolder
from cryoflux.tasks.index.guard import TextVectors
from cryoflux.tasks.index.likeness import nearest_texts

LEAK_THRESHOLD = 0.85
"""cosine from which on two texts are called near"""


@dataclass(frozen=True, slots=True)
class Leak:
    """A text that judges, and the training text that is nearest to it."""

    part: str
    row: int
    """in the set, counted from 1"""
    train_row: int
    similarity: float


@dataclass(frozen=True, slots=True)
class LeakCount:
    """What a set has in common with the training set."""

    part: str
    examples: int
    near: int


def find_leaks(
    state: StateFolder, data: PreparedData, threshold: float, progress: Callable[[str], None] = lambda _: None
) -> tuple[list[LeakCount], list[Leak]]:
    """Texts of the sets that judge that are near to a training text, the nearest first.

    Args:
        state: whose cache takes the embeddings.
        data: a data set of texts.
        threshold: cosine from which on texts are near, of which three digits count.
        progress: told which set is embedded.
    """
    vectors, least_milli = TextVectors(state.cache), round(threshold * 1000)
    progress("train")
    train = vectors.of(_texts(data, "train"))
    counts, leaks = [], []
    for part in (*data.holdouts, "audit", *([MONITOR_SET] if MONITOR_SET in data.sets else [])):
        progress(part)
        found = nearest_texts(vectors.of(_texts(data, part)), train)
        near = [
            Leak(part, at + 1, one.row + 1, one.milli / 1000)
            for at, one in enumerate(found)
            if one.milli >= least_milli
        ]
        counts.append(LeakCount(part, data.count(part), len(near)))
        leaks += near
    return counts, sorted(leaks, key=lambda leak: -leak.similarity)


def _texts(data: PreparedData, part: str) -> Sequence[str]:
    return [example.text for example in data.examples(part)]
