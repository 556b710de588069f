"""Losses of two on one holdout, by seed: in memory, and as the files that people hand over."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path

COUNT = 300


def base_losses(count: int = COUNT, seed: int = 1) -> dict[str, float]:
    rng = random.Random(seed)
    return {f"x{number:03}": rng.uniform(0.2, 1.5) for number in range(count)}


def better_by(
    base: Mapping[str, float], gain: float, seed: int = 2, scatter: float = 0.2
) -> dict[str, float]:
    """The same examples, each better by about so much."""
    rng = random.Random(seed)
    return {key: max(0.0, loss - rng.gauss(gain, scatter)) for key, loss in base.items()}


def write_losses(path: Path, losses: Mapping[str, float], right_below: float | None = None) -> Path:
    """A file of losses; examples with less than ``right_below`` are said to be right."""
    lines = []
    for key, loss in losses.items():
        said: dict[str, object] = {"id": key, "loss": loss}
        if right_below is not None:
            said["correct"] = loss < right_below
        lines.append(json.dumps(said) + "\n")
    path.write_text("".join(lines))
    return path
