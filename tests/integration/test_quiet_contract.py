"""A party that says nothing more: what witnesses see of its log reaches everybody, who come to the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from contract_world import FIRST, LENGTH, WITNESS, WITNESS_KEY, Party, World
from cryoflux.network.contracts.evaluation import ContractVerdict, evaluate
from cryoflux.network.contracts.logs import read_logs
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.gathering import gather
from cryoflux.network.head_times import all_heads
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import Peers, parse_peers
from cryoflux.network.publishing import Publisher
from cryoflux.network.revealing import RevealRule
from cryoflux.network.telling import told_by
from cryoflux.receipts.checkpoint import Note, NoteSignature, cosign, parse_note, with_signatures
from cryoflux.receipts.contract_parts import AgreedWindows, ContractStanding
from cryoflux.witness.cosigned import parse_heads
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
        for path in self.paths:
            Publisher(path).publish(rule)
        self.pull([NetworkFolder.of(path).public for path in self.paths], (*self.paths, self.third))

    def pull(self, trees: Sequence[Path], readers: Sequence[Path]) -> None:
        with ExitStack() as stack:
            urls = [stack.enter_context(serving_tree(tree)) for tree in trees]
            for path in readers:
                gather(NetworkFolder.of(path).path, self.peers(*urls))

    def pull_tampered(self, tamper: Callable[[Path], None]) -> None:
        """The third pulls what somebody on the way has changed of the seller's heads."""
        trees = []
        for path in self.paths:
            Publisher(path).publish(RevealRule(self.peers().policy))
            trees.append(shutil.copytree(NetworkFolder.of(path).public, path.with_name(f"{path.name}-sent")))
        tamper(trees[0] / "log/heads")
        self.pull(trees, [self.third])

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
        record.keep_seen((parse_note(with_signatures(note.content, [line])),), readers.peers().policy)
    assert readers.verdicts()[2].standing is ContractStanding.BREACHED


def clutter(lines: Callable[[int], NoteSignature], count: int) -> Callable[[Path], None]:
    """What puts lines in the place of cosignatures of the newest head."""

    def changed(path: Path) -> None:
        *before, newest = parse_heads(path.read_bytes())
        own = [line for line in newest.signatures if line.name == newest.checkpoint.origin]
        path.write_bytes(all_heads([*before, Note(newest.checkpoint, (*own, *map(lines, range(count))))]))

    return changed


TAMPERED = {
    "heads are withheld": Path.unlink,
    "a note full of keys that nobody knows": clutter(
        lambda n: NoteSignature(f"j{n}", b"abcd", b"x" * 40), 63
    ),
    "false lines of the witness": clutter(
        lambda n: NoteSignature(WITNESS_KEY.name, WITNESS_KEY.id, bytes([n]) * 72), 4
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_one_answer_that_was_tampered_with_neither_breaks_a_contract_nor_dates_anything(
    how: str, readers: Readers
) -> None:
    readers.publish_and_pull()
    world = readers.world
    world.offer(world.train())
    world.seller.seen(OVER - 110)
    for party in (world.seller, world.buyer):
        party.seen(OVER)
    readers.pull_tampered(TAMPERED[how])
    assert readers.verdicts()[2].standing is ContractStanding.PENDING, "its offer is not dated here"
    for time_s in (LATER, LATER + 10, LATER + 20, LATER + 30):
        world.seller.seen(time_s)
        readers.publish_and_pull()
        found = readers.verdicts()
        assert [one.windows for one in found] == [found[0].windows] * 3
        assert "offer" in [one.code for one in found[2].windows[0].evidence]
        times = readers.mirror(readers.third, world.seller).times(readers.peers().policy)
        assert (times.at(0), times.newest_s) == (AGREED, time_s)
