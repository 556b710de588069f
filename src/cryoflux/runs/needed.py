"""What a run has to be granted so that it makes an attempt."""

from __future__ import annotations

__all__ = ["Needs", "closing_uj", "least_reserved_uj", "needed_uj", "needs_of"]

from collections.abc import Mapping
from dataclasses import dataclass

from cryoflux.attempt.context import Context
from cryoflux.attempt.orchestrator import least_reserve_uj
from cryoflux.quantities import MICRO, format_energy
from cryoflux.registry.versions import Version
from cryoflux.runs.base_losses import base_uj
from cryoflux.runs.open_session import OpenSession
from cryoflux.runs.scores import audit_known

_DOUBT = 2
"""times what an evaluation is thought to cost that it may cost, before one was measured"""
_RESERVED = 2
"""evaluations that an attempt reserves for at least, so that it can finish"""


def least_reserved_uj(evaluation_uj: int, *, measured: bool) -> int:
    """What an attempt had better reserve so that half of it is left for training, µJ.

    Args:
        evaluation_uj: what evaluating its update should cost.
        measured: whether one was measured, so that it is no guess.
    """
    return _RESERVED * (1 if measured else _DOUBT) * evaluation_uj


def needed_uj(reserve_uj: int, before_uj: int, foreseen_uj: int, end_uj: int) -> int:
    """What a run takes beside its start up to the end of its first attempt, µJ; modelled.

    Args:
        reserve_uj: of an attempt.
        before_uj: to read the holdout with the head before it; 0 where that was measured.
        foreseen_uj: to hold heads against versions before them.
        end_uj: to read the audit set at the end.
    """
    doubt = _DOUBT if before_uj else 1
    reserved_uj = max(reserve_uj, least_reserved_uj(before_uj, measured=not before_uj))
    return reserved_uj + doubt * (before_uj + foreseen_uj + end_uj)


def closing_uj(context: Context, firsts: Mapping[str, Version]) -> int:
    """What evaluating the audit set at the end should cost, should one more update be kept, µJ; modelled.

    Args:
        context: the run.
        firsts: task → its head before the run.
    """
    total = 0
    for name, opened in context.tasks.items():
        versions = 1 + (not audit_known(context, opened, firsts[name]))
        total += versions * opened.task.evaluation_uj("audit")
    return total


@dataclass(frozen=True, slots=True)
class Needs:
    """What a run takes up to the end of its first attempt, µJ; but for the start, modelled."""

    begun_uj: int
    """what starting up took: it will take as much again"""
    reserve_uj: int
    before_uj: int
    """to read the holdout with the head before the first attempt; 0 where that was done"""
    foreseen_uj: int
    """to hold heads against versions before them"""
    end_uj: int
    """to read the audit set at the end"""

    @property
    def joules(self) -> int:
        """All of it, in whole joules; with room where no evaluation was measured yet."""
        besides_uj = needed_uj(self.reserve_uj, self.before_uj, self.foreseen_uj, self.end_uj)
        return -(-(self.begun_uj + besides_uj) // MICRO)

    @property
    def words(self) -> str:
        """What it is made of, in a sentence."""
        reserve = format_energy(self.reserve_uj)
        begun = f"Starting up took {format_energy(self.begun_uj)}, charged and recorded"
        said = [
            f"{begun}; an attempt reserves {reserve}",
            f"evaluating the audit set at the end would take about {format_energy(self.end_uj)}",
        ]
        if self.before_uj:
            read = format_energy(self.before_uj)
            said.insert(1, f"reading the holdout before the first one would take about {read}")
        return f"{', '.join(said[:-1])}, and {said[-1]}."


def needs_of(
    context: Context, firsts: Mapping[str, Version], session: OpenSession, foreseen_uj: int
) -> Needs:
    """What a run has to be granted so that it makes an attempt.

    Args:
        context: the run.
        firsts: task → its head before the run.
        session: what it has spent so far.
        foreseen_uj: what holding heads against others takes, µJ.
    """
    return Needs(
        begun_uj=session.spent().uj,
        reserve_uj=least_reserve_uj(context, session.budget_uj),
        before_uj=base_uj(context),
        foreseen_uj=foreseen_uj,
        end_uj=closing_uj(context, firsts),
    )
