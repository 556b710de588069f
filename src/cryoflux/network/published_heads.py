"""The heads of a peer's log that witnesses cosigned, as it publishes them: each stays that was there once."""

from __future__ import annotations

__all__ = ["PublishedHeads", "published_heads"]

from dataclasses import dataclass

from cryoflux.network.fetching import Fetches
from cryoflux.network.following import signed_heads
from cryoflux.network.head_times import continued, not_there, trusted_keys
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import PeerNode
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Note
from cryoflux.witness.cosigned import HEADS, MOST_HEADS_BYTES, parse_heads
from cryoflux.witness.policy import Policy

_MORE_HEADS = 8
"""that may have come while a log was pulled"""


@dataclass(frozen=True, slots=True)
class PublishedHeads:
    """The cosigned heads that a peer publishes."""

    new: tuple[Note, ...] = ()
    """that are not known yet; its key signed them"""
    published: tuple[Note, ...] = ()
    """all of them, as far as the mirror goes; none where they are the same as before"""
    etag: str = ""
    gone: Note | None = None
    """one that it has published before, and does not any more"""


def published_heads(node: PeerNode, record: PeerRecord, fetcher: Fetches, policy: Policy) -> PublishedHeads:
    """Ask a peer for them.

    Args:
        node: it.
        record: what is remembered of it; its mirror is up to date.
        fetcher: gets them.
        policy: whose cosignatures have their place before those of others.

    Raises:
        PeerUnreachableError: it publishes none.
        VerificationError: they are not what its log signed.
    """
    size = record.mirror.size
    most = min(MOST_HEADS_BYTES, (size + _MORE_HEADS) * MAX_NOTE_BYTES)  # no two are of one size
    came = fetcher.fetch(f"{node.url}/log/{HEADS}", most, etag=record.heads_tag)
    if came.same:
        return PublishedHeads()
    every = parse_heads(came.content)
    # Sizes rise, so what the mirror has got to is a beginning of what is published.
    heads = tuple(note for note in every if note.checkpoint.size <= size)
    etag = came.etag if len(heads) == len(every) else ""
    before = record.published
    if (gone := not_there(before, heads)) is not None:
        return PublishedHeads(gone=gone)
    return PublishedHeads(
        signed_heads(record, heads), continued(before, heads, trusted_keys(node.key, policy)), etag
    )
