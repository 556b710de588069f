"""``index_refresh``: an index of a folder of documents, kept as the folder and the head change.

Two kinds of arms. ``refresh-…`` embeds documents that are new, by what embedded the index, and takes out what
is gone. Where what should embed is another model by now, ``reembed-…`` embeds everything anew by that one: as
many attempts as it takes, each of which goes on from what the store has, and the old index serves until the
new one is shown to be no worse.

Losses are 1 − reciprocal rank of the document that a held-out query asks for, in billionths; a query is right
if its document is among the first ten.
"""

from __future__ import annotations

__all__ = ["IndexTask"]

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from cryoflux.config import Settings, Sourced
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import NO_WORSE
from cryoflux.digests import file_digest, sha256_hex
from cryoflux.errors import CryoFluxError, ModelError, StateError
from cryoflux.evaluation.scoring import Scorer
from cryoflux.files import write_atomic
from cryoflux.quantities import NANO, parse_energy
from cryoflux.receipts.statement import Metric, Rule, Section
from cryoflux.registry.cuts import tokens_of
from cryoflux.registry.versions import Version
from cryoflux.tasks.index.documents import Folder
from cryoflux.tasks.index.embedding import (
    Embedded,
    Purse,
    Wanted,
    embed_documents,
    embed_queries,
    name_of_query,
)
from cryoflux.tasks.index.encoders import Encoders
from cryoflux.tasks.index.encoding import EncoderName, dimensions_of
from cryoflux.tasks.index.inputs import documents_folder, make_beginning
from cryoflux.tasks.index.known_items import Query, read_query
from cryoflux.tasks.index.names import Names
from cryoflux.tasks.index.news import News
from cryoflux.tasks.index.ranking import RankScorer
from cryoflux.tasks.index.section import SECTION, SECTIONS
from cryoflux.tasks.index.shelf import FIRST, Manifest, Shelf, Vectors, exact_ranks, loss_of, with_pinned
from cryoflux.tasks.index.updating import FILES, Adding, UpdateSaid, apply_update, write_update
from cryoflux.tasks.interface import Beginning, Offer, Origin, Task, Update, Watch, WorkOrder, Workplace
from cryoflux.tasks.lora.libraries import quieten, require_training
from cryoflux.tasks.pacing import JoulesEndedError, Limits, Progress, TrainingFailedError
from cryoflux.verification.sections import Sections

REFRESH, REEMBED = "refresh-", "reembed-"
_SETS_FIRST = ("holdout", "audit")
_Z_MILLI = 3090
_SPARE = 1.5
"""an attempt that has to embed the queries reserves so many times as much: documents come then"""
_UJ_PER_DOCUMENT = 60_000
"""what embedding one should cost before any was: a guess for a busy CPU core"""
_GOING_ON = "index-working"


class IndexTask(Task):
    """An index of a folder of documents."""

    name: ClassVar[str] = "index_refresh"
    read_again: ClassVar[int] = 0
    metric: ClassVar[Metric] = Metric(name="reciprocal-rank", unit="MRR")
    hits: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "torch")
    sections: ClassVar[Sections] = SECTIONS

    def __init__(self, sourced: Sourced) -> None:
        self._settings = sourced.settings
        self._sourced = sourced
        self._folder = Folder(documents_folder(sourced.settings))
        self._news = News(self._folder)
        self._cut = sourced.settings.index.document_tokens
        self._shelves: dict[str, Shelf] = {}
        self._document_uj: int | None = None
        """what embedding one cost when some were; none before that"""
        self._screen_uj = 0
        """what trying an update cost when it was last done"""

    @classmethod
    def from_settings(cls, sourced: Sourced) -> Self:
        """The task that some settings describe.

        Raises:
            UsageError: no folder is named, or the training libraries are not installed.
        """
        require_training()
        return cls(sourced)

    @classmethod
    def reserve_uj(cls, settings: Settings) -> int:
        """What an attempt reserves, µJ."""
        return parse_energy(settings.index.index_reserve)

    def judged_by(self, asked: Rule) -> Rule:
        """``no-worse/v1``: documents that come later bring no gain on queries that were there before."""
        least = round(self._settings.index.min_delta_mrr * NANO)
        return Rule(
            name=NO_WORSE,
            min_delta=least,
            min_accuracy_gain_ppm=asked.min_accuracy_gain_ppm,
            z_milli=_Z_MILLI,
            alpha_ppm=0,
        )

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        """The queries of a new state, and an index without documents."""
        return make_beginning(self._settings, self._folder, progress)

    def confirm(self, origin: Origin) -> None:
        """Make sure that documents are cut as they were when the state began.

        Raises:
            StateError: the settings ask for another cut.
        """
        given = self._sourced.origins["index.document_tokens"] != "default"
        if given and origin.cut != self._cut:
            raise StateError(
                f"This state embeds {origin.cut} tokens of a document, not {self._cut}.",
                why="Ranks under one limit cannot be compared with ranks under another.",
                hint="Begin another state with --state DIR, or leave --document-tokens out.",
            )
        self._cut = tokens_of(origin.cut)

    @property
    def cut(self) -> int | str:
        """Tokens of a document that are read."""
        return self._cut

    def open(self, place: Workplace, head: Version) -> None:
        """Get ready to work in a state."""
        quieten()
        super().open(place, head)
        self._encoders = Encoders(self._settings, place, self._cut)

    @cached_property
    def _queries(self) -> dict[str, list[Query]]:
        """Set → its queries, in the order in which an index keeps their vectors."""
        sets = self.place.data.sets
        return {name: [read_query(line) for line in sets[name]] for name in sorted(sets)}

    @cached_property
    def _stripped(self) -> frozenset[bytes]:
        return frozenset(query.document for some in self._queries.values() for query in some if query.part)

    def _shelf(self, version: Version) -> Shelf:
        if version.digest not in self._shelves:
            known = {self.head.digest} & self._shelves.keys()
            self._shelves = {digest: self._shelves[digest] for digest in known}
            self._shelves[version.digest] = Shelf(version.folder)
        return self._shelves[version.digest]

    def warm_up(self, part: str) -> None:  # noqa: ARG002 - the same for every set
        """Read the folder and load what embeds."""
        self._news.begin()
        self._encoders.open(self._encoders.wanted())

    def arms(self, drawn: int, part: str) -> list[Offer]:  # noqa: ARG002
        """``refresh-…`` where documents came or went, ``reembed-…`` where another model should embed.

        Each is called by what the folder holds, or by what embeds: that one was not kept says nothing of the
        next.
        """
        shelf, wanted = self._shelf(self.head), self._encoders.wanted()
        new, gone = self._news.count(shelf)
        if self._folder.away or not len(self._folder):
            return []
        used = self._encoders.used(shelf) or (None if shelf.manifest.documents else wanted)
        offers = []
        if (new or gone) and used is not None:
            offers.append(self._offer(f"{REFRESH}{self._news.name[:8]}", used, new))
        if shelf.manifest.encoder and wanted.digest != shelf.manifest.encoder:
            offers.append(self._offer(f"{REEMBED}{wanted.digest[:8]}", wanted, len(self._folder)))
        return offers

    def has_news(self) -> bool:
        """Whether the folder is another one than `arms` looked at; one that is away for now brings none."""
        return self._news.has_come()

    def troubles(self) -> list[tuple[str, str]]:
        """Each file that could not be read since this was asked for last, and what is wrong with it."""
        return self._news.troubles()

    def _offer(self, arm: str, name: EncoderName, count: int) -> Offer:
        carries = arm.startswith(REEMBED)
        recipe: dict[str, str | int] = {
            "encoder": name.digest,
            "max_tokens": self._cut,
            "screen_size": len(self._queries["train"]),
            "carry": int(carries),
        }
        prior_uj = max(1, count) * (self._document_uj or _UJ_PER_DOCUMENT)
        least_uj = round(_SPARE * self._queries_uj(name)) if count else 0
        return Offer(arm, recipe, prior_uj, screens=True, carries=carries, least_uj=least_uj)

    def _queries_uj(self, name: EncoderName) -> int:
        """What embedding the queries should cost; 0 where their vectors are there."""
        if self._shelf(self.head).manifest.encoder == name.digest:
            return 0
        if self._document_uj is None:  # nothing is known yet
            return 0
        store, queries = self._encoders.store(name), chain.from_iterable(self._queries.values())
        return self._document_uj * sum(name_of_query(query.text) not in store for query in queries)

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        """Embed until the joules end, and write what makes the next index of this one."""
        self._news.over()
        limits = limits.less(self._screen_uj)
        fresh = order.arm.startswith(REEMBED)
        base = self._shelf(self.head)
        name = self._encoders.announced(str(order.recipe["encoder"]), base)
        pending = self._folder.names if fresh else self._folder.names.without(base.names)
        gone = Names.of() if fresh else base.names.without(self._folder.names)
        purse = Purse(limits)
        queries = self._query_vectors(base, name, limits, purse)
        limits.check()
        with Adding(into) as adding:
            found = self._embed(order, name, pending, limits, purse, watch, adding)
        if not found.count and not len(gone):
            raise _nothing_embedded(found)
        said = self._said(base, name, found, gone, fresh=fresh)
        write_update(into, said, queries if base.manifest.encoder != name.digest else None)
        left = ""
        if fresh and found.ended_by != "steps":
            left = self._leave(name, found.count)
        fields: dict[str, Any] = {
            "encoder": name.digest,
            "documents": said.manifest.documents,
            "added": found.count,
            "removed": len(said.removed),
            "pending": len(pending) - found.count,
            "computed": found.computed,
        }
        start_uj = limits.spent_uj()
        screening = self._screened(base, into)
        self._screen_uj = limits.spent_uj() - start_uj
        return Update(
            files=FILES,
            section=Section(kind=SECTION, fields=fields),
            steps=found.computed,
            stopped_by=found.ended_by,
            screening=screening,
            threads=_threads(),
            working=left,
        )

    def _query_vectors(self, base: Shelf, name: EncoderName, limits: Limits, purse: Purse) -> Vectors:
        if base.manifest.encoder == name.digest:
            return np.concatenate([base.queries(part) for part in self._queries])
        texts = [query.text for some in self._queries.values() for query in some]
        store, encoder = self._encoders.store(name), partial(self._encoders.open, name)
        known, start_uj = len(store), limits.spent_uj()
        try:
            return embed_queries(texts, encoder, store, dimensions_of(name.folder), purse)
        finally:
            self._learn(limits.spent_uj() - start_uj, len(store) - known)

    def _learn(self, uj: int, count: int) -> None:
        """So many texts have cost so much."""
        if count:
            self._document_uj = max(1, uj // count)

    def _embed(
        self,
        order: WorkOrder,
        name: EncoderName,
        pending: Names,
        limits: Limits,
        purse: Purse,
        watch: Watch,
        adding: Adding,
    ) -> Embedded:
        store, start_uj, before = self._encoders.store(name), limits.spent_uj(), len(pending)

        def done(count: int) -> None:
            watch.trained(Progress(count, before, 0.0, limits.spent_uj()), order.reserve_microjoules)

        wanted = Wanted(pending, self._stripped, self._cut)
        encoder = partial(self._encoders.open, name)
        found = embed_documents(wanted, self._folder, encoder, store, purse, done, adding.put)
        if found.computed:
            store.sync()
            self._learn(limits.spent_uj() - start_uj, found.computed)
        return found

    def _said(
        self, base: Shelf, name: EncoderName, found: Embedded, gone: Names, *, fresh: bool
    ) -> UpdateSaid:
        kept = 0 if fresh else len(base.names) - len(gone)
        dimensions = dimensions_of(name.folder)
        manifest = Manifest(
            encoder=name.digest,
            model=name.name,
            version=name.version,
            tokens=self._cut,
            dimensions=dimensions,
            documents=kept + found.count,
            pinned=self._pinned(base),
            queries={part: len(some) for part, some in self._queries.items()},
        )
        return UpdateSaid(self.head.digest, manifest, fresh, [digest.hex() for digest in gone], {})

    def _pinned(self, base: Shelf) -> dict[str, int]:
        """The rank of each query whose document is not in the folder: the one that it has in the base."""
        pinned: dict[str, int] = {}
        for part, some in self._queries.items():
            away = [at for at, query in enumerate(some) if query.document not in self._folder]
            if away:
                ranks = self.ranks(base, part, away)
                pinned |= {f"{part}/{at}": rank for at, rank in zip(away, ranks, strict=True)}
        return pinned

    def _screened(self, base: Shelf, capsule: Path) -> Evidence:
        """The candidate against the base, on the queries that are set aside for it."""
        everything = range(len(self._queries["train"]))
        draft = self.place.versions.draft(lambda folder: apply_update(base, capsule, folder))
        try:
            shelves = base, Shelf(draft.folder)
            ranks = [self.ranks(shelf, "train", everything) for shelf in shelves]
        finally:
            self.place.versions.discard(draft)
        losses = [[loss_of(rank) for rank in some] for some in ranks]
        right = [[rank > 0 for rank in some] for some in ranks]
        return pair_losses(losses[0], losses[1], right[0], right[1])

    def _leave(self, name: EncoderName, count: int) -> str:
        """What the next attempt goes on from: the vectors are in the store, this says which and how many."""
        content = f"{_GOING_ON}\n{name.digest}\n{count}\n".encode()
        digest = sha256_hex(content)
        write_atomic(self.place.state.working(digest), content)
        return digest

    def can_go_on(self, working: str) -> bool:
        """Whether the mark of an earlier attempt is here."""
        try:
            return file_digest(self.place.state.working(working)) == working
        except OSError:
            return False

    def apply(self, base: Version, capsule: Path, update: Update) -> Version:  # noqa: ARG002 - all is in its files
        """Write the index that an update makes of a base.

        Raises:
            TrainingFailedError: the update is none.
        """
        try:
            return self.place.versions.draft(lambda folder: apply_update(Shelf(base.folder), capsule, folder))
        except ModelError as error:
            raise TrainingFailedError(error.what, why=error.why, hint=error.hint) from error

    def scorer(self, version: Version, part: str) -> Scorer:
        """What ranks the documents of a set's queries."""
        return RankScorer(partial(self.ranks, Shelf(version.folder), part))

    def ranks(self, shelf: Shelf, part: str, indices: Sequence[int]) -> list[int]:
        """The ranks of some queries of a set in a version; 0 where a document is not among the first ones."""
        if not shelf.manifest.documents:
            return with_pinned(shelf, part, indices, [0] * len(indices))
        wanted = [self._queries[part][at].document for at in indices]
        exact = exact_ranks(shelf, shelf.queries(part)[list(indices)], wanted)
        return with_pinned(shelf, part, indices, [rank if rank <= FIRST else 0 for rank in exact])

    def facts(self) -> dict[str, Any]:
        """How many documents there are, in the folder and in the index."""
        shelf = self._shelf(self.head)
        return {"documents": len(self._folder), "indexed": shelf.manifest.documents}


def _nothing_embedded(found: Embedded) -> CryoFluxError:
    if found.ended_by == "steps":
        return TrainingFailedError(
            "None of the new documents could be read.",
            why="They were taken away or changed since the folder was looked at.",
            hint="Nothing needs to be done: the next attempt looks again.",
        )
    return JoulesEndedError(
        "The joules were used up before a document was embedded.",
        why="Loading the model and embedding the queries is paid from the same reservation.",
        hint="Raise --index-reserve.",
    )


def _threads() -> int:
    import torch

    return int(torch.get_num_threads())
