"""What a person does to offer an update: one signed entry, once nothing speaks against its being admitted."""

from __future__ import annotations

__all__ = ["MadeOffer", "offer_update"]

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.config import Settings
from cryoflux.errors import UsageError
from cryoflux.log_state import LogState
from cryoflux.network.admission import read_plain_update
from cryoflux.network.capsule import MOST_ADAPTER_BYTES
from cryoflux.network.offering import find_update, kept_files, update_of
from cryoflux.receipts.entry import AnyStatement, Entry
from cryoflux.receipts.network_statement import Node, OfferStatement, UpdateOffer
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.statement import Sha256Digest, Subject
from cryoflux.runs.by_hand import versions_by_hand
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder

if TYPE_CHECKING:
    from cryoflux.witness.client import Collected


@dataclass(frozen=True, slots=True)
class MadeOffer:
    """An update that is offered now."""

    offer: UpdateOffer
    entry: Entry
    node: Node | None
    """who the log says that its node is; none where it does not say yet"""
    witnessed: Collected | None
    """what witnesses made of the new head; none where there are none"""


def offer_update(
    path: Path,
    settings: Settings,
    name: str,
    terms: str = "",
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> MadeOffer:
    """Write the entry that offers an update of a state.

    Args:
        path: the state.
        settings: which witnesses its log has.
        name: of the attempt, or the first digits of its adapter's SHA-256.
        terms: price and licence, in words.
        now: wall time, UTC; a label.

    Raises:
        UsageError: there is no such update, it is offered already, or nobody would admit it.
        StateError: an attempt is open, or something is at work in the state.
        StateTamperedError: its files are not what was signed.
        StorageError: the disk is full, read-only, or refuses.
    """
    with versions_by_hand(path, settings, "cryoflux capsule offer", now) as opened:
        opened.refuse_open()
        entries = read_entries(path)
        receipt = find_update(entries, name)
        update = update_of(entries, receipt, opened.state.flag())  # first: an index has no settings
        adapter, config = (one.digest.sha256 for one in receipt.statement.subject[:2])
        _refuse_again(opened.memory, adapter, opened.state)
        size = _admissible(opened.state, adapter, config)
        assert receipt.receipt is not None  # noqa: S101 - asked for by `find_update`
        task = receipt.receipt.task.name

        def build(sequence: int, prev: str) -> AnyStatement:
            said = UpdateOffer(
                sequence=sequence,
                prev=prev,
                task=task,
                update=update,
                receipt=receipt.leaf_hash,
                receipt_at=receipt.index,
                config=config,
                adapter_bytes=size,
                offered_at=opened.timestamp(),
                terms=terms,
            )
            return OfferStatement(subject=_subjects(adapter, config), predicate=said)

        entry = opened.append(build)
        opened.published(binding=False)  # nothing takes effect by it before a quorum has seen it
        said = entry.statement.predicate
        assert isinstance(said, UpdateOffer)  # noqa: S101 - it was just built
        known = opened.memory.nodes.get(task)
        node = known.node if known is not None else None
    return MadeOffer(said, entry, node, opened.witnessed)


def _subjects(adapter: str, config: str) -> list[Subject]:
    named = ((ADAPTER, adapter), (ADAPTER_CONFIG, config))
    return [Subject(name=name, digest=Sha256Digest(sha256=digest)) for name, digest in named]


def _refuse_again(memory: LogState, adapter: str, state: StateFolder) -> None:
    offered = {digest: at for node in memory.nodes.values() for digest, at in node.offers.items()}
    if adapter in offered:
        raise UsageError(
            f"{adapter[:16]}… is offered already, by entry {offered[adapter]}.",
            why="One offer is enough: others find it in the log, and its receipt says since when.",
            hint=f"See it with: cryoflux capsule show {adapter[:16]}{state.flag()}",
        )


def _admissible(state: StateFolder, adapter: str, config: str) -> int:
    """The size of an update that others may admit, bytes."""
    path = state.capsule(adapter) / ADAPTER
    size = path.stat().st_size if path.is_file() else 0
    if size > MOST_ADAPTER_BYTES:
        raise UsageError(
            f"{adapter[:16]}… has {size:,} bytes, and no node takes more than {MOST_ADAPTER_BYTES:,}.",
            why="What a stranger sends is bounded before it is read.",
            hint="Offer one of a smaller rank, or of fewer modules.",
        )
    content, said = kept_files(state, adapter, config)
    read_plain_update(content, said, adapter)
    return len(content)
