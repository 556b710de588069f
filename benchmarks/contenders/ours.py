"""CryoFlux itself, as a user runs it: the command in a process of its own, read from its JSON lines."""

from __future__ import annotations

__all__ = ["read_run", "run_cryoflux"]

import json
import math
import resource
import subprocess
import sys
import tempfile
from typing import Any

from contenders.data import HOLDOUT_SIZE, Task


def run_cryoflux(task: Task, seed: int, budget: str, more: list[str]) -> dict[str, Any]:
    """Spend ``budget`` on the same data; ``more`` are further options of ``cryoflux run``."""
    command = [
        *(sys.executable, "-m", "cryoflux", "run", "--json", "--budget", budget, "--seed", str(seed)),
        *("--holdout-size", str(HOLDOUT_SIZE), "--max-tokens", str(task.max_tokens)),
    ]
    if task.csv is not None:
        command += ["--train", str(task.csv)]
    with tempfile.TemporaryDirectory() as folder:
        before = _children_cpu_s()
        done = subprocess.run(
            [*command, "--state", f"{folder}/state", *more], check=False, capture_output=True, text=True
        )
        spent = _children_cpu_s() - before
    if done.returncode:
        raise RuntimeError(f"cryoflux run ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return read_run(done.stdout, spent, math.log(len(task.labels)))


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def read_run(lines: str, cpu_s: float, base_loss: float) -> dict[str, Any]:
    """The JSON lines of a run as a cell; all that depends on their form is here.

    What the process used beyond its attempts and the audit set (start, data, model) is ``setup``, charged
    before the first attempt.
    """
    events = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    summary = next(e for e in reversed(events) if e["event"] == "summary")
    curve = _curve(events, base_loss, summary["audit"]["loss_before"])
    scores = {
        f"{name}_{kind}": summary[name][f"{kind}_after"]
        for name in ("holdout", "audit")
        for kind in ("loss", "accuracy")
    }
    for point in reversed(curve):  # the model has been the final one since it last changed
        point.update(scores)
        if point["kept"]:
            break
    train, evaluation = (curve[-1][key] if curve else 0.0 for key in ("train_cpu_s", "holdout_cpu_s"))
    return {
        **scores,
        "steps": curve[-1]["step"] if curve else 0,
        "attempts": summary["attempts"],
        "kept": summary["kept"],
        "metered_joules": summary["joules"] + ((summary["overhead"] or {}).get("joules") or 0.0),
        "tier": summary["tier"],
        "rotated": sum(e["event"] == "rotated" for e in events),
        "curve": curve,
        "cpu_s": cpu_s,
        "phases": {
            "setup": cpu_s - train - evaluation - summary["audit_cpu_seconds"],
            "train": train,
            "holdout": evaluation,
            "audit": summary["audit_cpu_seconds"],
        },
    }


def _curve(events: list[dict[str, Any]], loss: float, audit_before: float | None) -> list[dict[str, Any]]:
    """The model at hand after each attempt; a milestone tells how it does on the audit set."""
    curve: list[dict[str, Any]] = []
    train, evaluation, steps = 0.0, 0.0, 0
    for event in events:
        if event["event"] == "milestone" and curve and None not in (event["audit_delta"], audit_before):
            curve[-1]["audit_loss"] = audit_before - event["audit_delta"]
        if event["event"] != "attempt":
            continue
        evaluating = event["phases_cpu_seconds"].get("evaluate", 0.0)
        evaluation += evaluating
        train += event["cpu_seconds"] - evaluating
        steps += event["steps"] or 0
        loss = event["holdout_loss"] if event["holdout_loss"] is not None else loss
        curve.append({
            "step": steps, "train_cpu_s": train, "holdout_cpu_s": evaluation, "audit_cpu_s": 0.0,
            "holdout_loss": loss, "metered_joules": event["joules_spent"], "kept": bool(event["accepted"]),
        })  # fmt: skip
    return curve
