"""The page ``/receipts``: the log, and whether it holds."""

from __future__ import annotations

__all__ = ["page", "signed_head", "stored_entries", "verified_soon"]

import asyncio
import base64
import json
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryoflux.digests import file_digest
from cryoflux.errors import CryoFluxError, StateTamperedError, UsageError
from cryoflux.files import read_beginning
from cryoflux.pages.render import STATIC
from cryoflux.pages.scene import Page, Scene
from cryoflux.queries.checking import Checking, CheckingNow
from cryoflux.queries.followed import EntryRow
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Note, parse_note
from cryoflux.receipts.store import StoredRows
from cryoflux.report.verdict_words import MARKS, verdict
from cryoflux.signing.keys import key_id, load_public_key, raw_public_key
from cryoflux.state import StateFolder

_MOST = 40
_MOST_DIGITS = 12
_MOST_ENTRIES = 512
_MOST_BYTES = 4_000_000
"""of one answer with entries"""
_WORDS = {"ok": "holds", "fail": "fails", "unknown": "open", "nothing": "nothing to check"}
_POLL_S = 0.05


async def verified_soon(checking: Checking, wait_s: float) -> CheckingNow:
    """What is known of a state after waiting a moment for a verification; nobody who waits holds a thread."""
    end_s = time.monotonic() + wait_s
    while (known := await asyncio.to_thread(checking.ask, 0)).running and time.monotonic() < end_s:  # noqa: ASYNC110 - a thread ends it
        await asyncio.sleep(_POLL_S)
    return known


def page(scene: Scene, checking: CheckingNow, trouble: CryoFluxError | None) -> Page:
    """The page of a state as it is.

    Args:
        scene: at the state.
        checking: what the server has verified.
        trouble: why the log cannot be followed any further; none where it can.
    """
    rows = scene.followed.rows
    end = _number(scene.query.get("before", ""), len(rows))
    shown = rows[max(0, end - _MOST) : end][::-1]
    note = _note(StateFolder(scene.followed.state))
    values = {
        "rows": shown,
        "older": shown[-1].index if shown and shown[-1].index > 0 else None,
        "newest": end == len(rows),
        "kinds": _kinds(rows),
        "note": note,
        "origin": note.checkpoint.origin if note is not None else "",
        "root": base64.b64encode(note.checkpoint.root).decode() if note is not None else "",
        "witnesses": _witnesses(note),
        "keys": _keys(StateFolder(scene.followed.state)),
        "checking": checking,
        "trouble": trouble,
        **_verified(checking),
        "script": file_digest(STATIC / "check.js"),
    }
    return Page("receipts.html", "Receipts", section="receipts", values=values)


def _number(said: str, most: int) -> int:
    if said.isascii() and said.isdecimal() and len(said) <= _MOST_DIGITS:
        return min(int(said), most)
    return most


def _kinds(rows: list[EntryRow]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row.kind.value] = found.get(row.kind.value, 0) + 1
    return found


def _verified(checking: CheckingNow) -> dict[str, Any]:
    last = checking.last
    report = last.report if last is not None else None
    checks = report.checks if report is not None else ()
    return {
        "report": report,
        "checks": [(check, MARKS[check.status.value], _WORDS[check.status.value]) for check in checks],
        "verdict": verdict(report) if report is not None else "",
        "failed": [check for check in checks if check.status.value == "fail"],
        "verified_at": datetime.fromtimestamp(last.at, UTC) if last is not None else None,
    }


def _note(state: StateFolder) -> Note | None:
    """The signed head with what witnesses said of it, where it can be read."""
    for path in (state.witnessed, state.checkpoint):
        with suppress(OSError, CryoFluxError):
            note = parse_note(read_beginning(path, MAX_NOTE_BYTES))
            if path == state.checkpoint or _is_newest(state, note):
                return note
    return None


def _is_newest(state: StateFolder, note: Note) -> bool:
    return parse_note(read_beginning(state.checkpoint, MAX_NOTE_BYTES)).checkpoint == note.checkpoint


def _witnesses(note: Note | None) -> list[str]:
    """Names of those who say that they have seen the head; whether they did, a policy says."""
    if note is None:
        return []
    return [signed.name for signed in note.signatures if signed.name != note.checkpoint.origin]


def _keys(state: StateFolder) -> list[tuple[str, str]]:
    found = []
    for name in ("receipt", "log", "meter", "root"):
        with suppress(CryoFluxError):
            found.append((name, key_id(load_public_key(state.keys / f"{name}.pub"))))
    return found


def signed_head(state: Path) -> bytes:
    """What a browser needs to begin with: the signed head, the keys that the state brings, the size.

    Nothing here has been verified, and what is missing is empty: who asks finds that out.
    """
    folder, keys = StateFolder(state), {}
    for name in ("receipt", "log"):
        keys[name] = ""
        with suppress(CryoFluxError):
            raw = raw_public_key(load_public_key(folder.keys / f"{name}.pub"))
            keys[name] = base64.b64encode(raw).decode()
    note = b""
    with suppress(OSError):
        note = read_beginning(folder.checkpoint, MAX_NOTE_BYTES)
    size = 0
    if folder.receipts.is_file():
        with closing(StoredRows(folder.receipts)) as rows:
            size = len(rows)
    return json.dumps({"checkpoint": base64.b64encode(note).decode(), "keys": keys, "entries": size}).encode()


def stored_entries(state: Path, since: str) -> tuple[bytes, int]:
    """Exact envelopes from one entry on, each on a line of its own, as they lie on the disk; and how many.

    Args:
        state: the state.
        since: place of the first one.

    Raises:
        UsageError: it is no place, or there is no log.
        StateTamperedError: the first of them cannot be read.
    """
    if not (since.isascii() and since.isdecimal() and len(since) <= _MOST_DIGITS):
        raise UsageError("?from= has to say the place of an entry, from 0.")
    folder = StateFolder(state)
    if not folder.receipts.is_file():
        raise UsageError("There is no log yet.")
    found: list[bytes] = []
    with closing(StoredRows(folder.receipts)) as rows:
        try:
            for row in rows.since(int(since)):
                found.append(row.envelope)
                if len(found) == _MOST_ENTRIES or sum(map(len, found)) > _MOST_BYTES:
                    break
        except StateTamperedError:
            if not found:
                raise
    return b"".join(envelope + b"\n" for envelope in found), len(found)
