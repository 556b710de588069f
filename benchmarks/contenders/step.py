"""CPU-seconds of one training step: eager Hugging Face with PEFT against ours, on the same examples."""

from __future__ import annotations

__all__ = ["StepRecipe", "hf_step", "ours_step", "run_step", "step_costs"]

import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from contenders.cost import Laps
from contenders.data import Task, encode
from contenders.lora import adapted
from cryoflux.encoder.activations import Sets
from cryoflux.encoder.layout import read_layout
from cryoflux.encoder.linear import choose_backend
from cryoflux.encoder.model import Encoder
from cryoflux.encoder.prefix import PrefixCache
from cryoflux.encoder.tokens import Tokens
from cryoflux.registry.shards import read_tensors
from cryoflux.tasks.lora.base_model import EMBEDDED, load_base
from cryoflux.tasks.lora.lean import TrainingMaterial, train_lean
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.pacing import Limits

Pass = Callable[[], int]
"""trains once over all examples and returns how many steps that took"""


@dataclass(frozen=True, slots=True)
class StepRecipe:
    """What both sides train with."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.1
    learning_rate: float = 5e-4
    batch_size: int = 32
    max_tokens: int = 32
    seed: int = 0


def ours_step(model_folder: Path, examples: list[dict[str, Any]], recipe: StepRecipe) -> Pass | None:
    """Our own trainer on the same LoRA, dropout and examples: all layers, batches of about equal length.

    Args:
        model_folder: a saved transformers model for sequence classification, with its tokenizer.
        examples: ``input_ids`` and ``labels`` of each text.
        recipe: what to train with.
    """
    layout = read_layout(model_folder)
    if layout is None:
        return None
    tokens, labels = _tokens(examples), torch.tensor([e["labels"] for e in examples])
    encoder = Encoder(layout, read_tensors(model_folder), choose_backend("cpu", layout.hidden))
    steps = len(examples) // recipe.batch_size
    ours = Recipe(
        "step",
        pooler=False,
        rank=recipe.rank,
        alpha=recipe.alpha,
        dropout=recipe.dropout,
        hidden_dropout=0.1,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        max_steps=steps,
        average=0.0,
    )
    endless = Limits(10**15, lambda: 0, lambda: False)

    def once() -> int:
        sets = Sets(tokens, PrefixCache(model_folder / "prefix", 0), ())
        drawn = list(range(len(examples)))
        material = TrainingMaterial(encoder, (), sets, labels, [], drawn, [], "step", 0.0)
        quiet: dict[str, Any] = {"progress": lambda _: None, "preparing": lambda *_: None}
        with TemporaryDirectory() as folder:
            return train_lean(material, ours, endless, Path(folder), seed=recipe.seed, **quiet).steps

    return once


def _tokens(examples: list[dict[str, Any]]) -> Tokens:
    rows = [torch.tensor(e["input_ids"]) for e in examples]
    ends = torch.tensor([0, *(len(row) for row in rows)]).cumsum(0)
    return Tokens(torch.cat(rows), ends, 0, "step")


def hf_step(model_folder: Path, examples: list[dict[str, Any]], recipe: StepRecipe) -> Pass:
    """Eager fp32, batches in random order, each padded to its longest text."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

    model = adapted(AutoModelForSequenceClassification.from_pretrained(model_folder, dtype=torch.float32))
    collate = DataCollatorWithPadding(AutoTokenizer.from_pretrained(model_folder))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate)
    model.train()
    order = random.Random(recipe.seed)  # noqa: S311

    def once() -> int:
        shuffled = order.sample(examples, len(examples))
        starts = range(0, len(shuffled), recipe.batch_size)
        for start in starts:
            batch = collate([dict(e) for e in shuffled[start : start + recipe.batch_size]])
            model(**{k: v for k, v in batch.items() if k != "token_type_ids"}).loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            optimiser.zero_grad()
        return len(starts)

    return once


def step_costs(
    model_folder: Path, examples: list[dict[str, Any]], recipe: StepRecipe, *, repeats: int = 3
) -> dict[str, dict[str, float]]:
    """CPU-seconds a step of each side: median and range of interleaved passes, after one to warm up."""
    bare = replace(recipe, dropout=0.0)
    sides = {
        "hf": hf_step(model_folder, examples, recipe),
        "ours": ours_step(model_folder, examples, recipe),
        "ours, no LoRA dropout, as in its recipes": ours_step(model_folder, examples, bare),
    }
    taken: dict[str, list[float]] = {name: [] for name, side in sides.items() if side}
    for _ in range(repeats + 1):
        for name, side in sides.items():
            if side:
                started = time.process_time()
                steps = side()
                taken[name].append((time.process_time() - started) / steps)
    return {
        name: {"median": median(seconds[1:]), "least": min(seconds[1:]), "most": max(seconds[1:])}
        for name, seconds in taken.items()
    }


def run_step(task: Task, seed: int, *, batches: int = 4, repeats: int = 3) -> dict[str, Any]:
    """Time both sides on the first batches of a shuffled training set."""
    recipe = StepRecipe(max_tokens=task.max_tokens, seed=seed)
    base = load_base(EMBEDDED, task.labels, seed=seed)
    texts = random.Random(seed).sample(task.train, batches * recipe.batch_size)  # noqa: S311
    examples = encode(base.tokenizer, texts, task.max_tokens)
    laps = Laps()
    with tempfile.TemporaryDirectory() as folder:
        if task.name == "distilbert-step":
            examples = _distilbert(Path(folder), base.tokenizer, examples, len(task.labels))
        else:
            base.save(Path(folder))
        with laps.of("train"):
            costs = step_costs(Path(folder), examples, recipe, repeats=repeats)
    tokens = sum(len(e["input_ids"]) for e in examples) / len(examples)
    return {"step": costs, "mean_tokens": tokens, "phases": laps.close()}


def _distilbert(
    folder: Path, tokenizer: Any, examples: list[dict[str, Any]], labels: int
) -> list[dict[str, Any]]:
    """A model of DistilBERT's size with random weights, downloaded from nowhere: only its cost counts."""
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(num_labels=labels)
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return [{**e, "input_ids": [token % config.vocab_size for token in e["input_ids"]]} for e in examples]
