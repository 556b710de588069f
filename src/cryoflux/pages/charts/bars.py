"""Rows of bars on one scale, each with its range: what is beside what."""

from __future__ import annotations

__all__ = ["BarRow", "bar_rows", "stack"]

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cryoflux.pages.charts.svg import draw, element, percent
from cryoflux.quantities import Energy


@dataclass(frozen=True, slots=True)
class BarRow:
    """An energy with its bar."""

    name: str
    words: str
    """what it is; may be empty"""
    tone: str
    """class that gives its colour"""
    energy: Energy
    bar: Markup


def bar_rows(rows: Sequence[tuple[str, str, str, Energy]]) -> list[BarRow]:
    """Energies as bars on one scale from zero.

    Args:
        rows: name, words, tone and energy of each.
    """
    most = max((energy.hi_uj for *_, energy in rows), default=0)
    return [BarRow(name, words, tone, energy, _bar(tone, energy, most)) for name, words, tone, energy in rows]


def _bar(tone: str, energy: Energy, most: int) -> Markup:
    def share(uj: int) -> float:
        return min(1.0, max(0, uj) / most) if most > 0 else 0.0

    low, high = percent(share(energy.lo_uj)), percent(share(energy.hi_uj))
    return draw(
        element(
            "svg",
            element("rect", class_="fill", x="0", y="25%", width=percent(share(energy.uj)), height="50%"),
            element("line", class_="whisker", x1=low, x2=high, y1="50%", y2="50%"),
            element("line", class_="whisker", x1=low, x2=low, y1="30%", y2="70%"),
            element("line", class_="whisker", x1=high, x2=high, y1="30%", y2="70%"),
            class_=f"range-bar {tone}",
            aria_hidden="true",
        )
    )


def stack(parts: Sequence[tuple[str, str, int]]) -> Markup:
    """Parts of a whole in one bar, from left to right.

    Args:
        parts: words, tone and size of each; those of no size are left out.
    """
    whole = sum(size for *_, size in parts if size > 0)
    drawn, at = [], 0.0
    for words, tone, size in parts:
        if size <= 0:
            continue
        share = size / whole
        drawn.append(
            element(
                "rect",
                element("title", text=words),
                class_=f"part {tone}",
                x=percent(at),
                y="0",
                width=percent(share),
                height="100%",
            )
        )
        at += share
    said = "; ".join(words for words, _, size in parts if size > 0)
    return draw(element("svg", *drawn, class_="stack", role="img", aria_label=said))
