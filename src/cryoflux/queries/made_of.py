"""What a version is made of, by its log: the updates on its line, and the entries that bear them out."""

from __future__ import annotations

__all__ = ["MadeOf", "SignedEntry", "UpdateFiles", "made_of"]

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.key_statement import KeyRoot, KeyRotation, PublicKey
from cryoflux.runs.catalogue import CataloguedVersion
from cryoflux.state import ADAPTER, StateFolder


@dataclass(frozen=True, slots=True)
class UpdateFiles:
    """The files of an update that was kept, which are here."""

    attempt: int
    folder: Path
    is_adapter: bool
    """as PEFT reads one; else files of another task"""


@dataclass(frozen=True, slots=True)
class SignedEntry:
    """An entry of a log, and whose signature it bears."""

    index: int
    keyid: str


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What one version rests on."""

    entries: tuple[SignedEntry, ...]
    """in the order of the log: of each kept attempt its announcement and its receipt, with those of its chain
    that paid for it; of a round that composed what others offer, both; a recall; the first entry, which
    vouches for the key of the log; and what names its keys"""
    updates: tuple[UpdateFiles, ...]
    """oldest first"""
    updates_missing: tuple[int, ...]
    """kept attempts whose files are not here"""
    later_keys: tuple[PublicKey, ...]
    """keys that the log came to after its first one"""


def made_of(folder: StateFolder, entries: Iterable[Entry], line: Iterable[CataloguedVersion]) -> MadeOf:
    """What a version rests on.

    Args:
        folder: the state.
        entries: of its log, in their order.
        line: the versions from where the log began to the one that is asked about.
    """
    made_by = {one.made_by: one for one in line if one.made_by}
    memory, found, keys = LogState(), set[SignedEntry](), list[PublicKey]()
    announced, tried = dict[str, SignedEntry](), defaultdict[tuple[str, str], list[SignedEntry]](list)
    updates, missing = list[UpdateFiles](), list[int]()
    for entry in entries:
        paid, signed = memory.paid(entry), SignedEntry(entry.index, entry.signed.keyid)
        memory.take(entry)
        keys += _named(entry)
        version = made_by.get(entry.leaf_hash)
        if entry.index == 0 or entry.key is not None or version is not None:
            found.add(signed)
        if entry.intent is not None or entry.round_intent is not None:
            announced[entry.leaf_hash] = signed
        if entry.round is not None and version is not None:
            found.update(filter(None, [announced.get(entry.round.intent)]))
        if (receipt := entry.receipt) is None or paid is None:
            continue
        pairs = tried[receipt.task.name, receipt.task.arm]
        pairs += [*filter(None, [announced.pop(receipt.intent, None)]), signed]
        if version is None:
            continue
        found.update(pairs[-2 * paid.attempts :])
        if (files := _update(folder, entry, version.attempt or 0)) is not None:
            updates.append(files)
        else:
            missing.append(version.attempt or 0)
    in_order = sorted(found, key=lambda one: one.index)
    return MadeOf(tuple(in_order), tuple(updates), tuple(missing), tuple(keys))


def _named(entry: Entry) -> list[PublicKey]:
    match entry.statement.predicate:
        case KeyRoot(root=key) | KeyRotation(successor=key):
            return [key]
    return []


def _update(folder: StateFolder, entry: Entry, attempt: int) -> UpdateFiles | None:
    """The files of an update, as its receipt names them."""
    subjects = {subject.name: subject.digest.sha256 for subject in entry.statement.subject}
    named = [subjects[ADAPTER]] if ADAPTER in subjects else [*subjects.values()]
    place = next((folder.capsule(digest) for digest in named if folder.capsule(digest).is_dir()), None)
    return None if place is None else UpdateFiles(attempt, place, ADAPTER in subjects)
