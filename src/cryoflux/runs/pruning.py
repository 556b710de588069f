"""Which versions stay, and freeing the files of the others: first the signed entry, then the files.

What stays: the newest of each task, version 0, what the log began with, the head, the champion, whatever has
an alias, what a chain goes on from, what embedded an index that stays, the genesis of a node, and that of
every list of updates that one of these is the sum of. So each version that stays can be used, and each that
goes can be made again from its genesis and the updates, which are not touched (`cryoflux.runs.rebuilding`).

A crash between the entry and the last file leaves files that nobody needs; the next run, or the next prune,
frees them, without another entry. No other command does: a version that was made again to become the head
looks the same until it is.
"""

from __future__ import annotations

__all__ = [
    "AfterMerges",
    "PrunePlan",
    "embedders_of",
    "freed_bytes",
    "plan_prune",
    "protected_versions",
    "prune_entries",
]

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryoflux.attempt.context import Context
from cryoflux.cache_files import bytes_on_disk
from cryoflux.decision.reason import Reason
from cryoflux.errors import ModelError
from cryoflux.files import files_below
from cryoflux.receipts.statement import (
    Base,
    HeadMove,
    HeadStatement,
    Move,
    Sha256Digest,
    Subject,
)
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion, catalogue_of
from cryoflux.state import HEAD

_MOST = 256
"""versions that one entry frees"""
_BATCH = 8
"""versions beyond those that stay that a run waits for: the log is read for a plan"""


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What pruning would do."""

    keep: int
    """newest versions of each task that stay; 0 for all"""
    going: tuple[CataloguedVersion, ...]
    """task by task, oldest first"""
    staying: int
    """versions whose files stay"""
    size: int
    """bytes that are freed: of files that no version that stays shares"""
    embedders: tuple[CataloguedVersion, ...] = ()
    """versions that stay for nothing but that they embedded an index that stays: queries need them"""


def protected_versions(catalogue: Catalogue, keep: int) -> set[str]:
    """Digests of the versions that stay.

    Args:
        catalogue: of the state.
        keep: newest versions of each task, of those whose files are here and that no entry freed.
    """
    found = _protected_for_themselves(catalogue, keep)
    return _with_genesis(catalogue, found | embedders_of(catalogue, found))


def embedders_of(catalogue: Catalogue, versions: Iterable[str]) -> set[str]:
    """Digests of the versions that embedded those of some versions that are indexes.

    What an index says of itself is read from its folder; one that cannot be read names none.
    """
    found = set()
    for digest in catalogue.present.intersection(versions):
        if (folder := catalogue.state.model(digest)).joinpath("index.json").is_file():
            from cryoflux.tasks.index.shelf import read_manifest  # it would bring numpy

            with suppress(ModelError):
                found.add(read_manifest(folder).version)
    return found - {""}


def _protected_for_themselves(catalogue: Catalogue, keep: int) -> set[str]:
    found = set(catalogue.aliases.values())
    for task, of in catalogue.tasks.items():
        here = [d for d, one in of.versions.items() if d in catalogue.present and one.pruned is None]
        found |= {*here[-keep:], of.head, catalogue.champion(task)}
        found |= {one.digest for one in of.versions.values() if not one.can_be_made}
        if (known := catalogue.memory.tasks.get(task)) is not None:
            found |= {known.first.digest, known.start.digest, known.composition.genesis}
            for chain in known.chains.values():
                found |= {chain.start.digest, chain.composed.genesis}
        found |= _of_node(catalogue, task)
    return found


def _of_node(catalogue: Catalogue, task: str) -> set[str]:
    """What a node needs: the genesis that lists begin at, and the base of a round that is open."""
    node = catalogue.memory.nodes.get(task)
    if node is None:
        return set()
    genesis = {node.node.genesis.digest} if node.node is not None else set()
    return genesis | {one.intent.base.digest for one in node.open.values()}


def _with_genesis(catalogue: Catalogue, found: set[str]) -> set[str]:
    for one in catalogue.versions():
        if one.digest in found and one.composed is not None:
            found.add(one.composed.genesis)
    return found


def plan_prune(catalogue: Catalogue, keep: int, besides: Collection[str] = ()) -> PrunePlan:
    """Which versions go.

    Args:
        catalogue: of the state.
        keep: newest versions of each task that stay; 0 for all.
        besides: digests of versions that stay as well.
    """
    may_go: list[CataloguedVersion] = []
    stays: set[str] = set()
    if keep > 0:
        stays = _with_genesis(catalogue, protected_versions(catalogue, keep) | set(besides))
        without = _with_genesis(catalogue, _protected_for_themselves(catalogue, keep) | set(besides))
        may_go = [
            one
            for one in catalogue.versions()
            if one.digest in catalogue.present
            and one.digest not in without
            and one.files
            and catalogue.tasks[one.task].versions[catalogue.tasks[one.task].head].made_at is not None
        ]
    going = tuple(one for one in may_go if one.digest not in stays)
    folders = [catalogue.state.model(one.digest) for one in going]
    staying = len(catalogue.present) - len({one.digest for one in going})
    embedders = tuple(one for one in may_go if one.digest in stays)
    return PrunePlan(keep, going, staying, freed_bytes(folders), embedders)


def freed_bytes(folders: Iterable[Path]) -> int:
    """Bytes on the disk that go with some folders: of files that have no name outside of them."""
    names: Counter[tuple[int, int]] = Counter()
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    for folder in folders:
        for path in files_below(folder).values():
            status = path.lstat()
            one = (status.st_dev, status.st_ino)
            names[one] += 1
            sizes[one] = status.st_nlink, bytes_on_disk(status)
    return sum(size for one, (links, size) in sizes.items() if names[one] >= links)


def prune_entries(
    catalogue: Catalogue, plan: PrunePlan, at: Callable[[], str]
) -> Iterator[Callable[[int, str], HeadStatement]]:
    """What makes the entries that say which versions go: one a task, or several where they are many.

    Of a version that an entry has freed, whose files are here all the same, nothing more is to be said.

    Args:
        catalogue: of the state.
        plan: what goes.
        at: when the next one is written, as receipts say it.
    """
    for task, of in catalogue.tasks.items():
        going = [one for one in plan.going if one.task == task and one.pruned is None]
        for start in range(0, len(going), _MOST):
            yield _entry(of.versions[of.head], going[start : start + _MOST], plan.keep, at())


def _entry(
    head: CataloguedVersion, going: list[CataloguedVersion], keep: int, at: str
) -> Callable[[int, str], HeadStatement]:
    base = Base(digest=head.digest, files=head.files)
    made_at = head.made_at
    assert made_at is not None  # noqa: S101 - `plan_prune` leaves such a task alone

    def build(sequence: int, prev: str) -> HeadStatement:
        move = HeadMove(
            sequence=sequence,
            prev=prev,
            task=head.task,
            move=Move.PRUNE,
            base=base,
            result=base,
            made_at=made_at,
            made_by=head.made_by,
            reason=Reason(code="pruned", numbers={"count": len(going), "keep": keep}),
            moved_at=at,
            pruned=[Base(digest=one.digest, files=one.files) for one in going],
        )
        return HeadStatement(
            subject=[Subject(name=HEAD, digest=Sha256Digest(sha256=base.files))], predicate=move
        )

    return build


class AfterMerges:
    """Frees what is beyond the newest versions while a run goes on.

    Args:
        context: the run.
        keep: newest versions of each task that stay.
        besides: digests of versions that the run still needs.
    """

    def __init__(self, context: Context, keep: int, besides: Collection[str] = ()) -> None:
        self._context, self._keep, self._besides = context, keep, besides
        self._least = keep * max(1, len(context.tasks))
        """versions that stay, as far as that is known"""

    def merged(self) -> PrunePlan | None:
        """An update was kept: free old versions where they are many; what was freed, or none."""
        context = self._context
        if not self._keep or len(context.versions.kept()) < self._least + _BATCH or context.memory.open:
            return None
        catalogue = catalogue_of(context.state, context.log.entries())
        plan = plan_prune(catalogue, self._keep, self._besides)
        self._least = plan.staying
        if not plan.going:
            return None
        for build in prune_entries(catalogue, plan, context.timestamp):
            context.append(build)
        context.published(binding=True)
        for one in plan.going:
            context.versions.free(one.digest)
        return plan
