"""What a reason says in words: the one place where sentences are made.

A reason is a code with its numbers (`cryoflux.decision.reason`); nothing reads a sentence back. The sentences
of the first receipts were signed themselves, so those spellings never change; ``said`` carries one.
"""

from __future__ import annotations

__all__ = ["CODES", "brief", "say"]

from collections.abc import Callable, Mapping

from cryoflux.decision.evidence import Z95, Evidence
from cryoflux.decision.reason import Reason
from cryoflux.quantities import NANO, format_energy

_Numbers = Mapping[str, int | str]


def say(reason: Reason) -> str:
    """The sentence of a reason; its code and numbers where the code is not known here."""
    return _made(_SENTENCES, reason) or _plain(reason)


def brief(reason: Reason) -> str:
    """The point of a reason in a few words, for a line that shows the numbers already."""
    return _made(_BRIEF, reason) or say(reason)


def _made(makers: Mapping[str, Callable[[_Numbers], str]], reason: Reason) -> str:
    # Whoever signs a log chooses its numbers: what no sentence can be made of is none.
    try:
        return makers[reason.code](reason.numbers)
    except (LookupError, ValueError, ArithmeticError):
        return ""


def _plain(reason: Reason) -> str:
    shown = ", ".join(f"{name} {value}" for name, value in sorted(reason.numbers.items()))
    return f"{reason.code}: {shown}" if shown else reason.code


def _number(numbers: _Numbers, name: str) -> int:
    return int(numbers[name])


def _evidence(numbers: _Numbers) -> Evidence:
    # Only the sums that a sentence shows are there; each of them is what it was.
    return Evidence(
        count=_number(numbers, "count"),
        base_loss=_number(numbers, "delta"),
        new_loss=0,
        delta_squared=_number(numbers, "squared"),
        base_correct=0,
        new_correct=int(numbers.get("gain", 0)),
        gained=int(numbers.get("gained", 0)),
        lost=int(numbers.get("lost", 0)),
        hits="gain" in numbers,
    )


def _unit(numbers: _Numbers) -> str:
    return str(numbers.get("unit", "nats"))


def _in_numbers(numbers: _Numbers) -> str:
    """Δ with its 95 % interval, and the accuracy gain, points, where the task has hits."""
    e = _evidence(numbers)
    delta = f"Δ = {e.delta_mean:+.4f} ± {Z95 * e.delta_se:.4f} {_unit(numbers)}"
    return f"{delta}, accuracy {100 * e.accuracy_gain:+.1f} points" if e.hits else delta


def _smallest(numbers: _Numbers) -> str:
    return f"{_number(numbers, 'min_delta') / NANO:g}"


def _bar(numbers: _Numbers) -> str:
    return f"{_number(numbers, 'needed_milli') / 1000:.1f}"


def _z(numbers: _Numbers) -> str:
    return f"{_number(numbers, 'z_milli') / 1000:g}"


def _point(n: _Numbers, code: str) -> str:
    return _BRIEF[code](n)


def _whitepaper_accuracy(n: _Numbers) -> str:
    points = _number(n, "min_gain_ppm") / 10_000
    return f"Kept: {_in_numbers(n)}; the accuracy gain reaches {points:g} points."


def _z_delta(n: _Numbers) -> str:
    return f"Kept: {_in_numbers(n)}; Δ reaches {_smallest(n)} and {_point(n, 'z.delta')}."


def _z_accuracy(n: _Numbers) -> str:
    return f"Kept: {_in_numbers(n)}; {_point(n, 'z.accuracy')} and Δ is not negative."


def _z_noise(n: _Numbers) -> str:
    return f"Rejected: {_in_numbers(n)}; {_point(n, 'z.noise')}."


def _kept_delta(n: _Numbers) -> str:
    return f"Kept: {_in_numbers(n)}; Δ reaches {_smallest(n)}, {_point(n, 'evidence.delta')}."


def _kept_accuracy(n: _Numbers) -> str:
    shown = f"evidence {_evidence(n).accuracy_weight:.1f} > {_bar(n)}"
    return f"Kept: {_in_numbers(n)}; the accuracy gain counts ({shown}), Δ is not negative."


def _undecided(n: _Numbers) -> str:
    return f"Undecided: {_in_numbers(n)}; Δ ≥ {_smallest(n)} is {_point(n, 'evidence.undecided')}."


def _screen_not_worth(n: _Numbers) -> str:
    shown = f"z = {_evidence(n).z:.2f}, needed > {_number(n, 'z_milli') / 1000:.2f}"
    return f"Rejected by the screen: {_in_numbers(n)}; a look is not worth it ({shown})."


def _hopeless(n: _Numbers) -> str:
    read = f"after {_number(n, 'count'):,} of {_number(n, 'total'):,} examples"
    return f"Rejected: {_in_numbers(n)} {read}; the chance of being kept after all is below 2 %."


def _chosen(n: _Numbers) -> str:
    rivals = _number(n, "rivals")
    place = f"best of {rivals} arms that may pay" if rivals > 1 else "the only arm that may pay"
    news = ", never tried" if n.get("untried") else ""
    delta, cost_uj = _number(n, "delta"), _number(n, "cost_uj")
    expected = f"expected Δ {delta / NANO:.4f} {_unit(n)} for {format_energy(cost_uj)}"
    eta = f"η = {delta * NANO // cost_uj / NANO:.4f} {_unit(n)}/kJ"
    return f"{n['arm']} is {place}{news}: {expected}, {eta}."


def _arms(count: int) -> str:
    return f"{count} arms" if count != 1 else "1 arm"


def _plateau(n: _Numbers) -> str:
    dear = f", another reserves {format_energy(_number(n, 'dear_uj'))}" if "dear_uj" in n else ""
    left = format_energy(_number(n, "bucket_uj"))
    return f"No arm is expected to pay: {_arms(_number(n, 'spent'))} spent{dear}; {left} stay unspent."


_SENTENCES: dict[str, Callable[[_Numbers], str]] = {
    "said": lambda n: str(n["sentence"]),
    # verdicts
    "whitepaper.delta": lambda n: f"Kept: {_in_numbers(n)}; Δ reaches {_smallest(n)}.",
    "whitepaper.accuracy": _whitepaper_accuracy,
    "whitepaper.neither": lambda n: f"Rejected: {_in_numbers(n)}; neither threshold is reached.",
    "z.delta": _z_delta,
    "z.accuracy": _z_accuracy,
    "z.noise": _z_noise,
    "evidence.delta": _kept_delta,
    "evidence.accuracy": _kept_accuracy,
    "evidence.undecided": _undecided,
    "loss-went-up": lambda n: f"Rejected: {_in_numbers(n)}; the holdout loss went up.",
    "below-smallest": lambda n: f"Rejected: {_in_numbers(n)}; Δ is below {_smallest(n)}.",
    "hopeless": _hopeless,
    "screen.below-smallest": lambda n: (
        f"Rejected by the screen: {_in_numbers(n)}; Δ is below {_smallest(n)}."
    ),
    "screen.not-worth-a-look": _screen_not_worth,
    # attempts that ended without one
    "interrupted.preparing": lambda _: "Aborted: interrupted before training; nothing was kept.",
    "interrupted.training": lambda n: f"Aborted: interrupted after {n['steps']} training steps.",
    "interrupted.evaluating": lambda _: "Aborted: interrupted during evaluation; nothing was kept.",
    "exhausted.preparing": lambda _: (
        "Aborted: the reservation was used up before one training example was ready; raise --reserve. "
        "What was computed is kept, so the next attempt gets further."
    ),
    "exhausted.training": lambda _: (
        "Aborted: the reservation does not pay for evaluation and training both; raise --reserve or "
        "lower --holdout-size."
    ),
    "exhausted.evaluating": lambda _: (
        "Aborted: the reservation was used up before the holdout was evaluated; nothing was kept."
    ),
    "failed": lambda n: f"Aborted: {n['what']} Nothing was kept.",
    "crashed": lambda _: "Aborted: the run ended before this attempt did; nothing was kept.",
    "unreserved": lambda _: "Aborted: the bucket no longer held the reservation; nothing was tried.",
    # choices
    "chosen": _chosen,
    "drawn": lambda n: f"{n['arm']} was drawn from {_arms(_number(n, 'rivals'))}.",
    "plateau": _plateau,
    # moves of a head
    "rolled-back": lambda n: f"Rolled back: {n['why']}",
    "promoted": lambda n: f"Promoted: {n['why']}",
}
_BRIEF: dict[str, Callable[[_Numbers], str]] = {
    "whitepaper.delta": lambda n: f"Δ reaches {_smallest(n)}",
    "whitepaper.accuracy": lambda _: "the accuracy gain is large enough",
    "whitepaper.neither": lambda _: "neither threshold is reached",
    "z.delta": lambda n: f"z = {_evidence(n).z:.2f} > {_z(n)}",
    "z.accuracy": lambda n: f"the accuracy gain is significant (z > {_z(n)})",
    "z.noise": lambda n: f"that may be noise (z = {_evidence(n).z:.2f}, needed > {_z(n)})",
    "evidence.delta": lambda n: f"evidence {_evidence(n).delta_weight:.1f} > {_bar(n)}",
    "evidence.accuracy": lambda n: f"accuracy evidence {_evidence(n).accuracy_weight:.1f} > {_bar(n)}",
    "evidence.undecided": lambda n: (
        f"neither shown (evidence {_evidence(n).delta_weight:.1f}, needed > {_bar(n)}) nor ruled out"
    ),
    "loss-went-up": lambda _: "the holdout loss went up",
    "below-smallest": lambda n: f"Δ is below {_smallest(n)}",
    "hopeless": lambda n: f"hopeless after {_number(n, 'count'):,} of {_number(n, 'total'):,} examples",
}
CODES = frozenset(_SENTENCES)
"""codes that this version knows"""
