"""The state that a fork goes on from, read at one moment and without changing it."""

from __future__ import annotations

__all__ = ["ForkSource", "read_source"]

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.errors import StateError, StateTamperedError, UsageError, VerificationError
from cryoflux.files import read_beginning
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Note,
    origin_of,
    parse_note,
    verifier_key,
    verify_log,
)
from cryoflux.receipts.decoding import NewerFormatError
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.log_key import refuse_other_log_key
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.reading import uncollected
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.store import StoredRows
from cryoflux.receipts.tiles import Edge
from cryoflux.runs.inputs import check_origin, stored_origins
from cryoflux.signing.keys import LOG_KEY, RECEIPT_KEY, key_id, load_key, load_public_key, successor_name
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Origin


@dataclass(frozen=True, slots=True)
class ForkSource:
    """A state to go on from, as its signed head covers it."""

    state: StateFolder
    origins: Mapping[str, Origin]
    """task → what the state was begun with"""
    point: Checkpoint
    note: bytes
    """the same as the log key signed it"""
    log_key: Ed25519PublicKey
    receipt_key: Ed25519PublicKey
    """the key that signed its receipts last"""
    signer: Ed25519PrivateKey | None
    """its private half; none where it is not here, or not valid any more"""
    memory: LogState
    """what the log had come to"""


def read_source(path: Path) -> ForkSource:
    """Read a state as its newest signed head covers it.

    Raises:
        UsageError: it is no state.
        StateTamperedError: it is not what was signed.
        StateError: a newer version wrote an entry.
    """
    state = StateFolder(path)
    if not (state.receipts.is_file() and state.origin.is_file()):
        raise UsageError(
            f"{path} is not a state.",
            why="A state directory has an origin.json and a receipts.db.",
            hint="Name one that cryoflux run has made.",
        )
    origins = stored_origins(state)
    log_key, first = (load_public_key(state.keys / f"{name}.pub") for name in (LOG_KEY, RECEIPT_KEY))
    # The head before the rows: a run that is at work may add some in between.
    note = _signed_head(state, log_key, first)
    authority, memory = Authority(first), LogState()
    with closing(StoredRows(state.receipts)) as rows, uncollected():
        last = _fold(rows, note.checkpoint, log_key, authority, memory)
    check_origin(state, origins, memory)
    return ForkSource(
        state=state,
        origins=origins,
        point=note.checkpoint,
        note=note.content,
        log_key=log_key,
        receipt_key=last or first,
        signer=_signer(state, first, authority.receipt_key),
        memory=memory,
    )


def _tampered(what: str) -> StateTamperedError:
    return StateTamperedError(
        what,
        why="A fork would go on from what nobody signed.",
        hint="Run cryoflux verify to see what changed; restore a backup, and fork that.",
    )


def _signed_head(state: StateFolder, log_key: Ed25519PublicKey, first: Ed25519PublicKey) -> Note:
    """The newest head, with the log's own signature alone."""
    try:
        note = parse_note(read_beginning(state.checkpoint, MAX_NOTE_BYTES + 1))
        signer = verifier_key(origin_of(first), log_key)
        verify_log(note, signer)
    except OSError as error:
        raise _tampered(f"{state.checkpoint} cannot be read: {error.strerror}.") from error
    except VerificationError as error:
        raise _tampered(f"{state.checkpoint}: {error.what}") from error
    own = tuple(line for line in note.signatures if (line.name, line.key_id) == (signer.name, signer.id))
    return Note(note.checkpoint, own)


def _fold(
    rows: StoredRows, point: Checkpoint, log_key: Ed25519PublicKey, authority: Authority, memory: LogState
) -> Ed25519PublicKey | None:
    """Go through the entries that a head covers; the receipt key that was valid last, revoked or not."""
    edge, last = Edge(), authority.receipt_key
    for index, _, envelope in rows.hashed(point.size):
        edge.append(leaf_hash(envelope))
        try:
            entry = parse_entry(index, envelope)
        except NewerFormatError as error:
            raise StateError(error.what, why="This version cannot go on from it.", hint=error.hint) from error
        except VerificationError as error:
            raise _tampered(f"Entry {index} of the log is damaged: {error.what}") from error
        if entry.key is not None and (complaint := authority.admit(entry)):
            raise _tampered(f"Entry {index} of the log: {complaint}.")
        refuse_other_log_key(entry, log_key)
        last = authority.receipt_key or last
        memory.take(entry)
    if (edge.size, edge.root()) != (point.size, point.root):
        raise _tampered("The entries of the log are not those that its head was signed over.")
    return last


def _signer(
    state: StateFolder, first: Ed25519PublicKey, valid: Ed25519PublicKey | None
) -> Ed25519PrivateKey | None:
    if valid is None:
        return None
    name = RECEIPT_KEY if key_id(valid) == key_id(first) else successor_name(valid)
    if not all((state.keys / f"{name}.{kind}").is_file() for kind in ("pem", "pub")):
        return None
    try:
        return load_key(state.keys, name, create=False)
    except StateError:  # of somebody else, it may be here and not for us to read
        return None
