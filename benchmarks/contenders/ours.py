"""CryoFlux itself, as a user runs it: the command in a process of its own, read from its JSON lines."""

from __future__ import annotations

__all__ = ["read_run", "run_cryoflux"]

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from contenders.data import Task, Text, encode
from cryoflux.attempt.phase_joules import EVALUATE_BASE
from cryoflux.attempt.watch import Step

_KEPT_CACHES = ("tokens", "prefix")
"""what a warm start has: token ids and activations, no losses"""
_AGREE = 1e-3
"""nats by which the audit loss computed here may differ from that of the run itself"""


def run_cryoflux(
    task: Task, seed: int, budget: str, more: list[str], caches: Path, *, warm: bool = False
) -> dict[str, Any]:
    """Spend ``budget`` on the same three files, in a state of its own.

    Args:
        task: the data set.
        seed: of the run.
        budget: as ``cryoflux run`` takes it.
        more: further options of ``cryoflux run``.
        caches: where token ids and activations are kept after a cold run, and taken from by a warm one.
        warm: begin with these caches; otherwise with nothing.
    """
    command = [
        *(sys.executable, "-m", "cryoflux", "run", "--json", "--budget", budget, "--seed", str(seed)),
        *("--max-tokens", str(task.max_tokens)),
        *(part for name, path in task.files.items() for part in (f"--{name}", str(path))),
    ]
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        if warm:
            if not caches.is_dir():
                raise FileNotFoundError(
                    f"{caches}: a warm run needs the caches of a cold one: run ours first"
                )
            shutil.copytree(caches, state / "cache")
        before = _children_cpu_s()
        done = subprocess.run(
            [*command, "--state", str(state), *more], check=False, capture_output=True, text=True
        )
        spent = _children_cpu_s() - before
        if done.returncode:
            raise RuntimeError(f"cryoflux run ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        if not warm:
            _keep_caches(state / "cache", caches)
        return read_run(done.stdout, spent, _audit_losses(state, task))


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _keep_caches(made: Path, caches: Path) -> None:
    shutil.rmtree(caches, ignore_errors=True)
    for name in _KEPT_CACHES:
        if (made / name).is_dir():
            shutil.copytree(made / name, caches / name)


def _audit_losses(state: Path, task: Task) -> dict[int, float]:
    """Attempt → audit loss of the version that it made; computed afterwards and charged to nobody.

    Nothing in a run depends on the audit set, and the run itself evaluates it only at its end.
    """
    command = [sys.executable, "-m", "cryoflux", "models", "list", "--json", "--state", str(state)]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    versions = json.loads(listed.stdout)["versions"]
    return {v["attempt"]: _loss(Path(v["folder"]), task, task.audit) for v in versions if v["attempt"]}


def _loss(model_folder: Path, task: Task, texts: list[Text]) -> float:
    """Mean cross-entropy in nats, through transformers in float32."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

    from cryoflux.tasks.lora.base_model import EMBEDDED, resolve

    tokenizer = AutoTokenizer.from_pretrained(resolve(EMBEDDED))
    model = AutoModelForSequenceClassification.from_pretrained(model_folder, dtype=torch.float32).eval()
    rows = sorted(encode(tokenizer, texts, task.max_tokens), key=lambda row: len(row["input_ids"]))
    collate, total = DataCollatorWithPadding(tokenizer), 0.0
    with torch.inference_mode():
        for start in range(0, len(rows), 32):
            batch = collate(rows[start : start + 32])
            labels = batch.pop("labels")
            batch.pop("token_type_ids", None)
            total += float(torch.nn.functional.cross_entropy(model(**batch).logits, labels, reduction="sum"))
    return total / len(rows)


def read_run(lines: str, cpu_s: float, audit_losses: dict[int, float]) -> dict[str, Any]:
    """The JSON lines of a run as a cell; all that depends on their form is here.

    What the process used beyond its attempts and the audit set (start, data, model, losses of the first
    model) is ``setup``, charged before the first attempt.
    """
    events = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    summary = next(e for e in reversed(events) if e["event"] == "summary")
    curve = _curve(events, summary, audit_losses)
    scores = {
        f"{name}_{kind}": summary[name][f"{kind}_after"]
        for name in ("holdout", "audit")
        for kind in ("loss", "accuracy")
    }
    if curve and abs(curve[-1]["audit_loss"] - scores["audit_loss"]) > _AGREE:
        raise ValueError(f"audit loss {curve[-1]['audit_loss']}, by the run {scores['audit_loss']}")
    for point in reversed(curve):  # the model has been the final one since it last changed
        point.update(scores)
        if point["kept"]:
            break
    train, evaluation = (curve[-1][key] if curve else 0.0 for key in ("train_cpu_s", "holdout_cpu_s"))
    return {
        **scores,
        "base_loss": summary["holdout"]["loss_before"],
        "steps": curve[-1]["step"] if curve else 0,
        "attempts": summary["attempts"],
        "kept": summary["kept"],
        "metered_joules": summary["joules"] + ((summary["overhead"] or {}).get("joules") or 0.0),
        "tier": summary["tier"],
        "ended": summary["ended"],
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


def _curve(
    events: list[dict[str, Any]], summary: dict[str, Any], audit_losses: dict[int, float]
) -> list[dict[str, Any]]:
    """The model at hand after each attempt."""
    curve: list[dict[str, Any]] = []
    loss, audit = (summary[name]["loss_before"] for name in ("holdout", "audit"))
    train, evaluation, steps = 0.0, 0.0, 0
    for event in events:
        if event["event"] != "attempt":
            continue
        phases = event["phases_cpu_seconds"]
        evaluating = phases.get(Step.EVALUATE.value, 0.0) + phases.get(EVALUATE_BASE, 0.0)
        evaluation += evaluating
        train += event["cpu_seconds"] - evaluating
        steps += event["steps"] or 0
        loss = event["holdout_loss"] if event["holdout_loss"] is not None else loss
        audit = audit_losses.get(event["number"], audit)
        curve.append({
            "step": steps, "train_cpu_s": train, "holdout_cpu_s": evaluation, "audit_cpu_s": 0.0,
            "holdout_loss": loss, "audit_loss": audit, "metered_joules": event["joules_spent"],
            "arm": event["arm"], "kept": bool(event["accepted"]),
        })  # fmt: skip
    return curve
