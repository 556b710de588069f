"""Many marks as a grid of dots, the larger the more lie there: ten thousand stay readable, and small."""

from __future__ import annotations

__all__ = ["dots"]

from collections import Counter
from collections.abc import Iterable, Sequence

from cryoflux.pages.charts.svg import Element, element

_GRIDS = ((90, 45), (60, 30), (40, 20), (32, 16), (24, 12))
"""cells across and down, the finest that is not too many first"""
_MOST_CELLS = 440
_LEVELS = (1, 3, 10, 40)
"""least number of marks in a dot of each size"""


def dots(groups: Iterable[tuple[str, Sequence[tuple[float, float]]]]) -> list[Element]:
    """Elements for some groups of places, each place a share of the frame.

    Args:
        groups: the class of a group, and where its marks lie.
    """
    named = [(name, places) for name, places in groups if places]
    if not named:
        return []
    cells: dict[str, Counter[tuple[int, int]]] = {}
    across, down = _GRIDS[-1]
    for across, down in _GRIDS:
        cells = {name: _counted(places, across, down) for name, places in named}
        if sum(map(len, cells.values())) <= _MOST_CELLS:
            break
    paths = [path for name, counted in cells.items() for path in _paths(name, counted)]
    box = f"0 0 {across} {down}"
    return [
        element("svg", *paths, viewBox=box, preserveAspectRatio="none", width="100%", height="100%"),
    ]


def _counted(places: Sequence[tuple[float, float]], across: int, down: int) -> Counter[tuple[int, int]]:
    return Counter((round(x * across), round(y * down)) for x, y in places)


def _paths(name: str, counted: Counter[tuple[int, int]]) -> list[Element]:
    found = list[Element]()
    for level, least in enumerate(_LEVELS):
        most = _LEVELS[level + 1] if level + 1 < len(_LEVELS) else None
        here = [at for at, count in counted.items() if count >= least and (most is None or count < most)]
        if here:
            found.append(element("path", class_=f"dots {name} d{level + 1}", d=_path(here)))
    return found


def _path(cells: Sequence[tuple[int, int]]) -> str:
    """A dot in each cell: row by row, each by its distance from the one before, which is short."""
    found, was_x, was_y = "", 0, 0
    for y, x in sorted((y, x) for x, y in cells):
        found += f"{'m' if found else 'M'}{x - was_x} {y - was_y}h0"
        was_x, was_y = x, y
    return found
