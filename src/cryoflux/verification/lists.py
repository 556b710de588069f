"""Versions whose weights are not on the disk, because they are composed when somebody opens them.

Their settings are looked at like any others, and so are genesis and updates. That these are what the log says
the version is the sum of is looked at here; what they come to is for step 11, which composes.
"""

from __future__ import annotations

__all__ = ["VersionsAsLists"]

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cryoflux.digests import COMPOSED
from cryoflux.log_state import LogState
from cryoflux.receipts.statement import Base
from cryoflux.registry.kept_lists import absent_weights, can_compose, said_in
from cryoflux.state import StateFolder
from cryoflux.verification.folders import FolderState
from cryoflux.verification.result import Finding, failed, unknown

_NOT_HERE = "its weights are not kept here"


class VersionsAsLists:
    """Those that were met."""

    def __init__(self) -> None:
        self._met: dict[str, Base] = {}
        self._whole: set[str] = set()

    def apart(self, version: Base, folder: Path, found: FolderState) -> FolderState:
        """How a version differs from what was signed, weights apart that are to be composed.

        Args:
            version: as the log names it.
            folder: its own.
            found: how that differs.
        """
        try:
            absent = set(absent_weights(folder)) if found.missing else set()
        except (OSError, UnicodeError):
            return found
        if not absent:
            if (folder / COMPOSED).is_file():
                self._whole.add(version.digest)
            return found
        self._met[version.digest] = version
        return replace(found, missing=tuple(name for name in found.missing if name not in absent))

    def has(self, digest: str) -> bool:
        """Whether a version is one of them."""
        return digest in self._met

    def findings(self, state: StateFolder, memory: LogState) -> Iterator[Finding]:
        """Those that do not follow from what is here; a head has to.

        Args:
            state: where they lie.
            memory: what the log has come to.
        """
        heads = {known.head.digest for known in memory.tasks.values()}
        for digest in self._whole - self._met.keys():  # what a run would compose once these weights went
            due = memory.list_of(digest)
            if due is not None and said_in(state.model(digest)) != due:
                yield failed(f"models/{digest}/COMPOSED", "is not the list of updates that the log gives")
        for digest in self._met:
            where, due = f"models/{digest}", memory.list_of(digest)
            lacks = failed if digest in heads else unknown
            if due is None:
                yield lacks(where, f"{_NOT_HERE}, and the log does not say what they are the sum of")
            elif not can_compose(state, due):
                yield lacks(where, f"{_NOT_HERE}, nor is all that they are the sum of")
            elif said_in(state.model(digest)) != due:
                yield failed(f"{where}/COMPOSED", "is not the list of updates that the log gives")
            elif digest in heads:
                yield unknown(where, f"{_NOT_HERE}; models rebuild composes and compares them")

    def heads_in_words(self, memory: LogState) -> str:
        """What of the heads of the log was compared."""
        heads = {known.head.digest for known in memory.tasks.values()}
        if not heads & self._met.keys():
            return "head model and its files"
        return "settings of the head model" if len(heads) == 1 else "settings of the head models"

    def words(self) -> str:
        """How many there are; empty where there are none."""
        count = len(self._met)
        said = "one version is kept as its list" if count == 1 else f"{count} versions are kept as lists"
        return f"; {said} of updates, whose weights --recompute adds up" if count else ""
