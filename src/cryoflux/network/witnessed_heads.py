"""The heads of all logs from witnesses: one request in place of one for each peer.

A witness publishes the newest head that it cosigned of each log. Those of peers are remembered: they say how
much of a log a quorum has seen, whatever its node publishes itself, and which peers have nothing new.
"""

from __future__ import annotations

__all__ = ["Asked", "heads_of_witnesses"]

import re
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import sha256_hex
from cryoflux.errors import VerificationError
from cryoflux.files import read_regular, write_atomic
from cryoflux.network.fetching import Fetches, PeerUnreachableError
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import Peers
from cryoflux.receipts.checkpoint import Note, cosigned_at, verify_log
from cryoflux.witness.cosigned import heads_in
from cryoflux.witness.policy import WitnessLine

_MOST_ANSWER_BYTES = 2 * 2**20
_MOST_ANSWERS = 64
"""pages of heads, of one witness"""
_NEXT = re.compile(r'<heads\?after=([0-9]{1,18})>; rel="next"')


@dataclass(frozen=True, slots=True)
class Asked:
    """What witnesses brought."""

    witnesses: int
    """that answered"""
    heads: int
    received: int
    """bytes"""
    grown: frozenset[str]
    """origins of peers' logs of which a witness knows more than is here"""
    new: dict[str, tuple[Note, ...]]
    """origin → heads of it that came"""
    places: dict[Path, int]
    """where it is kept how far each of them was asked → that"""

    def keep(self) -> None:
        """Remember how far they were asked; once their heads are remembered."""
        for path, place in self.places.items():
            write_atomic(path, b"%d\n" % place)


def heads_of_witnesses(network: Path, peers: Peers, fetcher: Fetches) -> Asked | None:
    """Ask every witness of the policy for the heads that are new since it was asked last.

    Args:
        network: folder of the node's network.
        peers: whose heads are kept.
        fetcher: gets them.

    Returns:
        None where no witness answered: then nothing is known of who has grown.
    """
    records = {node.origin: PeerRecord.of(network, node.key) for node in peers.nodes}
    new: dict[str, list[Note]] = {}
    places: dict[Path, int] = {}
    witnesses = heads = received = 0
    for line in peers.policy.witnesses:
        place = network / "witnesses" / sha256_hex(str(line.key).encode())
        try:
            notes, after, cost = _since(line, _place(place), fetcher) if line.url else ([], None, 0)
        except (PeerUnreachableError, VerificationError):
            continue
        if after is None:
            continue
        witnesses, heads, received = witnesses + 1, heads + len(notes), received + cost
        for note in notes:
            record = records.get(note.checkpoint.origin)
            if record is not None and _holds(note, record, line):
                new.setdefault(record.origin, []).append(note)
        places[place] = after
    if not witnesses:
        return None
    grown = frozenset(
        origin
        for origin, record in records.items()
        if max((note.checkpoint.size for note in (*record.seen, *new.get(origin, ()))), default=0)
        > record.mirror.size
    )
    known = {origin: tuple(found) for origin, found in new.items()}
    return Asked(witnesses, heads, received, grown, known, places)


def _place(path: Path) -> int:
    try:
        return int(read_regular(path, 32))
    except (OSError, ValueError):
        return 0


def _since(line: WitnessLine, after: int, fetcher: Fetches) -> tuple[list[Note], int, int]:
    """The heads that a witness cosigned behind a place, where that goes on, and the bytes that came."""
    found: list[Note] = []
    received = 0
    for _ in range(_MOST_ANSWERS):
        came = fetcher.fetch(f"{line.url.rstrip('/')}/heads?after={after}", _MOST_ANSWER_BYTES)
        received += len(came.content)
        notes, link = heads_in(came.content), _NEXT.fullmatch(came.link)
        found += notes
        if link is None or int(link[1]) <= after or not notes:
            break
        after = int(link[1])
    return found, after, received


def _holds(note: Note, record: PeerRecord, witness: WitnessLine) -> bool:
    """Whether a head is signed by the key of the peer's log, and cosigned by the witness that brings it."""
    try:
        verify_log(note, record.mirror.key)
        return bool(cosigned_at(note, witness.key))
    except VerificationError:
        return False
