"""The logs of a contract on a disk: states, their public trees, and mirrors of peers.

The policy of the contract names the keys, so that nobody's word is needed for which log is which. Entries
have to have the root that the log signed. A head that the log signed over another history convicts it, and so
do two copies of which neither continues the other.

Commitments go by the heads that a log has published, which all readers have. Until when a log is here goes by
the newest cosignatures in any file of it, also of heads that witnesses brought themselves.
"""

from __future__ import annotations

__all__ = ["read_each", "read_logs"]

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.errors import UsageError, VerificationError
from cryoflux.files import read_regular
from cryoflux.network.contracts.document import policy_of
from cryoflux.network.contracts.told import ContractTold, HeadTold, UnreadEntry, contract_told
from cryoflux.network.head_times import SeenAt, cosigned_by, joined, last_reached_by, reached_by
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.peer_record import SEEN
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Note,
    parse_note,
    verify_log,
)
from cryoflux.receipts.contract_parts import AgreedTerms
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.merkle import CompactRange, leaf_hash
from cryoflux.witness.cosigned import HEADS, MOST_HEADS_BYTES, WITNESSED, heads_in
from cryoflux.witness.evidence import check_equivocation, parse_equivocation
from cryoflux.witness.policy import Policy


@dataclass(frozen=True, slots=True)
class _Copy:
    """One copy of a log."""

    entries: tuple[bytes, ...]
    root: bytes
    heads: tuple[HeadTold, ...]
    """that it has published"""
    seen: Mapping[Checkpoint, Mapping[str, SeenAt]]
    """each head that is here, and which witnesses had seen it when"""
    convicted: str


def read_logs(terms: AgreedTerms, folders: Iterable[Path], *, strict: bool = False) -> list[ContractTold]:
    """What the logs in some folders say of a contract.

    Args:
        terms: of the contract.
        folders: states, public trees, folders of a log or mirrors, in any order.
        strict: whether each has to be of a log that the contract names; else others are passed over.

    Raises:
        UsageError: a folder holds no log, or one that the contract does not name.
        VerificationError: a log is not what its key signed.
    """
    policy = policy_of(terms)
    keys = {line.key.name: line.key for line in policy.logs}
    copies: dict[str, list[_Copy]] = {}
    for folder in folders:
        place = _place(folder)
        origin = parse_note(read_regular(place / CHECKPOINT, MAX_NOTE_BYTES)).checkpoint.origin
        if (key := keys.get(origin)) is not None:
            copies.setdefault(origin, []).append(_read(MirrorFolder(place, key), policy))
        elif strict:
            raise UsageError(
                f"{folder} is the log {origin}, which the contract does not name.",
                why="Only logs whose keys both parties have signed for decide.",
                hint=f"It names {', '.join(sorted(keys))}.",
            )
    return [_told(origin, found, terms) for origin, found in sorted(copies.items())]


def _place(folder: Path) -> Path:
    for place in (folder / LOG_FOLDER, folder):
        if (place / CHECKPOINT).is_file():
            return place
    raise UsageError(
        f"{folder} holds no log.",
        why="A log has a signed head, the file checkpoint.",
        hint="Name a state, the public tree of a node, or a mirror in network/peers.",
    )


def _read(log: MirrorFolder, policy: Policy) -> _Copy:
    note = log.note
    assert note is not None  # noqa: S101 - its file was read just now
    entries = tuple(log.entries())
    published, brought = _notes(log, HEADS, WITNESSED), _notes(log, SEEN, CHECKPOINT)
    notes = [*published, *brought]
    wanted = {one.checkpoint.size for one in notes}
    tree, roots = CompactRange(), dict[int, bytes]()
    for number, entry in enumerate(entries, 1):
        tree.append(leaf_hash(entry))
        if number in wanted:
            roots[number] = tree.root()
    if tree.root() != note.checkpoint.root:
        raise VerificationError(
            f"The entries of {log.key.name} do not have the root that its head signs.",
            why="They were changed after they were signed, or are not all here.",
            hint="Pull the log again.",
        )
    covered = [one.checkpoint for one in notes if one.checkpoint.size in roots]
    apart = [head for head in covered if head.root != roots[head.size]]
    convicted = f"it signed two heads of {apart[0].size} entries" if apart else _evidence(log)
    seen = [(one.checkpoint, cosigned_by(one, policy)) for one in published if one.checkpoint.size in roots]
    heads = tuple(_timed(seen, policy))
    # Of a head whose first times are not here nobody can tell what was late by its last ones.
    dated = {one.size for one in heads}
    seen += [(one.checkpoint, cosigned_by(one, policy)) for one in brought if one.checkpoint.size in dated]
    dated_seen = joined((head, times) for head, times in seen if head.size in dated)
    return _Copy(entries, tree.root(), heads, dated_seen, convicted)


def _evidence(log: MirrorFolder) -> str:
    """Why a log is known to have told two histories, by what was kept of it; empty where it is not."""
    if not (content := log.evidence):
        return ""
    found = parse_equivocation(content)
    said = check_equivocation(found)
    return said if found.log == log.key else ""


def _notes(log: MirrorFolder, *names: str) -> list[Note]:
    """The heads in some files of a log, in their order; what it did not sign is passed over."""
    found = []
    for name in names:
        path = log.path / name
        for note in heads_in(read_regular(path, MOST_HEADS_BYTES)) if path.is_file() else ():
            try:
                verify_log(note, log.key)
            except VerificationError:
                continue
            found.append(note)
    return found


def _timed(seen: Iterable[tuple[Checkpoint, Mapping[str, SeenAt]]], policy: Policy) -> Iterator[HeadTold]:
    """The heads that a quorum has seen, and when; one that comes after a larger one is passed over."""
    largest = 0
    for head, times in seen:
        first_s = reached_by(times, policy)
        if first_s is not None and head.size >= largest:
            largest = head.size
            yield HeadTold(largest, first_s)


def read_each(contents: Sequence[bytes]) -> Iterator[Entry | UnreadEntry]:
    """The entries of a log; what this version cannot read keeps its place, and what it cost is not known."""
    for index, content in enumerate(contents):
        try:
            yield parse_entry(index, content)
        except VerificationError:
            yield UnreadEntry(index, leaf_hash(content).hex())


def _told(origin: str, copies: Sequence[_Copy], terms: AgreedTerms) -> ContractTold:
    """What a log says, of all its copies together."""
    longest = max(copies, key=lambda one: (len(one.entries), one.root))
    convicted = next((one.convicted for one in copies if one.convicted), "")
    if any(one.entries != longest.entries[: len(one.entries)] for one in copies):
        convicted = "it has told two histories"
    heads = sorted({head for one in copies for head in one.heads}, key=lambda one: (one.size, one.time_s))
    entries, policy = list(read_each(longest.entries)), policy_of(terms)
    seen = joined(each for one in copies for each in one.seen.items())
    last_s = max((last_reached_by(times, policy) or 0 for times in seen.values()), default=0)
    root = longest.root.hex()
    return contract_told(origin, entries, heads, terms, last_s=last_s, root=root, convicted=convicted)
