"""What a node's run takes into its rounds: offers that were pulled, held to what an update may be."""

from __future__ import annotations

__all__ = ["adopting_of"]

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from cryoflux.attempt.context import Context, Opened
from cryoflux.config import Settings
from cryoflux.errors import DataError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.round_parts import OfferHere
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.runs.adopting import Adopting


def adopting_of(context: Context, settings: Settings, *, only_rounds: bool) -> list[Adopting]:
    """What makes the rounds of a run: for each task that the log knows as a node's.

    Args:
        context: the run.
        settings: which offers, and whether a run makes rounds by itself.
        only_rounds: whether rounds are what was asked for.

    Raises:
        DataError: a guard set cannot be read.
    """
    chosen = settings.network
    if chosen.adopt == "never" and not only_rounds:
        return []
    guards = _guards(chosen.guards)
    network = NetworkFolder.of(context.state.path)
    return [
        Adopting(
            context,
            opened,
            partial(_offers, network, opened.task.name),
            partial(_admit, context, opened),
            guards,
            chosen.candidates,
        )
        for name, opened in context.tasks.items()
        if name in context.memory.nodes and opened.task.composing() is not None
    ]


def _guards(said: str) -> Mapping[str, Path]:
    paths = [Path(part.strip()) for part in said.split(",") if part.strip()]
    for path in paths:
        if not path.is_file():
            raise DataError(
                f"The guard set {path} is not here.",
                why="What is adopted must not make it worse.",
                hint="Put it back, or leave it out of the setting guards.",
            )
    return {path.name: path for path in paths}


def _offers(network: NetworkFolder, task: str) -> Sequence[OfferHere]:
    return []


def _admit(context: Context, opened: Opened, offer: OfferHere) -> tuple[MemberVerdict, str] | None:
    return None
