"""A peer is verified by what was pulled of it: what it invents is found without asking it for anything."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.log_check import asked_again
from cryoflux.network.auditing import Audited, audit
from cryoflux.network.gathering import gather
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import Peers, parse_peers
from cryoflux.network.telling import told_by
from cryoflux.receipts.network_parts import SealedSums
from cryoflux.signing.keys import KEYS_FOLDER, load_first_public, raw_public_key
from cryoflux.state import ADAPTER_CONFIG
from cryoflux.verification.result import Status
from cryoflux.witness.cosigned import log_key_of
from json_rule import complaints, parsed
from node_tree import serving_tree
from real_rounds import GUESTS, RealRounds
from running import exit_code_of
from verifying import SECTIONS

pytestmark = pytest.mark.process
NOW_S = 1_796_000_000


class Mirrored:
    """A peer, and a state that pulls it: the genesis and the updates of its rounds are there too."""

    def __init__(self, folder: Path) -> None:
        self.peer, self.mine, self.tree = RealRounds(folder / "peer"), folder / "mine", folder / "public"
        self.adapter = self.peer.update(1)
        self.peers: Peers

    def pull(self) -> None:
        peer = self.peer
        shutil.copytree(peer.path / "log", self.tree / "log")
        (self.tree / "log" / "heads").write_bytes(b"")
        shutil.copytree(peer.path / "network" / "openings", self.tree / "openings")
        first = raw_public_key(load_first_public(peer.path / KEYS_FOLDER, create=False))
        said = {"v": 1, "peers": [], "receipt_key": base64.b64encode(first).decode()}
        (self.tree / "node.json").write_text(json.dumps(said))
        shutil.copytree(peer.state.model(peer.genesis.digest), self.mine / "models" / peer.genesis.digest)
        shutil.copytree(peer.path / "network" / "incoming", self.mine / "network" / "incoming")
        with serving_tree(self.tree) as url:
            content = f"quorum none\nnode north {log_key_of(peer.path)} {url}\n".encode()
            (self.mine / "network" / "peers.txt").write_bytes(content)
            self.peers = parse_peers(content)
            gather(self.mine / "network", self.peers)

    def audited(self, most: int = 9) -> Audited:
        return audit(self.mine, self.peers, "north", asked_again(most, 0, 1, 0), SECTIONS, NOW_S)

    @property
    def record(self) -> PeerRecord:
        return PeerRecord.of(self.mine / "network", self.peers.nodes[0].key)

    def reproduced(self) -> list[bool]:
        """What books go by: of each opened guest holdout, whether it bears its verdicts out."""
        return list(told_by(self.mine / "network", self.peers)[0][0].opened.values())


@pytest.fixture
def mirrored(tmp_path: Path) -> Iterator[Mirrored]:
    made = Mirrored(tmp_path)
    with closing(made.peer.log):
        yield made


def details(found: Audited, status: Status) -> list[str]:
    return [check.detail for check in found.report.checks if check.status is status]


def test_an_honest_peer_is_reproduced_from_files_alone(mirrored: Mirrored) -> None:
    mirrored.peer.round(mirrored.adapter)
    mirrored.peer.open()
    mirrored.pull()
    found = mirrored.audited()
    assert not found.refuted
    assert details(found, Status.FAIL) == details(found, Status.UNKNOWN) == []
    again = [check.detail for check in found.report.checks if check.number == 11]
    assert [detail.count("reproduced exactly") for detail in again] == [1, 1]
    assert mirrored.record.remeasured == {
        next(iter(mirrored.peer.log.state.nodes["lora_delta"].guests)): True
    }
    assert mirrored.reproduced() == [True]


def test_sums_that_a_peer_invents_void_its_books(mirrored: Mirrored) -> None:
    def better(said: SealedSums) -> SealedSums:
        gain = 400_000_000
        return said.but(
            new_loss_sum=said.base_loss_sum - gain * GUESTS, delta_squared_sum=str(GUESTS * gain**2)
        )

    mirrored.peer.round(mirrored.adapter, weight="1/8", invents=better)
    mirrored.peer.open()
    mirrored.pull()
    assert not mirrored.audited(0).refuted, "its log is consistent, and so is its opening"
    assert mirrored.reproduced() == [True]
    found = mirrored.audited()
    assert found.refuted
    assert "its losses add up to" in "; ".join(details(found, Status.FAIL))
    assert mirrored.reproduced() == [False]


def test_what_was_not_fetched_refutes_nobody(mirrored: Mirrored) -> None:
    mirrored.peer.round(mirrored.adapter)
    mirrored.peer.open()
    mirrored.pull()
    (mirrored.mine / "network" / "incoming" / mirrored.adapter / ADAPTER_CONFIG).unlink()
    found = mirrored.audited()
    assert not found.refuted
    assert ["cryoflux node pull" in detail for detail in details(found, Status.UNKNOWN)] == [True, True]
    assert mirrored.record.remeasured == {}
    assert mirrored.reproduced() == [True]


def test_an_entry_that_another_key_signed_is_refuted_in_the_mirror(mirrored: Mirrored) -> None:
    mirrored.peer.round(mirrored.adapter)
    mirrored.peer.open()
    mirrored.pull()
    tile = next((mirrored.record.folder / "tile" / "entries").rglob("*.p/*"))
    content = bytearray(tile.read_bytes())
    at = content.rindex(b'"sig":"') + 7
    content[at] = ord("B" if content[at] == ord("A") else "A")  # base64 as before, of another signature
    tile.write_bytes(bytes(content))
    found = mirrored.audited(0)
    assert found.refuted
    assert {2, 4} <= {check.number for check in found.report.checks if check.status is Status.FAIL}


def test_the_command_says_it_and_ends_with_one(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = mirrored.peer
    peer.round(mirrored.adapter, root_over=lambda base, _: (base, base))
    peer.open()
    mirrored.pull()
    words = ["node", "audit", "north", "--state", mirrored.mine]
    capsys.readouterr()
    assert exit_code_of(monkeypatch, *words) == 0
    assert "nothing made again: --recompute N" in capsys.readouterr().out
    assert exit_code_of(monkeypatch, *words, "--recompute", "1") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "north: refuted (1 reproduced, 1 refuted, 0 open)" in said
    assert exit_code_of(monkeypatch, *words, "--recompute", "1", "--json") == 1
    (document,) = parsed(capsys.readouterr().out)
    assert complaints(document) == []
    assert (len(document["reproduced"]), len(document["refuted"]), document["holds"]) == (1, 1, False)
    assert exit_code_of(monkeypatch, "node", "audit", "nobody", "--state", mirrored.mine) == 2
    assert "There is no peer 'nobody'" in capsys.readouterr().err
