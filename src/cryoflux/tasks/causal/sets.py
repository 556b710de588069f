"""The sets of a causal language model's data: disjoint by document, drawn by hash, cut to what is read.

A set's file has one document a line, rendered: what comes before the answer, the answer, and ``text``, which
is all that it says without a template. By ``text`` two documents are copies of each other
(`cryoflux.data.fold`), and by its SHA-256 a set that is not given is drawn (`data.lowest_hash`). Where
documents say what they are chunks of, whole groups are drawn (`data.by_group`). What answers as one that
judges is not trained on (`data.near_answers`); it lies beside the sets.
"""

from __future__ import annotations

__all__ = ["FEWEST", "CausalSets", "StoredDocument", "make_sets", "read_stored"]

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryoflux.data.by_group import BY_GROUP, BY_GROUP_APART, Chunk, draw, joined
from cryoflux.data.examples import normalise
from cryoflux.data.fold import FOLD, fold
from cryoflux.data.lowest_hash import GIVEN, LOWEST_HASH, by_hash, key_hash
from cryoflux.data.near_answers import NEAR_ANSWERS, near_answers
from cryoflux.data.prepared import SIMILAR_FILE
from cryoflux.errors import DataError
from cryoflux.tasks.causal.tokens import FORMS, Rendered

FEWEST = 32
"""documents of a set that judges"""
_SHARE = 0.15
_FEWEST_TRAINED = 16


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as a set has it."""

    text: str
    """all that it says, without a template"""
    rendered: Rendered
    group: str = ""

    def line(self) -> bytes:
        """It as a line of a set's file."""
        row = {
            "answer": self.rendered.answer,
            "before": self.rendered.before,
            "form": self.rendered.form,
            "text": self.text,
        }
        if self.group:
            row["group"] = self.group
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode(
            "utf-8", "surrogatepass"
        )


def read_stored(line: bytes) -> StoredDocument:
    """A document of a line.

    Raises:
        ValueError: it is none.
    """
    row: Any = json.loads(line.decode("utf-8", "surrogatepass"))
    if not isinstance(row, dict) or row.get("form") not in FORMS:
        raise ValueError("is no document")
    texts = [row.get(name, "") for name in ("text", "before", "answer", "group")]
    if not all(isinstance(text, str) for text in texts) or not texts[2]:
        raise ValueError("is no document")
    return StoredDocument(texts[0], Rendered(row["form"], texts[1], texts[2]), texts[3])


@dataclass(frozen=True, slots=True)
class CausalSets:
    """Disjoint sets, and what was left out to make them so."""

    sets: Mapping[str, Sequence[StoredDocument]]
    """``train``, ``holdout``, ``audit`` and spares"""
    dropped: Mapping[str, int]
    """set → documents that were copies of another one"""
    rules: Mapping[str, str]
    similar: Sequence[StoredDocument] = ()
    """training documents that were left out because they answer as one that judges"""
    unsearched: int = 0
    """documents that are trained on, though they could not be held against all that judge"""

    def lines(self) -> dict[str, list[bytes]]:
        """As files have them."""
        similar = {Path(SIMILAR_FILE).stem: self.similar} if self.similar else {}
        named = {**self.sets, **similar}
        return {name: [one.line() for one in documents] for name, documents in named.items()}


def make_sets(
    train: Sequence[StoredDocument],
    holdout: Sequence[StoredDocument] | None,
    audit: Sequence[StoredDocument] | None,
    *,
    size: int,
    spares: int,
    rules: Mapping[str, Any] | None = None,
) -> CausalSets:
    """The sets of a new state.

    Args:
        train: the training file's documents.
        holdout: the holdout file's; none to draw it from ``train``.
        audit: the audit file's; none to draw it from ``train``.
        size: most documents of a set that is drawn.
        spares: most further holdouts that are drawn.
        rules: that a state was begun by, to make its sets again; those of a new one where it is none.

    Raises:
        DataError: there are too few, or the holdout was in the training file.
    """
    apart = rules is None or rules.get("copies") == NEAR_ANSWERS
    if apart:
        train, holdout, audit = _joined(train, holdout, audit)
    pool, repeats = _unique(train)
    held, repeats_held = _unique(holdout or ())
    audited, repeats_audit = _unique(audit or ())
    _refuse_trained(held, pool)
    before = len(pool)
    for other, some in ((pool, held), (pool, audited), (audited, held)):
        _separate(other, some)
    shared = before - len(pool)
    groups = any(document.group for document in pool.values())
    most = min(size, int(len(pool) * _SHARE))
    found = {"holdout": held if holdout is not None else _draw(pool, most, groups=groups)}
    found["audit"] = audited if audit is not None else _draw(pool, most, groups=groups)
    for number in range(2, 2 + (0 if holdout is not None else spares)):
        if len(pool) < 8 * most:
            break
        found[f"holdout-{number}"] = _draw(pool, most, groups=groups)
    similar, unsearched = _leave_out(pool, found) if apart else ((), 0)
    _check(found, pool, len(similar), drawn=holdout is None or audit is None)
    drawn = (BY_GROUP if apart else BY_GROUP_APART) if groups else LOWEST_HASH
    return CausalSets(
        {**{name: tuple(some.values()) for name, some in found.items()}, "train": tuple(pool.values())},
        {"train": repeats + shared, "holdout": repeats_held, "audit": repeats_audit},
        {
            "holdout": drawn if holdout is None else GIVEN,
            "audit": drawn if audit is None else GIVEN,
            "copies": NEAR_ANSWERS if apart else FOLD,
        },
        similar,
        unsearched,
    )


_Pool = dict[str, StoredDocument]
"""normalised text → document"""


_Given = Sequence[StoredDocument] | None


def _joined(
    train: Sequence[StoredDocument], holdout: _Given, audit: _Given
) -> tuple[Sequence[StoredDocument], _Given, _Given]:
    """The documents of all files, of which groups that have copies of each other are one."""
    files = (train, holdout, audit)
    every = [document for documents in files for document in documents or ()]
    if not any(document.group for document in every):
        return files
    names = iter(joined([(document.group, fold(document.text)) for document in every]))
    renamed = [
        None if documents is None else [replace(one, group=next(names)) for one in documents]
        for documents in files
    ]
    return renamed[0] or (), renamed[1], renamed[2]


def _unique(documents: Iterable[StoredDocument]) -> tuple[_Pool, int]:
    """The documents without copies of one another: of copies the one with the lowest hash stays."""
    by_fold: dict[str, tuple[bytes, str, StoredDocument]] = {}
    order: list[str] = []
    count = 0
    for document in documents:
        count += 1
        key = normalise(document.text)
        folded = fold(document.text)
        if folded not in by_fold:
            order.append(folded)
        if folded not in by_fold or key_hash(key) < by_fold[folded][0]:
            by_fold[folded] = key_hash(key), key, document
    return {by_fold[one][1]: by_fold[one][2] for one in order}, count - len(order)


def _separate(pool: _Pool, other: _Pool) -> None:
    """Drop from a pool what another set has: copies, and chunks of the same document."""
    folds = {fold(document.text) for document in other.values()}
    groups = {document.group for document in other.values() if document.group}
    for key, document in list(pool.items()):
        if fold(document.text) in folds or document.group in groups:
            del pool[key]


def _refuse_trained(held: _Pool, pool: _Pool) -> None:
    folds = {fold(document.text) for document in pool.values()}
    leaked = sum(fold(document.text) in folds for document in held.values())
    if leaked:
        raise DataError(
            f"{leaked} of {len(held)} holdout documents are in the training file, too.",
            why="Δ on documents that were trained on says nothing about improvement.",
            hint="Take them out of the training file, or leave --holdout out to have one split off.",
        )


def _draw(pool: _Pool, most: int, *, groups: bool) -> _Pool:
    """The documents with the lowest hashes, taken out of the pool; of chunks, whole groups."""
    if not groups:
        return {key: pool.pop(key) for key in by_hash(pool)[:most]}
    chunks = (Chunk.of(key, document.group) for key, document in pool.items())
    return {chunk.key: pool.pop(chunk.key) for chunk in draw(chunks, most)}


def _leave_out(pool: _Pool, found: Mapping[str, _Pool]) -> tuple[tuple[StoredDocument, ...], int]:
    """What answers as a document that judges, taken out of the pool; and of how many that is not known."""
    judging = [document.rendered.answer for some in found.values() for document in some.values()]
    answers = near_answers(judging, [document.rendered.answer for document in pool.values()])
    keys = [key for place, key in enumerate(pool) if place in answers.near]
    return tuple(pool.pop(key) for key in keys), len(answers.unsearched)


def _check(found: Mapping[str, _Pool], pool: _Pool, similar: int, *, drawn: bool) -> None:
    needed = int(FEWEST / _SHARE) + 1
    for name in ("holdout", "audit"):
        if len(found[name]) < FEWEST:
            every = [document for some in (*found.values(), pool) for document in some.values()]
            there = len(every)
            hint = f"A set that is split off is 15 % of the training file: give {needed} distinct documents"
            raise DataError(
                f"The {name} set has {len(found[name])} documents, of {there} that differ.",
                why=f"Below {FEWEST}, no improvement can be told from noise.{_mostly_one(every)}",
                hint=f"{hint}, or files of your own: --holdout FILE --audit FILE."
                if drawn
                else f"Give {FEWEST} or more.",
            )
    if len(pool) < _FEWEST_TRAINED:
        raise DataError(
            f"{len(pool)} documents are left to train on{_left_out(similar)}.",
            why="An update that has seen so few learns them by heart, and nothing else.",
            hint=f"Give {needed} documents or more{' whose answers differ' if similar else ''}.",
        )


def _left_out(similar: int) -> str:
    """How many documents are not trained on because of what they answer; nothing where none is."""
    return f", as {similar} more answer nearly what one that judges answers" if similar else ""


def _mostly_one(documents: Sequence[StoredDocument]) -> str:
    """That most documents are of one group, which no set has room for; empty where they are not."""
    counts = Counter(one.group for one in documents if one.group)
    most = max(counts.values(), default=0)
    return (
        ""
        if 2 * most < len(documents)
        else f" {most} of them are one group: groups that have a copy in common are, and go into one set."
    )
