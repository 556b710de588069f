"""The page ``/models/DIGEST``: one version, what made it, what it rests on, and how it differs from the head."""

from __future__ import annotations

__all__ = ["found_version", "page"]

import re
from contextlib import suppress
from typing import Any

from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.pages.look import Look, Page
from cryoflux.pages.models import version_facts_of
from cryoflux.queries.head_plan import plan_head
from cryoflux.queries.lineage import task_lines
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion
from cryoflux.runs.version_diff import VersionDiff, diff_versions
from cryoflux.runs.version_names import find_version

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_MOST_ON_LINE = 40
_MOST_TERMS = 64


def found_version(look: Look, catalogue: Catalogue, named: str, task: str) -> CataloguedVersion:
    """The version that a path names.

    Raises:
        UsageError: none, or several, are called so.
    """
    if _DIGEST.fullmatch(named) is None:
        raise UsageError(
            "A version is named by its digest: 8 to 64 hexadecimal digits.", hint="Choose one under Models."
        )
    return find_version(catalogue, named, task if task in catalogue.tasks else None)


def page(look: Look, named: str) -> Page:
    """The page of a version.

    Raises:
        UsageError: there is no such version.
    """
    catalogue = look.followed.catalogue()
    one = found_version(look, catalogue, named, look.query.get("task", ""))
    of = catalogue.tasks.get(one.task)
    head = of.versions.get(of.head) if of is not None else None
    line = of.line(one.digest)[::-1] if of is not None else []
    lines = task_lines(look.followed, catalogue)
    values: dict[str, Any] = {
        "one": one,
        "names": catalogue.names(one.digest),
        "here": one.digest in catalogue.present,
        "folder": catalogue.state.model(one.digest),
        "facts": version_facts_of(catalogue, {one.digest}).get(one.digest),
        "attempt": look.followed.attempt(one.attempt) if one.attempt is not None else None,
        "line": line[:_MOST_ON_LINE],
        "deeper": max(0, len(line) - _MOST_ON_LINE),
        "left": lines[one.task].left.get(one.digest) if one.task in lines else None,
        "is_head": head is not None and head.digest == one.digest,
        "head": head,
        "difference": _difference(catalogue, head, one),
        "terms": one.composed.terms[:_MOST_TERMS] if one.composed is not None else (),
        "plan": plan_head(catalogue, one),
    }
    return Page("version.html", f"Version {one.digest[:12]}", section="models", values=values)


def _difference(
    catalogue: Catalogue, head: CataloguedVersion | None, one: CataloguedVersion
) -> VersionDiff | None:
    if head is None or head.digest == one.digest:
        return None
    with suppress(CryoFluxError, OSError):  # weights that cannot be read: what the log says stands above
        return diff_versions(catalogue, head, one)
    return None
