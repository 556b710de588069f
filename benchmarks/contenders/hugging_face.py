"""The cells made of Trainer and PEFT: fixed, tuned and early-stopped runs, and the whitepaper's loop."""

from __future__ import annotations

__all__ = ["run_trainer", "run_whitepaper"]

import copy
import random
from typing import Any

from contenders.cost import Laps
from contenders.data import Task, encode
from contenders.lora import Fit, Recipe, fit
from cryoflux.tasks.lora.base_model import EMBEDDED, load_base

_SAMPLES = 204
_CYCLES = 5
_MIN_DELTA, _MIN_GAIN = 0.002, 0.01


def _ready(task: Task, seed: int) -> tuple[Any, Any, dict[str, list[dict[str, Any]]]]:
    base = load_base(EMBEDDED, task.labels, seed=seed)
    named = {"train": task.train, "holdout": task.holdout, "audit": task.audit}
    sets = {name: encode(base.tokenizer, texts, task.max_tokens) for name, texts in named.items()}
    return base.model, base.tokenizer, sets


def _laps(fits: list[Fit]) -> Laps:
    laps = Laps()
    laps.cpu_s = _total(fits)
    return laps


def _total(fits: list[Fit]) -> dict[str, float]:
    return {kind: sum(f.cpu_s[kind] for f in fits) for kind in ("train", "holdout", "audit")}


def _scores(point: dict[str, float]) -> dict[str, float]:
    return {
        f"{name}_{kind}": point[f"{name}_{kind}"]
        for name in ("holdout", "audit")
        for kind in ("loss", "accuracy")
    }


def run_trainer(task: Task, seed: int, recipe: Recipe) -> dict[str, Any]:
    """One Trainer run over all training data."""
    model, tokenizer, sets = _ready(task, seed)
    result = fit(model, tokenizer, sets, recipe, seed)
    return {
        **_scores(result.curve[-1]),
        "steps": result.steps,
        "learning_rate": recipe.learning_rate,
        "curve": result.curve,
        "phases": _laps([result]).close(),
    }


def run_whitepaper(task: Task, seed: int, steps: int) -> dict[str, Any]:
    """The loop as the whitepaper states it: the same few samples in every cycle, bare thresholds."""
    model, tokenizer, sets = _ready(task, seed)
    sets["train"] = random.Random(seed).sample(sets["train"], _SAMPLES)  # noqa: S311
    uniform = _uniform(task)
    best, fits, curve, verdicts = uniform, [], [], []
    for cycle in range(_CYCLES):
        attempt = fit(copy.deepcopy(model), tokenizer, sets, Recipe(steps), seed * 100 + cycle)
        fits.append(attempt)
        found = _scores(attempt.curve[-1])
        delta = best["holdout_loss"] - found["holdout_loss"]
        gain = found["holdout_accuracy"] - best["holdout_accuracy"]
        kept = delta >= _MIN_DELTA or gain >= _MIN_GAIN
        verdicts.append({"delta": delta, "accuracy_gain": gain, "kept": kept})
        if kept:
            best, model = found, attempt.model.merge_and_unload()
        costs = {f"{kind}_cpu_s": seconds for kind, seconds in _total(fits).items()}
        curve.append({"step": steps * (cycle + 1), **costs, **best})
    return {
        **best,
        "steps": steps * _CYCLES,
        "learning_rate": Recipe(steps).learning_rate,
        "cycles": verdicts,
        "curve": curve,
        "phases": _laps(fits).close(),
    }


def _uniform(task: Task) -> dict[str, float]:
    """A zero head says "every class is equally likely": nothing to measure; ties go to the first class."""
    import math

    return {
        key: value
        for name, texts in (("holdout", task.holdout), ("audit", task.audit))
        for key, value in (
            (f"{name}_loss", math.log(len(task.labels))),
            (f"{name}_accuracy", sum(t.label == 0 for t in texts) / len(texts)),
        )
    }
