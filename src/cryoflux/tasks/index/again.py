"""What `cryoflux verify` computes of an index again: the version that an update makes, and its ranks.

The version is made of base and update by byte, and ranks are counted without FAISS, so both are exact. A
query whose document is gone has to have the rank that it has in the base. The vectors of the queries are
embedded again from their texts, where what embeds is here, and may differ by one in a component, since
float32 rounds otherwise elsewhere. The vectors of documents are signed; their texts are the owner's, and
no state brings them.
"""

from __future__ import annotations

__all__ = ["IndexRecomputer", "TextEmbedder"]

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from cryoflux.digests import write_checksums
from cryoflux.errors import ModelError, VerificationError
from cryoflux.files import read_lines
from cryoflux.registry.composition import Composition
from cryoflux.registry.cuts import Cut, tokens_of
from cryoflux.registry.versions import Versions
from cryoflux.tasks.index.encoding import EncoderName, open_encoder
from cryoflux.tasks.index.guard import TextVectors
from cryoflux.tasks.index.inputs import used_encoder
from cryoflux.tasks.index.known_items import Query, read_query
from cryoflux.tasks.index.likeness import ROUNDING_MILLI, nearest_texts
from cryoflux.tasks.index.names import Names
from cryoflux.tasks.index.shelf import FIRST, Shelf, exact_ranks, loss_of
from cryoflux.tasks.index.updating import added_names, apply_update, read_update
from cryoflux.tasks.lora.libraries import quieten
from cryoflux.verification.loss_comparison import Found
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.recomputer import Models
from cryoflux.verification.temperatures import Fit

_LONGEST_LINE = 8_000_000
_OFF_BY, _OFF_SHARE = 1, 0.02
"""how far a component of an honest machine's vector may be off, and how many may be"""


class IndexRecomputer:
    """Makes an index again, and ranks its documents."""

    def __init__(self, cut: Cut, state: Path) -> None:
        quieten()
        self._tokens, self._versions = tokens_of(cut), Versions(state)
        self._encoders: dict[str, EncoderName] = {}
        self._base: dict[str, list[int]] = {}
        """set → the ranks of its queries in the first index that was asked for, which is the base"""

    def evaluate(self, model: Path, holdout: Path) -> Found:
        """Losses of an index on a whole query set, billionths, and which documents are found."""
        return self.evaluate_some(model, holdout, None, "")

    def evaluate_some(self, model: Path, holdout: Path, indices: Sequence[int] | None, profile: str) -> Found:  # noqa: ARG002
        """The same for some queries, or for all."""
        part = holdout.stem
        asked = [read_query(line) for line, _ in read_lines(holdout, _LONGEST_LINE) if line]
        try:
            shelf = Shelf(model)
            self._same_vectors(shelf, part, asked)
            ranks = self._ranks(shelf, part, asked)
        except (ModelError, ValueError, LookupError) as error:
            raise VerificationError(f"its index cannot be read: {error}") from error
        self._base.setdefault(part, ranks)
        chosen = ranks if indices is None else [ranks[index] for index in indices]
        return [loss_of(rank) for rank in chosen], [0 < rank <= FIRST for rank in chosen]

    def _ranks(self, shelf: Shelf, part: str, asked: Sequence[Query]) -> list[int]:
        """The ranks; one that an index says is kept from before is the base's, which is asked for first."""
        ranks = [0] * len(asked)
        if shelf.manifest.documents:
            if shelf.manifest.queries.get(part) != len(asked):
                raise ValueError(f"it has no vectors of the {len(asked)} queries of {part}")
            ranks = exact_ranks(shelf, shelf.queries(part), [query.document for query in asked])
        before = self._base.get(part)
        for at, rank in _pinned(shelf, part, len(asked)):
            if asked[at].document in shelf.names:
                raise VerificationError(
                    f"refuted: it keeps the rank of query {at} of {part}, and has its document"
                )
            if before is not None and loss_of(before[at]) != loss_of(rank):
                raise VerificationError(
                    f"refuted: it keeps another rank of query {at} of {part} than its base has"
                )
            ranks[at] = rank
        return ranks

    def _same_vectors(self, shelf: Shelf, part: str, asked: Sequence[Query]) -> None:
        """Embed the queries again.

        Raises:
            OpenQuestion: what embeds is not here.
            VerificationError: the index has vectors of other texts.
        """
        if not shelf.manifest.documents:
            return
        manifest = shelf.manifest
        if manifest.tokens != self._tokens:
            raise VerificationError(
                f"refuted: it was embedded by {manifest.tokens} tokens of a text, not by {self._tokens}"
            )
        try:
            name = used_encoder(manifest, self._versions, self._encoders)
        except ModelError:
            name = None
        if name is None:
            raise OpenQuestion("what embedded it is not kept here, so its queries cannot be embedded again")
        encoder, signed = open_encoder(name, self._tokens), shelf.queries(part)
        off = 0
        for batch, vectors in encoder.embed([query.text for query in asked]):
            apart = np.abs(signed[batch].astype(np.int16) - vectors.astype(np.int16))
            off += int((apart > 0).sum())
            if apart.max() > _OFF_BY:
                raise VerificationError("refuted: its queries, embedded again, have other vectors")
        if off > _OFF_SHARE * signed.size:
            raise VerificationError(
                f"refuted: {off} of {signed.size} components of its queries' vectors differ"
            )

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        """The index that an update makes of a base."""
        try:
            shelf = Shelf(base)
            if complaint := _not_of(shelf, capsule):
                raise ValueError(complaint)
            apply_update(shelf, capsule, into)
        except (ModelError, ValueError, LookupError, TypeError) as error:
            raise VerificationError(f"its update makes no index of its base: {error}") from error
        write_checksums(into)
        return into

    def compose(self, composed: Composition, models: Models, into: Path) -> NoReturn:  # noqa: ARG002
        """An index is no sum."""
        raise OpenQuestion("an index is no sum of updates")

    def as_kept(self, base: Path, capsule: Path, kept: Path, into: Path) -> None:
        """Whole numbers are not rounded: there is nothing that another machine may have made otherwise."""

    def fit(self, base: Path, model: Path, train: Path, **how: Any) -> Fit:  # noqa: ARG002
        """An index has no temperature."""
        raise OpenQuestion("an index has no temperature")


def _pinned(shelf: Shelf, part: str, count: int) -> Iterator[tuple[int, int]]:
    """The queries of a set whose ranks an index keeps from before, each with that rank."""
    for name, rank in shelf.manifest.pinned.items():
        where, _, place = name.partition("/")
        if where == part and place.isdecimal() and int(place) < count:
            yield int(place), rank


def _not_of(base: Shelf, capsule: Path) -> str:
    """What an update does that no update of an index can; empty where nothing is."""
    said = read_update(capsule)
    if said.fresh:
        return "it embeds everything anew, and takes something out" if said.removed else ""
    removed = Names.of(map(bytes.fromhex, said.removed))
    if len(removed) != len(said.removed) or removed.count_without(base.names):
        return "it takes out what is not there, or twice"
    stays = base.names.without(removed)
    if len(stays) and said.manifest.encoder != base.manifest.encoder:
        return "it keeps documents that another model has embedded"
    if any(name in base.names for name in added_names(capsule)):
        return "it adds what is there"
    return ""


class TextEmbedder:
    """Embeds texts as a leak guard does, with nothing that the run had in its cache."""

    rounding_milli = ROUNDING_MILLI

    def __init__(self) -> None:
        import torch

        quieten()
        torch.set_num_threads(1)
        self._vectors = TextVectors()
        self.encoder = self._vectors.encoder

    def nearest(self, texts: Sequence[str], among: Sequence[str]) -> list[tuple[int, int]]:
        """Of each text the nearest among others: its place, and the cosine in thousandths, rounded down."""
        vectors = self._vectors.of([*texts, *among])
        found = nearest_texts(vectors[: len(texts)], vectors[len(texts) :])
        return [(one.row, one.milli) for one in found]
