"""One panel of the project's picture: marks with their intervals, lines of equal η, and the band below.

Numbers stand beside marks where there is room, and the values of η on the frame, where no mark can be.
"""

from __future__ import annotations

__all__ = ["DrawnPanel", "style_of"]

from collections.abc import Sequence
from typing import Any

from cryoflux.quantities import worst_tier
from cryoflux.queries.marks import AttemptMark, DrawnAs
from cryoflux.report.figures import GREY, INK, one_line
from cryoflux.report.marks import AttemptsPanel, PanelLimits, colour_of, marker_of
from cryoflux.report.scales import crossing_lines, number_text, round_ticks

_MOST_NAMED = 24
"""attempts, up to which each has its number beside it; of more only what was kept has, where there is room"""
_MOST_NAMES = 60
"""newest of them that are tried"""
_MOST_BARS = 60
"""attempts, up to which intervals are drawn in full strength"""
_BESIDE = ((4, 3), (4, -8), (-4, 3), (-4, -8), (0, 6), (0, -11), (9, -2), (-9, -2))
"""where numbers may stand by their marks, points"""


class DrawnPanel:
    """One panel, as it is drawn: a band of what did not help below the axes of what did."""

    def __init__(
        self,
        figure: Any,
        box: tuple[float, float, float, float],
        panel: AttemptsPanel,
        marks: Sequence[AttemptMark],
        limits: PanelLimits,
        *,
        last: bool,
    ) -> None:
        left, bottom, width, height = box
        self.panel, self.marks, self.limits, self.last = panel, marks, limits, last
        band = limits.band * height
        self.band: Any = figure.add_axes((left, bottom, width, band)) if band else None
        self.axes: Any = None
        if limits.delta is not None:
            self.axes = figure.add_axes((left, bottom + band, width, height - band))
        self.faint = len(marks) > _MOST_BARS
        self.taken: list[tuple[float, float, float, float]] = []

    def draw(self) -> None:
        """Everything, from the ground up."""
        for axes in filter(None, (self.band, self.axes)):
            axes.set_xscale("log")
            axes.set_xlim(self.limits.joules.low, self.limits.joules.high)
            axes.minorticks_off()
        self._frame()
        if self.axes is not None:
            self._equal_eta(self.axes)
            helped = [mark for mark in self.marks if mark.above(self.limits.floor)]
            self._put(self.axes, helped, {mark.number: mark.delta or 0.0 for mark in helped})
        if self.band is not None:
            out = [mark for mark in self.marks if not mark.above(self.limits.floor)]
            # Golden steps keep neighbours apart, however many there are, and the same at each drawing.
            places = {mark.number: 0.18 + 0.64 * (n * 0.618034 % 1) for n, mark in enumerate(out)}
            if len(out) == 1:
                places = {out[0].number: 0.5}
            self._put(self.band, out, places)

    def _frame(self) -> None:
        lowest = self.band or self.axes
        ticks = round_ticks(self.limits.joules, 6)
        for axes in filter(None, (self.band, self.axes)):
            axes.set_xticks(ticks, [number_text(tick) for tick in ticks] if axes is lowest else [])
            axes.grid(visible=True, axis="x")
            axes.set_axisbelow(True)
            if axes is not lowest:
                axes.tick_params(axis="x", length=0)
        if self.band is not None:
            self.band.set_facecolor("#f4f4f4")
            self.band.set_ylim(0, 1)
            none = ",\nnone" if any(mark.delta is None for mark in self.marks) else ""
            self.band.set_yticks([0.5], [f"≤ {number_text(self.limits.floor)}{none}"])
            self.band.tick_params(axis="y", length=0)
        if self.axes is not None and self.limits.delta is not None:
            self.axes.set_yscale("log")
            self.axes.set_ylim(self.limits.delta.low, self.limits.delta.high)
            self.axes.minorticks_off()
            marks = round_ticks(self.limits.delta, 6)
            self.axes.set_yticks(marks, [number_text(tick) for tick in marks])
            self.axes.grid(visible=True, axis="y")
            self.axes.set_ylabel(f"Δ ({one_line(self.panel.unit, 16)} per example)")
            self.axes.yaxis.set_label_coords(-0.53 * 72 / self.axes.get_window_extent().width, 0.5)
            if self.band is not None:
                self.axes.spines["bottom"].set_visible(False)
        if lowest is not None and self.last:
            tier = worst_tier(attempt.tier for attempt in self.panel.attempts)
            lowest.set_xlabel(f"energy that paid for it (J, {tier.value})")
        if self.panel.title:
            (self.axes or self.band).set_title(one_line(self.panel.title, 60), loc="left", fontsize=8, pad=14)

    def _equal_eta(self, axes: Any) -> None:
        """Lines of equal η, with their values on the frame, where no mark can be."""
        if self.limits.delta is None:
            return
        joules, delta = self.limits.joules, self.limits.delta
        box = axes.get_window_extent()
        for eta, right in crossing_lines(joules, delta, box.width, box.height):
            ends = (joules.low, joules.high)
            axes.plot(
                ends, [eta / 1000 * end for end in ends], color=GREY, linewidth=0.6, linestyle=(0, (1, 2))
            )
            place = (
                (joules.high, eta / 1000 * joules.high) if right else (1000 * delta.high / eta, delta.high)
            )
            axes.annotate(
                number_text(eta),
                place,
                xytext=(3, 0) if right else (0, 2),
                textcoords="offset points",
                fontsize=6.5,
                color="#666666",
                ha="left" if right else "center",
                va="center" if right else "bottom",
                annotation_clip=False,
            )
        unit = one_line(self.panel.unit, 12)
        axes.annotate(
            f"lines of equal η ({unit}/kJ)",
            (1, 0.5),
            xycoords="axes fraction",
            xytext=(30, 0),
            textcoords="offset points",
            fontsize=6.5,
            color="#666666",
            rotation=270,
            ha="center",
            va="center",
        )

    def _put(self, axes: Any, marks: Sequence[AttemptMark], heights: dict[int, float]) -> None:
        bars = {"linewidth": 0.5 if self.faint else 0.9, "alpha": 0.18 if self.faint else 0.65}
        low = self.limits.delta.low if self.limits.delta is not None and axes is self.axes else 0.0
        left = self.limits.joules.low
        for kind in reversed(DrawnAs):
            some = [mark for mark in marks if mark.kind is kind]
            if not some:
                continue
            xs = [max(mark.joules, left) for mark in some]
            ys = [max(heights[mark.number], low) for mark in some]
            spans = [(max(mark.joules_lo, left), mark.joules_hi) for mark in some]
            axes.hlines(ys, *zip(*spans, strict=True), color=colour_of(kind), **bars)
            if axes is self.axes:
                tall = [
                    (x, mark.interval.low, mark.interval.high)
                    for x, mark in zip(xs, some, strict=True)
                    if mark.interval is not None
                ]
                if tall:
                    places, bottoms, tops = zip(*tall, strict=True)
                    ends = ([max(end, low) for end in some_ends] for some_ends in (bottoms, tops))
                    axes.vlines(places, *ends, color=colour_of(kind), **bars)
            axes.plot(xs, ys, clip_on=False, zorder=4, **style_of(kind, small=self.faint))
            self._take(axes, xs, ys)
        self._name(axes, marks, heights)

    def _take(self, axes: Any, xs: Sequence[float], ys: Sequence[float]) -> None:
        for x, y in axes.transData.transform(list(zip(xs, ys, strict=True))):
            self.taken.append((x - 3, y - 3, x + 3, y + 3))

    def _name(self, axes: Any, marks: Sequence[AttemptMark], heights: dict[int, float]) -> None:
        """Numbers beside marks: of all where they are few, else of what was kept, where there is room."""
        few = len(self.marks) <= _MOST_NAMED
        left, low = self.limits.joules.low, self.limits.delta.low if self.limits.delta is not None else 0.0
        kept = [mark for mark in marks if mark.kind is DrawnAs.KEPT]
        for mark in marks if few else kept[-_MOST_NAMES:]:
            height = max(heights[mark.number], low) if axes is self.axes else heights[mark.number]
            at = (max(mark.joules, left), height)
            x, y = axes.transData.transform(at)
            wide = 4.2 * len(str(mark.number))
            for dx, dy in _BESIDE:
                begin = x + dx - (wide if dx < 0 else wide / 2 if dx == 0 else 0)
                box = (begin, y + dy - 1, begin + wide, y + dy + 6)
                if not any(_meet(box, other) for other in self.taken):
                    self.taken.append(box)
                    axes.annotate(
                        str(mark.number),
                        at,
                        xytext=(dx, dy),
                        textcoords="offset points",
                        fontsize=6.5,
                        color=INK,
                        ha="right" if dx < 0 else "center" if dx == 0 else "left",
                        va="bottom",
                        zorder=5,
                    )
                    break


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


_SIZES = {DrawnAs.KEPT: 1.2, DrawnAs.REJECTED: 1.25, DrawnAs.UNDECIDED: 1.15, DrawnAs.SCREENED: 0.9}
"""so that shapes weigh alike, and what was kept a little more"""


def style_of(kind: DrawnAs, *, small: bool = False) -> dict[str, Any]:
    """How the mark of an outcome is drawn."""
    hollow = kind is DrawnAs.SCREENED
    return {
        "linestyle": "none",
        "marker": marker_of(kind),
        "markersize": (3.2 if small else 5.0) * _SIZES.get(kind, 1.0),
        "markerfacecolor": "white" if hollow else colour_of(kind),
        "markeredgecolor": colour_of(kind) if hollow else "white",
        "markeredgewidth": 0.9 if hollow else 0.4,
    }
