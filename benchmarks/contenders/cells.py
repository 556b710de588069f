"""The cells of the comparison: what each runs, each in a process of its own, and where results are kept."""

from __future__ import annotations

__all__ = ["SWEEP", "Options", "finished", "names", "run_all", "run_cell"]

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SWEEP = (5e-3, 1e-2)
"""peak learning rates tried beside the default one; 1e-3 and 2e-3 had done worse than 5e-3 on stdlib-docs"""
_SWEEP_SEED = 0
_EARLY_RATE = 2e-3
_EARLY = f"hf-early-{_EARLY_RATE}"
"""early stopping at a lower rate: what wins at 200 steps may be too high for a schedule of 1,000"""
_OURS = ("ours", "ours-warm")
_ORDER = (
    "hf-200", *(f"hf-lr-{rate}" for rate in SWEEP), "hf-tuned-200", "hf-1000", "embed-lr", "embed-lr-cv",
    "setfit", "whitepaper", "hf-early", _EARLY, "hf-tuned-1000", "ours", "ours-warm", "step",
)  # fmt: skip
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_QUIET = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class Options:
    """What the cells of one call share."""

    data: str
    out: Path
    budget: str = "2kJ"
    """of ours"""
    ours: tuple[str, ...] = ()
    """further options of ``cryoflux run``"""
    learning_rate: float = 0.0
    """winner of the sweep, for the cells that use it"""
    again: bool = False
    """run what is there once more; the later result counts"""
    trial: bool = False
    """a few steps on a few texts, to see that everything runs"""


def names(data: str) -> list[str]:
    """The contenders of a data set, in the order in which they run."""
    return ["step"] if data == "distilbert-step" else list(_ORDER)


def run_cell(name: str, seed: int, options: Options) -> dict[str, Any]:
    """Run one contender here and now."""
    from contenders.data import load_task

    task = load_task(options.data, options.out)
    if options.trial and name not in _OURS:  # ours reads the files, and its own losses are of all of them
        few = random.Random(seed).sample(task.train, 300)  # noqa: S311
        task = replace(task, train=few, holdout=task.holdout[:64], audit=task.audit[:64])
    result = _contender(name, task, seed, options)
    return {"digest": task.digest, "classes": len(task.labels), "trial": options.trial, **result}


def _contender(name: str, task: Any, seed: int, options: Options) -> dict[str, Any]:
    if name in _OURS:
        from contenders.ours import run_cryoflux

        more, caches = list(options.ours), options.out / "caches" / f"{options.data}-{seed}"
        return run_cryoflux(task, seed, options.budget, more, caches, warm=name == "ours-warm")
    from contenders import embeddings, hugging_face, step

    if name == "step":
        return step.run_step(task, seed, **({"batches": 2, "repeats": 2} if options.trial else {}))
    if name.startswith("embed"):
        return embeddings.run_logistic(task, seed, choose_c=name.endswith("cv"))
    if name == "setfit":
        return embeddings.run_setfit(task, seed, 4 if options.trial else 200)
    if name == "whitepaper":
        return hugging_face.run_whitepaper(task, seed, 4 if options.trial else 200)
    return hugging_face.run_trainer(task, seed, _recipe(name, options))


def _recipe(name: str, options: Options) -> Any:
    from contenders.lora import Recipe

    if name.startswith("hf-lr-"):
        recipe = Recipe(200, float(name.removeprefix("hf-lr-")))
    elif name == _EARLY:
        recipe = Recipe(1000, _EARLY_RATE, eval_every=50, patience=3)
    else:
        rate = options.learning_rate if "tuned" in name or name == "hf-early" else Recipe(1).learning_rate
        recipe = {
            "hf-200": Recipe(200, rate),
            "hf-1000": Recipe(1000, rate, eval_every=100),
            "hf-tuned-200": Recipe(200, rate),
            "hf-tuned-1000": Recipe(1000, rate, eval_every=100),
            "hf-early": Recipe(1000, rate, eval_every=50, patience=3),
        }[name]
    if options.trial:
        recipe = replace(recipe, steps=recipe.steps // 50, eval_every=recipe.eval_every // 50)
    return recipe


def finished(out: Path) -> list[dict[str, Any]]:
    """The cells on the disk; a later one replaces an earlier one of the same key."""
    path = out / "cells.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    cells = [json.loads(line) for line in lines]
    kept = {_key(c): c for c in sorted(cells, key=lambda c: "failed" not in c)}
    return list(kept.values())


def _key(cell: dict[str, Any]) -> tuple[str, str, int]:
    return cell["data"], cell["contender"], cell["seed"]


def _append(out: Path, cell: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with (out / "cells.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(cell) + "\n")


def run_all(options: Options, seeds: list[int], only: list[str]) -> None:
    """Run what is missing: all contenders of the first seed, then of the next."""
    for seed in seeds:
        for name in names(options.data):
            if only and name not in only:
                continue
            if name.startswith("hf-lr-") and seed != _SWEEP_SEED:
                continue
            stored = f"{name}-{options.budget}" if name in _OURS else name
            key = (options.data, stored, seed)
            done = [c for c in finished(options.out) if "failed" not in c]
            if not options.again and any(_key(c) == key for c in done):
                continue
            cell = _result(name, seed, options, done)
            cell = {"data": options.data, "contender": stored, "seed": seed, **cell}
            _append(options.out, cell)
            _say(cell)


def _say(cell: dict[str, Any]) -> None:
    shown = {k: cell[k] for k in ("cpu_s", "holdout_loss", "audit_loss", "step", "failed") if k in cell}
    print(time.strftime("%H:%M:%S"), cell["data"], cell["contender"], cell["seed"], shown, flush=True)


def _result(name: str, seed: int, options: Options, done: list[dict[str, Any]]) -> dict[str, Any]:
    if "tuned" in name or name == "hf-early":
        winner = _winner(options.data, done)
        if winner is None:
            return {"failed": "the learning rates were not swept on this data: run hf-lr-* with seed 0 first"}
        if name == "hf-tuned-200" and seed == _SWEEP_SEED:
            return {k: v for k, v in winner.items() if k not in {"data", "contender", "seed"}}
        options = replace(options, learning_rate=winner["learning_rate"])
    return _process(name, seed, options)


def _winner(data: str, done: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The 200-step run of the sweep's seed with the lowest holdout loss, the untuned rate included."""
    swept = [
        c for c in done
        if c["data"] == data and c["seed"] == _SWEEP_SEED
        and (c["contender"] == "hf-200" or c["contender"].startswith("hf-lr-"))
    ]  # fmt: skip
    enough = sum(c["contender"] != "hf-200" for c in swept) == len(SWEEP)
    return min(swept, key=lambda c: c["holdout_loss"]) if enough else None


def _process(name: str, seed: int, options: Options) -> dict[str, Any]:
    """A cell in a process of its own; its CPU-seconds are those of the process, from start to end.

    Ours runs in a further process and counts the seconds of that one, likewise from start to end.
    """
    command = [sys.executable, sys.argv[0], "--cell", name, "--seeds", str(seed), "--data", options.data]
    command += ["--out", str(options.out), "--budget", options.budget]
    command += ["--learning-rate", repr(options.learning_rate), *(["--trial"] if options.trial else [])]
    command += [f"--ours={' '.join(options.ours)}"]
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            [*command, "--result", str(result)],
            check=False, capture_output=True, text=True, env={**os.environ, **_QUIET, **_ONE_THREAD},
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        measured = {"cpu_s": cpu_s, "wall_s": time.monotonic() - started}
        if done.returncode or not result.is_file():
            return {"failed": done.stderr.strip()[-2000:], **measured}
        return {**measured, **json.loads(result.read_text("utf-8"))}
