"""What a reason says in words: the one place where sentences are made.

A reason is a code with its numbers (`cryoflux.decision.reason`); nothing reads a sentence back. The sentences
of the first receipts were signed themselves (``said`` carries one), so `say_as_signed` still makes those.

What is said of a kept update is what its rule bounds: how often an update that is no improvement passes the
bar (`cryoflux.decision.budget`), not how probable it is that this one helps, nor by how much.
"""

from __future__ import annotations

__all__ = ["CODES", "brief", "deciding_interval", "say", "say_as_signed"]

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist

from cryoflux.decision.evidence import Z95, Evidence
from cryoflux.decision.interval import anytime_interval, fixed_interval, odds_against
from cryoflux.decision.reason import Reason
from cryoflux.decision.stakes import odds_at
from cryoflux.quantities import NANO, format_energy, hit_words

_Numbers = Mapping[str, int | str]


def say(reason: Reason) -> str:
    """The sentence of a reason; its code and numbers where the code is not known here."""
    return _made(_SENTENCES, reason) or _plain(reason)


def say_as_signed(reason: Reason) -> str:
    """The same in the spelling that the receipts of the first form were signed with: it never changes."""
    return _made(_SIGNED, reason) or say(reason)


def brief(reason: Reason) -> str:
    """The point of a reason in a few words, for a line that shows the numbers already."""
    return _made(_BRIEF, reason) or say(reason)


def deciding_interval(reason: Reason) -> str:
    """Δ with the interval that a verdict went by, and that one's name; empty where there is no Δ to show.

    By the bar it is the anytime interval, by z so many standard errors. What is told apart by 95 % is shown
    with that, and so is what no interval decided.
    """
    return _made(dict.fromkeys([reason.code], _with_interval), reason) if "count" in reason.numbers else ""


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
    return f"{delta}, {hit_words(_unit(numbers))} {100 * e.accuracy_gain:+.1f} points" if e.hits else delta


def _smallest(numbers: _Numbers) -> str:
    return f"{_number(numbers, 'min_delta') / NANO:g}"


def _bar(numbers: _Numbers) -> str:
    return f"{_number(numbers, 'needed_milli') / 1000:.1f}"


def _z(numbers: _Numbers) -> str:
    return f"{_number(numbers, 'z_milli') / 1000:g}"


def _with_interval(n: _Numbers) -> str:
    e, unit = _evidence(n), _unit(n)
    delta = f"Δ {e.delta_mean:+.4f} {unit}"
    if "total" in n:  # how far the reading went depends on what it showed, so no interval holds
        return f"{delta} on {e.count:,} examples"
    if "needed_milli" in n:
        low, high = anytime_interval(e, _number(n, "needed_milli"))
        if math.isinf(low):
            return f"{delta}; so few examples cannot show anything"
        return f"{delta}, anytime [{low:+.4f}, {high:+.4f}]"
    if z_milli := int(n.get("z_milli", 0)):
        low, high = fixed_interval(e, z_milli / 1000)
        return f"{delta}, ± {z_milli / 1000:g} standard errors [{low:+.4f}, {high:+.4f}]"
    low, high = fixed_interval(e)
    return f"{delta}, 95 % [{low:+.4f}, {high:+.4f}]"


def _shown(n: _Numbers) -> str:
    """What was found, for a sentence: Δ with the interval that decided, and the accuracy gain in points."""
    e = _evidence(n)
    accuracy = f", {hit_words(_unit(n))} {100 * e.accuracy_gain:+.1f} points" if e.hits else ""
    return _with_interval(n) + accuracy


def _odds(n: _Numbers, odds: Callable[[int], int] = odds_against) -> str:
    """How often a bar is passed by what is no improvement, in words."""
    times = odds(_number(n, "needed_milli"))
    digits = max(0, len(str(times)) - 3)
    return f"at most 1 time in {times // 10**digits * 10**digits:,}"  # rounded down, so that it stays true


def _verdict(code: str) -> str:
    if code in _NOT_KEPT:
        return _NOT_KEPT[code]
    kept = {"whitepaper", "z", "evidence", "staked", "no-worse"}
    return "Kept" if code.partition(".")[0] in kept else "Rejected"


def _sentence(code: str) -> Callable[[_Numbers], str]:
    return lambda n: f"{_verdict(code)}: {_shown(n)}; {_BRIEF[code](n)}."


def _undecided(n: _Numbers) -> str:
    e, needed = _evidence(n), _number(n, "needed_milli")
    if e.delta_passes(needed):
        return f"it helps, but by {_smallest(n)} is not proven yet"
    return f"not proven yet, not ruled out: evidence {e.delta_weight:.1f}, needed > {_bar(n)}"


def _too_small(n: _Numbers) -> str:
    if _evidence(n).delta_may_reach(_number(n, "min_delta"), 1960):
        return f"Δ is below {_smallest(n)}"
    return f"too small: all of its 95 % interval lies below {_smallest(n)}"


def _z_delta(n: _Numbers) -> str:
    percent = 100 * NormalDist().cdf(-_number(n, "z_milli") / 1000)
    passes = f"a useless one would pass about {percent:.2g} % of its looks"
    return f"shown to help (z = {_evidence(n).z:.2f} > {_z(n)}): {passes}"


def _kept_accuracy(n: _Numbers) -> str:
    flips = f"gained {_number(n, 'gained')}, lost {_number(n, 'lost')}"
    return f"shown to be right more often ({flips}): one that is not would pass {_odds(n)}"


def _hopeless(n: _Numbers) -> str:
    read = f"{_number(n, 'count'):,} of {_number(n, 'total'):,} examples"
    return f"stopped after {read}: its chance of being kept was below 2 %"


def _not_worth(n: _Numbers) -> str:
    shown = f"z = {_evidence(n).z:.2f}, needed > {_number(n, 'z_milli') / 1000:.2f}"
    return f"screen: too little on {_ASIDE} ({shown})"


def _stake(n: _Numbers, what: str) -> str:
    least, stake = _number(n, "least_milli") / 10, _number(n, "stake_milli") / 10
    could = f"{stake:g} % of the error budget could be staked, {least:g} % are asked for"
    return f"{what}: z = {_evidence(n).z:.2f} on {_ASIDE}; {could}"


def _signed_undecided(n: _Numbers) -> str:
    shown = f"neither shown (evidence {_evidence(n).delta_weight:.1f}, needed > {_bar(n)}) nor ruled out"
    return f"Undecided: {_in_numbers(n)}; Δ ≥ {_smallest(n)} is {shown}."


def _signed_whitepaper_accuracy(n: _Numbers) -> str:
    points = _number(n, "min_gain_ppm") / 10_000
    return f"Kept: {_in_numbers(n)}; the accuracy gain reaches {points:g} points."


def _signed_z_delta(n: _Numbers) -> str:
    return f"Kept: {_in_numbers(n)}; Δ reaches {_smallest(n)} and z = {_evidence(n).z:.2f} > {_z(n)}."


def _signed_z_accuracy(n: _Numbers) -> str:
    return f"Kept: {_in_numbers(n)}; the accuracy gain is significant (z > {_z(n)}) and Δ is not negative."


def _signed_z_noise(n: _Numbers) -> str:
    return f"Rejected: {_in_numbers(n)}; that may be noise (z = {_evidence(n).z:.2f}, needed > {_z(n)})."


def _signed_kept_delta(n: _Numbers) -> str:
    shown = f"evidence {_evidence(n).delta_weight:.1f} > {_bar(n)}"
    return f"Kept: {_in_numbers(n)}; Δ reaches {_smallest(n)}, {shown}."


def _signed_kept_accuracy(n: _Numbers) -> str:
    shown = f"evidence {_evidence(n).accuracy_weight:.1f} > {_bar(n)}"
    return f"Kept: {_in_numbers(n)}; the accuracy gain counts ({shown}), Δ is not negative."


def _signed_not_worth(n: _Numbers) -> str:
    shown = f"z = {_evidence(n).z:.2f}, needed > {_number(n, 'z_milli') / 1000:.2f}"
    return f"Rejected by the screen: {_in_numbers(n)}; a look is not worth it ({shown})."


def _signed_hopeless(n: _Numbers) -> str:
    read = f"after {_number(n, 'count'):,} of {_number(n, 'total'):,} examples"
    return f"Rejected: {_in_numbers(n)} {read}; the chance of being kept after all is below 2 %."


def _chosen(n: _Numbers) -> str:
    rivals = _number(n, "rivals")
    place = f"best of {rivals} arms that may pay" if rivals > 1 else "the only arm that may pay"
    news = ", never tried" if n.get("untried") else ""
    if n.get("carried"):
        place, news = "goes on from what it has carried so far", ""
    else:
        place = f"is {place}"
    delta, cost_uj = _number(n, "delta"), _number(n, "cost_uj")
    expected = f"expected Δ {delta / NANO:.4f} {_unit(n)} for {format_energy(cost_uj)}"
    eta = f"η = {delta * NANO // cost_uj / NANO:.4f} {_unit(n)}/kJ"
    return f"{n['arm']} {place}{news}: {expected}, {eta}."


def _arms(count: int) -> str:
    return f"{count} arms" if count != 1 else "1 arm"


def _pruned(n: _Numbers) -> str:
    kept = f"the newest {_number(n, 'keep')} and those with a use stay"
    return f"Freed the files of {_counted(_number(n, 'count'), 'version')}: {kept}."


def _counted(count: int, noun: str) -> str:
    return f"one {noun}" if count == 1 else f"{count} {noun}s"


def _plateau(n: _Numbers) -> str:
    if not _number(n, "spent") and "dear_uj" not in n:
        return "There is nothing to do: no task offers an attempt."
    dear = f", another reserves {format_energy(_number(n, 'dear_uj'))}" if "dear_uj" in n else ""
    return f"No arm is expected to pay: {_arms(_number(n, 'spent'))} spent{dear}."


_ASIDE = "examples set aside from training"
_UNASKED = "whether that is more than chance was not asked"
_NOT_KEPT = {
    "whitepaper.neither": "Rejected",
    "z.noise": "Rejected",
    "evidence.undecided": "Undecided",
    "staked.missed": "Not kept",
    "no-worse.not-shown": "Rejected",
    "stake.not-yet": "Carried",
}
"""what the first part of a code does not tell"""
_BRIEF: dict[str, Callable[[_Numbers], str]] = {
    "whitepaper.delta": lambda n: f"Δ reaches {_smallest(n)}; {_UNASKED}",
    "whitepaper.accuracy": lambda n: (
        f"the accuracy gain reaches {_number(n, 'min_gain_ppm') / 10_000:g} points; {_UNASKED}"
    ),
    "whitepaper.neither": lambda _: "neither threshold is reached",
    "z.delta": _z_delta,
    "z.accuracy": lambda n: f"shown to be right more often (z > {_z(n)}), and Δ is not negative",
    "z.noise": lambda n: f"not proven: it may be noise (z = {_evidence(n).z:.2f}, needed > {_z(n)})",
    "evidence.delta": lambda n: f"shown to help: a useless one would pass {_odds(n)}",
    "evidence.accuracy": _kept_accuracy,
    "evidence.undecided": _undecided,
    "staked.delta": lambda n: f"shown to help: a useless one would pass {_odds(n, odds_at)}",
    "staked.missed": _undecided,
    "stake.not-yet": lambda n: _stake(n, "not yet worth a look at the holdout"),
    "stake.too-little": lambda n: _stake(n, "not shown to the holdout: too little could be staked on it"),
    "loss-went-up": lambda _: "the holdout loss went up",
    "below-smallest": _too_small,
    "hopeless": _hopeless,
    "screen.below-smallest": lambda n: f"screen: Δ is below {_smallest(n)} on {_ASIDE}",
    "screen.not-worth-a-look": _not_worth,
    "no-worse.shown": lambda n: f"shown to lose less than {_smallest(n)} (z > {_z(n)})",
    "no-worse.not-shown": lambda n: (
        f"a loss of {_smallest(n)} is not ruled out (z > {_z(n)} needed): more "
        "queries tell more, or allow a larger one: --min-delta-mrr"
    ),
    "screen.worse": lambda n: f"screen: it loses more than {_smallest(n)} on {_ASIDE}",
}
_SIGNED: dict[str, Callable[[_Numbers], str]] = {
    "whitepaper.delta": lambda n: f"Kept: {_in_numbers(n)}; Δ reaches {_smallest(n)}.",
    "whitepaper.accuracy": _signed_whitepaper_accuracy,
    "whitepaper.neither": lambda n: f"Rejected: {_in_numbers(n)}; neither threshold is reached.",
    "z.delta": _signed_z_delta,
    "z.accuracy": _signed_z_accuracy,
    "z.noise": _signed_z_noise,
    "evidence.delta": _signed_kept_delta,
    "evidence.accuracy": _signed_kept_accuracy,
    "evidence.undecided": _signed_undecided,
    "loss-went-up": lambda n: f"Rejected: {_in_numbers(n)}; the holdout loss went up.",
    "below-smallest": lambda n: f"Rejected: {_in_numbers(n)}; Δ is below {_smallest(n)}.",
    "hopeless": _signed_hopeless,
    "screen.below-smallest": lambda n: (
        f"Rejected by the screen: {_in_numbers(n)}; Δ is below {_smallest(n)}."
    ),
    "screen.not-worth-a-look": _signed_not_worth,
}
"""verdicts as the first form spelt them"""


_SENTENCES: dict[str, Callable[[_Numbers], str]] = {
    "said": lambda n: str(n["sentence"]),
    # verdicts
    **{code: _sentence(code) for code in _BRIEF},
    "judged-before": lambda _: (
        "Not kept: the holdout has judged this very candidate; nothing on the way is better."
    ),
    # heads that were left
    "monitor-worse": lambda n: (
        f"Gone back: the head did worse on {n['count']} monitor examples, by "
        f"{int(n['worse']) / int(n['count']) / NANO:.4f} {n['unit']} in the mean; heads that do no worse are "
        f"ever left with a probability of at most {int(n['alpha_ppm']) / 10_000:g} %."
        + (
            f" {n['quarantined']} training examples that joined meanwhile are quarantined."
            if n.get("quarantined")
            else ""
        )
    ),
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
    "lost": lambda n: (
        f"Aborted: its worker {n['worker']} was killed, cut off, slow, or lost its meter; nothing was kept."
    ),
    # choices
    "chosen": _chosen,
    "drawn": lambda n: f"{n['arm']} was drawn from {_arms(_number(n, 'rivals'))}.",
    "plateau": _plateau,
    # rounds
    "round.kept": lambda n: (
        f"Kept: {n['count']} guest examples show that Δ is above {_number(n, 'level') / NANO:g} {n['unit']}."
    ),
    "round.missed": lambda n: f"Not kept: {n['count']} guest examples did not show that it is better.",
    "round.unshown": lambda n: (
        f"Nothing of {n['candidates']} offered updates helped on the node's own training side, in "
        f"{n['tried']} proposals: the guest holdout was not looked at."
    ),
    "round.unsafe": lambda n: (
        f"What was composed of {n['candidates']} offered updates may make a guard set worse: the guest "
        "holdout was not looked at."
    ),
    "round.broken": lambda n: (
        f"What was composed of {n['candidates']} offered updates has a loss on a guest example that is no "
        "number, or absurd: nothing is judged by it."
    ),
    # moves of a head
    "rolled-back": lambda n: f"Rolled back: {n['why']}",
    "promoted": lambda n: f"Promoted: {n['why']}",
    "taken-back": lambda n: f"Taken back by hand: {n['why']}",
    "pruned": _pruned,
}
CODES = frozenset(_SENTENCES)
"""codes that this version knows"""
