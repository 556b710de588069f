"""The embedded data cut in three by SHA-256(text), a part for each node of the demonstration."""

from __future__ import annotations

__all__ = ["cut_in_three"]

import csv
import hashlib
from pathlib import Path

from cryoflux.data.examples import Example
from cryoflux.data.stdlib_docs import build

_NAMES = ("north", "south", "rogue")
_GUESTS = 1000
"""texts of each part that judge what others offer, and are not trained on"""
_YOUNG = 700
"""texts that south trains on: it has just begun, so that there is something to be had from others"""


def cut_in_three(folder: Path) -> dict[str, int]:
    """Write ``<name>.csv`` and ``<name>-guests.csv`` for each node; node → texts that it trains on.

    Args:
        folder: for the files.
    """
    parts: dict[str, list[Example]] = {name: [] for name in _NAMES}
    for example in build():
        parts[_NAMES[_hash("", example.text) % len(_NAMES)]].append(example)
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
