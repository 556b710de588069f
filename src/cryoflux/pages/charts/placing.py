"""Where words stand in a chart that is drawn once for all widths, so that none covers another.

Places are shares of the frame and words have pixels, so whether two of them meet depends on the width. What
is free is asked at two widths; what fits at the wider one alone is shown there alone.
"""

from __future__ import annotations

__all__ = ["Words"]

from collections.abc import Sequence
from dataclasses import dataclass

_WIDE, _NARROW = (620.0, 420.0), (270.0, 320.0)
"""least width and height of a plot on a wide screen, and on a narrow one, pixels"""
_EM = 8.2
"""mean width of a character, pixels"""
_HIGH = 13.0
_SHORT = 6
"""characters of a mark's number, which may stand on a line; longer words keep clear of them"""
_SIDES = ((9, -7, 1), (-9, -7, -1), (9, 15, 1), (-9, 15, -1), (0, -12, 0), (0, 20, 0))
"""shift of the words against their place, pixels, and whether they begin, end or are centred there"""

_Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Put:
    """Words that have found a place."""

    dx: int
    dy: int
    anchor: int
    """1 where they begin there, -1 where they end, 0 in the middle"""
    wide: bool
    """whether they have room on a wide screen alone"""

    @property
    def class_name(self) -> str:
        """What a stylesheet knows it by."""
        anchor = {1: "", -1: " end", 0: " middle"}[self.anchor]
        return f"{anchor}{' wide' if self.wide else ''}"


class Words:
    """What is taken already, at both widths."""

    def __init__(self) -> None:
        self._taken: dict[tuple[float, float], list[_Box]] = {_WIDE: [], _NARROW: []}
        self._lines: dict[tuple[float, float], list[_Box]] = {_WIDE: [], _NARROW: []}

    def mark(self, x: float, y: float) -> None:
        """Take the place of a mark."""
        for size, taken in self._taken.items():
            at_x, at_y = x * size[0], y * size[1]
            taken.append((at_x - 5, at_y - 5, at_x + 5, at_y + 5))

    def bar(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Note a level or an upright line, which long words do not cross."""
        for size, lines in self._lines.items():
            lines.append((x1 * size[0], y1 * size[1] - 1, x2 * size[0] + 1, y2 * size[1]))

    def put(
        self, x: float, y: float, text: str, sides: Sequence[tuple[int, int, int]] = _SIDES
    ) -> _Put | None:
        """Take a place beside a point, where there is one; shares of the frame."""
        fitting = [(side, self._free(_WIDE, x, y, text, side)) for side in sides]
        wide = [side for side, free in fitting if free]
        both = [side for side in wide if self._free(_NARROW, x, y, text, side)]
        if not wide:
            return None
        side = (both or wide)[0]
        for size in (_WIDE, _NARROW) if both else (_WIDE,):
            self._taken[size].append(_box(size, x, y, text, side))
        return _Put(*side, wide=not both)

    def _free(
        self, size: tuple[float, float], x: float, y: float, text: str, side: tuple[int, int, int]
    ) -> bool:
        left, top, right, bottom = _box(size, x, y, text, side)
        if left < 0 or top < 0 or right > size[0] or bottom > size[1]:
            return False
        return not any(
            left < there[2] and there[0] < right and top < there[3] and there[1] < bottom
            for there in (*self._taken[size], *(self._lines[size] if len(text) > _SHORT else ()))
        )


def _box(size: tuple[float, float], x: float, y: float, text: str, side: tuple[int, int, int]) -> _Box:
    dx, dy, anchor = side
    width = _EM * len(text)
    left = x * size[0] + dx - {1: 0.0, -1: width, 0: width / 2}[anchor]
    base = y * size[1] + dy
    return left, base - _HIGH + 2, left + width, base + 3
