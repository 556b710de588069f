"""The page ``/attempts?compare=3,4``: two to five attempts side by side."""

from __future__ import annotations

__all__ = ["asked", "joules_bars", "page"]

from collections.abc import Mapping, Sequence

from cryoflux.errors import UsageError
from cryoflux.pages.charts.forest import Forest, Interval, forest
from cryoflux.pages.scene import Page, Scene
from cryoflux.quantities import RangeKind
from cryoflux.queries.marks import drawn_as, mark_of
from cryoflux.queries.side_by_side import MOST_COMPARED, SideBySide, side_by_side
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.marks import bar_words

_TICKED = "n"
"""what the name of a ticked box begins with; its attempt's number follows"""


def asked(query: Mapping[str, str]) -> bool:
    """Whether an address names attempts to compare."""
    return "compare" in query


def page(scene: Scene) -> Page:
    """The comparison of what was named.

    Raises:
        UsageError: it names fewer than two finished attempts, or too many.
    """
    numbers = _numbers(scene.query)
    if len(numbers) > MOST_COMPARED:
        raise UsageError(
            f"{len(numbers)} attempts are too many to compare.",
            why=f"More than {MOST_COMPARED} side by side cannot be read.",
            hint=f"Tick two to {MOST_COMPARED} under Attempts.",
        )
    found = side_by_side(scene.followed, numbers)
    if len(found.attempts) < 2:
        raise UsageError(
            "There is nothing to compare.",
            why="At least two finished attempts are needed.",
            hint=f"Tick two to {MOST_COMPARED} under Attempts.",
        )
    named = ", ".join(f"#{one.number}" for one in found.attempts)
    values = {
        "found": found,
        "kinds": [drawn_as(one) for one in found.attempts],
        "links": [scene.link(f"/attempts/{one.number}") for one in found.attempts],
        "gains": forest([_gain(one) for one in found.attempts]) if _one_unit(found) else None,
        "costs": forest([_cost(one) for one in found.attempts]),
        "worths": _worths(found),
        "address": scene.link(f"/attempts?compare={','.join(str(one.number) for one in found.attempts)}"),
        "unit": next((one.unit for one in found.attempts if one.unit), ""),
        "bars": bar_words([mark_of(one) for one in found.attempts if one.delta is not None]),
        "joules_bars": joules_bars(found.attempts),
    }
    return Page("comparing.html", f"Attempts {named}", section="attempts", values=values)


def joules_bars(attempts: Sequence[Attempt]) -> str:
    """What the bars of some attempts' joules are, as a clause: it goes by how each came about."""
    kinds = {one.range_kind for one in attempts}
    if kinds == {RangeKind.INTERVAL_95}:
        return "95 % of the joules, which were measured"
    if RangeKind.INTERVAL_95 in kinds:
        return "95 % of the joules where these were measured, what is plausible where they are modelled"
    return "what is plausible of the joules, which are modelled"


def _numbers(query: Mapping[str, str]) -> list[int]:
    said = query["compare"].split(",") + [
        name[len(_TICKED) :] for name in query if name.startswith(_TICKED) and query[name] == "on"
    ]
    found = {int(one) for one in said if one.isascii() and one.isdecimal() and len(one) <= 9}
    return sorted(found)


def _one_unit(found: SideBySide) -> bool:
    return len({one.unit for one in found.attempts if one.unit}) == 1


def _gain(attempt: Attempt) -> Interval | None:
    """Δ with the interval that decided; without a bar where none holds."""
    if attempt.delta is None:
        return None
    one = attempt.delta_interval
    ends = (one.low, one.high) if one is not None else (attempt.delta, attempt.delta)
    return Interval(_kind(attempt), attempt.delta, *ends)


def _cost(attempt: Attempt) -> Interval:
    return Interval(_kind(attempt), attempt.joules, attempt.joules_lo, attempt.joules_hi)


def _worths(found: SideBySide) -> Forest | None:
    """η, from its lower bound to the same figure: what it is at most is not said."""
    return forest([_worth(one) for one in found.attempts]) if _one_unit(found) else None


def _worth(attempt: Attempt) -> Interval | None:
    if attempt.eta_per_kj is None or attempt.eta_low_per_kj is None:
        return None
    low, high = sorted((attempt.eta_low_per_kj, attempt.eta_per_kj))
    return Interval(_kind(attempt), attempt.eta_per_kj, low, high)


def _kind(attempt: Attempt) -> str:
    return drawn_as(attempt).name.lower()
