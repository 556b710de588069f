"""The examples that every contender gets: the same texts, splits and cut."""

from __future__ import annotations

__all__ = ["DATA_SETS", "Task", "Text", "encode", "load_task"]

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contenders.corpora import bbc_news, reviews
from cryoflux.config import load_settings
from cryoflux.data.formats import read_examples
from cryoflux.tasks.lora.inputs import read_splits

DATA_SETS = {"stdlib-docs": 32, "bbc": 64, "reviews": 32, "distilbert-step": 32}
"""Name → tokens that a text is cut to."""
HOLDOUT_SIZE = 512
_SETS = ("train", "holdout", "audit")


@dataclass(frozen=True, slots=True)
class Text:
    """A text and the index of its class."""

    text: str
    label: int


@dataclass(frozen=True, slots=True)
class Task:
    """A data set, split."""

    name: str
    labels: tuple[str, ...]
    train: list[Text]
    holdout: list[Text]
    audit: list[Text]
    max_tokens: int
    digest: str
    """SHA-256 over the three sets, in any order: cells with another one were not run on the same examples"""
    files: dict[str, Path]
    """the same three sets, as `cryoflux run` takes them: ``train``, ``holdout``, ``audit``"""


def load_task(name: str, folder: Path) -> Task:
    """The data set ``name``, split once: what was split is kept in ``folder`` and read from there."""
    files = {key: folder / f"{_corpus(name)}-{key}.jsonl" for key in _SETS}
    if not all(path.is_file() for path in files.values()):
        folder.mkdir(parents=True, exist_ok=True)
        for path, rows in zip(files.values(), _split(name, folder), strict=True):
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    examples = [read_examples(path) for path in files.values()]
    labels = tuple(sorted({e.label for e in examples[0]}))
    index = {label: number for number, label in enumerate(labels)}
    train, holdout, audit = ([Text(e.text, index[e.label]) for e in group] for group in examples)
    pairs = [sorted((t.text, t.label) for t in texts) for texts in (train, holdout, audit)]
    digest = hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
    return Task(name, labels, train, holdout, audit, DATA_SETS[name], digest, files)


def _corpus(name: str) -> str:
    return "stdlib-docs" if name == "distilbert-step" else name


def _split(name: str, folder: Path) -> list[list[dict[str, str]]]:
    """Training set, holdout and audit set as CryoFlux draws them; nobody needs its spare holdouts."""
    flags: dict[str, Any] = {"holdout_size": HOLDOUT_SIZE, "spare_holdouts": 0}
    if name in {"bbc", "reviews"}:
        path = folder / f"{name}.csv"
        _write_csv(path, bbc_news() if name == "bbc" else reviews(folder))
        flags["train"] = str(path)
    _, splits = read_splits(load_settings(flags, environ={}).settings)
    parts = (splits.train, splits.holdout, splits.audit)
    return [[{"text": e.text, "label": e.label} for e in part] for part in parts]


def _write_csv(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)


def encode(tokenizer: Any, texts: list[Text], max_tokens: int) -> list[dict[str, Any]]:
    """Token ids and label of each text, as transformers' collators take them."""
    ids = tokenizer([t.text for t in texts], truncation=True, max_length=max_tokens)["input_ids"]
    return [{"input_ids": row, "labels": t.label} for row, t in zip(ids, texts, strict=True)]
