"""The page ``/models``: what is there to use, how it came about, and how to go back."""

from __future__ import annotations

__all__ = ["TaskOfModels", "page", "version_facts_of"]

import json
from dataclasses import dataclass

from cryoflux.pages.charts.curve import StepCurve, curve
from cryoflux.pages.charts.lineage import LineageRow, lineage
from cryoflux.pages.scene import Page, Scene
from cryoflux.queries.lineage import HeadMoved, TaskLine, task_lines
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.entry import Kind
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion
from cryoflux.runs.scores import Change
from cryoflux.runs.version_facts import VersionFacts, version_facts
from cryoflux.state import FIRST_TASK

_MOST = 20
"""rows of a task"""
_MOST_DIGITS = 12


@dataclass(frozen=True, slots=True)
class TaskOfModels:
    """One task: its head, how that came about, and all of its versions."""

    name: str
    head: CataloguedVersion
    facts: VersionFacts | None
    began: VersionFacts | None
    """of the first version"""
    made_by: Attempt | None
    """the attempt that made the head"""
    scored: Change
    """what the first version and the head score on the holdout in use; none where unknown"""
    since: str
    """when it became the head, as the entry says it"""
    moved: HeadMoved | None
    """the move by which it did; none where its attempt was kept"""
    before: CataloguedVersion | None
    """the version that it followed: where going back leads"""
    loads: str
    """the path that a program loads, as Python has it; empty where its files are no model of their own"""
    picture: StepCurve | None
    rows: list[LineageRow]
    sizes: dict[str, VersionFacts]
    older: int
    """place to go on from; 0 where there is no more"""
    versions: int
    unit: str
    joules: float
    modelled: bool
    of_others: bool
    """whether the head rests on what others offered, so that Σ Δ is that of updates of its own"""


def version_facts_of(catalogue: Catalogue, digests: set[str]) -> dict[str, VersionFacts]:
    """What is known of some versions beside the log, by digest."""
    return {digest: facts for (_, digest), facts in version_facts(catalogue, digests).items()}


def page(scene: Scene) -> Page:
    """The page of a state as it is."""
    catalogue = scene.followed.catalogue()
    lines = task_lines(scene.followed, catalogue)
    tasks = [_task(scene, catalogue, line) for line in lines.values()]
    values = {
        "catalogue": catalogue,
        "tasks": tasks,
        "moved": _just_moved(scene),
        "strange": catalogue.strange,
    }
    return Page("models.html", "Models", section="models", values=values)


def _task(scene: Scene, catalogue: Catalogue, line: TaskLine) -> TaskOfModels:
    head, followed = line.head, scene.followed
    begin = _begin(scene, line)
    shown, count = lineage(line, begin, begin + _MOST)
    seen = {row.version.digest for row in shown if row.version is not None}
    sizes = version_facts_of(catalogue, seen | {head.digest, line.first.digest})
    moved = next((one for one in reversed(line.moves) if one.result == head.digest), None)
    if moved is not None and head.made_at is not None and moved.entry < head.made_at:
        moved = None
    return TaskOfModels(
        name=line.task,
        head=head,
        facts=sizes.get(head.digest),
        began=sizes.get(line.first.digest),
        made_by=followed.attempt(head.attempt) if head.attempt is not None else None,
        scored=followed.head_scores(line.task),
        since=moved.at if moved is not None else head.said_at,
        moved=moved,
        before=line.of.versions.get(head.parent),
        loads=_loads(scene, line.task),
        picture=curve(line, lambda number: scene.link(f"/attempts/{number}")),
        rows=shown,
        sizes=sizes,
        older=begin + _MOST if begin + _MOST < count else 0,
        versions=len(line.of.versions),
        unit=line.unit,
        joules=line.joules,
        modelled=line.modelled,
        of_others=any(one.made_from for one in line.of.line(head.digest)),
    )


def _begin(scene: Scene, line: TaskLine) -> int:
    """Place of the first row to show: another one only for the task that was asked about."""
    said = scene.query.get("from", "")
    if scene.query.get("task") != line.task or not (said.isascii() and said.isdecimal()):
        return 0
    return min(int(said[:_MOST_DIGITS]), len(line.of.versions) - 1)


def _loads(scene: Scene, task: str) -> str:
    """The link that leads to the head of a task, where its files are a model of their own."""
    folder = scene.followed.state / ("base_model" if task == FIRST_TASK else f"heads/{task}")
    return json.dumps(str(folder), ensure_ascii=False) if (folder / "config.json").is_file() else ""


def _just_moved(scene: Scene) -> int | None:
    """The entry that moved a head just now, where the address names one that did."""
    said = scene.query.get("moved", "")
    if not (said.isascii() and said.isdecimal() and len(said) <= _MOST_DIGITS):
        return None
    place = int(said)
    rows = scene.followed.rows
    return place if place < len(rows) and rows[place].kind is Kind.HEAD else None
