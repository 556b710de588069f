"""The terms of a run, as its settings say them: rule, policy, reservation, and what it may spend."""

from __future__ import annotations

__all__ = ["grant_of", "rule_of", "terms_of"]

import secrets
from collections.abc import Sequence
from typing import Literal

from cryoflux.attempt.context import RunTerms
from cryoflux.config import Settings
from cryoflux.decision.rules import WITH_BUDGET
from cryoflux.energy.interface import JouleAgent
from cryoflux.quantities import MICRO, NANO
from cryoflux.receipts.statement import Rule
from cryoflux.runs.checks import least_reserve_uj
from cryoflux.runs.inputs import nothing_to_spend, too_small
from cryoflux.runs.makers import RunLimits
from cryoflux.scheduling.policy import ACROSS_UNITS, POLICY
from cryoflux.tasks.interface import Task


def terms_of(settings: Settings, tasks: Sequence[Task]) -> RunTerms:
    """What attempts go by.

    Args:
        settings: of the run.
        tasks: that it improves.
    """
    meter: Literal["embedded", "daemon"] = "daemon" if settings.agent.agent else "embedded"
    return RunTerms(
        reserve_uj=least_reserve_uj(settings, tasks),
        policy=_policy(settings, tasks),
        seed=settings.run.seed,
        meter=meter,
        keep=settings.models.keep if settings.models.prune == "after-merge" else 0,
        slots=max(1, settings.fleet.workers),
    )


def _policy(settings: Settings, tasks: Sequence[Task]) -> str:
    """The policy of a run: where losses of tasks are no same thing, one that does not take them for it."""
    asked = settings.attempt.policy
    metrics = {task.metric for task in tasks}
    return ACROSS_UNITS if asked == POLICY and len(metrics) > 1 else asked


def rule_of(settings: Settings, promised_ppm: int | None) -> Rule:
    """The rule that updates are judged by.

    Args:
        settings: of the run.
        promised_ppm: the smallest error budget that the log has named; none where it has named none.
    """
    decision = settings.decision
    # An error budget is promised for the life of a holdout: it may be tightened, never widened.
    alpha_ppm = max(1, round(decision.error_budget * MICRO))
    if promised_ppm is not None:
        alpha_ppm = min(alpha_ppm, promised_ppm)
    return Rule(
        name=decision.rule,
        min_delta=round(decision.min_delta * NANO),
        min_accuracy_gain_ppm=round(decision.min_accuracy_gain * MICRO),
        z_milli=round(decision.z * 1000),
        alpha_ppm=alpha_ppm if decision.rule in WITH_BUDGET else 0,
    )


def grant_of(reserve_uj: int, agent: JouleAgent, limits: RunLimits) -> int:
    """Grant the budget and return what this run may spend, everything counted, µJ."""
    held_uj = agent.bucket_uj()
    budget_uj = limits.budget_uj
    if budget_uj is None:
        if held_uj <= reserve_uj:
            raise nothing_to_spend(held_uj, reserve_uj)
        return held_uj
    # What an earlier run overdrew is paid first.
    spendable_uj = held_uj + budget_uj if limits.carry else min(budget_uj, held_uj + budget_uj)
    if spendable_uj <= reserve_uj:
        over_uj = spendable_uj - budget_uj
        raise too_small(budget_uj, reserve_uj, over_uj, held_uj - max(0, over_uj))
    agent.grant(budget_uj, request_id=f"run-{secrets.token_hex(8)}", note="cryoflux run --budget")
    return spendable_uj
