"""One LoRA attempt through transformers and PEFT.

For architectures that CryoFlux does not compute itself, and for the whitepaper's recipe as it stands.

1. Load the base version and put LoRA on its attention projections; train the head beside it.
2. Train until the plan's end, the joule limit, or until asked to stop (`pacing`).
3. Look at the screening examples, where the recipe has any.

Source: LoRA, Hu et al. 2021 (arXiv 2106.09685); optimiser AdamW, Loshchilov and Hutter 2019.
"""

from __future__ import annotations

__all__ = ["train_with_peft", "warm_up"]

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cryoflux.data.batching import mixed_buckets, padded
from cryoflux.data.examples import Example
from cryoflux.decision.evidence import pair_losses
from cryoflux.quantities import NANO
from cryoflux.registry.borne_out import load_classifier
from cryoflux.registry.cuts import Cut
from cryoflux.registry.plain_model import harmless
from cryoflux.registry.tokenizing import token_rows
from cryoflux.tasks.lora.adapter import Screening, Trained
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.lora.screening import screen_losses
from cryoflux.tasks.lora.targets import attention_projections, head_modules
from cryoflux.tasks.pacing import Limits, Pacer, Progress, rate_at, screen_before

_SCREEN_BATCH = 32


def train_with_peft(
    base: Path,
    examples: Sequence[Example],
    recipe: Recipe,
    limits: Limits,
    into: Path,
    *,
    drawn: list[int],
    fresh: int,
    screen: Sequence[int],
    first: int,
    seed: int,
    device: str,
    progress: Callable[[Progress], None],
) -> Trained:
    """Train one adapter and write its files.

    Args:
        base: folder of the base version.
        examples: all training examples.
        recipe: how to train.
        limits: joules, and whether to stop.
        into: the folder for its files.
        drawn: indices of the examples to learn from.
        fresh: how many of them no attempt had drawn before.
        screen: indices of the screening examples.
        first: so many of the examples were there from the beginning: they settle what classes weigh.
        seed: of initial weights, order and dropout.
        device: ``cpu`` or ``cuda``.
        progress: called after each step.

    Raises:
        JoulesEndedError: screening before and after leaves no joules to train with.
        TrainingFailedError: the loss stopped being finite.
    """
    model, tokenizer, modules = _with_lora(base, recipe, device, seed)
    trained = [p for p in model.parameters() if p.requires_grad]
    precision = _precision(device)
    look = partial(_losses, model, tokenizer, [examples[i] for i in screen], recipe, device, precision)
    before, limits = screen_before(limits, len(screen), 1, lambda: look(limits.check))
    pacer = Pacer(limits, recipe.steps_for(len(drawn)))
    batches = _batches(model, tokenizer, [examples[i] for i in drawn], recipe, seed)
    loss = _loop(model, trained, batches, recipe, pacer, device, precision, examples[:first], progress)
    after = look()
    screening = Screening(pair_losses(before[0], after[0], before[1], after[1]), "1") if screen else None
    _save(model, into)
    return Trained(
        drawn=drawn,
        fresh=fresh,
        steps=pacer.step,
        planned_steps=pacer.planned,
        planned_at_step=pacer.planned_at,
        stopped_by=pacer.ended_by(),
        modules=modules,
        trained_parameters=sum(p.numel() for p in trained),
        last_loss_nano_nat=round(loss * NANO),
        backend="bf16-autocast" if precision is not None else "f32",
        saved_uj=0,
        screening=screening,
    )


def _loop(
    model: Any,
    trained: list[Any],
    batches: Iterator[tuple[Any, Any, Any]],
    recipe: Recipe,
    pacer: Pacer,
    device: str,
    precision: Any,
    first: Sequence[Example],
    progress: Callable[[Progress], None],
) -> float:
    import torch

    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    weights, loss = _weights(model, first, recipe), 0.0
    model.train()
    while pacer.goes_on():
        rate = rate_at(pacer.step, pacer.planned, schedule=recipe.schedule, warm_up=recipe.warm_up)
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * rate
        loss = _step(model, optimiser, next(batches), device, precision, weights)
        progress(pacer.done(loss))
    return loss


def _save(model: Any, folder: Path) -> None:
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card


def warm_up(base: Path, recipe: Recipe, device: str) -> None:
    """Load the libraries and the model once, so that no attempt is charged for what a process does once."""
    _with_lora(base, recipe, device, seed=0)


def _with_lora(base: Path, recipe: Recipe, device: str, seed: int) -> tuple[Any, Any, list[str]]:
    import torch
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import AutoTokenizer

    torch.manual_seed(seed)
    with harmless(base) as copy:
        model = load_classifier(copy)
        tokenizer = AutoTokenizer.from_pretrained(copy, local_files_only=True, trust_remote_code=False)
    modules = attention_projections(model, layers=recipe.layers)
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
    return peft_model, tokenizer, modules


def _tokenise(tokenizer: Any, examples: Sequence[Example], cut: Cut) -> list[list[int]]:
    return token_rows(tokenizer, [e.text for e in examples], cut)


def _batches(
    model: Any, tokenizer: Any, examples: Sequence[Example], recipe: Recipe, seed: int
) -> Iterator[tuple[Any, Any, Any]]:
    import torch

    label_ids = model.config.label2id
    texts = _tokenise(tokenizer, examples, recipe.max_tokens)
    labels = [label_ids[e.label] for e in examples]
    rng = random.Random(f"{seed}/batches")  # noqa: S311 - a reproducible order, not a secret
    for batch in mixed_buckets([len(text) for text in texts], recipe.batch_size, rng):
        ids, mask = padded([texts[i] for i in batch], tokenizer.pad_token_id)
        yield torch.tensor(ids), torch.tensor(mask), torch.tensor([labels[i] for i in batch])


def _weights(model: Any, examples: Sequence[Example], recipe: Recipe) -> Any:
    import torch

    from cryoflux.tasks.lora.weighing import class_weights

    ids = model.config.label2id
    classes = torch.tensor([ids[example.label] for example in examples])
    return class_weights(recipe.class_weights, classes, len(ids))


def _losses(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Example],
    recipe: Recipe,
    device: str,
    precision: Any,
    between: Callable[[], None] = lambda: None,
) -> tuple[list[int], list[bool]]:
    """Losses of the model as it is, nano-nats, and which examples it gets right; ``between`` may raise."""
    import torch

    texts = _tokenise(tokenizer, examples, recipe.max_tokens) if examples else []
    labels = [model.config.label2id[e.label] for e in examples]
    model.eval()

    def score(rows: list[int]) -> tuple[Any, Any]:
        ids, mask = padded([texts[row] for row in rows], tokenizer.pad_token_id)
        inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
        with torch.autocast(device, dtype=precision, enabled=precision is not None):
            logits = model(**{k: v.to(device) for k, v in inputs.items()}).logits.float()
        return logits, torch.tensor([labels[row] for row in rows], device=device)

    return screen_losses([len(text) for text in texts], _SCREEN_BATCH, score, between)


def _precision(device: str) -> Any:
    import torch

    from cryoflux.encoder.linear import has_bf16

    return torch.bfloat16 if has_bf16(device) else None


def _step(
    model: Any,
    optimiser: Any,
    batch: tuple[Any, Any, Any],
    device: str,
    precision: Any,
    weights: Any,
) -> float:
    import torch

    from cryoflux.tasks.lora.weighing import training_loss

    ids, mask, labels = (tensor.to(device) for tensor in batch)
    with torch.autocast(device, dtype=precision, enabled=precision is not None):
        logits = model(input_ids=ids, attention_mask=mask).logits
    loss = training_loss(logits.float(), labels, weights)
    loss.backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(loss.detach())
