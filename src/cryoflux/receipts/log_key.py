"""Whose word it is that a key signs a log's heads: the first entry names it, which the receipt key signs.

The key of the heads is another one than the receipt key, so that a head can be signed where no receipt can.
Nothing would tie the two together, were it not for the first entry: beside what it is about, it has a subject
more, ``log-public-key.der``, whose digest is the id of the log key. Whoever knows the receipt key, or the
origin, which is named after it, then knows the log key too. No later entry can name one: a log has one key
for its heads, for good. Logs that were begun before entries said so name none.
"""

from __future__ import annotations

__all__ = [
    "LOG_KEY_SUBJECT",
    "log_key_complaint",
    "other_subjects",
    "refuse_other_log_key",
    "vouched_log_key",
    "with_log_key",
]

from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import StateTamperedError
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import InTotoStatement, Sha256Digest, Subject
from cryoflux.signing.keys import key_id

LOG_KEY_SUBJECT = "log-public-key.der"
_Said = TypeVar("_Said", bound=InTotoStatement)


def with_log_key(statement: _Said, key: Ed25519PublicKey) -> _Said:
    """The statement of a first entry, with the subject that vouches for the log key."""
    vouched = Subject(name=LOG_KEY_SUBJECT, digest=Sha256Digest(sha256=key_id(key)))
    others = [said for said in statement.subject if said.name != LOG_KEY_SUBJECT]
    return statement.but(subject=[*others, vouched])


def _named(entry: Entry) -> list[str]:
    return [said.digest.sha256 for said in entry.statement.subject if said.name == LOG_KEY_SUBJECT]


def vouched_log_key(entry: Entry) -> str:
    """The id of the log key that a first entry vouches for; empty where it is no first one, or names none."""
    named = _named(entry) if entry.index == 0 else []
    return named[0] if named else ""


def other_subjects(entry: Entry) -> list[Subject]:
    """What an entry is about, beside the log key that a first one vouches for."""
    if entry.index:
        return entry.statement.subject
    return [said for said in entry.statement.subject if said.name != LOG_KEY_SUBJECT]


def log_key_complaint(entry: Entry) -> str:
    """What is wrong with how an entry names a log key; empty where nothing is."""
    named = _named(entry)
    if named and entry.index:
        return "vouches for a log key, which only the first entry of a log can"
    return "vouches for more than one log key" if len(named) > 1 else ""


def refuse_other_log_key(first: Entry, key: Ed25519PublicKey) -> None:
    """Make sure that the key of a state's heads is the one that its first entry vouches for, if it does.

    Raises:
        StateTamperedError: it is another one.
    """
    if (vouched := vouched_log_key(first)) and vouched != key_id(key):
        raise StateTamperedError(
            f"keys/log.pub is key {key_id(key)[:16]}…, but the first entry vouches for {vouched[:16]}….",
            why="Nobody would believe a head that another key than that one has signed.",
            hint="Restore keys/log.pem and keys/log.pub from a backup; cryoflux verify says what is wrong.",
        )
