"""What moving a head would do, and why it cannot be done where it cannot: said before anything is done."""

from __future__ import annotations

__all__ = ["CannotMove", "HeadPlan", "plan_head"]

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryoflux.files import read_beginning
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion

_MOST_BYTES = 1 << 20
_NAME_BYTES = 200


@dataclass(frozen=True, slots=True)
class CannotMove:
    """Why a head cannot go to a version from a page, and what to do instead."""

    what: str
    why: str
    hint: str


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """What moving a head to a version comes to."""

    task: str
    head: CataloguedVersion
    """as it is"""
    to: CataloguedVersion
    back: bool
    """whether the head rests on it: going back; else somebody chooses another one"""
    left: tuple[CataloguedVersion, ...]
    """versions that the head would not rest on any more, newest first"""
    regained: tuple[CataloguedVersion, ...]
    """those that it would rest on again, oldest first"""
    refused: CannotMove | None

    @property
    def delta(self) -> float:
        """Σ Δ of the version less that of the head, in the unit of its task; below zero where it is lost."""
        return self.to.total_delta - self.head.total_delta

    @property
    def command(self) -> str:
        """``rollback`` or ``promote``: the command that does the same."""
        return "rollback" if self.back else "promote"


def plan_head(catalogue: Catalogue, to: CataloguedVersion) -> HeadPlan | None:
    """What making a version the head of its task comes to; none where it is of no task.

    Args:
        catalogue: of the state.
        to: the version.
    """
    of = catalogue.tasks.get(to.task)
    if of is None or of.head not in of.versions:
        return None
    here, there = of.line(of.head), of.line(to.digest)
    before, after = {one.digest for one in here}, {one.digest for one in there}
    return HeadPlan(
        task=to.task,
        head=of.versions[of.head],
        to=to,
        back=to.digest in before and to.digest != of.head,
        left=tuple(one for one in here[::-1] if one.digest not in after),
        regained=tuple(one for one in there if one.digest not in before),
        refused=_refused(catalogue, to, of.head),
    )


def _refused(catalogue: Catalogue, to: CataloguedVersion, head: str) -> CannotMove | None:
    short = to.digest[:16]
    if to.digest == head:
        return CannotMove("It is the head already.", "There is nothing to move.", "Choose another version.")
    if to.made_at is None:
        return CannotMove(
            "No entry of this log made it.",
            "A move names the entry that made the version, so that anybody can follow it.",
            "Choose a version that a receipt of this log made.",
        )
    if to.digest not in catalogue.present:
        return CannotMove(
            "Its files were freed.",
            "A head has to be there to be used.",
            f"Make it again first: cryoflux models rebuild {short}",
        )
    if to.worse:
        return CannotMove(
            "A rollback left it behind: it was found to be worse, or rests on what was.",
            "Taking it back undoes what a test has found, so it is not one click away.",
            f"If you know better: cryoflux models promote {short}",
        )
    return _busy(catalogue)


def _busy(catalogue: Catalogue) -> CannotMove | None:
    if holder := _holder(catalogue.state.lock):
        return CannotMove(
            f"The state is in use by {holder}.",
            "A head that moves under a run would be another one than its attempts were announced on.",
            "Wait for it to end, or end it with Ctrl-C; then come back to this page.",
        )
    if catalogue.memory.open:
        return CannotMove(
            "An attempt of this state has no receipt yet.",
            "Its receipt has to come before anything else is written.",
            "Wait for the run to end. If it has died, the next cryoflux run closes what it left.",
        )
    return None


def _holder(lock: Path) -> str:
    """Who holds a lock file, as it says itself; empty where nobody does, or that cannot be told.

    Asked of the kernel's table, since taking the lock to see would stand in the way of a run that begins at
    that moment. Whoever moves the head takes the lock, and is refused for certain.
    """
    with suppress(OSError, ValueError):
        inode = str(lock.stat().st_ino)
        with Path("/proc/locks").open("rb") as stream:
            table = stream.read(_MOST_BYTES).decode("ascii", "replace")
        said = read_beginning(lock, _NAME_BYTES).decode("utf-8", "replace").strip()
        for line in table.splitlines():
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return said if f"(process {words[4]})" in said else ""
    return ""
