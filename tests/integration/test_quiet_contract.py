"""A party that says nothing more: what witnesses see of its log reaches everybody, who come to the same."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from contract_world import FIRST, LENGTH, WITNESS, WITNESS_KEY, Party, World
from cryoflux.network.contracts.evaluation import ContractVerdict, evaluate
from cryoflux.network.contracts.logs import read_logs
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.gathering import gather
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import Peers, parse_peers
from cryoflux.network.publishing import Publisher
from cryoflux.network.revealing import RevealRule
from cryoflux.network.telling import told_by
from cryoflux.receipts.checkpoint import cosign, parse_note, with_signatures
from cryoflux.receipts.contract_parts import AgreedWindows, ContractStanding
from node_tree import serving_tree
from plain_log import StoredLog

QUIET = AgreedWindows(first=FIRST, length_s=LENGTH, count=1)
AGREED, OVER, LATER = FIRST - 1000, FIRST + LENGTH + 10, FIRST + LENGTH + 500


class Readers:
    """The seller and the buyer, each with a mirror of the other, and a third with mirrors of both."""

    def __init__(self, folder: Path) -> None:
        parties = [Party(StoredLog(folder / name)) for name in ("seller", "buyer", "verifier")]
        self.world = World(*parties).agree(AGREED, windows=QUIET)
        self.paths = [folder / name for name in ("seller", "buyer")]
        self.third = folder / "third"

    def peers(self, *urls: str) -> Peers:
        parties = self.world.seller, self.world.buyer
        nodes = zip(("seller", "buyer"), parties, urls or ("http://x",) * 2, strict=True)
        lines = [f"node {name} {party.log_key(WITNESS)} {url}" for name, party, url in nodes]
        return parse_peers("\n".join([f"witness w1 {WITNESS_KEY}", "quorum w1", *lines, ""]).encode())

    def publish_and_pull(self) -> None:
        rule = RevealRule(self.peers().policy)
        with ExitStack() as stack:
            urls = []
            for path in self.paths:
                Publisher(path).publish(rule)
                urls.append(stack.enter_context(serving_tree(NetworkFolder.of(path).public)))
            for path in (*self.paths, self.third):
                gather(NetworkFolder.of(path).path, self.peers(*urls))

    def mirror(self, of: Path, party: Party) -> PeerRecord:
        return PeerRecord.of(NetworkFolder.of(of).path, party.log_key(WITNESS))

    def verdicts(self) -> list[ContractVerdict]:
        """What the seller, the buyer and the third come to."""
        seller, buyer = self.world.seller, self.world.buyer
        folders = [
            (self.paths[0], self.mirror(self.paths[0], buyer).folder),
            (self.mirror(self.paths[1], seller).folder, self.paths[1]),
            (self.mirror(self.third, seller).folder, self.mirror(self.third, buyer).folder),
        ]
        return [evaluate(self.world.terms, read_logs(self.world.terms, some)) for some in folders]


@pytest.fixture
def readers(tmp_path: Path) -> Readers:
    return Readers(tmp_path)


def test_what_a_quorum_has_seen_of_a_quiet_log_reaches_every_reader(readers: Readers) -> None:
    readers.publish_and_pull()
    assert {one.standing for one in readers.verdicts()} == {ContractStanding.PENDING}
    readers.world.buyer.seen(OVER)
    readers.publish_and_pull()
    found = readers.verdicts()
    assert [one.windows for one in found] == [found[0].windows] * 3
    assert [one.code for one in found[0].windows[0].evidence] == ["log-ends"], (
        "the seller's is not here so far"
    )
    for time_s in (OVER, LATER):
        readers.world.seller.seen(time_s)
    readers.publish_and_pull()
    found = readers.verdicts()
    assert [one.windows for one in found] == [found[0].windows] * 3
    assert found[0].standing is ContractStanding.BREACHED, "nothing was offered until the window was over"
    assert told_by(NetworkFolder.of(readers.third).path, readers.peers())[1] == LATER, (
        "so says the books' now"
    )
    times = readers.mirror(readers.third, readers.world.seller).times(readers.peers().policy)
    assert times.at(0) == AGREED, "and nothing is committed later by it"


def test_so_does_what_witnesses_bring_themselves(readers: Readers) -> None:
    readers.publish_and_pull()
    for party in (readers.world.seller, readers.world.buyer):
        record = readers.mirror(readers.third, party)
        note = parse_note(record.published[-1].content)
        line = cosign(note.checkpoint, WITNESS_KEY.name, WITNESS, OVER)
        record.keep_seen((parse_note(with_signatures(note.content, [line])),))
    assert readers.verdicts()[2].standing is ContractStanding.BREACHED
