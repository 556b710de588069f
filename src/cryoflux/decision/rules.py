"""The acceptance rules: which update is kept.

- ``whitepaper/v1``: Δ ≥ 0.002 nats **or** accuracy gain ≥ 0.01. Nothing else.
- ``evidence/v1`` (default): the same two thresholds, and each half counts only where it is more than
  statistical noise. Δ must lie more than z standard errors above zero; the accuracy half needs a
  significant gain too and a Δ that is not negative. z > 3.09 is a one-sided error of 1 in 1,000 an
  attempt, so a holdout that has judged k attempts has spent at most k/1,000 of false acceptance.

A rule is a pure function of integers. Its name is in every receipt and its meaning never changes:
another meaning gets another version.
"""

from __future__ import annotations

__all__ = ["RULES", "Thresholds", "Verdict", "decide"]

from collections.abc import Callable
from dataclasses import dataclass

from cryoflux.decision.evidence import Evidence
from cryoflux.errors import ConfigError
from cryoflux.quantities import NANO


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What an improvement has to reach."""

    min_delta: int
    """smallest mean Δ, nano-nats"""
    min_accuracy_gain_ppm: int
    """smallest accuracy gain, parts per million"""
    z_milli: int
    """one-sided z, thousandths; ``whitepaper/v1`` ignores it"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Kept or not, and why, in one sentence."""

    accepted: bool
    reason: str


def _numbers(e: Evidence) -> str:
    delta = f"Δ = {e.delta_mean:+.4f} ± {1.96 * e.delta_se:.4f} nats"
    return f"{delta}, accuracy {100 * e.accuracy_gain:+.1f} points"


def _reaches_delta(e: Evidence, t: Thresholds) -> bool:
    return e.delta >= t.min_delta * e.count


def _reaches_accuracy(e: Evidence, t: Thresholds) -> bool:
    return (e.new_correct - e.base_correct) * 1_000_000 >= t.min_accuracy_gain_ppm * e.count


def _whitepaper(e: Evidence, t: Thresholds) -> Verdict:
    if _reaches_delta(e, t):
        return Verdict(True, f"Kept: {_numbers(e)}; Δ reaches {t.min_delta / NANO:g}.")
    if _reaches_accuracy(e, t):
        points = t.min_accuracy_gain_ppm / 10_000
        return Verdict(True, f"Kept: {_numbers(e)}; the accuracy gain reaches {points:g} points.")
    return Verdict(False, f"Rejected: {_numbers(e)}; neither threshold is reached.")


def _evidence(e: Evidence, t: Thresholds) -> Verdict:
    z = t.z_milli / 1000
    if _reaches_delta(e, t) and e.delta_exceeds(t.z_milli):
        return Verdict(
            True, f"Kept: {_numbers(e)}; Δ reaches {t.min_delta / NANO:g} and z = {e.z:.2f} > {z:g}."
        )
    if _reaches_accuracy(e, t) and e.accuracy_exceeds(t.z_milli) and e.delta >= 0:
        return Verdict(
            True, f"Kept: {_numbers(e)}; the accuracy gain is significant (z > {z:g}) and Δ is not negative."
        )
    if e.delta < 0:
        return Verdict(False, f"Rejected: {_numbers(e)}; the holdout loss went up.")
    if not _reaches_delta(e, t):
        return Verdict(False, f"Rejected: {_numbers(e)}; Δ is below {t.min_delta / NANO:g}.")
    return Verdict(False, f"Rejected: {_numbers(e)}; that may be noise (z = {e.z:.2f}, needed > {z:g}).")


RULES: dict[str, Callable[[Evidence, Thresholds], Verdict]] = {
    "evidence/v1": _evidence,
    "whitepaper/v1": _whitepaper,
}


def decide(rule: str, evidence: Evidence, thresholds: Thresholds) -> Verdict:
    """Accept or reject.

    Raises:
        ConfigError: no rule has that name.
    """
    if rule not in RULES:
        raise ConfigError(
            f"There is no acceptance rule {rule!r}.",
            why="A rule is named in every receipt, so it has to be one that verifiers know.",
            hint=f"Choose one of: {', '.join(RULES)}.",
        )
    return RULES[rule](evidence, thresholds)
