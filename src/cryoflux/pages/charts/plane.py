"""The plane of energy and Δ: its axes, its lines of equal η, and the lanes of what did not help."""

from __future__ import annotations

__all__ = ["Plane", "line"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryoflux.pages.charts.axes import share_within
from cryoflux.pages.charts.placing import Words
from cryoflux.pages.charts.svg import Element, element, percent
from cryoflux.report.scales import Ends, crossing_powers, number_text, round_ticks

_LANE = 0.09
"""share of the height that a lane takes"""
_MOST_LINES = 4
_INSIDE = ((-8, -6, -1), (-8, 15, -1), (-14, 14, -1))
"""where the words of a line of equal η stand against its upper end, pixels"""


_ALONG = (0.0, 0.15, 0.3, 0.5)
"""where they are tried, as shares of the line from its upper end"""


class _Placed(Protocol):
    """What the plane has to hold."""

    @property
    def joules(self) -> float: ...
    @property
    def joules_lo(self) -> float: ...
    @property
    def joules_hi(self) -> float: ...
    @property
    def delta(self) -> float | None: ...
    @property
    def delta_hi(self) -> float | None: ...


def line(name: str | None, x1: float, y1: float, x2: float, y2: float) -> Element:
    """A line between two places, shares of the frame."""
    return element("line", class_=name, x1=percent(x1), y1=percent(y1), x2=percent(x2), y2=percent(y2))


@dataclass(frozen=True, slots=True)
class Plane:
    """Where things lie, as shares of the picture."""

    across: Ends
    up: Ends | None
    """none where nothing helped"""
    lanes: tuple[str, ...]
    """below: ``≤ 0`` for what did not help, ``no Δ`` for what was not measured"""

    @classmethod
    def around(cls, marks: Sequence[_Placed]) -> Plane:
        """The plane that holds some marks."""
        joules = [mark.joules for mark in marks]
        least = min(joules)
        lows = [mark.joules_lo for mark in marks if mark.joules_lo > least / 10]
        highs = [mark.joules_hi for mark in marks]
        across = Ends.around(min([least, *lows]), max([*joules, *highs]), air=1.1)
        lanes = ["≤ 0"] if any(mark.delta is not None and mark.delta <= 0 for mark in marks) else []
        lanes += ["no Δ"] if any(mark.delta is None for mark in marks) else []
        return cls(across, _upward(marks), tuple(lanes))

    @property
    def _floor(self) -> float:
        """Where the lanes begin."""
        return 1 - _LANE * len(self.lanes) if self.up is not None else 0.0

    def _lane(self, name: str) -> float:
        if name not in self.lanes:
            return self._floor
        height = (1 - self._floor) / len(self.lanes)
        return self._floor + height * (self.lanes.index(name) + 0.5)

    def x(self, joules: float) -> float:
        """Where some joules lie, from the left."""
        return share_within(self.across, joules)

    def y(self, delta: float | None) -> float:
        """Where a Δ lies, from the top."""
        if delta is None:
            return self._lane("no Δ")
        if delta <= 0 or self.up is None:
            return self._lane("≤ 0")
        return self._floor * (1 - share_within(self.up, delta))

    def row_labels(self) -> tuple[tuple[str, str], ...]:
        """Position from the top and words of each label beside the picture."""
        ticks = [(self.y(value), number_text(value)) for value in self._ticks()]
        rows = [(y, word) for y, word in ticks if not self.lanes or y < self._floor - 0.04]
        return tuple(
            (percent(y), word) for y, word in [*rows, *((self._lane(one), one) for one in self.lanes)]
        )

    def _ticks(self) -> list[float]:
        return round_ticks(self.up, 5) if self.up is not None else []

    def grid(self) -> list[Element]:
        """The lanes, and a line at each round value."""
        floor = self._floor
        found = []
        if self.lanes:
            height = percent(1 - floor)
            found.append(element("rect", class_="band", x="0", y=percent(floor), width="100%", height=height))
        found += [line("grid", self.x(value), 0, self.x(value), 1) for value in round_ticks(self.across, 6)]
        return found + [line("grid", 0, self.y(value), 1, self.y(value)) for value in self._ticks()]

    def equal_eta(self, words: Words, unit: str) -> list[Element]:
        """Lines of equal η at powers of ten, each labelled near where it leaves the picture."""
        if (up := self.up) is None:
            return []
        across = self.across
        found: list[Element] = []
        for eta in crossing_powers(across, up)[-_MOST_LINES:]:
            per_joule = eta / 1000
            left, right = max(across.low, up.low / per_joule), min(across.high, up.high / per_joule)
            x, y = self.x(right), self.y(per_joule * right)
            found.append(line("eta", self.x(left), self.y(per_joule * left), x, y))
            said = f"{number_text(eta)} {unit}/kJ" if unit else f"{number_text(eta)}/kJ"
            found += self._eta_words(words, said, (self.x(left), self.y(per_joule * left)), (x, y))
        return found

    def _eta_words(
        self, words: Words, said: str, lower: tuple[float, float], upper: tuple[float, float]
    ) -> list[Element]:
        """The words of a line, at its upper end or, where that is taken, further down."""
        for share in _ALONG:
            x, y = (end + share * (begin - end) for begin, end in zip(lower, upper, strict=True))
            if (put := words.put(x, y, said, _INSIDE)) is not None:
                return [_words(said, x, y, (put.dx, put.dy), f"eta-label{put.class_name}")]
        return []


def _words(said: str, x: float, y: float, shift: tuple[int, int], name: str) -> Element:
    return element("text", text=said, class_=name, x=percent(x), y=percent(y), dx=shift[0], dy=shift[1])


def _upward(marks: Sequence[_Placed]) -> Ends | None:
    above = [mark.delta for mark in marks if mark.delta is not None and mark.delta > 0]
    if not above:
        return None
    highs = [mark.delta_hi for mark in marks if mark.delta_hi is not None and (mark.delta or 0) > 0]
    return Ends.around(max(min(above), max(above) / 10_000), max([*above, *highs]), air=1.25)
