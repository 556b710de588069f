"""Where the cosigned heads of a log lie.

The last head that a quorum cosigned is kept as ``log/witnessed``, because ``log/checkpoint`` is replaced with
every entry. Where it is still the newest, ``checkpoint`` carries the cosignatures too: there others look.
"""

from __future__ import annotations

__all__ = ["WITNESSED", "keep_cosigned", "log_key_of"]

from itertools import islice
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
    if before is None or before.checkpoint.size <= new.checkpoint.size:
        write_atomic(folder / WITNESSED, _joined(before, new))
    newest = _stored(folder / CHECKPOINT)
    if newest is not None and newest.checkpoint == new.checkpoint:
        write_atomic(folder / CHECKPOINT, _joined(newest, new))


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
