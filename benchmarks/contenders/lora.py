"""Hugging Face Trainer with PEFT LoRA, as a user would write it: eager, fp32, dynamic padding."""

from __future__ import annotations

__all__ = ["Fit", "Recipe", "adapted", "fit"]

import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import DataCollatorWithPadding, EarlyStoppingCallback, Trainer, TrainingArguments

_ATTENTION = {
    "bert": ["query", "key", "value", "attention.output.dense"],
    "distilbert": ["q_lin", "k_lin", "v_lin", "out_lin"],
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and for how long."""

    steps: int
    learning_rate: float = 5e-4
    batch_size: int = 32
    eval_every: int = 0
    """steps between two evaluations of holdout and audit; 0 for one at the end"""
    patience: int = 0
    """evaluations without a better holdout loss after which to stop, and to keep the best; 0 never"""


@dataclass(slots=True)
class Fit:
    """What training cost and came to."""

    model: Any
    cpu_s: dict[str, float] = field(default_factory=lambda: {"train": 0.0, "holdout": 0.0, "audit": 0.0})
    """so far, by kind"""
    steps: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    """after so many steps: CPU-seconds so far by kind, and loss and accuracy of both sets"""

    def note(self, step: int, scores: dict[str, float]) -> None:
        """Add a point to the curve."""
        costs = {f"{kind}_cpu_s": seconds for kind, seconds in self.cpu_s.items()}
        self.curve.append({**scores, **costs, "step": step})


def adapted(model: Any) -> Any:
    """The model with LoRA r8 on the attention projections; PEFT trains the classification head in full."""
    targets = _ATTENTION[model.config.model_type]
    config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.1, target_modules=targets, task_type="SEQ_CLS")
    return get_peft_model(model, config)


def _metrics(prediction: Any) -> dict[str, float]:
    import torch

    logits, labels = torch.from_numpy(prediction.predictions).float(), torch.from_numpy(prediction.label_ids)
    hits = np.argmax(prediction.predictions, axis=-1) == prediction.label_ids
    return {"nats": float(cross_entropy(logits, labels)), "accuracy": float(hits.mean())}


class _Timed(Trainer):
    """A Trainer that keeps the cost of evaluations apart from that of training."""

    fit: Fit
    started: float = 0.0

    def evaluate(self, eval_dataset: Any = None, *args: Any, **options: Any) -> dict[str, float]:
        chosen = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(chosen, dict):  # comes back once for each set
            metrics: dict[str, float] = super().evaluate(eval_dataset, *args, **options)
            self.account()
            self.fit.note(self.state.global_step, _named(metrics))
            return metrics
        started = time.process_time()
        metrics = super().evaluate(eval_dataset, *args, **options)
        kind = options["metric_key_prefix"].rpartition("_")[2]
        self.fit.cpu_s[kind] += time.process_time() - started
        return metrics

    def account(self) -> None:
        """What is not evaluation is training."""
        evaluation = self.fit.cpu_s["holdout"] + self.fit.cpu_s["audit"]
        self.fit.cpu_s["train"] = time.process_time() - self.started - evaluation


def _named(metrics: dict[str, float]) -> dict[str, float]:
    return {
        f"{name}_{mine}": metrics[f"eval_{name}_{theirs}"]
        for name in ("holdout", "audit")
        for mine, theirs in (("loss", "nats"), ("accuracy", "accuracy"))
    }


def _arguments(recipe: Recipe, seed: int, folder: str) -> TrainingArguments:
    strategy = "steps" if recipe.eval_every else "no"
    keep = bool(recipe.patience)
    return TrainingArguments(
        output_dir=folder,
        max_steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        eval_strategy=strategy,
        eval_steps=recipe.eval_every or None,
        save_strategy=strategy if keep else "no",
        save_steps=recipe.eval_every or 500,
        save_total_limit=2 if keep else None,
        load_best_model_at_end=keep,
        metric_for_best_model="eval_holdout_nats" if keep else None,
        greater_is_better=False if keep else None,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        seed=seed,
    )


def fit(model: Any, tokenizer: Any, sets: dict[str, list[dict[str, Any]]], recipe: Recipe, seed: int) -> Fit:
    """Train an adapter and the head; evaluate holdout and audit: mean cross-entropy in float32."""
    result = Fit(adapted(model))
    with tempfile.TemporaryDirectory() as folder:
        trainer = _Timed(
            model=result.model,
            args=_arguments(recipe, seed, folder),
            train_dataset=sets["train"],
            eval_dataset={name: sets[name] for name in ("holdout", "audit")},
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=_metrics,
        )
        if recipe.patience:
            trainer.add_callback(EarlyStoppingCallback(recipe.patience))
        trainer.fit, trainer.started = result, time.process_time()
        trainer.train()
        trainer.account()
        result.steps = trainer.state.global_step
        if recipe.patience:  # the best weights were loaded again; what they score is known
            result.note(result.steps, min(result.curve, key=lambda point: point["holdout_loss"]))
        elif not result.curve or result.curve[-1]["step"] != result.steps:
            trainer.evaluate()
    return result
