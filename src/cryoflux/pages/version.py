"""The page ``/models/DIGEST``: one version, what made it and what it rests on, and the head beside it."""

from __future__ import annotations

__all__ = ["found_version", "page", "with_difference"]

import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.files import files_below
from cryoflux.pages.models import version_facts_of
from cryoflux.pages.scene import Page, Scene
from cryoflux.queries.head_plan import plan_head
from cryoflux.queries.lineage import task_lines
from cryoflux.registry.shards import TensorFolder
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion
from cryoflux.runs.version_diff import VersionDiff, diff_versions
from cryoflux.runs.version_names import find_version

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_MOST_ON_LINE = 40
_MOST_TERMS = 64
_MOST_COMPARED = 600_000_000
"""bytes of two versions together"""
_MOST_TENSORS = 8192
"""of two versions together"""
_MOST_KEPT = 64
_COMPARED: dict[tuple[str, str, str], VersionDiff] = {}
"""state, head, version: neither of them ever changes"""
_COMPARING = threading.Lock()
"""one comparison at a time, so that none is made twice, and pages of other versions find a thread"""
_About = tuple[Catalogue, CataloguedVersion, CataloguedVersion | None]


def found_version(catalogue: Catalogue, named: str, task: str) -> CataloguedVersion:
    """The version that a path names.

    Raises:
        UsageError: none, or several, are called so.
    """
    if _DIGEST.fullmatch(named) is None:
        raise UsageError(
            "A version is named by its digest: 8 to 64 hexadecimal digits.", hint="Choose one under Models."
        )
    return find_version(catalogue, named, task if task in catalogue.tasks else None)


def page(scene: Scene, named: str) -> tuple[Page, _About]:
    """The page of a version, without what `with_difference` puts in, and what that is about.

    Raises:
        UsageError: there is no such version.
    """
    catalogue = scene.followed.catalogue()
    one = found_version(catalogue, named, scene.query.get("task", ""))
    of = catalogue.tasks.get(one.task)
    head = of.versions.get(of.head) if of is not None else None
    line = of.line(one.digest)[::-1] if of is not None else []
    lines = task_lines(scene.followed, catalogue)
    values: dict[str, Any] = {
        "one": one,
        "names": catalogue.names(one.digest),
        "here": one.digest in catalogue.present,
        "folder": catalogue.state.model(one.digest),
        "facts": version_facts_of(catalogue, {one.digest}).get(one.digest),
        "attempt": scene.followed.attempt(one.attempt) if one.attempt is not None else None,
        "line": line[:_MOST_ON_LINE],
        "deeper": max(0, len(line) - _MOST_ON_LINE),
        "left": lines[one.task].left.get(one.digest) if one.task in lines else None,
        "is_head": head is not None and head.digest == one.digest,
        "head": head,
        "difference": None,
        "terms": one.composed.terms[:_MOST_TERMS] if one.composed is not None else (),
        "too_large": False,
        "plan": plan_head(catalogue, one),
    }
    shown = Page("version.html", f"Version {one.digest[:12]}", section="models", values=values)
    return shown, (catalogue, one, head)


def with_difference(page: Page, about: _About) -> Page:
    """The same page with what lies between the version and the head.

    Comparing weights reads all of them: it is done once a pair, outside the log's lock, and not at all where
    they are large; then there is a command.
    """
    catalogue, one, head = about
    if head is None or head.digest == one.digest:
        return page
    pair = (str(catalogue.state.path), head.digest, one.digest)
    found = None
    with suppress(CryoFluxError, OSError), _COMPARING:  # what cannot be read: what the log says stands above
        if pair not in _COMPARED:
            if _are_large(catalogue, (head, one)):
                return replace(page, values={**page.values, "too_large": True})
            while len(_COMPARED) >= _MOST_KEPT:
                del _COMPARED[next(iter(_COMPARED))]
            _COMPARED[pair] = diff_versions(catalogue, head, one)
        found = _COMPARED[pair]
    return replace(page, values={**page.values, "difference": found})


def _are_large(catalogue: Catalogue, versions: Sequence[CataloguedVersion]) -> bool:
    """Whether to compare them would take long: each tensor is looked for in its file by itself."""
    folders = [catalogue.state.model(one.digest) for one in versions if one.digest in catalogue.present]
    held = [path.stat().st_size for folder in folders for path in files_below(folder).values()]
    return sum(held) > _MOST_COMPARED or sum(map(len, map(TensorFolder, folders))) > _MOST_TENSORS
