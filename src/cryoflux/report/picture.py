"""The project's picture: energy against Δ, an attempt a mark, with lines of equal η.

Both axes are logarithmic, since attempts differ by orders of magnitude in both. What did not help, and what
no Δ was measured of, lies in a band below, by its energy alone. A hollow mark is an attempt that its screen
stopped: its Δ is on examples set aside from training, and the holdout never judged it. Shape tells outcomes
apart, and colour only helps: the colours are Okabe and Ito's.
"""

from __future__ import annotations

__all__ = ["AttemptsPanel", "DrawnAs", "draw_attempts", "drawn_as"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cryoflux.quantities import worst_tier
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.statement import Outcome
from cryoflux.report.figures import GREY, INK, ONE_COLUMN, Picture, one_line, shown
from cryoflux.report.scales import Ends, crossing_lines, number_text, round_below, round_ticks

_MOST_NAMED = 24
"""attempts, up to which each has its number beside it; of more only what was kept has, where there is room"""
_MOST_BARS = 60
"""attempts, up to which intervals are drawn in full strength"""
_DECADES = 3
"""that Δ spans at most; what is smaller lies in the band"""
_BESIDE = ((4, 3), (4, -8), (-4, 3), (-4, -8), (0, 6), (0, -11), (9, -2), (-9, -2))
"""where numbers may stand by their marks, points"""


class DrawnAs(Enum):
    """What became of an attempt, as the picture tells it: word, colour and shape."""

    KEPT = ("kept", "#0072B2", "o")
    CARRIED = ("carried", "#009E73", ">")
    UNDECIDED = ("undecided", "#E69F00", "^")
    REJECTED = ("rejected", "#555555", "X")
    SCREENED = ("stopped by the screen", "#777777", "s")
    ABORTED = ("aborted", "#AAAAAA", "d")

    @property
    def word(self) -> str:
        """How it is named."""
        return self.value[0]

    @property
    def colour(self) -> str:
        """How it is coloured."""
        return self.value[1]

    @property
    def marker(self) -> str:
        """Its shape, by matplotlib's letter."""
        return self.value[2]


def drawn_as(attempt: Attempt) -> DrawnAs:
    """What became of an attempt; what its screen rejected is told apart from what the holdout did."""
    if attempt.outcome == Outcome.REJECTED.word and attempt.delta is None:
        return DrawnAs.SCREENED
    return next((kind for kind in DrawnAs if kind.word == attempt.outcome), DrawnAs.ABORTED)


@dataclass(frozen=True, slots=True)
class AttemptsPanel:
    """Attempts of one task that are drawn into one panel."""

    title: str
    """above it; empty for none"""
    unit: str
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True)
class _Mark:
    number: int
    kind: DrawnAs
    joules: tuple[float, float, float]
    """estimate and both ends"""
    delta: float | None
    ends: tuple[float, float] | None

    def above(self, floor: float) -> bool:
        """Whether it lies above the band."""
        return self.delta is not None and self.delta > floor


def _mark(attempt: Attempt) -> _Mark:
    kind = drawn_as(attempt)
    own = (attempt.joules, attempt.joules_lo, attempt.joules_hi)
    if kind is DrawnAs.SCREENED:
        screened = _pair(attempt.screen_delta_lo, attempt.screen_delta_hi)
        return _Mark(attempt.number, kind, own, attempt.screen_delta, screened)
    if attempt.delta is None:
        return _Mark(attempt.number, kind, own, None, None)
    chain = (attempt.chain_joules, attempt.chain_joules_lo, attempt.chain_joules_hi)
    ends = _pair(attempt.delta_lo_anytime, attempt.delta_hi_anytime)
    return _Mark(
        attempt.number, kind, chain, attempt.delta, ends or _pair(attempt.delta_lo, attempt.delta_hi)
    )


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return (low, high) if low is not None and high is not None else None


def draw_attempts(
    panels: Sequence[AttemptsPanel], *, width: float, title: str, caption: Sequence[str], shared: bool = False
) -> Picture:
    """The picture of some attempts; to be called within `drawing`.

    Args:
        panels: each with at least one attempt.
        width: inches: `ONE_COLUMN` or `TWO_COLUMNS`.
        title: what it shows, in a few words.
        caption: what else is said of it, for who cannot see it.
        shared: panels have the same axes, and stand side by side where there is room.
    """
    from matplotlib.figure import Figure

    marks = [[_mark(attempt) for attempt in panel.attempts] for panel in panels]
    beside = shared and width > ONE_COLUMN
    rows, columns = (1, len(panels)) if beside else (len(panels), 1)
    below = 0.62 + 0.17 * _legend_rows(marks, width)
    height = (3.1 if width > ONE_COLUMN else 2.5) * rows + below
    figure = Figure(figsize=(width, height))
    everything = [mark for some in marks for mark in some]
    titled = any(panel.title for panel in panels)
    for place, (panel, some) in enumerate(zip(panels, marks, strict=True)):
        row, column = divmod(place, columns)
        limits = _limits(everything if shared else some)
        box = _box((width, height), (rows, columns), (row, column), below, 0.4 if titled else 0.24)
        _Drawn(figure, box, panel, some, limits, last=row == rows - 1).draw()
    _legend(figure, marks, width, height)
    words = [*caption, *_said(everything, panels)]
    return Picture(figure, title, "\n".join(words))


def _box(
    size: tuple[float, float], grid: tuple[int, int], at: tuple[int, int], below: float, top: float
) -> tuple[float, float, float, float]:
    """Where a panel lies, as shares of the figure: left, bottom, width, height."""
    (width, height), (rows, columns), (row, column) = size, grid, at
    left, right, gap = 0.68, 0.58, 0.5 if rows > 1 else 0.0
    wide = width / columns
    tall = (height - below) / rows
    bottom = below + (rows - 1 - row) * tall + (gap if row < rows - 1 else 0.0)
    high = tall - top - (gap if row < rows - 1 else 0.0)
    return (
        (column * wide + left) / width,
        bottom / height,
        (wide - left - right) / width,
        high / height,
    )


@dataclass(frozen=True, slots=True)
class _Limits:
    joules: Ends
    delta: Ends | None
    """none where nothing helped"""
    band: float
    """share of the height that the band of what did not help takes; 0 for none"""
    floor: float
    """Δ up to which attempts lie in the band"""


def _limits(marks: Sequence[_Mark]) -> _Limits:
    charged = [mark.joules[0] for mark in marks if mark.joules[0] > 0] or [1.0]
    least = min(charged)
    lows = [mark.joules[1] for mark in marks if mark.joules[1] > least / 10]
    joules = Ends.around(min([least, *lows]), max([*charged, *(mark.joules[2] for mark in marks)]))
    best = max((mark.delta for mark in marks if mark.delta is not None), default=0.0)
    if best <= 0:
        return _Limits(joules, None, 1.0, 0.0)
    least = best / 10**_DECADES
    floor = round_below(least) if any(mark.above(0) and not mark.above(least) for mark in marks) else 0.0
    helped = [mark for mark in marks if mark.above(floor)]
    out = len(marks) - len(helped)
    band = 0.0 if not out else 0.14 if out <= 30 else 0.22
    deltas = [mark.delta for mark in helped if mark.delta is not None]
    ends = [end for mark in helped if mark.ends is not None for end in mark.ends if end > max(floor, least)]
    return _Limits(joules, Ends.around(min([*deltas, *ends]), max([*deltas, *ends])), band, floor)


class _Drawn:
    """One panel, as it is drawn: a band of what did not help below the axes of what did."""

    def __init__(
        self,
        figure: Any,
        box: tuple[float, float, float, float],
        panel: AttemptsPanel,
        marks: Sequence[_Mark],
        limits: _Limits,
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

    def _put(self, axes: Any, marks: Sequence[_Mark], heights: dict[int, float]) -> None:
        bars = {"linewidth": 0.5 if self.faint else 0.9, "alpha": 0.18 if self.faint else 0.65}
        low = self.limits.delta.low if self.limits.delta is not None and axes is self.axes else 0.0
        left = self.limits.joules.low
        for kind in reversed(DrawnAs):
            some = [mark for mark in marks if mark.kind is kind]
            if not some:
                continue
            xs = [max(mark.joules[0], left) for mark in some]
            ys = [max(heights[mark.number], low) for mark in some]
            spans = [(max(mark.joules[1], left), mark.joules[2]) for mark in some]
            axes.hlines(ys, *zip(*spans, strict=True), color=kind.colour, **bars)
            if axes is self.axes:
                tall = [(x, mark.ends) for x, mark in zip(xs, some, strict=True) if mark.ends is not None]
                for x, (bottom, top) in tall:
                    axes.vlines(x, max(bottom, low), max(top, low), color=kind.colour, **bars)
            axes.plot(xs, ys, clip_on=False, zorder=4, **_style(kind, small=self.faint))
            self._take(axes, xs, ys)
        self._name(axes, marks, heights)

    def _take(self, axes: Any, xs: Sequence[float], ys: Sequence[float]) -> None:
        for x, y in axes.transData.transform(list(zip(xs, ys, strict=True))):
            self.taken.append((x - 3, y - 3, x + 3, y + 3))

    def _name(self, axes: Any, marks: Sequence[_Mark], heights: dict[int, float]) -> None:
        """Numbers beside marks: of all where they are few, else of what was kept, where there is room."""
        few = len(self.marks) <= _MOST_NAMED
        left, low = self.limits.joules.low, self.limits.delta.low if self.limits.delta is not None else 0.0
        for mark in marks:
            if not few and mark.kind is not DrawnAs.KEPT:
                continue
            height = max(heights[mark.number], low) if axes is self.axes else heights[mark.number]
            at = (max(mark.joules[0], left), height)
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


def _style(kind: DrawnAs, *, small: bool = False) -> dict[str, Any]:
    hollow = kind is DrawnAs.SCREENED
    return {
        "linestyle": "none",
        "marker": kind.marker,
        "markersize": (3.2 if small else 5.0) * _SIZES.get(kind, 1.0),
        "markerfacecolor": "white" if hollow else kind.colour,
        "markeredgecolor": kind.colour if hollow else "white",
        "markeredgewidth": 0.9 if hollow else 0.4,
    }


def _kinds(marks: Sequence[Sequence[_Mark]]) -> list[tuple[DrawnAs, int]]:
    counts = [(kind, sum(mark.kind is kind for some in marks for mark in some)) for kind in DrawnAs]
    return [(kind, count) for kind, count in counts if count]


def _columns(width: float) -> int:
    return 6 if width > ONE_COLUMN else 2


def _legend_rows(marks: Sequence[Sequence[_Mark]], width: float) -> int:
    return math.ceil(len(_kinds(marks)) / _columns(width))


def _legend(figure: Any, marks: Sequence[Sequence[_Mark]], width: float, height: float) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=f"{k.word} ({n})", **_style(k)) for k, n in _kinds(marks)]
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 0.17 / height),
        ncols=_columns(width),
        frameon=False,
        fontsize=7,
        handletextpad=0.2,
        columnspacing=1.0,
        borderaxespad=0.1,
        labelspacing=0.3,
    )
    every = [mark for some in marks for mark in some]
    figure.text(0.01, 0.05 / height, _note(every, width), fontsize=6, color="#666666", va="bottom")


def _note(marks: Sequence[_Mark], width: float) -> str:
    """What the bars and the hollow marks say, as much as there is room for."""
    if width <= ONE_COLUMN:
        return "bars: anytime interval of Δ, range of joules"
    said = "bars: the interval of Δ that decided (anytime, or 95 %), and the range of joules"
    if any(mark.kind is DrawnAs.SCREENED for mark in marks):
        said += "; hollow: Δ on the screen's own examples"
    return said


def _said(marks: Sequence[_Mark], panels: Sequence[AttemptsPanel]) -> list[str]:
    """The picture in words, for who cannot see it."""
    kinds = ", ".join(f"{count} {kind.word}" for kind, count in _kinds([marks]))
    lines = [f"Energy against Δ on logarithmic axes, an attempt a mark: {kinds}."]
    kept = [mark for mark in marks if mark.kind is DrawnAs.KEPT and mark.above(0) and mark.joules[0] > 0]
    best = max(kept, key=lambda mark: (mark.delta or 0.0) / mark.joules[0], default=None)
    if best is not None and len(panels) == 1:
        eta = 1000 * (best.delta or 0.0) / best.joules[0]
        unit = shown(panels[0].unit)
        lines.append(
            f"The best deal is #{best.number}: Δ {best.delta:+.4f} {unit} for {best.joules[0]:.1f} J, "
            f"η {eta:.3g} {unit}/kJ."
        )
    return lines
