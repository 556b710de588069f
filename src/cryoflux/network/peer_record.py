"""What a node remembers of a peer beside the mirror of its log.

```text
peers/<origin>/
  heads        all heads that the peer published, that witnesses cosigned
  seen         heads of it that witnesses published themselves
  facts        what its entries come to (`log_facts`)
  times        since when a quorum had seen which head, and by which policy that was computed
  node.json    who it says it is
  arrived      how many entries were here, and since when
  missing      capsules of it that could not be had, how often that was tried, and why
  unshown      what of its openings could not be had, how often that was tried, when, and why (`unshown`)
  shown/       updates that its opened verdicts rest on, and that others made, as it shows them
  remeasured   of guest holdouts that it opened, whether their losses were found to be those of the models
  unmade       of guest holdouts that it opened, what audits lacked to tell, and how often it was asked for
  audit.lock   held while one of the last two is changed: an audit and a pull may run side by side
```

Each follows from what peers and witnesses sent: a file that is damaged or of an older form is made anew.
"""

from __future__ import annotations

__all__ = [
    "MOST_EXAMPLES_BYTES",
    "MOST_NODE_BYTES",
    "SEEN",
    "ClaimMade",
    "FirstClaim",
    "Missing",
    "PeerRecord",
    "claims_made",
    "first_claims",
    "first_of",
]

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from cryoflux.digests import sha256_hex
from cryoflux.errors import StorageError, VerificationError
from cryoflux.files import IrregularFileError, one_at_a_time, read_regular, write_atomic
from cryoflux.network.folder import NODE
from cryoflux.network.head_times import (
    HeadTimes,
    SeenAt,
    SeenBy,
    all_heads,
    cosigned_by,
    joined,
    seen_before,
    times_of,
    together,
    trusted_keys,
)
from cryoflux.network.log_facts import LogFacts
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.unmade import UnmadeByRoot, bounded
from cryoflux.receipts.checkpoint import Checkpoint, Note, VerifierKey
from cryoflux.witness.cosigned import HEADS, MOST_HEADS_BYTES, heads_in
from cryoflux.witness.policy import Policy

_MOST_FACTS_BYTES = 2**30
MOST_NODE_BYTES = 256 * 1024
MOST_EXAMPLES_BYTES = 64 * 2**20
SEEN = "seen"
_HEADS_TAG, _FACTS, _TIMES, _MISSING = "heads-tag", "facts", "times", "missing"
_ARRIVED, _REMEASURED, _UNMADE, _AUDIT_LOCK = "arrived", "remeasured", "unmade", "audit.lock"
_FACTS_DECODER = msgspec.json.Decoder(LogFacts)


class Missing(Struct, frozen=True):
    """What could not be had of a peer."""

    tries: int
    why: str


class _Times(Struct):
    policy: str
    """digest of the policy by which they were computed"""
    notes: dict[str, dict[str, SeenAt]]
    """SHA-256 of a head with its signatures → which witnesses had seen it when"""


def _digest(policy: Policy) -> str:
    """By which times that a policy gave are known: its logs have no part in them."""
    return sha256_hex(repr((policy.witnesses, policy.groups, policy.quorum)).encode())


class PeerRecord:
    """What is remembered of one peer.

    Args:
        folder: where it lies.
        mirror: of its log.
    """

    def __init__(self, folder: Path, mirror: MirrorFolder) -> None:
        self.folder, self.mirror = folder, mirror

    @classmethod
    def of(cls, network: Path, key: VerifierKey) -> PeerRecord:
        """That of a peer, among those of a node.

        Args:
            network: folder of the node's network.
            key: of the peer's log.
        """
        mirror = MirrorFolder.of(network, key)
        return cls(mirror.path, mirror)

    @property
    def origin(self) -> str:
        """Of its log."""
        return self.mirror.key.name

    def _read(self, name: str, most: int) -> bytes:
        try:
            return read_regular(self.folder / name, most)
        except (FileNotFoundError, NotADirectoryError, IrregularFileError):
            return b""

    @property
    def facts(self) -> LogFacts:
        """What its entries have come to."""
        content = self._read(_FACTS, _MOST_FACTS_BYTES)
        try:
            found = _FACTS_DECODER.decode(content) if content else LogFacts()
        except (msgspec.DecodeError, ValueError):
            return LogFacts()
        return found if found.current and found.size <= self.mirror.size else LogFacts()

    def keep_facts(self, facts: LogFacts) -> None:
        """Remember them."""
        write_atomic(self.folder / _FACTS, msgspec.json.encode(facts, order="deterministic"))

    @property
    def published(self) -> tuple[Note, ...]:
        """The cosigned heads that it published."""
        return self._heads(HEADS)

    @property
    def seen(self) -> tuple[Note, ...]:
        """The heads of it that witnesses published."""
        return self._heads(SEEN)

    def _heads(self, name: str) -> tuple[Note, ...]:
        try:
            return heads_in(self._read(name, MOST_HEADS_BYTES))
        except VerificationError:
            return ()

    @property
    def heads_tag(self) -> str:
        """By which it knows the heads that it published; empty where they have to be asked for anew."""
        return self._read(_HEADS_TAG, 1024).decode("utf-8", "replace")

    def keep_published(self, notes: tuple[Note, ...], etag: str) -> None:
        """Remember the heads that it publishes, and by which tag it knows them.

        One that is larger than the mirror is not among them, and has to be asked for again: then the tag is
        empty.
        """
        write_atomic(self.folder / HEADS, all_heads(notes))
        write_atomic(self.folder / _HEADS_TAG, etag.encode())

    def examples(self, root: str) -> bytes:
        """The examples of a guest holdout that it opened; empty where they were not had."""
        return self._read(f"openings/{root}", MOST_EXAMPLES_BYTES)

    def keep_examples(self, root: str, content: bytes) -> None:
        """Remember them."""
        write_atomic(self.folder / "openings" / root, content)

    def shown(self, adapter: str) -> Path:
        """The folder of an update that its verdicts rest on, and that others made: as it shows it.

        Args:
            adapter: digest of it.
        """
        return self.folder / "shown" / adapter

    def keep_seen(self, notes: tuple[Note, ...], policy: Policy) -> None:
        """Remember heads that a witness publishes, beside those that are here."""
        keys = trusted_keys(self.mirror.key, policy)
        write_atomic(self.folder / SEEN, all_heads(together((*self.seen, *notes), keys)))

    def times(self, policy: Policy) -> HeadTimes:
        """When a quorum had seen which of its entries.

        Where nobody is needed for a quorum, what counts is when this node had got them.

        Args:
            policy: who makes a quorum.
        """
        if policy.reached(set()):
            return HeadTimes.of(self.arrivals)
        digest = _digest(policy)
        kept = self._kept_times(digest)
        found, seen = dict[str, dict[str, SeenAt]](), list[tuple[Checkpoint, dict[str, SeenAt]]]()
        size = self.mirror.size
        for note in (*self.published, *self.seen):
            if note.checkpoint.size <= size:
                name = sha256_hex(note.content)
                known = kept.get(name)
                found[name] = cosigned_by(note, policy) if known is None else known
                seen.append((note.checkpoint, found[name]))
        if found.keys() != kept.keys():
            write_atomic(self.folder / _TIMES, msgspec.json.encode(_Times(digest, found)))
        return times_of(((head.size, times) for head, times in joined(seen).items()), policy)

    def _kept_times(self, policy: str) -> dict[str, dict[str, SeenAt]]:
        try:
            kept = msgspec.json.decode(self._read(_TIMES, MOST_HEADS_BYTES) or b"null", type=_Times | None)
        except (msgspec.DecodeError, ValueError):
            return {}
        return kept.notes if kept is not None and kept.policy == policy else {}

    @property
    def arrivals(self) -> list[tuple[int, int]]:
        """How many of its entries were here, and since when, Unix seconds."""
        pairs = (line.split() for line in self._read(_ARRIVED, MOST_HEADS_BYTES).splitlines())
        try:
            return [(int(size), int(time_s)) for size, time_s in pairs]
        except ValueError:  # damaged: what is here has arrived by now
            return []

    @property
    def arrived_s(self) -> int:
        """When the newest of its entries were here first, Unix seconds; 0 where none are."""
        return max((time_s for _, time_s in self.arrivals), default=0)

    def arrive(self, now_s: int) -> None:
        """Remember since when as many entries of it are here as there are, if that is not known."""
        size, arrivals = self.mirror.size, self.arrivals
        if size > max((known for known, _ in arrivals), default=0):
            self.keep_arrivals([*arrivals, (size, now_s)])

    def keep_arrivals(self, arrivals: Iterable[tuple[int, int]]) -> None:
        """Remember them: how many entries were here, and since when, Unix seconds."""
        write_atomic(self.folder / _ARRIVED, b"".join(b"%d %d\n" % pair for pair in arrivals))

    @property
    def node(self) -> bytes:
        """Its ``node.json``; empty where it was not had."""
        return self._read(NODE, MOST_NODE_BYTES)

    def keep_node(self, content: bytes) -> None:
        """Remember who it says it is."""
        write_atomic(self.folder / NODE, content)

    @property
    def missing(self) -> dict[str, Missing]:
        """Capsules of it that could not be had."""
        try:
            return msgspec.json.decode(
                self._read(_MISSING, MOST_HEADS_BYTES) or b"{}", type=dict[str, Missing]
            )
        except (msgspec.DecodeError, ValueError):
            return {}

    def keep_missing(self, missing: dict[str, Missing]) -> None:
        """Remember them."""
        write_atomic(self.folder / _MISSING, msgspec.json.encode(missing, order="sorted"))

    @property
    def remeasured(self) -> dict[str, bool]:
        """Root of a guest holdout that it opened → whether its losses are those of the models."""
        try:
            return msgspec.json.decode(
                self._read(_REMEASURED, MOST_HEADS_BYTES) or b"{}", type=dict[str, bool]
            )
        except (msgspec.DecodeError, ValueError):
            return {}

    @property
    def unmade(self) -> UnmadeByRoot:
        """What audits lacked to make the looks of guest holdouts again that it opened."""
        try:
            return msgspec.json.decode(self._read(_UNMADE, MOST_HEADS_BYTES) or b"{}", type=UnmadeByRoot)
        except (msgspec.DecodeError, ValueError):
            return {}

    def change_unmade(self, change: Callable[[UnmadeByRoot], UnmadeByRoot]) -> UnmadeByRoot:
        """Remember what a change makes of it; whoever else changes it does that before or afterwards.

        Args:
            change: what was remembered → what is from now on, of which no more is kept than is read again.
        """
        with one_at_a_time(self.folder / _AUDIT_LOCK):
            before = self.unmade
            if (after := bounded(change(before))) != before:
                write_atomic(self.folder / _UNMADE, msgspec.json.encode(after, order="sorted"))
        return after

    def add_remeasured(self, found: dict[str, bool]) -> None:
        """Remember some more."""
        with one_at_a_time(self.folder / _AUDIT_LOCK):
            known = self.remeasured | found
            write_atomic(self.folder / _REMEASURED, msgspec.json.encode(known, order="sorted"))


class ClaimMade(NamedTuple):
    """What a log says of an adapter."""

    origin: str
    config: str
    """digest of its settings"""
    seen: SeenBy
    withheld: bool
    """whether its bytes were asked for in vain"""


class FirstClaim(NamedTuple):
    """Whose an adapter is, as far as that can be told."""

    origin: str
    """of the log that committed to it first; of several of which nobody can tell, the one of the earliest
    time"""
    config: str
    """digest of its settings, as that one says it"""
    contested: frozenset[str] = frozenset()
    """origins of the logs of which nobody can tell: what came first of one of them stays, with its own
    settings; none where one is surely first"""

    @property
    def first(self) -> frozenset[str]:
        """The logs that may have been first."""
        return self.contested or frozenset({self.origin})


def first_claims(records: Iterable[PeerRecord], policy: Policy) -> dict[str, FirstClaim]:
    """Adapter → the log that committed to it first.

    Whoever did not show the bytes when asked stands behind those who did not withhold them, however early it
    committed; what is damaged here says nothing.

    Args:
        records: of the logs.
        policy: who makes a quorum.
    """
    claims: dict[str, list[ClaimMade]] = {}
    for record in records:
        try:
            facts, times, withheld = record.facts, record.times(policy), record.missing
        except StorageError:
            raise
        except (VerificationError, OSError):
            continue
        for adapter, claim in claims_made(record.origin, facts, times, withheld):
            claims.setdefault(adapter, []).append(claim)
    return {adapter: first_of(some, policy) for adapter, some in claims.items()}


def claims_made(
    origin: str, facts: LogFacts, times: HeadTimes, withheld: Collection[str]
) -> Iterator[tuple[str, ClaimMade]]:
    """Adapters that a log has committed to, and a quorum has seen that.

    Args:
        origin: of the log.
        facts: of it.
        times: since when a quorum had seen how much of it.
        withheld: adapters of it that were asked for in vain.
    """
    said = [(one.update.adapter, one.config, one.receipt_index) for one in facts.offers]
    said += [(adapter, *made) for adapter, made in facts.made.items()]
    for adapter, config, index in said:
        if (seen := times.seen(index)) is not None:
            yield adapter, ClaimMade(origin, config, seen, adapter in withheld)


def first_of(claims: Sequence[ClaimMade], policy: Policy) -> FirstClaim:
    """Whose an adapter is of those that claim it.

    Args:
        claims: at least one.
        policy: who makes a quorum.
    """
    shown = [one for one in claims if not one.withheld] or claims
    ordered = sorted(shown, key=lambda one: (one.seen.time_s, one.origin, one.config))
    first = [one for one in ordered if not any(seen_before(b.seen, one.seen, policy) for b in ordered)]
    leading = (first or ordered)[0]
    origins = frozenset(one.origin for one in first or ordered)
    return FirstClaim(leading.origin, leading.config, origins if len(origins) > 1 else frozenset())
