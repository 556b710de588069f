"""The acceptance rules: which update is kept.

- ``whitepaper/v1``: Δ ≥ 0.002 nats **or** accuracy gain ≥ 0.01. Nothing else.
- ``evidence/v1``: the same two thresholds, and each half counts only where it is more than
  statistical noise. Δ must lie more than z standard errors above zero; the accuracy half needs a
  significant gain too and a Δ that is not negative. z > 3.09 is a one-sided error of 1 in 1,000 an
  attempt, so a holdout that has judged k attempts has spent at most k/1,000 of false acceptance.
- ``evidence/v2`` (default): the same two thresholds, and each half counts only where its evidence, S²/V,
  exceeds the bar that the holdout's error budget sets for this look (``decision.budget``). The
  probability that one holdout ever keeps an update that is no improvement is then at most α, however
  often it is used. It also tells "rejected" from "undecided": not kept, yet the 95 % interval of Δ still
  reaches the smallest Δ that is wanted. For the model both are the same: not kept.

A rule is a pure function of integers. Its name is in every receipt and its meaning never changes:
another meaning gets another version.
"""

from __future__ import annotations

__all__ = ["BUDGETED", "RULES", "Thresholds", "Verdict", "decide", "in_numbers"]

from collections.abc import Callable
from dataclasses import dataclass

from cryoflux.decision.evidence import Evidence
from cryoflux.errors import ConfigError
from cryoflux.quantities import NANO

BUDGETED = "evidence/v2"
"""the rule whose bar comes from the error budget, and that may stop reading early"""
_Z95_MILLI = 1960


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What an improvement has to reach."""

    min_delta: int
    """smallest mean Δ, nano-nats"""
    min_accuracy_gain_ppm: int
    """smallest accuracy gain, parts per million"""
    z_milli: int
    """one-sided z, thousandths; only ``evidence/v1`` looks at it"""
    needed_milli: int = 0
    """what S²/V must exceed, thousandths (``ErrorBudget.needed_milli``); only ``evidence/v2`` looks at it"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Kept or not, and why, in one sentence."""

    accepted: bool
    reason: str
    undecided: bool = False
    """not accepted, but a Δ that is large enough is not ruled out either"""


def in_numbers(e: Evidence) -> str:
    """Δ with its 95 % interval, nats, and the accuracy gain, points."""
    delta = f"Δ = {e.delta_mean:+.4f} ± {1.96 * e.delta_se:.4f} nats"
    return f"{delta}, accuracy {100 * e.accuracy_gain:+.1f} points"


def _reaches_delta(e: Evidence, t: Thresholds) -> bool:
    return e.delta >= t.min_delta * e.count


def _reaches_accuracy(e: Evidence, t: Thresholds) -> bool:
    return (e.new_correct - e.base_correct) * 1_000_000 >= t.min_accuracy_gain_ppm * e.count


def _whitepaper(e: Evidence, t: Thresholds) -> Verdict:
    if _reaches_delta(e, t):
        return Verdict(True, f"Kept: {in_numbers(e)}; Δ reaches {t.min_delta / NANO:g}.")
    if _reaches_accuracy(e, t):
        points = t.min_accuracy_gain_ppm / 10_000
        return Verdict(True, f"Kept: {in_numbers(e)}; the accuracy gain reaches {points:g} points.")
    return Verdict(False, f"Rejected: {in_numbers(e)}; neither threshold is reached.")


def _evidence(e: Evidence, t: Thresholds) -> Verdict:
    z = t.z_milli / 1000
    if _reaches_delta(e, t) and e.delta_exceeds(t.z_milli):
        return Verdict(
            True, f"Kept: {in_numbers(e)}; Δ reaches {t.min_delta / NANO:g} and z = {e.z:.2f} > {z:g}."
        )
    if _reaches_accuracy(e, t) and e.accuracy_exceeds(t.z_milli) and e.delta >= 0:
        return Verdict(
            True,
            f"Kept: {in_numbers(e)}; the accuracy gain is significant (z > {z:g}) and Δ is not negative.",
        )
    if e.delta < 0:
        return Verdict(False, f"Rejected: {in_numbers(e)}; the holdout loss went up.")
    if not _reaches_delta(e, t):
        return Verdict(False, f"Rejected: {in_numbers(e)}; Δ is below {t.min_delta / NANO:g}.")
    return Verdict(False, f"Rejected: {in_numbers(e)}; that may be noise (z = {e.z:.2f}, needed > {z:g}).")


def _budgeted(e: Evidence, t: Thresholds) -> Verdict:
    if t.needed_milli < 1:
        raise ConfigError(
            f"{BUDGETED} needs a bar of evidence above zero, not {t.needed_milli}/1000.",
            why="Without one it would keep noise.",
            hint="Take it from ErrorBudget(alpha_ppm, looks, kept).needed_milli.",
        )
    numbers, delta, bar = in_numbers(e), f"{t.min_delta / NANO:g}", f"{t.needed_milli / 1000:.1f}"
    if _reaches_delta(e, t) and e.delta_passes(t.needed_milli):
        return Verdict(True, f"Kept: {numbers}; Δ reaches {delta}, evidence {e.delta_weight:.1f} > {bar}.")
    if _reaches_accuracy(e, t) and e.accuracy_passes(t.needed_milli) and e.delta >= 0:
        shown = f"evidence {e.accuracy_weight:.1f} > {bar}"
        return Verdict(True, f"Kept: {numbers}; the accuracy gain counts ({shown}), Δ is not negative.")
    if e.delta_may_reach(t.min_delta, _Z95_MILLI):
        shown = f"neither shown (evidence {e.delta_weight:.1f}, needed > {bar}) nor ruled out"
        return Verdict(False, f"Undecided: {numbers}; Δ ≥ {delta} is {shown}.", undecided=True)
    if e.delta < 0:
        return Verdict(False, f"Rejected: {numbers}; the holdout loss went up.")
    return Verdict(False, f"Rejected: {numbers}; Δ is below {delta}.")


RULES: dict[str, Callable[[Evidence, Thresholds], Verdict]] = {
    BUDGETED: _budgeted,
    "evidence/v1": _evidence,
    "whitepaper/v1": _whitepaper,
}


def decide(rule: str, evidence: Evidence, thresholds: Thresholds) -> Verdict:
    """Accept or reject.

    Raises:
        ConfigError: no rule has that name, or ``evidence/v2`` was given no bar.
    """
    if rule not in RULES:
        raise ConfigError(
            f"There is no acceptance rule {rule!r}.",
            why="A rule is named in every receipt, so it has to be one that verifiers know.",
            hint=f"Choose one of: {', '.join(RULES)}.",
        )
    return RULES[rule](evidence, thresholds)
