"""How files of exactly text,label were read before others were: states begun then name their digests.

What this reads, `cryoflux.data.formats` has to read in the same way for good. It is short on purpose: None is
every refusal.
"""

from __future__ import annotations

__all__ = ["exactly_read"]

import csv
import io
import json
from pathlib import Path
from typing import Any


def exactly_read(path: Path) -> list[tuple[str, str]] | None:
    """Texts and labels; None where the file was refused."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if not text.strip() or "\0" in text:
        return None
    is_json = path.suffix in {".jsonl", ".ndjson", ".json"} or text.lstrip().startswith("{")
    try:
        rows = _json_rows(text) if is_json else _csv_rows(text)
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error):
        return None
    found = [_example(*row) for row in rows]
    if not found or None in found or (not is_json and _headed(text, found)):
        return None
    return found


def _csv_rows(text: str) -> list[tuple[Any, Any]]:
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    names = [name.strip().casefold() for name in rows[0]]
    named = "text" in names and "label" in names
    if named and names.count("text") + names.count("label") > 2:
        raise ValueError
    width, places = (len(names), (names.index("text"), names.index("label"))) if named else (2, (0, 1))
    if any(len(row) != width for row in rows):
        raise ValueError
    return [(row[places[0]], row[places[1]]) for row in rows[named:]]


def _json_rows(text: str) -> list[tuple[Any, Any]]:
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise TypeError
    return [(row["text"], row["label"]) for row in rows]


def _example(text: Any, label: Any) -> tuple[str, str] | None:
    good = isinstance(text, str) and text.strip() and isinstance(label, str | int) and str(label).strip()
    try:
        f"{text}{label}".encode()
    except UnicodeEncodeError:
        return None
    return (text, str(label).strip()) if good else None


def _headed(text: str, found: list[Any]) -> bool:
    first = found[0]
    begins = text.lstrip().startswith((first[0], f'"{first[0]}'))
    return len(found) > 2 and begins and all(label != first[1] for _, label in found[1:])
