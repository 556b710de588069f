"""The queries that an index is judged by: known items, or the user's own.

A known item is a document whose title, or first sentence, is the query; what is embedded of it is the rest.
It has to be found again by that. Only titles that no other document has are taken. The sets are drawn by
``lowest-hash/v1`` when a state begins, and never change: holdout, audit, spares, and the queries that an
update is screened with, which stand in the place of the training examples.
"""

from __future__ import annotations

__all__ = [
    "Given",
    "Query",
    "as_line",
    "given_queries",
    "known_items",
    "make_sets",
    "read_given",
    "read_query",
    "split_title",
]

import csv
import hashlib
import heapq
import io
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cryoflux.data.examples import normalise
from cryoflux.data.fold import fold
from cryoflux.data.lowest_hash import key_hash
from cryoflux.errors import DataError
from cryoflux.files import MOST_FILE_BYTES, read_regular
from cryoflux.tasks.index.documents import digest_of, tidy
from cryoflux.tasks.index.names import Names

FEWEST = 30
"""queries of a set"""
_SHARE = 0.2
"""of the queries that there are, a set that judges gets"""
_TITLE_WORDS, _REST_WORDS = (3, 40), 8
"""least and most of a title; least of what is left of its document"""
_SENTENCE = re.compile(r"(.+?[.!?])\s+(?=\S)", re.DOTALL)
_MARKS = "#*=-_ \t"
_SHA256 = re.compile("[0-9a-f]{64}")


class Query(NamedTuple):
    """A question, and the document that answers it."""

    text: str
    document: bytes
    """its SHA-256"""
    part: bool
    """whether the question is a part of the document, which is embedded without it"""


class Given(NamedTuple):
    """A line of a user's file of queries."""

    number: int
    text: str
    document: str
    """its place, its SHA-256, or its whole text"""


def split_title(text: str) -> tuple[str, str] | None:
    """The title or first sentence of a tidy text, and the rest; none where either is too short."""
    first, _, rest = text.partition("\n")
    title = first.strip(_MARKS)
    if not rest.strip() or len(title.split()) > _TITLE_WORDS[1]:
        found = _SENTENCE.match(text)
        if found is None:
            return None
        title, rest = found[1].strip(_MARKS), text[found.end() :]
    least, most = _TITLE_WORDS
    if not least <= len(title.split()) <= most or len(rest.split()) < _REST_WORDS:
        return None
    return " ".join(title.split()), rest.strip()


def as_line(query: Query) -> bytes:
    """A query as a line of a data set."""
    row = {"document": query.document.hex(), "part": query.part, "text": query.text}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def read_query(line: bytes) -> Query:
    """The query of a line.

    Raises:
        ValueError: it is none.
    """
    row = json.loads(line)
    if not isinstance(row, dict) or row.keys() != {"document", "part", "text"}:
        raise ValueError("no query")
    text, document, part = row["text"], row["document"], row["part"]
    if not (isinstance(text, str) and isinstance(document, str) and isinstance(part, bool)):
        raise ValueError("no query")  # noqa: TRY004 - of the line, not of a call
    if len(name := bytes.fromhex(document)) != hashlib.sha256().digest_size:
        raise ValueError("no document")
    return Query(text, name, part)


def known_items(documents: Iterable[tuple[bytes, str]], most: int) -> list[Query]:
    """Known items among documents: of those with a title of their own the ones that are drawn first.

    Args:
        documents: name and text of each.
        most: that are needed; a few times as many are held in memory while titles are compared.
    """
    seen = array("Q")  # a number a title
    drawn: list[tuple[int, int, Query]] = []
    for digest, text in documents:
        if (found := split_title(text)) is None:
            continue
        title = found[0]
        key = int.from_bytes(hashlib.sha256(fold(title).encode("utf-8", "surrogatepass")).digest()[:8])
        seen.append(key)
        query = Query(title, digest, part=True)
        # a heap of the lowest hashes; negated, because the largest is to leave first
        item = (-int.from_bytes(_drawn_by(query)), key, query)
        if len(drawn) < 2 * most:
            heapq.heappush(drawn, item)
        else:
            heapq.heappushpop(drawn, item)
    titles = np.sort(np.frombuffer(seen, np.uint64)) if seen else np.zeros(0, np.uint64)
    keys = np.array([key for _, key, _ in drawn], np.uint64)
    times = np.searchsorted(titles, keys, "right") - np.searchsorted(titles, keys)
    return [query for (_, _, query), count in zip(drawn, times, strict=True) if count == 1]


def read_given(path: Path) -> list[Given]:
    """The lines of a CSV file with the columns ``query`` and ``document``.

    Raises:
        DataError: the file cannot be read, or a line lacks one of them.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_regular(path, MOST_FILE_BYTES).decode("utf-8-sig"))))
    except (OSError, ValueError, csv.Error) as error:
        raise _bad_queries(path, str(error)) from error
    found = []
    for number, row in enumerate(rows, 2):
        text, document = row.get("query"), row.get("document")
        if not text or not document:
            raise _bad_queries(path, f"line {number} has no query or no document")
        found.append(Given(number, text, document.strip()))
    return found


def given_queries(
    path: Path, given: Iterable[Given], documents: Mapping[str, bytes], names: Names
) -> list[Query]:
    """The queries that a user gives.

    Args:
        path: of the file.
        given: its lines.
        documents: place in the folder → name of the document there.
        names: of all documents; a document may also be given by its SHA-256 or its whole text.

    Raises:
        DataError: one names a document that is not there.
    """
    found = {}
    for one in given:
        name = documents.get(one.document)
        if name is None:
            known = [digest for digest in _may_name(one.document) if digest in names]
            if not known:
                raise _bad_queries(path, f"line {one.number}: there is no document {one.document[:80]!r}")
            name = known[0]
        found[fold(one.text)] = Query(" ".join(one.text.split()), name, part=False)
    return list(found.values())


def _may_name(document: str) -> Iterator[bytes]:
    yield digest_of(tidy(document))
    if _SHA256.fullmatch(document):
        yield bytes.fromhex(document)


def _bad_queries(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} holds no queries: {what}.",
        why="An index is judged by whether it finds the document that answers each query.",
        hint="Give a CSV file with the columns query,document; a document is its path in the folder, with "
        "#ROW where a file holds several.",
    )


def _drawn_by(query: Query) -> bytes:
    return key_hash(normalise(query.text))


def make_sets(queries: Sequence[Query], *, most: int, spares: int) -> dict[str, list[bytes]]:
    """The sets of a state, drawn by ``lowest-hash/v1``.

    Args:
        queries: all that there are.
        most: queries of a set.
        spares: further holdouts, as far as the queries reach.

    Raises:
        DataError: there are too few.
    """
    lines = [as_line(query) for query in sorted(queries, key=_drawn_by)]
    size = min(most, max(FEWEST, int(_SHARE * len(lines))))
    if len(lines) < 3 * FEWEST:
        raise DataError(
            f"There are {len(lines)} queries.",
            why=f"An index is judged by {3 * FEWEST} at least: {FEWEST} that decide, as many that are sealed "
            "and as many to try an update on. A document gives one by its title or its first sentence, "
            "unless another one has the same, and a line of --queries one if its document is there.",
            hint="Name a folder with more documents, or give more lines: --queries FILE.",
        )
    further = max(0, min(spares, (len(lines) - 2 * size - FEWEST) // size))
    names = ["holdout", "audit", *(f"holdout-{n}" for n in range(2, 2 + further))]
    sets = {name: lines[at * size : (at + 1) * size] for at, name in enumerate(names)}
    start = len(names) * size
    return {**sets, "train": lines[start : start + most]}
