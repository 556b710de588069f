"""A node that cheats, as a task: instead of training it takes somebody's update, hides that, and may lie.

`CopyingTask` offers another node's update under another gauge: other numbers, the same sums. `FlippingTask`
offers it with its sign turned, and invents losses that are lower. Everything else of an attempt is as it
always is, so what comes of it is signed, metered and logged like any other: that it is a fraud is for others
to find.
"""

from __future__ import annotations

__all__ = ["SOURCE", "CopyingTask", "FlippingTask"]

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from cryoflux.evaluation.scoring import LossesAndHits, Scorer
from cryoflux.receipts.statement import Section
from cryoflux.registry.versions import Version
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.tasks.interface import Limits, Offer, Update, Watch, WorkOrder
from cryoflux.tasks.lora.task import LoraTask

SOURCE = "DEMO_NODE_SOURCE"
"""environment variable that names the folder of the update that is taken"""
_A, _B = ".lora_A.weight", ".lora_B.weight"
_SEED = 7


class _Taking(LoraTask):
    """Takes an update and changes it."""

    def changed(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """The update under another look."""
        raise NotImplementedError

    def arms(self, drawn: int, part: str) -> list[Offer]:
        """One arm that is said to train."""
        first = super().arms(drawn, part)[0]
        return [Offer(first.arm, first.recipe, first.prior_uj, screens=False)]

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:  # noqa: ARG002
        """Take the update: nothing is trained."""
        source = Path(os.environ[SOURCE])
        save_file(self.changed(load_file(source / ADAPTER)), into / ADAPTER)
        shutil.copyfile(source / ADAPTER_CONFIG, into / ADAPTER_CONFIG)
        section = Section(kind="taken/v1", fields={})
        taken = Update(
            files=(ADAPTER, ADAPTER_CONFIG), section=section, steps=1, stopped_by="steps", threads=1
        )
        return self._taken_up(order, taken, into)


class CopyingTask(_Taking):
    """Somebody's update with its factors turned: B·G and G⁻¹·A have the product that B and A have."""

    def changed(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """The same products of other factors."""
        drawn, made = np.random.default_rng(_SEED), dict(tensors)
        for name, value in tensors.items():
            if name.endswith(_A):
                other = name.removesuffix(_A) + _B
                turn, _ = np.linalg.qr(drawn.normal(size=(len(value), len(value))))
                made[name] = np.ascontiguousarray((turn.T @ value).astype(np.float32))
                made[other] = np.ascontiguousarray((tensors[other] @ turn).astype(np.float32))
        return made


class FlippingTask(_Taking):
    """Somebody's update with its sign turned, and losses that nobody measured."""

    def changed(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """The opposite of what helps, as far as products go; what was trained in full is zero."""
        made = {name: (-value if name.endswith(_B) else value) for name, value in tensors.items()}
        return {
            name: value if name.endswith((_A, _B)) else np.zeros_like(value) for name, value in made.items()
        }

    def scorer(self, version: Version, part: str) -> Scorer:
        """Losses of the head as they are; of anything else invented ones."""
        honest = super().scorer(version, part)
        return honest if version.digest == self.head.digest else _Invented(super().scorer(self.head, part))


class _Invented:
    """A third of the head's losses, whatever the model says."""

    def __init__(self, honest: Scorer) -> None:
        self._honest = honest

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> LossesAndHits:
        """Losses that nobody measured."""
        losses, right = self._honest.score(indices, between)
        return [loss // 3 for loss in losses], right
