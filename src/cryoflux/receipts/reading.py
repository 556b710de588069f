"""Reading the log without changing it, and finding an entry by what a person types."""

from __future__ import annotations

__all__ = ["each_entry", "find_entry", "read_authority", "read_entries", "uncollected"]

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from cryoflux.collector import uncollected
from cryoflux.errors import StateError, StateTamperedError, UsageError, VerificationError
from cryoflux.receipts.decoding import NewerFormatError
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.numbering import number_entries, number_rounds, round_name
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.store import DATABASE, Row, StoredRows, columns_of
from cryoflux.signing.keys import KEYS_FOLDER, RECEIPT_KEY, load_public_key

_SHORTEST_PREFIX = 4


def read_entries(state: Path) -> list[Entry]:
    """Every entry of a state's log, in order.

    Raises:
        UsageError: the state holds no log.
        StateTamperedError: an entry is not well formed.
        StateError: a newer version wrote an entry.
    """
    with uncollected():
        return list(each_entry(state))


def each_entry(state: Path, start: int = 0) -> Iterator[Entry]:
    """The same, one at a time: the log as it was when the first one was asked for.

    Args:
        state: the state directory.
        start: place of the first one in the log, so that whoever follows it reads nothing twice.

    Raises:
        UsageError, StateTamperedError, StateError: as for `read_entries`.
    """
    path = state / DATABASE
    if not path.is_file():
        raise UsageError(
            f"{state} holds no receipts.",
            why="A state directory has a receipts.db.",
            hint="Name another one with --state DIR, or make one with cryoflux run.",
        )
    with closing(StoredRows(path)) as rows:
        if start:
            yield from (_parse(path, row.index, row) for row in rows.since(start))
            return
        for index, row in enumerate(rows):
            yield _parse(path, index, row)


def _parse(path: Path, index: int, row: Row) -> Entry:
    try:
        if row.lost is not None:
            raise VerificationError(row.lost or "the database lacks it")
        return parse_entry(index, row.envelope)
    except NewerFormatError as error:
        raise StateError(f"Entry {index}: {error.what}", why=error.why, hint=error.hint) from error
    except VerificationError as error:
        raise StateTamperedError(
            f"Entry {index} of {path} is damaged: {error.what}",
            why="What it says is not evidence any more.",
            hint="cryoflux verify names everything that is wrong.",
        ) from error


def read_authority(state: Path) -> tuple[Authority, int]:
    """The keys of a state's log, and how many entries it has.

    Raises:
        UsageError, StateTamperedError, StateError: as for `read_entries`; or an entry about a key is not
            signed by the one who may say it.
    """
    entries = read_entries(state)
    authority = Authority(load_public_key(state / KEYS_FOLDER / f"{RECEIPT_KEY}.pub"))
    for entry in entries:
        if entry.key is not None and (complaint := authority.admit(entry)):
            raise StateTamperedError(
                f"Entry {entry.index} of the log, about a key, is not valid: {complaint}.",
                why="It would let another sign in the name of this log.",
                hint="cryoflux verify names everything that is wrong.",
            )
    return authority, len(entries)


def find_entry(entries: Sequence[Entry], text: str) -> Entry:
    """The entry that a number (``#3``, of a round ``#r2``), an index, an id or the digits of a hash name.

    A number and a task id name a receipt, or the intent as long as there is no receipt; so do the number and
    the id of a round.

    Raises:
        UsageError: nothing, or more than one entry, has that name.
    """
    if text.startswith("#r"):
        return _round(entries, text)
    if text.startswith("#"):
        return _attempt(entries, text)
    if text.isascii() and text.isdecimal() and len(text) <= 9 and text == str(int(text)):
        numbered = [entry for entry in entries if entry.index == int(text)]
        if numbered:
            return numbered[0]
    named = [entry for entry in entries if text and columns_of(entry.statement).task_id == text]
    receipts = [entry for entry in named if entry.receipt is not None or entry.round is not None]
    if found := receipts[-1:] or named[-1:]:
        return found[0]
    hashed = [entry for entry in entries if entry.leaf_hash.startswith(text)]
    if len(text) >= _SHORTEST_PREFIX and len(hashed) == 1:
        return hashed[0]
    reason = "Several entries begin so." if len(hashed) > 1 else f"The log has {len(entries)} entries."
    raise UsageError(
        f"No single entry is called {text!r}.",
        why=reason,
        hint="Give an attempt as '#3', a round as '#r2', an index, a task id, or the first digits of a "
        "receipt hash; see cryoflux receipts list.",
    )


def _round(entries: Sequence[Entry], text: str) -> Entry:
    numbers = number_rounds(entries)
    pairs = zip(entries, numbers, strict=True)
    if found := [entry for entry, number in pairs if number is not None and text == round_name(number)]:
        return found[-1]  # the record follows its announcement
    rounds = sum(entry.round is not None for entry in entries)
    raise UsageError(
        f"There is no round {text}.",
        why=f"The log has {rounds} rounds, numbered from #r1.",
        hint="They are listed by: cryoflux receipts list.",
    )


def _attempt(entries: Sequence[Entry], text: str) -> Entry:
    numbers = number_entries(entries)
    pairs = zip(entries, numbers, strict=True)
    if found := [entry for entry, number in pairs if number is not None and text == f"#{number}"]:
        return found[-1]  # the receipt follows its intent
    hint = "They are listed by: cryoflux receipts list."
    at = text.removeprefix("#")
    if other := [entry for entry in entries if str(entry.index) == at]:
        hint = f"Entry {at} of the log ({other[0].kind}) is called by its number alone: {at}."
    raise UsageError(
        f"There is no attempt {text}.",
        why=f"The log has {max((n for n in numbers if n), default=0)} attempts, numbered from #1.",
        hint=hint,
    )
