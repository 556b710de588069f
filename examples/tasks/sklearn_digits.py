"""Handwritten digits, told apart by one logistic regression a digit (scikit-learn).

PYTHONPATH=examples/tasks cryoflux run --task sklearn_digits:Digits --budget 300J --state digits
cryoflux verify digits
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

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

MODEL = "model.json"


class Digits(Task):
    """Goes on from the head's weights, by stochastic gradient descent."""

    name = "sklearn_digits"
    hits = True
    libraries = ("numpy", "scikit-learn")

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        """1,797 digits, of which 600 judge; the first version knows nothing."""
        lines = [
            json.dumps([int(label), [int(pixel) for pixel in pixels]]).encode()
            for pixels, label in zip(*load_digits(return_X_y=True), strict=True)
        ]
        lines = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))]
        files, digest = render_sets({"holdout": lines[:400], "audit": lines[400:600], "train": lines[600:]})
        return Beginning("digits", digest, files, save=lambda folder: save(folder, *knows_nothing()))

    def arms(self, drawn: int, part: str) -> list[Offer]:
        """One way to train."""
        return [Offer("sgd", {"batch": 96, "most_steps": 40, "rate": "0.05"}, 0, screens=False)]

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        """Steps until the joules end."""
        pixels, labels = arrays(self.place.data.sets["train"])
        model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=float(order.recipe["rate"]))
        model.coef_, model.intercept_ = load(self.head.folder)
        model.classes_ = np.arange(10)
        rng, pacer = np.random.default_rng(order.seed), Pacer(limits, int(order.recipe["most_steps"]))
        while pacer.goes_on():
            batch = rng.integers(len(labels), size=int(order.recipe["batch"]))
            model.partial_fit(pixels[batch], labels[batch])
            watch.trained(pacer.done(0.0), order.reserve_microjoules)
        save(into, model.coef_, model.intercept_)
        section = Section(kind="sklearn-digits/v1", fields={"examples": len(labels)})
        return Update(
            files=(MODEL,),
            section=section,
            drawn=tuple(range(len(labels))),
            steps=pacer.step,
            stopped_by=pacer.ended_by(),
            threads=1,
        )

    def apply(self, base: Version, capsule: Path, update: Update) -> Version:
        """The update is the whole model."""
        return self.place.versions.draft(lambda folder: shutil.copyfile(capsule / MODEL, folder / MODEL))

    def scorer(self, version: Version, part: str) -> Scored:
        """The losses of a version."""
        return Scored(*load(version.folder), *arrays(self.place.data.sets[part]))


class Scored:
    """Each digit by itself, in float64, so that no other one shows in its loss."""

    def __init__(self, coef: Any, intercept: Any, pixels: Any, labels: Any) -> None:
        self.coef, self.intercept, self.pixels, self.labels = coef, intercept, pixels, labels

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> tuple[list[int], list[bool]]:
        """Cross-entropy of the label, where each class says its own probability."""
        losses, right = [], []
        for at, i in enumerate(indices):
            if at % 64 == 0:
                between(at)
            scores = -np.logaddexp(0.0, -(self.coef @ self.pixels[i] + self.intercept))
            losses.append(to_nano_nats(float(np.logaddexp.reduce(scores) - scores[self.labels[i]])))
            right.append(int(scores.argmax()) == self.labels[i])
        return losses, right


def arrays(lines: Sequence[bytes]) -> tuple[Any, Any]:
    """Pixels from 0 to 1, and labels."""
    rows = [json.loads(line) for line in lines]
    return np.array([row[1] for row in rows]) / 16, np.array([row[0] for row in rows])


def knows_nothing() -> tuple[Any, Any]:
    """Every digit is as likely as any other."""
    return np.zeros((10, 64)), np.zeros(10)


def load(folder: Path) -> tuple[Any, Any]:
    """The weights of a version."""
    coef, intercept = json.loads((folder / MODEL).read_text())
    return np.array(coef), np.array(intercept)


def save(folder: Path, coef: Any, intercept: Any) -> None:
    """The weights, as the shortest decimals that read back as the same numbers."""
    (folder / MODEL).write_text(json.dumps([coef.tolist(), intercept.tolist()]))
