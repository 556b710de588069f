"""Where the cosigned heads of a log lie.

The last head that a quorum cosigned is kept as ``log/witnessed``, because ``log/checkpoint`` is replaced with
every entry. Where it is still the newest, ``checkpoint`` carries the cosignatures too: there others look.

All of them are kept in ``log/heads``, oldest first, an empty line between two: the first that covers an entry
says by when the entry was there. So none of them ever goes, and none changes but the last, to which further
cosignatures come. States that were begun before have it from their next cosigned head on.
"""

from __future__ import annotations

__all__ = [
    "HEADS",
    "MOST_HEADS_BYTES",
    "WITNESSED",
    "heads_in",
    "keep_cosigned",
    "log_key_of",
    "parse_heads",
    "with_head",
]

from itertools import islice, pairwise
from pathlib import Path

from cryoflux.errors import UsageError, VerificationError
from cryoflux.files import read_beginning, storage_errors, write_atomic
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Note,
    VerifierKey,
    parse_note,
    verifier_key,
    with_signatures,
)
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.log_key import refuse_other_log_key
from cryoflux.receipts.reading import each_entry
from cryoflux.receipts.store import DATABASE
from cryoflux.signing.keys import KEYS_FOLDER, LOG_KEY, load_public_key

WITNESSED = "witnessed"
HEADS = "heads"
MOST_HEADS_BYTES = 64 * 2**20
"""of all heads of one log: of three witnesses more than 100,000"""
_EMPTY_LINE = b"\n\n"


def parse_heads(content: bytes) -> tuple[Note, ...]:
    """The cosigned heads of one log, oldest first; no signature is verified.

    Raises:
        VerificationError: they are not notes of one log with an empty line between two, or do not grow.
    """
    if len(content) > MOST_HEADS_BYTES:
        raise VerificationError(f"Cosigned heads of a log have at most {MOST_HEADS_BYTES:,} bytes.")
    notes = heads_in(content)
    for older, newer in pairwise(note.checkpoint for note in notes):
        if newer.origin != older.origin or newer.size <= older.size:
            raise VerificationError(
                f"A head of {newer.origin} with {newer.size} entries stands behind one of {older.origin} "
                f"with {older.size}.",
                why="The heads of a log stand in the order in which they were cosigned.",
            )
    return notes


def heads_in(content: bytes) -> tuple[Note, ...]:
    """The heads in a file of them: notes with an empty line between two. No signature or order is checked.

    Raises:
        VerificationError: it is no such file.
    """
    *before, last = content.split(_EMPTY_LINE)
    parts = [*(part + b"\n" for part in before), last] if content else []
    return tuple(parse_note(b"\n".join(parts[at : at + 2])) for at in range(0, len(parts), 2))


def with_head(content: bytes, new: Note) -> bytes:
    """Cosigned heads, with one more; of the last one again, with what has come to its signatures.

    A signature that is there stays, also where its witness has cosigned the same head later once more.

    Args:
        content: the heads so far.
        new: the head. An older one than the last changes nothing.

    Raises:
        VerificationError: the last head is no note, or would become too long.
    """
    if not content:
        return new.content
    rest, _, lines = content.rpartition(_EMPTY_LINE)
    before, between, text = rest.rpartition(_EMPTY_LINE)
    last = parse_note(text + _EMPTY_LINE + lines)
    if last.checkpoint.size < new.checkpoint.size:
        return content + b"\n" + new.content
    if last.checkpoint != new.checkpoint:
        return content
    signed = {(one.name, one.key_id) for one in last.signatures}
    further = tuple(one for one in new.signatures if (one.name, one.key_id) not in signed)
    return before + between + parse_note(Note(last.checkpoint, last.signatures + further).content).content


def keep_cosigned(folder: Path, cosigned: bytes) -> None:
    """Store a head with its cosignatures, beside those that are there.

    Args:
        folder: the ``log`` folder of a state, whose lock the caller holds.
        cosigned: the note.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
        VerificationError: it is not a note.
    """
    new = parse_note(cosigned)
    before = _stored(folder / WITNESSED)
    _keep_among_all(folder / HEADS, [note for note in (before, new) if note is not None])
    if before is None or before.checkpoint.size <= new.checkpoint.size:
        write_atomic(folder / WITNESSED, _joined(before, new))
    newest = _stored(folder / CHECKPOINT)
    if newest is not None and newest.checkpoint == new.checkpoint:
        write_atomic(folder / CHECKPOINT, _joined(newest, new))


def _keep_among_all(path: Path, notes: list[Note]) -> None:
    with storage_errors(path):
        kept = read_beginning(path, MOST_HEADS_BYTES + 1) if path.is_file() else b""
    try:
        heads = _with_all(kept, notes)
    except VerificationError:  # not by us; what it once said is not thrown away
        with storage_errors(path):
            path.replace(path.with_name(f"{HEADS}.damaged"))
        heads = _with_all(b"", notes)
    if heads != kept and len(heads) <= MOST_HEADS_BYTES:
        write_atomic(path, heads)


def _with_all(heads: bytes, notes: list[Note]) -> bytes:
    for note in notes:
        heads = with_head(heads, note)
    return heads


def log_key_of(state: Path) -> VerifierKey:
    """The key of a state's log, as witnesses and policies name it.

    Raises:
        UsageError: there is no log.
        StateTamperedError: its first entry vouches for another key.
    """
    key = load_public_key(state / KEYS_FOLDER / f"{LOG_KEY}.pub")
    if (state / DATABASE).is_file():
        for first in islice(each_entry(state), 1):
            refuse_other_log_key(first, key)
    if (note := _stored(state / LOG_FOLDER / CHECKPOINT)) is None:
        raise UsageError(
            f"{state} holds no signed head of a log.",
            why="The head says how the log is called.",
            hint="Name a state directory with --state DIR.",
        )
    return verifier_key(note.checkpoint.origin, key)


def _joined(old: Note | None, new: Note) -> bytes:
    if old is None or old.checkpoint != new.checkpoint:
        return new.content
    return with_signatures(old.content, new.signatures)


def _stored(path: Path) -> Note | None:
    if not path.is_file():
        return None
    with storage_errors(path):
        content = read_beginning(path, MAX_NOTE_BYTES + 1)
    try:
        return parse_note(content)
    except VerificationError:
        return None
