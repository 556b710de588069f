"""Per-example losses that strangers reproduce to the last digit: profile ``f64-nanonat/v1``.

The saved float32 weights are widened to float64, each example's cross-entropy is computed there, and
rounded once to integer nano-nats. float64 noise is five orders of magnitude below that unit, so batch
size, padding, thread count and instruction set do not change the integers, and sums are exact.
"""

from __future__ import annotations

__all__ = [
    "LARGEST_NANO_NAT",
    "PROFILE",
    "EvaluationFailedError",
    "Losses",
    "measure_losses",
    "read_evidence",
    "write_evidence",
]

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.data.batching import bucketed, padded
from cryoflux.data.examples import Example
from cryoflux.errors import CryoFluxError
from cryoflux.quantities import NANO

PROFILE = "f64-nanonat/v1"
_BATCH = 16
LARGEST_NANO_NAT = 10**12
"""1,000 nats an example: beyond it a model is broken rather than wrong"""


class EvaluationFailedError(CryoFluxError):
    """A loss is not a number, or absurdly large."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What a model scores on a set of examples, in the set's order."""

    nano_nats: tuple[int, ...]
    correct: tuple[bool, ...]

    @property
    def mean(self) -> float:
        """Mean loss, nats, for display."""
        return sum(self.nano_nats) / len(self.nano_nats) / NANO

    @property
    def accuracy(self) -> float:
        """Share of examples classified correctly, for display."""
        return sum(self.correct) / len(self.correct)


def measure_losses(
    folder: Path,
    examples: Sequence[Example],
    *,
    max_tokens: int,
    device: str = "cpu",
    between_batches: Callable[[int, int], None] = lambda _done, _all: None,
) -> Losses:
    """Losses of the saved model in ``folder``.

    Args:
        folder: a model version, as ``from_pretrained`` reads it.
        examples: at least one.
        max_tokens: texts are truncated to so many tokens.
        device: ``cpu`` or ``cuda``; both compute in float64.
        between_batches: called with (examples done, examples in all); may raise to stop.

    Raises:
        EvaluationFailedError: a loss is not finite.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    model = model.to(device=device, dtype=torch.float64).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    texts = tokenizer([e.text for e in examples], truncation=True, max_length=max_tokens)["input_ids"]
    labels = [model.config.label2id[e.label] for e in examples]
    nano_nats, correct = [0] * len(examples), [False] * len(examples)
    done = 0
    with torch.inference_mode():
        for batch in bucketed([len(text) for text in texts], _BATCH):
            between_batches(done, len(examples))
            scores = _score([texts[i] for i in batch], [labels[i] for i in batch], model, tokenizer, device)
            for index, loss, right in zip(batch, *scores, strict=True):
                nano_nats[index], correct[index] = _to_nano_nats(loss), right
            done += len(batch)
    return Losses(tuple(nano_nats), tuple(correct))


def _score(
    texts: list[list[int]], labels: list[int], model: Any, tokenizer: Any, device: str
) -> tuple[list[float], list[bool]]:
    import torch

    ids, mask = (torch.tensor(rows, device=device) for rows in padded(texts, tokenizer.pad_token_id))
    targets = torch.tensor(labels, device=device)
    logits = model(input_ids=ids, attention_mask=mask).logits.double()
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    return losses.tolist(), (logits.argmax(-1) == targets).tolist()


def _to_nano_nats(loss: float) -> int:
    if not 0 <= loss * NANO <= LARGEST_NANO_NAT:
        raise EvaluationFailedError(
            f"A holdout loss is {loss}.",
            why="A model with such a loss cannot be compared with another.",
            hint="Lower the learning rate: --learning-rate 1e-4.",
        )
    return round(loss * NANO)


def write_evidence(base: Losses, new: Losses) -> bytes:
    """The evidence file: int64 LE base losses, int64 LE new losses, u8 base and u8 new correct."""
    count = len(base.nano_nats)
    return struct.pack(
        f"<{count}q{count}q{count}?{count}?", *base.nano_nats, *new.nano_nats, *base.correct, *new.correct
    )


def read_evidence(content: bytes) -> tuple[Losses, Losses]:
    """Base and candidate losses of an evidence file.

    Raises:
        ValueError: its length does not fit.
    """
    count, rest = divmod(len(content), 18)
    if rest or not count:
        raise ValueError("an evidence file holds 18 bytes an example")
    values = struct.unpack(f"<{count}q{count}q{count}?{count}?", content)
    base_loss, new_loss = values[:count], values[count : 2 * count]
    base_correct, new_correct = values[2 * count : 3 * count], values[3 * count :]
    return Losses(base_loss, base_correct), Losses(new_loss, new_correct)
