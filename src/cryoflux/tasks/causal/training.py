"""One LoRA attempt on a causal language model, through transformers and PEFT.

1. Put LoRA on the modules that the recipe targets; the head in memory stays as it is.
2. Read the first screening documents, where the recipe has any, in float32 (unless the weights are bfloat16).
3. Train until the joules end, the steps, or until asked to stop. The loss is the mean over the target tokens
   of a step: prompts are read, not learned, and nothing is scored but targets. Its documents are computed in
   parts of about equal length.
4. Read as much of the screen as it takes (`screening`), and save the adapter as PEFT does.

Documents are drawn in the order of the pool, so that what an attempt has learned from is a stretch of it.
"""

from __future__ import annotations

__all__ = ["CausalTrained", "Exercise", "train_causal"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.data.batching import bucketed, padded
from cryoflux.decision.evidence import Evidence
from cryoflux.quantities import NANO
from cryoflux.tasks.causal.network import document_nats, scored_at
from cryoflux.tasks.causal.packing import packed, scores_packed
from cryoflux.tasks.causal.recipe import CausalRecipe
from cryoflux.tasks.causal.screening import HeadOnScreen, ScreenInLooks
from cryoflux.tasks.causal.targets import Targets, find_targets
from cryoflux.tasks.causal.tokens import TokenRow
from cryoflux.tasks.pacing import (
    Limits,
    Pacer,
    Progress,
    TrainingFailedError,
    rate_at,
)

_IGNORED = -100
"""in place of a token that is not learned"""


@dataclass(frozen=True, slots=True)
class Exercise:
    """What an attempt learns from, and is tried on."""

    rows: Sequence[TokenRow]
    """the documents to draw, in the order in which they are drawn"""
    screen: Sequence[TokenRow]
    pad: int
    """token that shorter documents are filled up with; it is neither read nor learned"""


@dataclass(frozen=True, slots=True)
class CausalTrained:
    """How an adapter came about; its files are written."""

    used: int
    """documents that it learned from: so many of the first ones"""
    tokens: int
    """that were read in training, padding left out"""
    said: int
    """of these, the targets"""
    steps: int
    planned_steps: int
    planned_at_step: int
    stopped_by: str
    targets: Targets
    parameters: int
    last_loss_nano_nat: int
    screening: Evidence | None


def train_causal(
    network: Any,
    lesson: Exercise,
    recipe: CausalRecipe,
    limits: Limits,
    into: Path,
    *,
    seed: int,
    base: str,
    progress: Callable[[Progress], None],
    screened: HeadOnScreen | None = None,
) -> CausalTrained:
    """Train one adapter and write its files; the network is as before afterwards.

    Args:
        network: the base version, of transformers.
        lesson: what to learn from.
        recipe: how.
        limits: joules, and whether to stop.
        into: the folder for its files.
        seed: of initial weights and dropout.
        base: what the adapter's settings call its base: it travels, so no path of this machine.
        progress: called after each step.
        screened: what the base scores on the screen, as far as that is known; what is read is added to it.

    Raises:
        JoulesEndedError: screening before and after leaves no joules to train with.
        TrainingFailedError: the loss stopped being finite, or the family has no modules that are known.
    """
    targets = find_targets(network, recipe.targets)
    adapted = _with_lora(network, recipe, targets, seed, base)
    try:
        screen = _screen(adapted, lesson.screen, screened or HeadOnScreen())
        pacer = Pacer(screen.before(limits), recipe.steps_for(len(lesson.rows)))
        run = _Run(adapted, lesson, recipe)
        loss = run.train(pacer, progress)
        screening = screen.after()
        adapted.save_pretrained(into, save_embedding_layers=False)
        (into / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        return CausalTrained(
            used=min(pacer.step * recipe.batch_size, len(lesson.rows)),
            tokens=run.tokens,
            said=run.said,
            steps=pacer.step,
            planned_steps=pacer.planned,
            planned_at_step=pacer.planned_at,
            stopped_by=pacer.ended_by(),
            targets=targets,
            parameters=sum(one.numel() for one in run.trained),
            last_loss_nano_nat=round(loss * NANO),
            screening=screening,
        )
    finally:
        adapted.unload()
        network.eval()


def _with_lora(network: Any, recipe: CausalRecipe, targets: Targets, seed: int, base: str) -> Any:
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(targets.names),
        fan_in_fan_out=targets.transposed,
    )
    adapted = get_peft_model(network, config)
    adapted.peft_config["default"].base_model_name_or_path = base
    return adapted


def _screen(adapted: Any, rows: Sequence[TokenRow], known: HeadOnScreen) -> ScreenInLooks:
    """The screen, read without and with the adapter."""

    def base(at: int) -> int:
        with adapted.disable_adapter():
            return _loss(adapted, rows[at])

    return ScreenInLooks(len(rows), base, lambda at: _loss(adapted, rows[at]), known)


def _loss(adapted: Any, row: TokenRow) -> int:
    """Of a screening document, nano-nats."""
    adapted.eval()
    nats = document_nats(adapted.base_model.model, *row)
    if not nats < 1e6:
        raise TrainingFailedError(
            f"A screening document has a loss of {nats} nats.",
            why="From here on the weights would be worthless.",
            hint="Lower the learning rate: --learning-rate 1e-4.",
        )
    return round(nats * NANO)


def _checkpointing(adapted: Any, what: str, *how: Mapping[str, Any]) -> None:
    """Switch it on or off, by the name that the installed transformers has for it."""
    network = adapted.get_base_model()
    switch = getattr(network, f"activation_checkpointing_{what}", None)
    (switch or getattr(network, f"gradient_checkpointing_{what}"))(*how)


class _Run:
    """The steps of one attempt."""

    def __init__(self, adapted: Any, lesson: Exercise, recipe: CausalRecipe) -> None:
        self._adapted, self._lesson, self._recipe = adapted, lesson, recipe
        self._device = str(adapted.device).partition(":")[0]
        self.trained = [one for one in adapted.parameters() if one.requires_grad]
        self.tokens = self.said = 0

    def train(self, pacer: Pacer, progress: Callable[[Progress], None]) -> float:
        """Train until the pacer says so; the loss of the last step, nats a target token."""
        import torch

        recipe, loss = self._recipe, 0.0
        optimiser = torch.optim.AdamW(
            self.trained, lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=recipe.weight_decay
        )
        if recipe.checkpointing:
            _checkpointing(self._adapted, "enable", {"use_reentrant": False})
        self._adapted.train()
        try:
            while pacer.goes_on():
                rate = rate_at(pacer.step, pacer.planned, schedule=recipe.schedule, warm_up=recipe.warm_up)
                for group in optimiser.param_groups:
                    group["lr"] = recipe.learning_rate * rate
                loss = self._step(self._rows(pacer.step))
                torch.nn.utils.clip_grad_norm_(self.trained, recipe.clip)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                progress(pacer.done(loss))
        finally:
            if recipe.checkpointing:
                _checkpointing(self._adapted, "disable")
        return loss

    def _rows(self, step: int) -> list[TokenRow]:
        """The documents of a step; after the last one the first comes again."""
        rows, size = self._lesson.rows, min(self._recipe.batch_size, len(self._lesson.rows))
        return [rows[at % len(rows)] for at in range(step * size, (step + 1) * size)]

    def _step(self, rows: Sequence[TokenRow]) -> float:
        """Gradients of a step; its loss, nats a target token."""
        import torch

        said = sum(len(ids) - first for ids, first in rows)
        total = 0.0
        for scores, targets in self._packed(rows) if self._recipe.packing else self._padded(rows):
            loss = torch.nn.functional.cross_entropy(scores.float(), targets, reduction="sum")
            (loss / said).backward()
            total += float(loss.detach())
        self.tokens += sum(len(ids) for ids, _ in rows)
        self.said += said
        return total / said

    def _autocast(self) -> Any:
        import torch

        rounds = self._recipe.precision == "bf16-autocast"
        return torch.autocast(self._device, dtype=torch.bfloat16, enabled=rounds)

    def _packed(self, rows: Sequence[TokenRow]) -> Iterator[tuple[Any, Any]]:
        """Scores and targets of what is computed at once, without padding."""
        import torch

        for row in packed(rows, self._recipe.batch_tokens):
            with self._autocast():
                scores = scores_packed(self._adapted, row)
            yield scores, torch.tensor(row.said, device=self._adapted.device)

    def _padded(self, rows: Sequence[TokenRow]) -> Iterator[tuple[Any, Any]]:
        """The same of documents of about equal length, filled up."""
        import torch

        for part in self._parts(rows):
            ids, mask, labels = (torch.tensor(one, device=self._adapted.device) for one in part)
            learned = torch.nn.functional.pad(labels[:, 1:] != _IGNORED, (0, 1))
            with self._autocast(), scored_at(self._adapted, learned):
                scores = self._adapted(input_ids=ids, attention_mask=mask, use_cache=False).logits
            yield scores, labels[:, 1:][learned[:, :-1]]

    def _parts(self, rows: Sequence[TokenRow]) -> Iterator[tuple[list[list[int]], ...]]:
        """Ids, mask and labels of what is computed at once."""
        lengths = [len(ids) for ids, _ in rows]
        for part in bucketed(lengths, len(rows), self._recipe.batch_tokens):
            some = [rows[at] for at in part]
            ids, mask = padded([ids for ids, _ in some], self._lesson.pad)
            labels, _ = padded([[_IGNORED] * first + ids[first:] for ids, first in some], _IGNORED)
            yield ids, mask, labels
