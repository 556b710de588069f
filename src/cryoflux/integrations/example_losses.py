"""Losses example by example, of a model that transformers can call: what a verdict of one's own is made of.

It is the one seam between a trainer and whoever judges: ``{"id": "0", "loss": 1.25}``, one line an
example, in the order of the set. A loss is in nats: of a classifier the cross-entropy of the label, of a
language model the sum over the target tokens of the example.
"""

from __future__ import annotations

__all__ = ["example_losses", "write_example_losses"]

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryoflux.files import replacing

_IGNORED = -100
"""the label of a token that is no target, as transformers has it"""


def example_losses(model: Any, batches: Any) -> Iterator[float]:
    """The loss of each example, in nats, in the order of the batches.

    Args:
        model: gives ``logits`` for a batch.
        batches: as a data loader gives them: mappings with ``labels``, and of the same order each time.

    Raises:
        ValueError: a batch has no labels, or labels of another shape than the logits have.
    """
    import torch

    device, trained = next(model.parameters()).device, model.training
    model.eval()
    try:
        for batch in batches:
            inputs = {name: value.to(device) for name, value in batch.items() if hasattr(value, "to")}
            labels = inputs.pop("labels", None)
            if labels is None:
                raise ValueError("the examples have no labels")
            with torch.no_grad():
                logits = model(**inputs).logits
            yield from _by_example(logits, labels).tolist()
    finally:
        model.train(trained)


def _by_example(logits: Any, labels: Any) -> Any:
    from torch.nn.functional import cross_entropy

    if logits.ndim == 2 and labels.ndim == 1 and not labels.is_floating_point():
        return cross_entropy(logits.double(), labels, reduction="none")
    if logits.ndim == 3 and labels.shape == logits.shape[:2]:
        # What a causal model says at a place is about the token after it.
        told, targets = logits[:, :-1].double(), labels[:, 1:]
        found = cross_entropy(told.transpose(1, 2), targets, reduction="none", ignore_index=_IGNORED)
        return found.sum(dim=1)
    raise ValueError(f"labels of shape {tuple(labels.shape)} for logits of shape {tuple(logits.shape)}")


def write_example_losses(place: Path, model: Any, batches: Any) -> str:
    """Write the losses of a set; why not, where they cannot be had, else an empty text."""
    if model is None or batches is None:
        return "no evaluation set has been evaluated"
    if not _is_in_order(batches):
        return "the evaluation set is not read in its own order, so examples could not be told apart"
    if not _is_causal_or_a_classifier(model):
        return f"losses of a {type(model).__name__} are not known example by example"
    try:
        losses = list(example_losses(model, batches))
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    if not all(math.isfinite(loss) for loss in losses):
        return "a loss is not finite"
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as stream:
        stream.writelines(
            f"{json.dumps({'id': str(number), 'loss': loss})}\n".encode()
            for number, loss in enumerate(losses)
        )
    return ""


def _is_in_order(batches: Any) -> bool:
    import torch

    sampler = getattr(batches, "sampler", None)
    inner = getattr(getattr(batches, "batch_sampler", None), "sampler", sampler)
    return isinstance(inner, torch.utils.data.SequentialSampler)


def _is_causal_or_a_classifier(model: Any) -> bool:
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = getattr(inner, "config", None)
    name = type(inner).__name__
    return not getattr(config, "is_encoder_decoder", False) and name.endswith(
        ("ForCausalLM", "LMHeadModel", "ForSequenceClassification")
    )
