"""What something was charged, as a bar with its range; beside what was reserved for it, or its like."""

from __future__ import annotations

__all__ = ["charge_bar"]

from markupsafe import Markup

from cryoflux.pages.charts.plane import line
from cryoflux.pages.charts.svg import draw, element, percent


def charge_bar(charged: tuple[float, float, float], whole: float, *, reserved: float = 0.0) -> Markup:
    """A bar.

    Args:
        charged: the figure and both ends of its range.
        whole: what the width stands for, in the same unit.
        reserved: what was reserved for it; 0 where nothing was.
    """
    whole = whole or 1.0
    value, low, high = (min(1.0, max(0.0, one / whole)) for one in charged)
    drawn = []
    if reserved:
        width = percent(min(1.0, reserved / whole))
        drawn.append(element("rect", class_="reserved", x="0", y="22%", height="56%", width=width))
    drawn.append(element("rect", class_="charged", x="0", y="22%", height="56%", width=percent(value)))
    drawn += [line("whisker", low, 0.5, high, 0.5)]
    drawn += [line("whisker", end, 0.12, end, 0.88) for end in (low, high)]
    return draw(element("svg", *drawn, class_="charge", aria_hidden="true"))
