"""Updates of ``lora_delta`` that other processes train: what they need, and how they are taken over."""

from __future__ import annotations

__all__ = ["LoraElsewhere"]

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.data.prepared import LABELS_FILE, PreparedData
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.digests import CHECKSUMS, file_digest, listed_digests
from cryoflux.errors import ModelError
from cryoflux.registry.plain_adapter import adapter_settings
from cryoflux.registry.versions import Version
from cryoflux.state import StateFolder
from cryoflux.tasks.elsewhere import Elsewhere, Inputs
from cryoflux.tasks.interface import Update, WorkOrder
from cryoflux.tasks.pacing import TrainingFailedError

if TYPE_CHECKING:
    from cryoflux.tasks.lora.head import HeadModel

_TRAIN = "train"


class LoraElsewhere(Elsewhere):
    """The side of the process that announces and judges.

    Args:
        model: the head in memory.
        data: the task's data set.
        state: where versions and data sets lie.
        take_up: makes ready for an update that was trained by an order, and completes what is said of it.
    """

    def __init__(
        self,
        model: HeadModel,
        data: PreparedData,
        state: StateFolder,
        take_up: Callable[[WorkOrder, Update, Path], Update],
    ) -> None:
        self._model, self._data, self._state = model, data, state
        self._take_up = take_up

    def inputs(self, order: WorkOrder) -> Inputs:
        """The head that it begins with, where its chain began, what it goes on from, and the training set."""
        files: dict[str, str] = {}
        start = order.chain.start if order.chain is not None else order.base
        for version in {order.base.digest, start.digest}:
            folder = self._state.model(version)
            listed = {**listed_digests(folder), CHECKSUMS: file_digest(folder / CHECKSUMS)}
            files |= {self._below(folder / name): digest for name, digest in listed.items()}
        folder = self._data.folder
        files[self._below(folder / f"{_TRAIN}.jsonl")] = self._data.file_digests[_TRAIN]
        files[self._below(folder / LABELS_FILE)] = file_digest(folder / LABELS_FILE)
        if order.chain is not None and order.chain.working:
            files[self._below(self._state.working(order.chain.working))] = order.chain.working
        return Inputs(files=files, data_name=self._data.name)

    def _below(self, path: Path) -> str:
        return path.relative_to(self._state.path).as_posix()

    def received(self, order: WorkOrder, capsule: Path, update: Update) -> Update:
        """Name the list that the update makes of the head, and be ready to add it up."""
        if not update.files:
            raise TrainingFailedError("An update has no files.")
        _require_adapter(capsule, order, update)
        return self._take_up(order, update, capsule)

    def screened_again(self, order: WorkOrder, draft: Version) -> Evidence | None:
        """Losses of head and draft on the screening examples, in the arithmetic of training."""
        size = order.recipe.get("screen_size")
        if not isinstance(size, int) or not size or not self._model.pool.screen:
            return None
        changed = self._model.differing(draft)
        base, new = self._model.screened(size), self._model.screened(size, draft, changed)
        return pair_losses(base[0], new[0], base[1], new[1])


def _require_adapter(capsule: Path, order: WorkOrder, update: Update) -> None:
    """Make sure that the files are an adapter of the order's rank, of numbers, for the modules that it names.

    Raises:
        TrainingFailedError: they are not.
    """
    from numpy import isfinite

    from cryoflux.registry.adapters import read_adapter

    try:
        found, settings = read_adapter(capsule), adapter_settings(capsule)
    except ModelError as error:
        raise TrainingFailedError(error.what, why=error.why, hint=error.hint) from error
    tensors = [half for pair in found.low_rank.values() for half in (pair.a, pair.b)]
    tensors += list(found.whole.values())
    if not tensors or not all(isfinite(tensor).all() for tensor in tensors):
        raise TrainingFailedError("The weights of an update are no numbers.")
    if settings["r"] != order.recipe.get("rank", settings["r"]):
        raise TrainingFailedError("An update has another rank than its recipe.")
    named = update.section.fields.get("modules")
    modules = sorted(name.removesuffix(".weight") for name in found.low_rank)
    if not isinstance(named, list) or modules != sorted(named):
        raise TrainingFailedError("An update changes other modules than it says.")
