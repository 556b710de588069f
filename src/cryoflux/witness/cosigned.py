"""Where the cosigned heads of a log lie.

The last head that a quorum cosigned is kept as ``log/witnessed``, because ``log/checkpoint`` is replaced with
every entry. Where it is still the newest, ``checkpoint`` carries the cosignatures too: there others look.

All of them are kept in ``log/heads``, oldest first, an empty line between two: the first that covers an entry
says by when the entry was there. So none of them ever goes, and none changes but the last, to which further
cosignatures come: of each witness its first one, which commits, and its newest one, which says until when the
log had nothing more. So what is kept grows by entries, and not by how often a quiet log is cosigned again.
States that were begun before have it from their next cosigned head on.
"""

from __future__ import annotations

__all__ = [
    "HEADS",
    "MOST_HEADS_BYTES",
    "WITNESSED",
    "heads_in",
    "keep_cosigned",
    "log_key_of",
    "newest_alone",
    "parse_heads",
    "with_head",
]

from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path

from cryoflux.errors import UsageError, VerificationError
from cryoflux.files import read_beginning, storage_errors, write_atomic
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Note,
    NoteSignature,
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
"""of all heads of one log: of three witnesses more than 60,000, though each was cosigned again"""
_EMPTY_LINE = b"\n\n"
_COSIGNATURE_BYTES = 72
"""eight of the time, and the signature"""


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

    The first signature of a witness stays, also where it has cosigned the same head later once more; of those
    the newest is kept beside it.

    Args:
        content: the heads so far.
        new: the head. An older one than the last changes nothing.

    Raises:
        VerificationError: the last head is no note.
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
    for most in (2, 1):  # of many witnesses two signatures each do not fit
        with suppress(VerificationError):
            again = Note(last.checkpoint, _first_and_newest(last, new, most)).content
            return before + between + parse_note(again).content
    return content


def newest_alone(note: Note) -> Note:
    """A head with one signature of each key, the newest, as readers of any kind expect it."""
    return Note(note.checkpoint, tuple({(one.name, one.key_id): one for one in note.signatures}.values()))


def _first_and_newest(last: Note, new: Note, most: int) -> tuple[NoteSignature, ...]:
    """Of each key its first signature, and after it the one of the latest time; or the first one alone."""
    lines: dict[tuple[str, bytes], list[NoteSignature]] = {}
    for one in (*last.signatures, *new.signatures):
        known = lines.setdefault((one.name, one.key_id), [])
        if not known or _said_s(one) > _said_s(known[-1]):
            known[1:] = [one]
    return tuple(line for some in lines.values() for line in some[:most])


def _said_s(line: NoteSignature) -> int:
    """The time that a cosignature says; 0 of a log's own signature, which says none."""
    is_cosignature = len(line.signature) == _COSIGNATURE_BYTES
    return int.from_bytes(line.signature[:8], "big") if is_cosignature else 0


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
