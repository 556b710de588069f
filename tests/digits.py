"""A task that has nothing to do with texts: handwritten digits, told apart by a linear model.

All that CryoFlux needs of it stands here. It is found by ``--task digits:DigitsTask``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from cryoflux.data.prepared import render_sets
from cryoflux.evaluation.losses import to_nano_nats
from cryoflux.evaluation.scoring import LossesAndHits
from cryoflux.receipts.statement import Section
from cryoflux.registry.versions import Version
from cryoflux.tasks.interface import Beginning, Offer, Task, Update, Watch, WorkOrder
from cryoflux.tasks.pacing import Limits, Pacer
from cryoflux.tasks.pool import make_pool

MODEL = "model.json"
HOLDOUT, AUDIT = 400, 200
CLASSES, PIXELS = 10, 64
_BRIGHTEST = 16
_BATCH = 64


class DigitsTask(Task):
    """One logistic regression a digit, by stochastic gradient descent."""

    name: ClassVar[str] = "digits"
    hits: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "scikit-learn")

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        pixels, labels = load_digits(return_X_y=True)
        lines = [_line(row, label) for row, label in zip(pixels, labels, strict=True)]
        order = np.random.default_rng(0).permutation(len(lines))
        shuffled = [lines[i] for i in order]
        sets = {
            "holdout": shuffled[:HOLDOUT],
            "audit": shuffled[HOLDOUT : HOLDOUT + AUDIT],
            "train": shuffled[HOLDOUT + AUDIT :],
        }
        files, digest = render_sets(sets)
        return Beginning("handwritten-digits", digest, files, _save_nothing_known, model_name="zeros")

    def arms(self, drawn: int, part: str) -> list[Offer]:
        recipe = {"batch_size": 96, "most_steps": 40, "eta0": "0.05", "fresh": 300, "slice": 900}
        return [Offer("sgd", recipe, 0, screens=False)]

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        data, recipe = self.place.data, order.recipe
        pool = make_pool(data.count("train"), order.pool_seed)
        seen, fresh = pool.draw(order.drawn, fresh=int(recipe["fresh"]), most=int(recipe["slice"]))
        drawn = [*seen, *fresh]
        pixels, labels = _arrays([data.sets["train"][i] for i in drawn])
        model = _classifier(self.head.folder / MODEL, float(recipe["eta0"]), order.seed)
        rng = np.random.default_rng(order.seed)
        pacer = Pacer(limits, int(recipe["most_steps"]))
        while pacer.goes_on():
            batch = rng.integers(len(drawn), size=int(recipe["batch_size"]))
            model.partial_fit(pixels[batch], labels[batch])
            loss = float(np.mean(_losses(model.coef_, model.intercept_, pixels[batch], labels[batch])))
            watch.trained(pacer.done(loss), order.reserve_microjoules)
        _save(into / MODEL, model.coef_, model.intercept_)
        return Update(
            files=(MODEL,),
            section=Section(kind="digits/v1", fields={"examples": pacer.step * int(recipe["batch_size"])}),
            drawn=tuple(drawn),
            fresh=len(fresh),
            steps=pacer.step,
            stopped_by=pacer.ended_by(),
            threads=1,
        )

    def apply(self, base: Version, capsule: Path, update: Update) -> Version:
        def save(folder: Path) -> None:
            shutil.copyfile(capsule / MODEL, folder / MODEL)

        return self.place.versions.draft(save)

    def scorer(self, version: Version, part: str) -> DigitsScorer:
        return DigitsScorer(version.folder / MODEL, self.place.data.sets[part])


class DigitsScorer:
    """Each digit by itself, in float64, so that no other one can show in its loss."""

    def __init__(self, path: Path, lines: Sequence[bytes]) -> None:
        self._coef, self._intercept = _read(path)
        self._pixels, labels = _arrays(lines)
        self._labels: list[int] = labels.tolist()

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> LossesAndHits:
        losses: list[int] = []
        right: list[bool] = []
        for at, i in enumerate(indices):
            if at % _BATCH == 0:
                between(at)
            scores = self._coef @ self._pixels[i] + self._intercept
            losses.append(to_nano_nats(_loss(scores, self._labels[i])))
            right.append(int(scores.argmax()) == self._labels[i])
        return losses, right


def _line(pixels: Any, label: Any) -> bytes:
    row = {"label": int(label), "pixels": [int(pixel) for pixel in pixels]}
    return json.dumps(row, separators=(",", ":"), sort_keys=True).encode()


def _arrays(lines: Sequence[bytes]) -> tuple[Any, Any]:
    rows = [json.loads(line) for line in lines]
    pixels = np.array([row["pixels"] for row in rows], dtype=np.float64) / _BRIGHTEST
    return pixels, np.array([row["label"] for row in rows])


def _classifier(path: Path, eta0: float, seed: int) -> SGDClassifier:
    """A classifier that goes on from the weights of a version."""
    chosen = {"loss": "log_loss", "alpha": 1e-5, "learning_rate": "constant"}
    model = SGDClassifier(**chosen, eta0=eta0, shuffle=False, random_state=seed % 2**32)
    model.coef_, model.intercept_ = _read(path)
    model.classes_, model.n_features_in_ = np.arange(CLASSES), PIXELS
    return model


def _loss(scores: Any, label: int) -> float:
    """-log of the class's share, where each class says its own probability."""
    log_probabilities = -np.logaddexp(0.0, -scores)
    return float(np.logaddexp.reduce(log_probabilities) - log_probabilities[label])


def _losses(coef: Any, intercept: Any, pixels: Any, labels: Any) -> list[float]:
    return [_loss(scores, label) for scores, label in zip(pixels @ coef.T + intercept, labels, strict=True)]


def _read(path: Path) -> tuple[Any, Any]:
    document = json.loads(path.read_bytes())
    return np.array(document["coef"], dtype=np.float64), np.array(document["intercept"], dtype=np.float64)


def _save(path: Path, coef: Any, intercept: Any) -> None:
    # Python writes the shortest decimal text that reads back as the same number.
    path.write_text(json.dumps({"coef": coef.tolist(), "intercept": intercept.tolist()}) + "\n")


def _save_nothing_known(folder: Path) -> None:
    _save(folder / MODEL, np.zeros((CLASSES, PIXELS)), np.zeros(CLASSES))
