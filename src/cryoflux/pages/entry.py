"""The page ``/receipts/INDEX``: one entry, first in plain language, then exactly as it was signed."""

from __future__ import annotations

__all__ = ["envelope", "page"]

import json
from typing import Any

from cryoflux.errors import UsageError
from cryoflux.pages.scene import Page, Scene
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.flat import flat_view
from cryoflux.report.entry_words import entry_sentence

_MOST_DIGITS = 12
_MOST_SHOWN = 14_000
"""characters of the statement; the whole of it is the file beside it"""
_LATER = frozenset({"index", "kind", "receipt_hash", "attempt", "round_number", "timestamp", "phases"})
"""fields that the page says elsewhere"""


def _entry(scene: Scene, named: str) -> Entry:
    said = named if named.isascii() and named.isdecimal() and len(named) <= _MOST_DIGITS else ""
    if not said or int(said) >= scene.followed.size:
        raise UsageError(
            f"The log has no entry {named[:_MOST_DIGITS]}.",
            why=f"It has {scene.followed.size}, counted from 0.",
            hint="Choose one under Receipts.",
        )
    return scene.followed.entry(int(said))


def envelope(scene: Scene, named: str) -> bytes:
    """The exact signed bytes of an entry.

    Raises:
        UsageError: there is no such entry.
        StateTamperedError: it cannot be read any more.
    """
    return _entry(scene, named).envelope


def page(scene: Scene, named: str) -> Page:
    """The page of an entry.

    Raises:
        UsageError, StateTamperedError: as for `envelope`.
    """
    entry = _entry(scene, named)
    row = scene.followed.rows[entry.index]
    view = flat_view(entry, row.number, round_number=row.round_number)
    text = json.dumps(json.loads(entry.signed.payload), indent=2, ensure_ascii=False)
    values: dict[str, Any] = {
        "entry": entry,
        "row": row,
        "changed": row.leaf_hash != entry.leaf_hash,
        "sentence": entry_sentence(entry, row.number),
        "fields": [(name, _shown(value)) for name, value in view.items() if _worth_showing(name, value)],
        "text": text[:_MOST_SHOWN],
        "cut": len(text) - _MOST_SHOWN if len(text) > _MOST_SHOWN else 0,
        "size": scene.followed.size,
    }
    return Page("entry.html", f"Entry {entry.index}", section="receipts", values=values)


def _worth_showing(name: str, value: object) -> bool:
    return name not in _LATER and value not in (None, "", [], {})


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
