"""Trees of LightGBM: every attempt adds some to those of the head, until the joules end.

PYTHONPATH=examples/tasks cryoflux run --task lightgbm_trees:Trees --budget 300J --state trees
cryoflux verify trees
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from cryoflux.tasks.interface import (
    Beginning,
    Limits,
    Offer,
    Pacer,
    Section,
    Task,
    Update,
    Version,
    Watch,
    WorkOrder,
    render_sets,
    to_nano_nats,
)

MODEL = "model.txt"
FIXED = {"objective": "binary", "num_threads": 1, "deterministic": True, "verbose": -1, "seed": 0}


class Trees(Task):
    """Whether a point lies inside of a ring."""

    name = "lightgbm_trees"
    hits = True
    libraries = ("lightgbm", "numpy")

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        """3,000 points, some with the wrong label; the first version is one small tree."""
        rng = np.random.default_rng(0)
        points = rng.uniform(-2, 2, (3000, 2))
        inside = (np.abs(np.hypot(*points.T) - 1.2) < 0.4) ^ (rng.random(3000) < 0.05)
        rows = zip(inside.tolist(), points.tolist(), strict=True)
        lines = [json.dumps([int(label), point]).encode() for label, point in rows]
        sets = {"holdout": lines[:500], "audit": lines[500:800], "train": lines[800:]}
        files, digest = render_sets(sets)
        return Beginning("ring", digest, files, save=lambda folder: first_tree(folder, sets["train"]))

    def arms(self, drawn: int, part: str) -> list[Offer]:
        """Small trees, or large ones."""
        return [
            Offer(f"leaves-{leaves}", {"leaves": leaves, "rate": "0.1", "most_steps": 30}, 0, screens=False)
            for leaves in (4, 15)
        ]

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        """One tree a step."""
        points, labels = arrays(self.place.data.sets["train"])
        asked = FIXED | {"num_leaves": order.recipe["leaves"], "learning_rate": float(order.recipe["rate"])}
        data = lightgbm.Dataset(points, labels, free_raw_data=False)
        pacer, model = Pacer(limits, int(order.recipe["most_steps"])), str(self.head.folder / MODEL)
        while pacer.goes_on():
            grown = lightgbm.train(asked, data, num_boost_round=1, init_model=model)
            model = str(into / MODEL)
            grown.save_model(model)
            watch.trained(pacer.done(0.0), order.reserve_microjoules)
        return Update(
            files=(MODEL,),
            section=Section(kind="lightgbm-trees/v1", fields={"examples": len(labels)}),
            drawn=tuple(range(len(labels))),
            steps=pacer.step,
            stopped_by=pacer.ended_by(),
            threads=1,
        )

    def apply(self, base: Version, capsule: Path, update: Update) -> Version:
        """The update has the head's trees too."""
        return self.place.versions.draft(lambda folder: shutil.copyfile(capsule / MODEL, folder / MODEL))

    def scorer(self, version: Version, part: str) -> Scored:
        """The losses of a version."""
        return Scored(version.folder, self.place.data.sets[part])


class Scored:
    """A tree looks at one row at a time: what is beside it cannot show."""

    def __init__(self, folder: Path, lines: Sequence[bytes]) -> None:
        self.model = lightgbm.Booster(model_file=str(folder / MODEL))
        self.points, self.labels = arrays(lines)

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> tuple[list[int], list[bool]]:
        """Cross-entropy of the label."""
        between(0)
        raw = self.model.predict(self.points[list(indices)], raw_score=True, num_threads=1)
        signed = [score if self.labels[i] else -score for score, i in zip(raw, indices, strict=True)]
        return [to_nano_nats(math.log1p(math.exp(-one))) for one in signed], [one > 0 for one in signed]


def arrays(lines: Sequence[bytes]) -> tuple[Any, Any]:
    """Points and labels."""
    rows = [json.loads(line) for line in lines]
    return np.array([row[1] for row in rows]), np.array([row[0] for row in rows])


def first_tree(folder: Path, lines: Sequence[bytes]) -> None:
    """A tree of two leaves."""
    points, labels = arrays(lines)
    data = lightgbm.Dataset(points, labels)
    lightgbm.train(FIXED | {"num_leaves": 2}, data, num_boost_round=1).save_model(str(folder / MODEL))
