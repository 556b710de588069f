"""The acceptance rules: which update is kept.

- ``whitepaper/v1``: Δ ≥ 0.002 nats **or** accuracy gain ≥ 0.01. Nothing else.
- ``evidence/v1``: the same two thresholds, and each half counts only where it is more than
  statistical noise. Δ must lie more than z standard errors above zero; the accuracy half needs a
  significant gain too and a Δ that is not negative. z > 3.09 is a one-sided error of 1 in 1,000 an
  attempt, so a holdout that has judged k attempts has spent at most k/1,000 of false acceptance.
- ``evidence/v2``: the same two thresholds, and each half counts only where its evidence, S²/V,
  exceeds the bar that the holdout's error budget sets for this look (``decision.budget``). The
  probability that one holdout ever keeps an update that is no improvement is then at most α, however
  often it is used. It also tells "rejected" from "undecided": not kept, yet the 95 % interval of Δ still
  reaches the smallest Δ that is wanted. For the model both are the same: not kept.
- ``evidence/v3`` (default): Δ ≥ 0.002, and its evidence exceeds the bar of what was staked of the holdout's
  error budget (`decision.stakes`). Accuracy is measured and decides nothing. It makes the same promise, α
  over a holdout's life, at a lower bar: what was staked comes back where the update is kept.
- ``no-worse/v1``: for what grows with its documents, such as an index, and has to be kept unless it serves
  worse. Δ must lie more than z standard errors above −``min_delta``: the least loss that counts is ruled out.
  With z > 3.09 an update that loses as much as that is kept at most 1 time in 1,000. It shows no improvement.

A rule is a pure function of integers. Its name is in every receipt and its meaning never changes:
another meaning gets another version.
"""

from __future__ import annotations

__all__ = ["BARE", "BUDGETED", "NO_WORSE", "RULES", "WITH_BUDGET", "Thresholds", "Verdict", "decide"]

from collections.abc import Callable

from msgspec import Struct

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.reason import Reason, evidence_numbers
from cryoflux.decision.stakes import STAKED
from cryoflux.errors import ConfigError
from cryoflux.quantities import NATS

BUDGETED = "evidence/v2"
"""the rule whose bar comes from the error budget, and that may stop reading early"""
WITH_BUDGET = frozenset({BUDGETED, STAKED})
"""rules that promise an error over a holdout's whole life"""
BARE = "whitepaper/v1"
"""the rule that asks for nothing but the thresholds: no evidence, no screen"""
NO_WORSE = "no-worse/v1"
"""the rule that asks whether nothing was lost, where the others ask whether something was gained"""
_Z95_MILLI = 1960


class Thresholds(Struct, frozen=True):
    """What an improvement has to reach."""

    min_delta: int
    """smallest mean Δ, billionths of a loss's unit: nano-nats"""
    min_accuracy_gain_ppm: int
    """smallest accuracy gain, parts per million"""
    z_milli: int
    """one-sided z, thousandths; only ``evidence/v1`` looks at it"""
    needed_milli: int = 0
    """what S²/V must exceed, thousandths (``ErrorBudget.needed_milli``); ``evidence/v2`` and ``v3``"""
    unit: str = NATS
    """of a loss, for display"""


class Verdict(Struct, frozen=True):
    """Kept or not, and why."""

    accepted: bool
    reason: Reason
    undecided: bool = False
    """not accepted, but a Δ that is large enough is not ruled out either"""


def _because(code: str, e: Evidence, t: Thresholds, *names: str) -> Reason:
    """A reason about some evidence, with the thresholds that it is about."""
    known = {
        "min_delta": t.min_delta,
        "min_gain_ppm": t.min_accuracy_gain_ppm,
        "needed_milli": t.needed_milli,
        "z_milli": t.z_milli,
    }
    unit = {} if t.unit == NATS else {"unit": t.unit}
    return Reason(code=code, numbers={**evidence_numbers(e), **{name: known[name] for name in names}, **unit})


def _reaches_delta(e: Evidence, t: Thresholds) -> bool:
    return e.delta >= t.min_delta * e.count


def _reaches_accuracy(e: Evidence, t: Thresholds) -> bool:
    return e.hits and (e.new_correct - e.base_correct) * 1_000_000 >= t.min_accuracy_gain_ppm * e.count


def _whitepaper(e: Evidence, t: Thresholds) -> Verdict:
    if _reaches_delta(e, t):
        return Verdict(True, _because("whitepaper.delta", e, t, "min_delta"))
    if _reaches_accuracy(e, t):
        return Verdict(True, _because("whitepaper.accuracy", e, t, "min_gain_ppm"))
    return Verdict(False, _because("whitepaper.neither", e, t))


def _evidence(e: Evidence, t: Thresholds) -> Verdict:
    if _reaches_delta(e, t) and e.delta_exceeds(t.z_milli):
        return Verdict(True, _because("z.delta", e, t, "min_delta", "z_milli"))
    if _reaches_accuracy(e, t) and e.accuracy_exceeds(t.z_milli) and e.delta >= 0:
        return Verdict(True, _because("z.accuracy", e, t, "z_milli"))
    if e.delta < 0:
        return Verdict(False, _because("loss-went-up", e, t))
    if not _reaches_delta(e, t):
        return Verdict(False, _because("below-smallest", e, t, "min_delta"))
    return Verdict(False, _because("z.noise", e, t, "z_milli"))


def _staked(e: Evidence, t: Thresholds) -> Verdict:
    _require_bar(STAKED, t)
    if _reaches_delta(e, t) and e.delta_passes(t.needed_milli):
        return Verdict(True, _because("staked.delta", e, t, "min_delta", "needed_milli"))
    return _not_kept(e, t, "staked.missed")


def _require_bar(rule: str, t: Thresholds) -> None:
    if t.needed_milli < 1:
        raise ConfigError(
            f"{rule} needs a bar of evidence above zero, not {t.needed_milli}/1000.",
            why="Without one it would keep noise.",
            hint="Take it from ErrorBudget(alpha_ppm, looks, kept).needed_milli, or StakedBudget's.",
        )


def _budgeted(e: Evidence, t: Thresholds) -> Verdict:
    _require_bar(BUDGETED, t)
    if _reaches_delta(e, t) and e.delta_passes(t.needed_milli):
        return Verdict(True, _because("evidence.delta", e, t, "min_delta", "needed_milli"))
    if _reaches_accuracy(e, t) and e.accuracy_passes(t.needed_milli) and e.delta >= 0:
        return Verdict(True, _because("evidence.accuracy", e, t, "needed_milli"))
    return _not_kept(e, t, "evidence.undecided")


def _not_kept(e: Evidence, t: Thresholds, undecided_as: str) -> Verdict:
    """Rejected, or undecided where the 95 % interval of Δ reaches the smallest one that is wanted."""
    if e.delta_may_reach(t.min_delta, _Z95_MILLI):
        undecided = _because(undecided_as, e, t, "min_delta", "needed_milli")
        return Verdict(False, undecided, undecided=True)
    if e.delta < 0:
        return Verdict(False, _because("loss-went-up", e, t))
    return Verdict(False, _because("below-smallest", e, t, "min_delta"))


def _no_worse(e: Evidence, t: Thresholds) -> Verdict:
    if e.shifted(t.min_delta).delta_exceeds(t.z_milli):
        return Verdict(True, _because("no-worse.shown", e, t, "min_delta", "z_milli"))
    return Verdict(False, _because("no-worse.not-shown", e, t, "min_delta", "z_milli"))


RULES: dict[str, Callable[[Evidence, Thresholds], Verdict]] = {
    STAKED: _staked,
    BUDGETED: _budgeted,
    "evidence/v1": _evidence,
    NO_WORSE: _no_worse,
    BARE: _whitepaper,
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
