"""The page ``/attempts``: every attempt, as the project's picture and as a table."""

from __future__ import annotations

__all__ = ["AttemptRow", "page", "rows_of", "rows_to_export", "signature"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from cryoflux.pages import comparing
from cryoflux.pages.charts.scatter import MOST_IN_FULL, Scatter, scatter
from cryoflux.pages.scene import Page, Scene
from cryoflux.queries.attempt_list import AskedList, AttemptPage, chosen, in_order, page_of
from cryoflux.queries.followed import Followed
from cryoflux.queries.marks import DrawnAs, drawn_as, mark_of
from cryoflux.queries.rows import attempt_row
from cryoflux.receipts.attempts import Attempt
from cryoflux.report.decision_words import best_deal, short_why

_MOST = 20
"""rows of a page"""
_MOST_OPTIONS = 30
"""names in a choice"""
_MOST_NAME = 100
"""characters of one"""
_MOST_TASKS = 3
"""tasks whose best deal is told"""
_COLUMNS = (("number", "#"), ("delta", "Δ"), ("energy", "energy"), ("eta", "η"))
_Pictures = list[tuple[str, Scatter]]
_DRAWN: WeakKeyDictionary[Followed, tuple[str, dict[str, _Pictures]]] = WeakKeyDictionary()
"""pictures of a log that ends with an entry, by what was asked for"""
_MOST_DRAWN = 8


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt in one line."""

    attempt: Attempt
    kind: DrawnAs
    href: str
    why: str
    """its reason, without what stands in the other columns"""


@dataclass(frozen=True, slots=True)
class _Heading:
    """The head of a column that can be sorted by."""

    word: str
    href: str
    sorted: str
    """``ascending`` or ``descending`` for who cannot see it; empty where the table is not by this one"""


@dataclass(frozen=True, slots=True)
class _Filter:
    """One way to see fewer of them."""

    word: str
    name: str
    """of the outcome's mark; empty for all"""
    count: int
    href: str
    chosen: bool


def page(scene: Scene) -> Page:
    """The page of a state as it is, or the comparison of some attempts where they are named."""
    if comparing.asked(scene.query):
        return comparing.page(scene)
    attempts, asked = scene.followed.attempts, _asked(scene.query)
    found = page_of(attempts, asked, _name, most=_MOST)
    several = len(found.choices.tasks) > 1
    values = {
        "asked": asked,
        "found": found,
        "rows": rows_of(scene, found.rows),
        "best": _best(scene, attempts),
        "pictures": signature(scene, attempts, asked) if attempts else [],
        "headings": _headings(scene, asked),
        "filters": _filters(scene, asked, found),
        "tasks": _options(found.choices.tasks) if several else [],
        "recipes": _options(found.choices.recipes) if len(found.choices.recipes) > 1 else [],
        "several": several,
        "joules_bars": comparing.joules_bars(chosen(attempts, asked, _name) or attempts),
        "earlier": _link(scene, asked, until=found.before) if found.before else "",
        "later": _link(scene, asked, after=found.after) if found.after else "",
        "csv": scene.link("/attempts.csv") + (f"?{urlencode(asked.query)}" if asked.query else ""),
        "going": [
            (number, scene.link(f"/attempts/{number}")) for number in scene.followed.open_attempts[-3:]
        ],
    }
    return Page("attempts.html", "Attempts", section="attempts", values=values)


def rows_of(scene: Scene, attempts: Sequence[Attempt]) -> list[AttemptRow]:
    """Attempts as lines of a table, in the order that they come in."""
    return [
        AttemptRow(one, drawn_as(one), scene.link(f"/attempts/{one.number}"), short_why(one))
        for one in attempts
    ]


def rows_to_export(scene: Scene) -> Iterator[Mapping[str, Any]]:
    """All attempts that an address asks for, in its order, as rows of an export; made one at a time."""
    found = in_order(scene.followed.attempts, _asked(scene.query), _name)
    summary, state = scene.followed.summary(), str(scene.followed.state)
    units = {total.name: total.unit for total in summary.tasks} if summary is not None else {}
    return (attempt_row(state, one, units.get(one.task)) for one in found)


def signature(
    scene: Scene, attempts: Sequence[Attempt], asked: AskedList | None = None, *, in_full: int = MOST_IN_FULL
) -> _Pictures:
    """The project's picture of each task, since each has its own unit; drawn once while nothing is new.

    Args:
        scene: at which state.
        attempts: all of it.
        asked: which of them; all where it is none.
        in_full: of more marks than so many only some have intervals and links.
    """
    asked = asked or AskedList()
    key = f"{scene.root}?{urlencode(asked.filters)} {in_full}"
    head, drawn = _DRAWN.get(scene.followed, ("", {}))
    if head != scene.followed.head or len(drawn) >= _MOST_DRAWN:
        drawn = {}
        _DRAWN[scene.followed] = (scene.followed.head, drawn)
    if key not in drawn:
        drawn[key] = _pictures(scene, chosen(attempts, asked, _name), in_full)
    return drawn[key]


def _pictures(scene: Scene, attempts: Sequence[Attempt], in_full: int) -> _Pictures:
    found = []
    for task in dict.fromkeys(one.task for one in attempts):
        marks = [mark_of(one) for one in attempts if one.task == task]
        title = f"{task}: energy against improvement, {len(marks)} attempts"
        drawn = scatter(marks, lambda number: scene.link(f"/attempts/{number}"), title, in_full=in_full)
        if drawn is not None:
            found.append((task, drawn))
    return found


def _name(attempt: Attempt) -> str:
    return _slug(drawn_as(attempt))


def _slug(kind: DrawnAs) -> str:
    """How addresses name what became of an attempt: by the words of the list."""
    return kind.word.replace(" ", "-")


_NAMED = {name: _slug(kind) for kind in DrawnAs for name in (kind.word, kind.name.lower())}
"""other names of outcomes in addresses: as it is read, and as its mark is called"""


def _asked(query: Mapping[str, str]) -> AskedList:
    asked = AskedList.of(query)
    return replace(asked, outcome=_NAMED.get(asked.outcome, asked.outcome))


def _link(scene: Scene, asked: AskedList, **more: int) -> str:
    query = {**asked.query, **{name: str(number) for name, number in more.items()}}
    return scene.link("/attempts") + (f"?{urlencode(query)}" if query else "")


def _headings(scene: Scene, asked: AskedList) -> dict[str, _Heading]:
    found = {}
    for name, word in _COLUMNS:
        by_it = ("ascending" if asked.rising else "descending") if asked.sort == name else ""
        found[name] = _Heading(word, _link(scene, asked.sorted_by(name)), by_it)
    return found


def _filters(scene: Scene, asked: AskedList, found: AttemptPage) -> list[_Filter]:
    counts = dict(found.choices.outcomes)
    kinds = [kind for kind in DrawnAs if _slug(kind) in counts]
    if len(kinds) < 2 and not asked.outcome:
        return []
    everything = _Filter("all", "", found.total, _link(scene, asked.with_outcome("")), not asked.outcome)
    return [everything, *(_filter(scene, asked, kind, counts[_slug(kind)]) for kind in kinds)]


def _filter(scene: Scene, asked: AskedList, kind: DrawnAs, count: int) -> _Filter:
    name = _slug(kind)
    href = _link(scene, asked.with_outcome(name))
    return _Filter(kind.word, kind.name.lower(), count, href, asked.outcome == name)


def _options(counted: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The names that most have; a page has no room for all that a stranger could think of."""
    short = [(name, count) for name, count in counted if len(name) <= _MOST_NAME]
    return sorted(short, key=lambda one: -one[1])[:_MOST_OPTIONS]


def _best(scene: Scene, attempts: Sequence[Attempt]) -> list[tuple[str, int, str, str]]:
    """Task, number, address and words of the best deal of each task."""
    tasks = list(dict.fromkeys(one.task for one in attempts))[:_MOST_TASKS]
    deals = [(task, best_deal(one for one in attempts if one.task == task)) for task in tasks]
    return [
        (task, deal[0].number, scene.link(f"/attempts/{deal[0].number}"), deal[1])
        for task, deal in deals
        if deal is not None
    ]
