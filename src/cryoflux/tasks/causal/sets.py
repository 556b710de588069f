"""The sets of a causal language model's data: disjoint by document, drawn by hash, cut to what is read.

A set's file has one document a line, rendered: what comes before the answer, the answer, and ``text``, which
is all that it says without a template. By ``text`` two documents are copies of each other
(`cryoflux.data.fold`), and by its SHA-256 a set that is not given is drawn (`data.lowest_hash`). Where
documents say what they are chunks of, all chunks go where the first of them by hash goes.
"""

from __future__ import annotations

__all__ = ["BY_GROUP", "FEWEST", "CausalSets", "StoredDocument", "make_sets", "read_stored"]

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryoflux.data.examples import normalise
from cryoflux.data.fold import FOLD, fold
from cryoflux.data.lowest_hash import GIVEN, LOWEST_HASH, by_hash, key_hash
from cryoflux.errors import DataError
from cryoflux.tasks.causal.tokens import FORMS, Rendered

BY_GROUP = "lowest-hash-of-group/v1"
"""the rule where documents are chunks: groups are drawn, by the lowest hash among their chunks"""
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

    def lines(self) -> dict[str, list[bytes]]:
        """As files have them."""
        return {name: [one.line() for one in documents] for name, documents in self.sets.items()}


def make_sets(
    train: Sequence[StoredDocument],
    holdout: Sequence[StoredDocument] | None,
    audit: Sequence[StoredDocument] | None,
    *,
    size: int,
    spares: int,
) -> CausalSets:
    """The sets of a new state.

    Args:
        train: the training file's documents.
        holdout: the holdout file's; none to draw it from ``train``.
        audit: the audit file's; none to draw it from ``train``.
        size: most documents of a set that is drawn.
        spares: most further holdouts that are drawn.

    Raises:
        DataError: there are too few, or the holdout was in the training file.
    """
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
    _check(found, pool, drawn=holdout is None or audit is None)
    drawn = BY_GROUP if groups else LOWEST_HASH
    return CausalSets(
        {**{name: tuple(some.values()) for name, some in found.items()}, "train": tuple(pool.values())},
        {"train": repeats + shared, "holdout": repeats_held, "audit": repeats_audit},
        {
            "holdout": drawn if holdout is None else GIVEN,
            "audit": drawn if audit is None else GIVEN,
            "copies": FOLD,
        },
    )


_Pool = dict[str, StoredDocument]
"""normalised text → document"""


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
    members: dict[tuple[bool, str], list[str]] = {}
    for key in by_hash(pool):
        group = pool[key].group
        members.setdefault((True, group) if group else (False, key), []).append(key)
    taken: list[str] = []
    for keys in members.values():
        if len(taken) + len(keys) <= most:
            taken += keys
    return {key: pool.pop(key) for key in by_hash(taken)}


def _check(found: Mapping[str, _Pool], pool: _Pool, *, drawn: bool) -> None:
    needed = int(FEWEST / _SHARE) + 1
    for name in ("holdout", "audit"):
        if len(found[name]) < FEWEST:
            there = sum(map(len, found.values())) + len(pool)
            hint = f"A set that is split off is 15 % of the training file: give {needed} distinct documents"
            raise DataError(
                f"The {name} set has {len(found[name])} documents, of {there} that differ.",
                why=f"Below {FEWEST}, no improvement can be told from noise.",
                hint=f"{hint}, or files of your own: --holdout FILE --audit FILE."
                if drawn
                else f"Give {FEWEST} or more.",
            )
    if len(pool) < _FEWEST_TRAINED:
        raise DataError(
            f"{len(pool)} documents are left to train on.",
            why="An update that has seen so few learns them by heart, and nothing else.",
            hint=f"Give {needed} documents or more.",
        )
