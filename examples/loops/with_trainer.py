"""A script that uses the Trainer of transformers, with one line added: the callback.

    python examples/loops/with_trainer.py [FOLDER]

It trains a tiny random language model on the documentation of the standard library until 10 J are spent.
"""

from __future__ import annotations

import argparse
import string
import sys
import textwrap
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from cryoflux import CryoFluxCallback

LENGTH = 64


def rows() -> list[dict[str, Any]]:
    """Pieces of text as bytes, each a token."""
    text = "".join(str(module.__doc__) for module in (argparse, textwrap, string)) * 8
    tokens = torch.tensor(list(text.encode("ascii", "replace")))
    pieces = tokens[: len(tokens) // LENGTH * LENGTH].view(-1, LENGTH)
    return [{"input_ids": piece, "labels": piece} for piece in pieces]


def main(folder: str) -> None:
    """Train until the joules are spent."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LENGTH,
    )
    data = rows()
    trainer = Trainer(
        model=LlamaForCausalLM(config),
        args=TrainingArguments(
            output_dir=folder,
            eval_strategy="epoch",
            num_train_epochs=1000,
            learning_rate=3e-3,
            per_device_train_batch_size=16,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=[row for number, row in enumerate(data) if number % 5],
        eval_dataset=data[::5],
        callbacks=[CryoFluxCallback(budget="10J")],
    )
    trainer.train()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "trained")
