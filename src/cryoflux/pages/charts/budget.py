"""A budget as one bar: each attempt a part, told apart by pattern and number, colour only helps."""

from __future__ import annotations

__all__ = ["BudgetBar", "LegendRow", "budget_bar"]

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from cryoflux.pages.charts.svg import Element, draw, element, percent
from cryoflux.quantities import format_energy
from cryoflux.queries.budget import BudgetPart, BudgetView
from cryoflux.queries.marks import DrawnAs, drawn_as

_NUMBERED = 0.035
"""share of the bar from which on there is room for a number"""
_NUMBERED_NARROW = 0.1
"""the same on a telephone"""
_WORDS = {
    "beside": "beside attempts",
    "rounds": "rounds",
    "earlier": "earlier attempts",
    "under way": "under way",
    "reserved": "reserved for it",
    "closing": "kept for the end",
    "left": "unspent",
}


@dataclass(frozen=True, slots=True)
class LegendRow:
    """One kind of part."""

    name: str
    """of its tone and its pattern"""
    words: str
    uj: int
    count: int
    """attempts; 0 where it is about none"""


@dataclass(frozen=True, slots=True)
class BudgetBar:
    """The bar, and what its patterns mean."""

    plot: Markup
    legend: tuple[LegendRow, ...]
    ends_at: str
    """where the budget ended, as a position, of a run that has overdrawn; empty elsewhere"""


def budget_bar(view: BudgetView, link: Callable[[int], str]) -> BudgetBar:
    """The bar of a budget.

    Args:
        view: of the budget.
        link: where an attempt's own page is.
    """
    whole, begin = view.whole_uj, 0
    drawn: list[Element] = []
    for part in view.parts:
        drawn.append(_part(part, begin / whole, part.uj / whole, link))
        begin += part.uj
    said = f"{format_energy(view.spent_uj)} of {format_energy(view.spendable_uj)} spent"
    over = view.spendable_uj / whole if whole > view.spendable_uj else None
    if over is not None:
        drawn.append(
            element("line", class_="budget-end", x1=percent(over), x2=percent(over), y1="-6", y2="100%")
        )
    plot = element("svg", element("title", text=said), *drawn, class_="budget", role="group", aria_label=said)
    return BudgetBar(draw(plot), tuple(_legend(view)), percent(over) if over is not None else "")


def _tone(part: BudgetPart) -> str:
    return drawn_as(part.attempt).name.lower() if part.attempt is not None else part.kind.replace(" ", "-")


def _part(part: BudgetPart, begin: float, share: float, link: Callable[[int], str]) -> Element:
    tone = _tone(part)
    # A frame of its own, whose shapes fill it: a page is to be small. A ground lies behind the pattern, so
    # that the bar is whole where a pattern lets through.
    inside = [
        element("title", text=f"{_said(part)}: {format_energy(part.uj)}"),
        element("rect", class_=f"ground {tone}"),
        element("rect", fill=f"url(#p-{tone})"),
    ]
    number = part.attempt.number if part.attempt is not None else None
    if number is not None and share >= _NUMBERED:
        small = " small" if share < _NUMBERED_NARROW else ""
        said = {"x": "50%", "y": "50%", "dy": "4.5"}
        inside.append(element("text", text=f"#{number}", class_=f"part-{tone}{small}", **said))
    frame = element("svg", *inside, x=percent(begin), width=percent(share))
    if number is None:
        return frame
    return element("a", frame, href=link(number), aria_label=f"{_said(part)}, {format_energy(part.uj)}")


def _said(part: BudgetPart) -> str:
    if part.attempt is not None:
        return f"#{part.attempt.number} {drawn_as(part.attempt).word}"
    return _WORDS[part.kind]


def _legend(view: BudgetView) -> list[LegendRow]:
    """Kinds in the order in which they are met."""
    found: dict[str, LegendRow] = {}
    for part in view.parts:
        tone = _tone(part)
        words = drawn_as(part.attempt).word if part.attempt is not None else _WORDS[part.kind]
        count = part.count if part.attempt is not None or part.kind == "earlier" else 0
        was = found.get(tone, LegendRow(tone, words, 0, 0))
        found[tone] = LegendRow(tone, words, was.uj + part.uj, was.count + count)
    order = [kind.name.lower() for kind in DrawnAs]
    return sorted(found.values(), key=lambda row: order.index(row.name) if row.name in order else _place(row))


def _place(row: LegendRow) -> int:
    """Attempts first, then what was spent beside them, then the rest."""
    return -1 if row.name in {"beside", "rounds", "earlier"} else len(DrawnAs)
