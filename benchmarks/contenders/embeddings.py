"""Sentence embeddings of the same model with scikit-learn's logistic regression, and SetFit."""

from __future__ import annotations

__all__ = ["run_logistic", "run_setfit"]

import tempfile
from typing import Any

import numpy as np

from contenders.cost import Laps
from contenders.data import Task, Text
from cryoflux.tasks.lora.base_model import EMBEDDED, resolve


def _labels(texts: list[Text]) -> list[int]:
    return [t.label for t in texts]


def _scores(name: str, shares: Any, classes: Any, texts: list[Text]) -> dict[str, float]:
    """Mean cross-entropy in nats of predicted shares of the classes, and accuracy."""
    chosen = np.asarray(shares, dtype=np.float64) * (np.asarray(classes) == np.array(_labels(texts))[:, None])
    loss = float(-np.log(np.maximum(chosen.sum(axis=1), np.finfo(np.float32).tiny)).mean())
    guesses = np.asarray(classes)[np.argmax(shares, axis=1)]
    return {f"{name}_loss": loss, f"{name}_accuracy": float((guesses == _labels(texts)).mean())}


def run_logistic(task: Task, seed: int, *, choose_c: bool) -> dict[str, Any]:
    """All training data, embedded once, then a linear classifier; C is 1 or chosen on the training data."""
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

    laps = Laps()
    result: dict[str, float] = {}
    encoder = SentenceTransformer(str(resolve(EMBEDDED)), device="cpu")
    encoder.max_seq_length = task.max_tokens
    with laps.of("train"):
        vectors = encoder.encode([t.text for t in task.train], show_progress_bar=False)
        if choose_c:
            model: Any = LogisticRegressionCV(
                Cs=np.logspace(-2, 4, 7).tolist(),
                cv=5,
                l1_ratios=(0.0,),
                scoring="neg_log_loss",
                max_iter=1000,
                random_state=seed,
                use_legacy_attributes=False,
            )
        else:
            model = LogisticRegression(max_iter=1000, random_state=seed)
        model.fit(vectors, _labels(task.train))
    for name, texts in (("holdout", task.holdout), ("audit", task.audit)):
        with laps.of(name):
            shares = model.predict_proba(encoder.encode([t.text for t in texts], show_progress_bar=False))
            result |= _scores(name, shares, model.classes_, texts)
    return {**result, "c": float(np.ravel(model.C_ if choose_c else model.C)[0]), "phases": laps.close()}


def run_setfit(task: Task, seed: int, steps: int) -> dict[str, Any]:
    """SetFit's defaults (batch 16, cosine similarity, logistic head) for so many steps that it ends."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    laps = Laps()
    result: dict[str, float] = {}
    model = SetFitModel.from_pretrained(str(resolve(EMBEDDED)), device="cpu")
    model.model_body.max_seq_length = task.max_tokens
    columns = {"text": [t.text for t in task.train], "label": _labels(task.train)}
    with laps.of("train"), tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_iterations=1, max_steps=steps, seed=seed, report_to="none",
            save_strategy="no", show_progress_bar=False,
        )  # fmt: skip
        Trainer(model=model, args=arguments, train_dataset=Dataset.from_dict(columns)).train()
    for name, texts in (("holdout", task.holdout), ("audit", task.audit)):
        with laps.of(name):
            shares = model.predict_proba([t.text for t in texts], as_numpy=True, show_progress_bar=False)
            result |= _scores(name, shares, model.model_head.classes_, texts)
    return {**result, "steps": steps, "phases": laps.close()}
