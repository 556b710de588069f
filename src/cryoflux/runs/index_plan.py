"""What a run of ``index_refresh`` would do, worked out without writing or spending anything.

The folder is read and its queries are drawn as a run would do it. What embedding costs is modelled from the
lengths of some documents and the size of what embeds; memory is what was measured of a run on CPU.
"""

from __future__ import annotations

__all__ = ["IndexPlan", "make_index_plan"]

from dataclasses import dataclass
from math import ceil

from cryoflux.config import Sourced
from cryoflux.decision.rules import NO_WORSE
from cryoflux.encoder.layout import Layout, read_encoder
from cryoflux.quantities import MICRO
from cryoflux.registry.cuts import tokens_of
from cryoflux.registry.versions import Versions
from cryoflux.runs.known_state import KnownState, read_known
from cryoflux.state import StateFolder
from cryoflux.tasks.index.documents import Folder
from cryoflux.tasks.index.encoding import EncoderName
from cryoflux.tasks.index.inputs import documents_folder, encoder_of, first_queries
from cryoflux.tasks.index.names import Names
from cryoflux.tasks.index.shelf import Shelf
from cryoflux.tasks.interface import Task

_GFLOP_PER_CPU_SECOND = 60.0
"""float32 matrix products on one core: an assumption, right within a factor of two"""
_TOKENS_PER_WORD = 1.4
_SAMPLE = 500
"""documents whose lengths are looked at"""
_ROW_BYTES = 250
"""of what a version says of a document beside its vector"""
_MEMORY_BYTES = 350_000_000
"""anonymous memory of a run with the embedded model, before any document: measured"""
_NAMES_BYTES = 200
"""anonymous memory a document: measured"""
_SHARE = 0.6
"""of a reservation, what embedding may take, before evaluating was measured"""


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """The expected course of the attempts of ``index_refresh``."""

    folder: str
    documents: int
    """in the folder"""
    indexed: int
    """in the head"""
    new: int
    """that are to be embedded: all of them where another model is to embed"""
    gone: int
    queries: dict[str, int]
    """set → its queries"""
    encoder: str
    embeds_anew: bool
    """whether what should embed is another model than the one that embedded the head"""
    tokens: int
    """of a document that are read"""
    sources: tuple[str, ...]
    tier: str
    rule: str
    min_delta_mrr: float
    budget_joules: float | None
    """of the whole run, other tasks included"""
    reserve_joules: float
    document_joules: float
    """modelled: to embed one"""
    embedding_joules: float
    """modelled: to embed what is to be embedded, and the queries where they have to be"""
    attempts_needed: int
    """modelled: to embed all that is new; 0 where nothing is to be done"""
    index_bytes: int
    """of a version on the disk, once everything is embedded"""
    memory_bytes: int
    """anonymous memory of a run: what was measured, and so much a document"""
    state: str
    head: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to do."""

    new: int
    gone: int
    indexed: int
    embeds_anew: bool
    queries_are_embedded: bool
    by: EncoderName


def make_index_plan(
    sourced: Sourced,
    state: StateFolder,
    task: Task,
    budget_uj: int | None,
    measured_by: tuple[tuple[str, ...], str, float],
) -> IndexPlan:
    """Work out what a run with these settings would do.

    Args:
        sourced: the settings and where each came from.
        state: that the run would work in.
        task: as the settings describe it.
        budget_uj: what may be spent, µJ; none for what its account holds.
        measured_by: names of the sources, the worst tier, and the watts of a logical CPU.

    Raises:
        CryoFluxError: as the run itself would.
    """
    settings, known = sourced.settings, read_known(state, task.name)
    if known is not None:
        task.confirm(known.origin)
    folder = Folder(documents_folder(settings))
    folder.look()
    queries = _queries(sourced, folder, known)
    cut = tokens_of(task.cut)
    work = _work(sourced, state, folder, known, cut)
    layout = read_encoder(work.by.folder)
    assert layout is not None  # noqa: S101 - an encoder that has a name has a layout
    sources, tier, watts = measured_by
    document_j = watts * _gflop_a_document(folder, layout, cut) / _GFLOP_PER_CPU_SECOND
    embedding_j = document_j * (work.new + (0 if work.queries_are_embedded else sum(queries.values())))
    reserve_j = task.reserve_uj(settings) / MICRO
    needed = max(1, ceil(embedding_j / (_SHARE * reserve_j))) if work.new or work.gone else 0
    return IndexPlan(
        folder=str(folder.path),
        documents=len(folder),
        indexed=work.indexed,
        new=work.new,
        gone=work.gone,
        queries=queries,
        encoder=work.by.version or work.by.name,
        embeds_anew=work.embeds_anew,
        tokens=cut,
        sources=sources,
        tier=tier,
        rule=NO_WORSE,
        min_delta_mrr=settings.index.min_delta_mrr,
        budget_joules=budget_uj / MICRO if budget_uj is not None else None,
        reserve_joules=reserve_j,
        document_joules=document_j,
        embedding_joules=embedding_j,
        attempts_needed=needed,
        index_bytes=len(folder) * (layout.hidden + _ROW_BYTES),
        memory_bytes=_MEMORY_BYTES + len(folder) * _NAMES_BYTES,
        state=str(state.path),
        head=known.head if known is not None else None,
        attempts=known.attempts if known is not None else 0,
    )


def _queries(sourced: Sourced, folder: Folder, known: KnownState | None) -> dict[str, int]:
    if known is not None:
        return {name: known.data.count(name) for name in known.data.sets}
    return {name: len(lines) for name, lines in first_queries(sourced.settings, folder).items()}


def _work(sourced: Sourced, state: StateFolder, folder: Folder, known: KnownState | None, cut: int) -> _Work:
    versions, found = Versions(state.path), len(folder)
    wanted = encoder_of(sourced.settings, versions, cut, {})
    if known is None:
        return _Work(found, 0, 0, embeds_anew=False, queries_are_embedded=False, by=wanted)
    shelf = Shelf(versions.open(known.head).folder)
    indexed = shelf.manifest.documents
    if not indexed or shelf.manifest.encoder != wanted.digest:
        return _Work(found, 0, indexed, embeds_anew=indexed > 0, queries_are_embedded=False, by=wanted)
    new, gone = folder.names.count_without(shelf.names), shelf.names.count_without(folder.names)
    if not found:  # an empty folder takes nothing out
        gone = 0
    return _Work(new, gone, indexed, embeds_anew=False, queries_are_embedded=True, by=wanted)


def _gflop_a_document(folder: Folder, layout: Layout, cut: int) -> float:
    some = Names(folder.names.digests[:: max(1, len(folder) // _SAMPLE)])
    lengths = [
        min(cut, round(len(text[: 16 * cut].split()) * _TOKENS_PER_WORD) + 2)
        for _, _, text in folder.texts(some)
    ]
    tokens = sum(lengths) / max(1, len(lengths))
    return layout.layers * layout.layer_flops(1) * tokens / 1e9
