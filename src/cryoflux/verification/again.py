"""What is computed again on request: all losses, drawn ones, adapters; each by its own step."""

from __future__ import annotations

__all__ = ["AGAIN", "Again", "check_again"]

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryoflux.verification.challenge import Seed, challenger, own_seed
from cryoflux.verification.leak_guard import EmbedderFactory, check_leak_guard
from cryoflux.verification.levels import Levels
from cryoflux.verification.model_sources import ModelSources
from cryoflux.verification.recompute import RECOMPUTED, check_recomputed
from cryoflux.verification.recomputer import OtherFactories
from cryoflux.verification.result import Check, NumberedStep
from cryoflux.verification.retrain import RETRAINED, RetrainerFactory, check_retrained
from cryoflux.verification.rollback_again import check_rollback_again
from cryoflux.verification.rounds_again import Hears, check_rounds_again
from cryoflux.verification.spot_check import SPOT_CHECKED, check_spots
from cryoflux.verification.walked import Walked
from cryoflux.witness.policy import Policy

AGAIN: tuple[NumberedStep, ...] = (RECOMPUTED, SPOT_CHECKED, RETRAINED)


@dataclass(frozen=True, slots=True)
class Again:
    """How much is to be computed again."""

    factory: RetrainerFactory
    """makes what merges, evaluates and trains"""
    others: OtherFactories = field(default_factory=dict)
    """the same for the kinds of receipts that it does not know"""
    embedder: EmbedderFactory | None = None
    """makes what embeds texts again, where training texts are held to a leak guard"""
    losses: int = 0
    """receipts whose losses are all evaluated again, and as many versions of rounds and opened looks"""
    spots: int = 0
    """examples of a receipt that are drawn and evaluated again"""
    spot_receipts: int = 1
    """receipts of which examples are drawn"""
    adapters: int = 0
    """kept updates that are trained again"""
    seed: Seed = field(default_factory=own_seed)
    """draws the examples"""
    sources: ModelSources | None = None
    """where versions of a log are composed of whose state is elsewhere: of that only rounds are made again"""
    hears: Hears | None = None
    """is told of each opened look what came of it"""

    def rounds(self, walked: Walked) -> list[Check]:
        """Versions of rounds and opened looks, as many as were asked for; nothing where no state is here."""
        state = walked.material.state
        if (sources := self.sources or (ModelSources.of(state) if state is not None else None)) is None:
            return []
        return check_rounds_again(walked, self.losses, sources, self.factory, self.others, self.hears)


def check_again(
    asked: tuple[NumberedStep, Again, Sequence[bytes], Policy | None, Levels], walked: Walked
) -> list[Check]:
    """One of the steps, as far as it was asked for.

    Args:
        asked: one of `AGAIN`; how much; signed heads of the log, each with its cosignatures; witnesses that
            count; and who is told what came of it.
        walked: the log and its state.
    """
    step, again, notes, policy, levels = asked
    if step is RECOMPUTED and again.losses:
        if again.sources is not None:
            return again.rounds(walked)
        rollbacks = check_rollback_again(walked, again.factory)
        found = check_recomputed(walked, again.losses, again.factory, levels, again.others)
        return [*check_leak_guard(walked, again.embedder), *found, *rollbacks, *again.rounds(walked)]
    if step is SPOT_CHECKED and again.spots:
        drawing = challenger(again.seed, walked, notes, policy)
        wanted = again.spots, again.spot_receipts
        return check_spots(walked, *wanted, again.factory, drawing, levels, again.others)
    if step is RETRAINED and again.adapters:
        return check_retrained(walked, again.adapters, again.factory, levels, again.others)
    return []
