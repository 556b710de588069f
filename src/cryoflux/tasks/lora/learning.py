"""What learns in our own loop: LoRA on the upper layers, and the head beside it, over frozen weights."""

from __future__ import annotations

__all__ = ["Learning", "logits_of"]

import math
from collections.abc import Sequence

import torch

from cryoflux.encoder.model import Encoder, Lora, attention_bias
from cryoflux.tasks.lora.recipe import Recipe


class Learning:
    """The parameters that learn, on top of a frozen encoder."""

    def __init__(self, encoder: Encoder, recipe: Recipe, seed: int) -> None:
        """Begin at the encoder's own weights; ``seed`` draws LoRA's first matrices."""
        part, device = encoder.layout, encoder.device
        generator = torch.Generator().manual_seed(seed)
        self._classifier = part.classifier
        self.depth = part.layers - min(recipe.layers, part.layers)
        which = (part.output,) if recipe.targets == "output" else part.projections
        self.lora: dict[str, Lora] = {}
        for index in range(self.depth, part.layers):
            for module in (part.in_layer(index, name) for name in which):
                outputs, inputs = encoder.tensor(f"{module}.weight").shape
                bound = 1 / math.sqrt(inputs)  # PEFT's start: Kaiming uniform with a = √5
                a = torch.empty(recipe.rank, inputs).uniform_(-bound, bound, generator=generator)
                b = torch.zeros(outputs, recipe.rank, device=device)
                scale = recipe.alpha / recipe.rank
                self.lora[module] = Lora(
                    a.to(device).requires_grad_(), b.requires_grad_(), scale, recipe.dropout
                )
        heads = (part.pooler, part.classifier) if recipe.pooler else (part.classifier,)
        names = [f"{head}.{kind}" for head in heads for kind in ("weight", "bias")]
        self.base = {name: encoder.tensor(name) for name in names}
        self.head = {name: tensor.clone().requires_grad_() for name, tensor in self.base.items()}
        # PEFT finds the modules that it keeps by how their names end: with DistilBERT's classifier it
        # asks for the pre_classifier, which may not have learned
        also = part.pooler.endswith(part.classifier)
        beside = [f"{part.pooler}.{kind}" for kind in ("weight", "bias")] if also else []
        self.beside = {name: encoder.tensor(name) for name in beside}
        self.folded = recipe.dropout == 0

    @property
    def parameters(self) -> list[torch.Tensor]:
        """All of them, in one fixed order."""
        return [*(p for lora in self.lora.values() for p in (lora.a, lora.b)), *self.head.values()]

    def load(self, values: Sequence[torch.Tensor]) -> None:
        """Take other values, in the same order."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, values, strict=True):
                parameter.copy_(value)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.head[f"{self._classifier}.bias"])

    def scale_scores(self, factor: float) -> None:
        """Multiply the scores of all classes."""
        with torch.no_grad():
            for kind in ("weight", "bias"):
                self.head[f"{self._classifier}.{kind}"].mul_(factor)

    def shrink(self, scale: float) -> None:
        """Scale the update: LoRA is linear in B, and the head moves from its start."""
        with torch.no_grad():
            for lora in self.lora.values():
                lora.b.mul_(scale)
            for name, tensor in self.head.items():
                tensor.copy_(self.base[name] + scale * (tensor - self.base[name]))


def logits_of(
    encoder: Encoder,
    update: Learning,
    batch: tuple[torch.Tensor, torch.Tensor],
    hidden_dropout: float = 0.0,
) -> torch.Tensor:
    """Scores of the classes, (batch, classes), of a batch of activations and its mask."""
    part = encoder.layout
    x, mask = batch
    bias = attention_bias(mask, torch.float32)
    top = part.layers - 1 if update.folded else part.layers
    for index in range(update.depth, top):
        x = encoder.layer(x, bias, index, update.lora, hidden_dropout)
    if update.folded:
        last = part.layer.format(top)
        changed = {
            f"{name}.weight": encoder.tensor(f"{name}.weight") + lora.delta()
            for name, lora in update.lora.items()
            if name.startswith(f"{last}.")
        }
        first = encoder.last_layer(x.float(), bias, changed, hidden_dropout)
    else:
        first = x[:, 0].float()
    return encoder.logits(first, update.head)
