"""The Trainer of transformers as a task: a tiny language model on the documentation of the standard library.

PYTHONPATH=examples/tasks cryoflux run --task hf_trainer:Bytes --budget 600J --state bytes
cryoflux verify bytes
"""

from __future__ import annotations

import argparse
import json
import shutil
import string
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging

from cryoflux.tasks.interface import (
    Beginning,
    Limits,
    Metric,
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

FILES = ("model.safetensors", "config.json", "generation_config.json")
LENGTH = 64

logging.disable_progress_bar()  # the run shows how it goes


class Bytes(Task):
    """Predicts the next byte."""

    name = "hf_bytes"
    metric = Metric(name="cross-entropy", unit="nats")
    libraries = ("torch", "transformers")

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        """Pieces of 64 bytes, no two alike."""
        text = "\n".join(str(module.__doc__) for module in (argparse, textwrap, string, json, tempfile))
        text += Path(argparse.__file__).read_text("utf-8")
        tokens = text.encode("ascii", "replace")
        pieces = dict.fromkeys(tokens[at : at + LENGTH] for at in range(0, len(tokens) - LENGTH, LENGTH))
        lines = [json.dumps(list(piece)).encode() for piece in pieces]
        sets = {
            "holdout": lines[::5],
            "audit": lines[1::5],
            "train": [*lines[2::5], *lines[3::5], *lines[4::5]],
        }
        files, digest = render_sets(sets)
        return Beginning("stdlib-bytes", digest, files, save=fresh, model_name="a random Llama")

    def arms(self, drawn: int, part: str) -> list[Offer]:
        """One way to train."""
        return [Offer("adamw", {"rate": "0.003", "most_steps": 60}, 0, screens=False)]

    def warm_up(self, part: str) -> None:
        """Import what the first step imports, so that no attempt pays for it."""
        with tempfile.TemporaryDirectory() as folder:
            trainer(LlamaForCausalLM(config()), folder, [], 1, "0.001", 0, None).train()

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        """The Trainer, with a callback that ends it when the joules do."""
        rows = tokens_of(self.place.data.sets["train"])
        steps = int(order.recipe["most_steps"])
        pacer = Pacer(limits, steps)
        ends = JoulesEnd(pacer, lambda progress: watch.trained(progress, order.reserve_microjoules))
        model = LlamaForCausalLM.from_pretrained(self.head.folder)
        with tempfile.TemporaryDirectory() as folder:
            if pacer.goes_on():
                trainer(
                    model, folder, rows, steps, str(order.recipe["rate"]), order.seed % 2**32, ends
                ).train()
        model.save_pretrained(into)
        return Update(
            files=FILES,
            section=Section(kind="hf-bytes/v1", fields={"examples": len(rows)}),
            drawn=tuple(range(len(rows))),
            steps=pacer.step,
            stopped_by=pacer.ended_by(),
            threads=torch.get_num_threads(),
        )

    def apply(self, base: Version, capsule: Path, update: Update) -> Version:
        """The update is the whole model."""

        def save(folder: Path) -> None:
            for name in FILES:
                shutil.copyfile(capsule / name, folder / name)

        return self.place.versions.draft(save)

    def scorer(self, version: Version, part: str) -> Scored:
        """The losses of a version."""
        return Scored(version.folder, self.place.data.sets[part])


class JoulesEnd(TrainerCallback):
    """Ends a training when its pacer says so."""

    def __init__(self, pacer: Pacer, tell: Callable[[Any], None]) -> None:
        self.pacer, self.tell = pacer, tell

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """One step is done."""
        self.tell(self.pacer.done(0.0))
        control.should_training_stop |= not self.pacer.goes_on()
        return control


class Scored:
    """Each piece by itself in float64; transformers computes some of it in float32, so never in a batch."""

    def __init__(self, folder: Path, lines: Sequence[bytes]) -> None:
        self.model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
        self.rows = tokens_of(lines)

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> tuple[list[int], list[bool]]:
        """Mean cross-entropy of a piece's bytes but the first."""
        losses = []
        with torch.no_grad():
            for at, i in enumerate(indices):
                if at % 16 == 0:
                    between(at)
                piece = self.rows[i]["input_ids"]
                logits = self.model(piece[None]).logits[0, :-1].double()
                losses.append(to_nano_nats(float(torch.nn.functional.cross_entropy(logits, piece[1:]))))
        return losses, [False] * len(losses)


def config() -> LlamaConfig:
    """A tiny one."""
    return LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LENGTH,
    )


def fresh(folder: Path) -> None:
    """The first version."""
    torch.manual_seed(0)
    LlamaForCausalLM(config()).save_pretrained(folder)


def tokens_of(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """Rows as the Trainer takes them."""
    pieces = [torch.tensor(json.loads(line)) for line in lines]
    return [{"input_ids": piece, "labels": piece} for piece in pieces]


def trainer(
    model: Any, folder: str, rows: list[dict[str, Any]], steps: int, rate: str, seed: int, ends: Any
) -> Trainer:
    """A Trainer that writes nothing and says nothing."""
    asked = TrainingArguments(
        output_dir=folder,
        max_steps=steps,
        learning_rate=float(rate),
        per_device_train_batch_size=16,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=seed,
    )
    if not rows:
        rows = tokens_of([json.dumps([1] * LENGTH).encode()])
    found = Trainer(model=model, args=asked, train_dataset=rows, callbacks=[ends] if ends else [])
    found.remove_callback(PrinterCallback)
    return found
