"""What a task has to do so that its attempts can be trained in other processes, and on other machines.

The process that announces an attempt says which files training takes (`Inputs`), and takes the update over
when it comes back (`Elsewhere`). The one that trains (`Trainer`) has an order of work and those files, and
nothing else: the examples that judge are never among them.
"""

from __future__ import annotations

__all__ = ["Elsewhere", "Inputs", "Trainer"]

from abc import ABC, abstractmethod
from pathlib import Path

from cryoflux.config import Settings
from cryoflux.decision.evidence import Evidence
from cryoflux.registry.versions import Version
from cryoflux.signing.fields import Document, Sha256, Text
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Update, Watch, WorkOrder
from cryoflux.tasks.pacing import Limits


class Inputs(Document, frozen=True):
    """The files that an order of work is carried out with, by their digests."""

    files: dict[Text, Sha256]
    """path below a state directory → SHA-256"""
    data_name: Text
    """what the data set is called"""


class Elsewhere(ABC):
    """The side of the process that announces and judges."""

    @abstractmethod
    def inputs(self, order: WorkOrder) -> Inputs:
        """The files that training takes; all of them lie in the state of this process."""

    @abstractmethod
    def received(self, order: WorkOrder, capsule: Path, update: Update) -> Update:
        """Get ready to apply an update to the head, and say the same of it as if it had been trained here.

        Args:
            order: what it was trained by; where it is of no chain, with the head as it is now.
            capsule: the update's folder.
            update: as whoever trained it says it.

        Raises:
            TrainingFailedError: it is no update of this order.
        """

    @abstractmethod
    def screened_again(self, order: WorkOrder, draft: Version) -> Evidence | None:
        """What a draft does to the screening examples, beside the head as it is now."""


class Trainer(ABC):
    """The side of the process that trains."""

    @abstractmethod
    def __init__(self, state: StateFolder, settings: Settings) -> None:
        """Get ready to carry out orders; imports what training takes.

        Args:
            state: where the inputs of orders lie.
            settings: of this process: device, threads, how much is kept.
        """

    @abstractmethod
    def train(self, order: WorkOrder, inputs: Inputs, into: Path, limits: Limits, watch: Watch) -> Update:
        """Carry out an order, as `tasks.interface.Task.train` does."""

    @abstractmethod
    def compute(self) -> str:
        """How and where it computes, for people: ``cpu, 1 thread``."""
