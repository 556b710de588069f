"""How versions followed one another, as a strip beside the rows that name them.

One column is the line of the head; versions that it does not rest on stand in columns of their own, joined to
the version that they were made from. Each row has its piece of the picture, as high as its row is, so that
the strip fits any width and any length of text.
"""

from __future__ import annotations

__all__ = ["LineageRow", "lineage"]

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cryoflux.pages.charts.svg import Element, draw, element
from cryoflux.queries.lineage import HeadMoved, TaskLine
from cryoflux.runs.catalogue import CataloguedVersion

_STEP = 18
"""px from one column to the next"""
_FIRST = 11
_NODE_Y = 21
"""px below the top of a row"""
_MOST_COLUMNS = 5
"""further branches share the last one"""


@dataclass(frozen=True, slots=True)
class LineageRow:
    """A version or a move of the head, with its piece of the strip."""

    strip: Markup
    version: CataloguedVersion | None
    moved: HeadMoved | None
    on_line: bool
    left: HeadMoved | None
    """the move that left it behind; none where the head rests on it, or no move says so"""


def lineage(line: TaskLine, begin: int = 0, end: int | None = None) -> tuple[list[LineageRow], int]:
    """The versions of a task and the moves of its head, newest first; and how many there are.

    Args:
        line: the heads of the task.
        begin: the first row that is drawn.
        end: the one after the last; none for all.
    """
    drawn = _Columns(line.of.head)
    on_line = line.on_line
    rows = []
    items = _newest_first(line)
    for item in items[:begin]:
        drawn.skip(item)
    for item in items[begin:end]:
        if isinstance(item, HeadMoved):
            rows.append(LineageRow(drawn.passing(), None, item, on_line=True, left=None))
        else:
            left = line.left.get(item.digest)
            strip = drawn.version(item, on_line=item.digest in on_line)
            rows.append(LineageRow(strip, item, None, item.digest in on_line, left))
    width = _FIRST + _STEP * drawn.widest
    return [_widened(row, width) for row in rows], len(items)


def _newest_first(line: TaskLine) -> list[CataloguedVersion | HeadMoved]:
    # A version is known by the entry that made it; the first one of a log has no entry before the others'.
    versions = list(line.of.versions.values())
    placed: list[tuple[int, int, CataloguedVersion | HeadMoved]] = [
        (one.made_at if one.made_at is not None and place else -1, place, one)
        for place, one in enumerate(versions)
    ]
    placed += [(moved.entry, 0, moved) for moved in line.moves]
    return [item for _, _, item in sorted(placed, key=lambda found: found[:2], reverse=True)]


def _widened(row: LineageRow, width: int) -> LineageRow:
    strip = Markup('<svg class="strip" aria-hidden="true" width="{}">{}</svg>').format(width, row.strip)
    return LineageRow(strip, row.version, row.moved, row.on_line, row.left)


class _Columns:
    """What each column of the strip waits for, from the newest row downwards."""

    def __init__(self, head: str) -> None:
        self._waits: dict[int, str] = {0: head}
        """column → digest of the version that its line leads down to"""
        self.widest = 1
        self._began = False

    def skip(self, item: CataloguedVersion | HeadMoved) -> None:
        """Go on by a row that is not drawn."""
        self._began = True
        if isinstance(item, CataloguedVersion):
            mine, waits = self._place(item)
            self._waits = {**waits, **({mine: item.parent} if item.parent else {})}

    def _place(self, one: CataloguedVersion) -> tuple[int, dict[int, str]]:
        """The column of a version, and what the others wait for."""
        ending = [column for column, digest in self._waits.items() if digest == one.digest]
        waits = {column: digest for column, digest in self._waits.items() if column not in ending}
        return min(ending) if ending else self._free(), waits

    def passing(self) -> Markup:
        """The piece of a row that is a move: a ring on the line of the head."""
        self._began = True
        ring = element("circle", class_="turn", cx=str(_x(0)), cy=str(_NODE_Y), r="5")
        return _drawn([*self._through(self._waits), ring])

    def version(self, one: CataloguedVersion, *, on_line: bool) -> Markup:
        """The piece of a row that is a version."""
        newest, self._began = not self._began, True
        ending = [column for column, digest in self._waits.items() if digest == one.digest]
        from_above = [] if newest else ending
        mine, passing = self._place(one)
        self.widest = max(self.widest, mine + 1)
        parts = self._through(passing)
        parts += [_segment(column, (_x(column), "0"), (_x(mine), str(_NODE_Y))) for column in from_above]
        self._waits = passing
        if one.parent:
            self._waits[mine] = one.parent
            parts.append(_segment(mine, (_x(mine), str(_NODE_Y)), (_x(mine), "100%")))
        return _drawn([*parts, _node(mine, one, on_line=on_line)])

    def _free(self) -> int:
        return next(column for column in range(1, len(self._waits) + 2) if column not in self._waits)

    def _through(self, waits: dict[int, str]) -> list[Element]:
        return [_segment(column, (_x(column), "0"), (_x(column), "100%")) for column in waits]


def _x(column: int) -> int:
    return _FIRST + _STEP * min(column, _MOST_COLUMNS - 1)


def _segment(column: int, start: tuple[int, str], end: tuple[int, str]) -> Element:
    name = "thread" if column == 0 else "thread off"
    return element("line", class_=name, x1=str(start[0]), y1=start[1], x2=str(end[0]), y2=end[1])


def _node(column: int, one: CataloguedVersion, *, on_line: bool) -> Element:
    """Filled on the line of the head, hollow beside it, crossed where it was found to be worse."""
    x = _x(column)
    name = "node on" if on_line else "node off"
    if one.worse:
        cross = f"M{x - 4} {_NODE_Y - 4}l8 8m0-8l-8 8"
        return element("path", class_="node worse", d=cross)
    return element("circle", class_=name, cx=str(x), cy=str(_NODE_Y), r="5.5")


def _drawn(parts: Sequence[Element]) -> Markup:
    return Markup("").join(draw(part) for part in parts)
