"""The data part of step 9: the sets of examples are those that were signed, as many, and disjoint.

A holdout that shares texts with the training set measures memory. Two texts are the same where they are so
for the split itself: after `cryoflux.data.examples.normalise`.
"""

from __future__ import annotations

__all__ = ["data_findings", "holdout_path"]

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from cryoflux.data.examples import normalise
from cryoflux.receipts.statement import Data
from cryoflux.verification.folders import FolderState, compare_folder
from cryoflux.verification.history import History, said_by
from cryoflux.verification.result import Finding, failed, unknown


def holdout_path(state: Path, data: Data) -> Path:
    """Where the holdout of a data set lies."""
    return state / "data" / data.digest / "holdout.jsonl"


def data_findings(history: History, state: Path) -> Iterator[Finding]:
    """What is wrong or open about the data sets that intents name."""
    by_digest: dict[str, tuple[str, Data]] = {}
    for entry, intent in history.intents:
        by_digest.setdefault(intent.data.digest, (said_by(entry), intent.data))
    for name, data in by_digest.values():
        where = f"data/{data.digest}"
        folder = state / where
        if not folder.is_dir():
            yield unknown(where, "the data set is not kept here")
            continue
        found = compare_folder(folder, data.digest)
        for file in found.different:
            yield failed(f"{where}/{file}", "is not the file that was signed")
        for file in found.missing:
            yield unknown(f"{where}/{file}", "is not kept here")
        yield from _other_files(name, data, found)
        yield from _examples(folder, where, data, found)


def _other_files(name: str, data: Data, found: FolderState) -> Iterator[Finding]:
    signed = {"train.jsonl": data.train, "holdout.jsonl": data.holdout.sha256, "audit.jsonl": data.audit}
    for file, digest in signed.items():
        if found.listed and found.listed.get(file) != digest:
            yield failed(name, f"its {file} is not the one of its data set")


def _examples(folder: Path, where: str, data: Data, found: FolderState) -> Iterator[Finding]:
    counts = {
        "train.jsonl": data.train_count,
        "holdout.jsonl": data.holdout.count,
        "audit.jsonl": data.audit_count,
    }
    texts: dict[str, set[str]] = {}
    for file, count in counts.items():
        if file not in found.listed or file in {*found.missing, *found.different}:
            continue
        try:
            read = _texts(folder / file)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            yield failed(f"{where}/{file}", "holds a line that is no example")
            continue
        texts[file] = set(read)
        if len(read) != count:
            yield failed(f"{where}/{file}", f"holds {len(read)} examples, not {count} as was signed")
    for (one, some), (other, others) in combinations(texts.items(), 2):
        if shared := len(some & others):
            yield failed(f"{where}/{other}", f"shares {shared} texts with {one}: the sets are not disjoint")


def _texts(path: Path) -> list[str]:
    rows = (json.loads(line) for line in path.read_bytes().decode().split("\n") if line)
    return [normalise(row["text"]) for row in rows]
