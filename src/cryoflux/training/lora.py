"""One LoRA attempt: joules end the training, steps are only the other limit.

1. Load the base version and put LoRA on its attention projections (PEFT); train the head beside it.
2. Warm up for three steps, watch what they cost, and plan how many steps the joules allow.
3. Decay the learning rate linearly over that plan, so that it ends at zero when the joules do.
4. Stop at the plan's end, at the joule limit, or when asked to.

Source: LoRA, Hu et al. 2021 (arXiv 2106.09685); optimiser AdamW, Loshchilov and Hutter 2019.
"""

from __future__ import annotations

__all__ = ["Limits", "Progress", "TrainedAdapter", "TrainingFailedError", "train_adapter", "warm_up"]

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.data.batching import bucketed, padded
from cryoflux.data.examples import Example
from cryoflux.errors import CryoFluxError
from cryoflux.quantities import NANO
from cryoflux.training.recipe import Recipe
from cryoflux.training.targets import attention_projections, head_modules

_WARM_UP = 3
_LOWEST_RATE = 0.02
"""of the peak: the last planned steps still move"""


class TrainingFailedError(CryoFluxError):
    """The loss stopped being a number."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What training may use, and whom it asks."""

    limit_uj: int
    """training stops once ``spent_uj`` reaches this, µJ"""
    spent_uj: Callable[[], int]
    """joules of the attempt so far, µJ"""
    stop: Callable[[], bool]
    """whether somebody asked to stop"""


@dataclass(frozen=True, slots=True)
class Progress:
    """One finished training step."""

    step: int
    planned: int
    loss: float
    spent_uj: int


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """An adapter in memory, and how it came about."""

    model: Any
    """the PEFT model"""
    tokenizer: Any
    steps: int
    planned_steps: int
    planned_at_step: int
    stopped_by: str
    """``joules``, ``steps`` or ``interrupt``"""
    modules: list[str]
    trained_parameters: int
    last_loss_nano_nat: int

    def save(self, folder: Path) -> None:
        """Write the adapter as PEFT does: ``adapter_model.safetensors`` and ``adapter_config.json``."""
        self.model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card

    def merged(self) -> Any:
        """The base model with the adapter merged into its weights, on the CPU; uses the adapter up."""
        return self.model.to("cpu").merge_and_unload()


def train_adapter(
    base: Path,
    examples: Sequence[Example],
    recipe: Recipe,
    limits: Limits,
    *,
    seed: int,
    device: str,
    progress: Callable[[Progress], None],
) -> TrainedAdapter:
    """Train one adapter on ``examples``.

    Raises:
        TrainingFailedError: the loss stopped being finite.
    """
    import torch

    torch.manual_seed(seed)
    model, tokenizer, modules = _with_lora(base, recipe, device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.0)
    batches = _batches(model, tokenizer, examples, recipe, seed)
    precision = _precision(device)
    step, planned, loss, start_uj = 0, recipe.max_steps, 0.0, limits.spent_uj()
    stopped_by = "steps"
    planned_at = 0
    while step < planned:
        if limits.stop():
            stopped_by = "interrupt"
            break
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _rate(step, planned, planned_at)
        loss = _step(model, optimiser, next(batches), device, precision)
        step += 1
        spent = limits.spent_uj()
        progress(Progress(step, planned, loss, spent))
        if spent >= limits.limit_uj:
            stopped_by = "joules"
            break
        if not planned_at and step >= _WARM_UP and spent > start_uj:
            affordable = step + int((limits.limit_uj - spent) / ((spent - start_uj) / step))
            planned, planned_at = min(recipe.max_steps, max(step, affordable)), step
    if stopped_by == "steps" and planned < recipe.max_steps:
        stopped_by = "joules"
    model.eval()
    return TrainedAdapter(
        model=model,
        tokenizer=tokenizer,
        steps=step,
        planned_steps=planned,
        planned_at_step=planned_at,
        stopped_by=stopped_by,
        modules=modules,
        trained_parameters=sum(p.numel() for p in trained),
        last_loss_nano_nat=round(loss * NANO),
    )


def warm_up(base: Path, recipe: Recipe, device: str) -> None:
    """Load the libraries and the model once, so that no attempt is charged for what a process does once."""
    _with_lora(base, recipe, device)


def _with_lora(base: Path, recipe: Recipe, device: str) -> tuple[Any, Any, list[str]]:
    import torch
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(
        base, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    modules = attention_projections(model)
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=modules,
        modules_to_save=head_modules(model),
    )
    peft_model = get_peft_model(model.to(device), config)
    # the adapter travels: it names its base by digest, not by a path on this machine
    peft_model.peft_config["default"].base_model_name_or_path = base.name
    peft_model.train()
    return peft_model, tokenizer, modules


def _batches(
    model: Any, tokenizer: Any, examples: Sequence[Example], recipe: Recipe, seed: int
) -> Iterator[tuple[Any, Any, Any]]:
    import torch

    label_ids = model.config.label2id
    texts = tokenizer([e.text for e in examples], truncation=True, max_length=recipe.max_tokens)["input_ids"]
    labels = [label_ids[e.label] for e in examples]
    order = bucketed([len(text) for text in texts], recipe.batch_size)
    rng = random.Random(f"{seed}/batches")  # noqa: S311 - a reproducible order, not a secret
    while True:
        rng.shuffle(order)
        for batch in order:
            ids, mask = padded([texts[i] for i in batch], tokenizer.pad_token_id)
            yield torch.tensor(ids), torch.tensor(mask), torch.tensor([labels[i] for i in batch])


def _precision(device: str) -> Any:
    # bf16 matrix products where the processor has them in hardware; elsewhere they would be emulated
    import torch

    if device == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        capabilities = torch.cpu.get_capabilities()
        fast = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return torch.bfloat16 if fast else None


def _rate(step: int, planned: int, planned_at: int) -> float:
    if not planned_at:
        return min(1.0, (step + 1) / _WARM_UP)
    return max(_LOWEST_RATE, 1.0 - (step - planned_at) / max(1, planned - planned_at))


def _step(model: Any, optimiser: Any, batch: tuple[Any, Any, Any], device: str, precision: Any) -> float:
    import torch

    ids, mask, labels = (tensor.to(device) for tensor in batch)
    with torch.autocast(device, dtype=precision, enabled=precision is not None):
        logits = model(input_ids=ids, attention_mask=mask).logits
    loss = torch.nn.functional.cross_entropy(logits.float(), labels)
    value = float(loss.detach())
    if not value < float("inf"):
        raise TrainingFailedError(
            f"The training loss became {value}.",
            why="From here on the weights would be worthless.",
            hint="Lower the learning rate: --learning-rate 1e-4.",
        )
    loss.backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return value
