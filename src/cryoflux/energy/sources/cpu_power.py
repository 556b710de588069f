"""The tables of processor powers: which row is this processor's.

Both lie in files beside this module and are read when they are asked for. Nothing of them is kept: a meter
asks once, at its start.
"""

from __future__ import annotations

__all__ = ["FAMILIES", "MODELS", "FamilyRow", "ModelRow", "brand_key", "find_family", "find_model"]

import re
from dataclasses import dataclass
from pathlib import Path

MODELS = Path(__file__).with_name("cpu_power.csv")
FAMILIES = Path(__file__).with_name("cpu_families.csv")

_NOISE = re.compile(
    r"\((?:r|tm)\)|\b(?:amd|intel|genuine|cpu|processor)\b|\b\d+th gen\b"
    r"|\b(?:\d+|dual|quad|six|eight|twelve|sixteen)-cores?\b|@.*|\bw/.*|\bwith .*|\bradeon.*"
)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model by its name."""

    key: str
    tdp_w: float
    limit_w: float
    """the power that it may draw for a while: PPT, PL2"""
    threads: int
    """hardware threads; 0 where they are not known"""


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """A family by its numbers; watts of TDP for one hardware thread."""

    name: str
    models_known: int
    """how many models the figures are of"""
    low_w: float
    """10th percentile"""
    median_w: float
    high_w: float
    """90th percentile"""
    limit: float
    """power limit over TDP"""


def brand_key(name: str) -> str:
    """The name of a processor as the table has it: without its maker, marks, and what tells no model."""
    return " ".join(_NOISE.sub(" ", name.lower()).split())


def find_model(name: str) -> ModelRow | None:
    """The row of exactly that name."""
    key = brand_key(name)
    table = MODELS.read_text("utf-8").partition("\nname,")[2]
    start = table.find(f"\n{key},") + 1
    if not key or not start:
        return None
    _, tdp_w, limit_w, threads = table[start : table.index("\n", start)].split(",")
    return ModelRow(key, float(tdp_w), float(limit_w), int(threads or 0))


def find_family(vendor: str, family: str, model: str, name: str = "") -> FamilyRow | None:
    """The first row of these numbers, some of which are told apart by a word in the name."""
    with FAMILIES.open(encoding="utf-8") as stream:
        for line in stream:
            if not line.startswith(f"{vendor},{family},"):
                continue
            _, _, models, title, known, *figures, words, _ = line.split(",")
            numbered = model in models.split() or models == "*"
            if numbered and any(word in name for word in words.split(";")):
                return FamilyRow(title, int(known), *map(float, figures))
    return None
