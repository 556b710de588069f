"""The embedded data cut in three by SHA-256(text), a part for each node of the demonstration."""

from __future__ import annotations

__all__ = ["NAMES", "cut_in_three"]

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

from cryoflux.data.examples import Example
from cryoflux.data.stdlib_docs import build

NAMES = ("north", "south", "rogue")
_GUESTS = 1000
"""texts of each part that judge what others offer, and are not trained on"""
_YOUNG = 400
"""texts that south trains on: it has just begun, so that there is something to be had from others"""


def cut_in_three(folder: Path, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
    """Write ``<name>.csv`` and ``<name>-guests.csv`` for each node; node → texts that it trains on.

    Args:
        folder: for the files.
        progress: called with files of the standard library read, and how many there are.
    """
    parts: dict[str, list[Example]] = {name: [] for name in NAMES}
    for example in build(progress):
        parts[NAMES[_hash("", example.text) % len(NAMES)]].append(example)
    counts: dict[str, int] = {}
    for name, examples in parts.items():
        examples.sort(key=lambda one: _hash("guest ", one.text))
        _write(folder / f"{name}-guests.csv", examples[:_GUESTS])
        trained = examples[_GUESTS:]
        counts[name] = len(trained[:_YOUNG] if name == "south" else trained)
        _write(folder / f"{name}.csv", trained[: counts[name]])
    return counts


def _hash(what: str, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{what}{text}".encode()).digest(), "big")


def _write(path: Path, examples: list[Example]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows((one.text, one.label) for one in examples)
