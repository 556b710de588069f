"""What became of an attempt, in words for somebody who decides about money and not about statistics."""

from __future__ import annotations

__all__ = ["attempt_headline", "attempt_lede", "best_deal", "interval_words", "short_why"]

from collections.abc import Iterable

from cryoflux.decision.rules import WITH_BUDGET
from cryoflux.quantities import MICRO, format_energy, hit_words
from cryoflux.queries.marks import DrawnAs, drawn_as
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.statement import Cause, Receipt
from cryoflux.receipts.sums import evidence_of

_MOST = 84
"""characters of a reason in a list: two lines"""
_SHORT = {
    "stake.too-little": "too little on examples set aside to spend a look at the holdout",
    "stake.not-yet": "not yet worth a look at the holdout; the next one goes on from it",
    "screen.below-smallest": "too little on examples set aside; the holdout was not read",
    "screen.not-worth-a-look": "too little on examples set aside; the holdout was not read",
    "screen.worse": "worse on examples set aside; the holdout was not read",
    "interrupted.preparing": "interrupted before training",
    "interrupted.training": "interrupted during training",
    "interrupted.evaluating": "interrupted during evaluation",
    "exhausted.preparing": "its reservation ended before one example was ready",
    "exhausted.training": "its reservation does not pay for training and evaluation both",
    "exhausted.evaluating": "its reservation ended before the holdout was evaluated",
    "crashed": "the run ended before it did",
    "unreserved": "the bucket no longer held its reservation",
    "lost": "its worker was lost",
}
_CAUSES = {
    Cause.INTERRUPTED: "somebody stopped it",
    Cause.CRASHED: "its run died",
    Cause.UNRESERVED: "nothing was left to pay for it",
    Cause.EXHAUSTED: "its reservation was used up",
    Cause.FAILED: "it came to nothing usable",
    Cause.LOST: "its worker was lost",
}


def short_why(attempt: Attempt) -> str:
    """The reason in at most two lines of a table, without what stands in the other columns."""
    said = _SHORT.get(attempt.code) or attempt.brief or attempt.reason
    return said if len(said) <= _MOST else said[: _MOST - 1].rstrip() + "…"


def best_deal(attempts: Iterable[Attempt]) -> tuple[Attempt, str] | None:
    """The kept attempt whose η is highest at the upper end of its joules, and that in words."""
    best = max((one for one in attempts if one.kept), key=lambda one: one.eta_low_per_kj or 0.0, default=None)
    if best is None or not best.eta_per_kj or best.eta_low_per_kj is None:
        return None
    cost, least = format_energy(round(best.chain_joules * MICRO)), f"{best.eta_low_per_kj:,.3g}"
    gained = f"{_signed(best.delta)} {best.unit}{interval_words(best)}"
    return best, f"{gained} for {cost}; {least} {best.unit}/kJ by the upper end of its joules."


def interval_words(attempt: Attempt) -> str:
    """The interval that decided, with its name: `` (anytime +0.749 to +0.966)``; empty without one."""
    if (one := attempt.delta_interval) is None:
        return ""
    return f" ({one.name} {_signed(one.low)} to {_signed(one.high)})"


def attempt_headline(attempt: Attempt) -> str:
    """The decision in a sentence: ``Kept: +0.203 nats for 52.4 J``."""
    kind, cost = drawn_as(attempt), format_energy(round(attempt.joules * MICRO))
    paid = format_energy(round(attempt.chain_joules * MICRO))
    gained = f"{_signed(attempt.delta)} {attempt.unit}" if attempt.delta is not None else ""
    gained += f" ({attempt.delta_per_token})" if attempt.delta_per_token else ""
    if kind is DrawnAs.ABORTED:
        why = _CAUSES.get(attempt.cause)
        return f"Aborted after {cost}: {why}." if why else f"Aborted after {cost}."
    return {
        DrawnAs.KEPT: f"Kept: {gained} for {paid}.",
        DrawnAs.REJECTED: f"Rejected: {gained} for {paid}.",
        DrawnAs.UNDECIDED: f"Undecided: {gained}, not proven, for {paid}.",
        DrawnAs.CARRIED: f"Carried on after {cost}, not judged yet.",
        DrawnAs.SCREENED: f"Stopped by the screen after {cost}.",
    }[kind]


def attempt_lede(attempt: Attempt, receipt: Receipt) -> list[str]:
    """Sentences with the numbers that decided it."""
    kind = drawn_as(attempt)
    if kind is DrawnAs.ABORTED:
        return [_sentence(attempt.brief), "Its joules are charged all the same."]
    if attempt.delta is None:
        stopped = attempt.brief if kind is DrawnAs.SCREENED else ""
        if stopped:
            return [*_of_screen(attempt), _sentence(stopped), "The holdout was not read."]
        return [*_of_screen(attempt), _without_a_look(kind)]
    said = [_of_holdout(attempt), *_accuracy(attempt), *_evidence(receipt)]
    return [*said, _sentence(attempt.brief or attempt.reason)]


def _of_holdout(attempt: Attempt) -> str:
    before, after = attempt.base_loss or 0.0, attempt.new_loss or 0.0
    moved = "fell" if after < before else "rose" if after > before else "stayed"
    there = f"from {before:.3f} to {after:.3f} {attempt.unit}"
    return f"On {attempt.examples:,} examples that no training saw, the loss {moved} {there}."


def _accuracy(attempt: Attempt) -> list[str]:
    before, after = attempt.accuracy_before, attempt.accuracy_after
    if before is None or after is None:
        return []
    word = hit_words(attempt.unit or "").capitalize()
    return [f"{word} went from {100 * before:.1f} to {100 * after:.1f} %."]


def _evidence(receipt: Receipt) -> list[str]:
    found, decision = receipt.evaluation, receipt.decision
    if found is None or decision is None or decision.rule.name not in WITH_BUDGET:
        return []
    if not decision.bar.needed_milli:
        return []
    weight, needed = evidence_of(found).delta_weight, decision.bar.needed_milli / 1000
    return [f"The evidence for that is {weight:.1f}; more than {needed:.1f} was needed."]


def _of_screen(attempt: Attempt) -> list[str]:
    if attempt.screen_delta is None:
        return [_sentence(attempt.brief or attempt.reason)]
    low, high = _signed(attempt.screen_delta_lo), _signed(attempt.screen_delta_hi)
    unit = f" {attempt.unit}" if attempt.unit else ""
    moved = "better" if attempt.screen_delta > 0 else "worse"
    figure = f"{abs(attempt.screen_delta):.3f}{unit} {moved}"
    where = f"On {attempt.screen_examples:,} examples that were set aside from training"
    return [f"{where} it did {figure} in the mean (95 % {low} to {high})."]


def _without_a_look(kind: DrawnAs) -> str:
    if kind is DrawnAs.CARRIED:
        return "That is not yet worth a look at the holdout; the next attempt of its chain goes on from it."
    return "That is too little to spend a look at the holdout on, so the holdout was not read."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def _signed(value: float | None) -> str:
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}") if value is not None else "unknown"
