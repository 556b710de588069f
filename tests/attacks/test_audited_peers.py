"""A peer is verified by what was pulled of it: what it invents is found without asking it for anything."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cryoflux.digests import sha256_hex
from cryoflux.log_check import asked_again
from cryoflux.network import gathering
from cryoflux.network.auditing import Audited, audit
from cryoflux.network.books import CapsuleRecord, CapsuleTold, Confirmation, LogTold, NodeBook, books_of
from cryoflux.network.gathering import gather
from cryoflux.network.peer_record import FirstClaim, PeerRecord
from cryoflux.network.peers import Peers, parse_peers
from cryoflux.network.telling import told_by
from cryoflux.network.unmade import Unmade
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
NOW_S, DAY_S = 1_796_000_000, 86_400


class Mirrored:
    """A peer, and a state that pulls it: the genesis and the updates of its rounds are there too."""

    def __init__(self, folder: Path) -> None:
        self.peer, self.mine, self.tree = RealRounds(folder / "peer"), folder / "mine", folder / "public"
        self.adapter = self.peer.update(1)
        self.peers: Peers

    def publish(self) -> None:
        peer = self.peer
        shutil.copytree(peer.path / "log", self.tree / "log", dirs_exist_ok=True)
        (self.tree / "log" / "heads").write_bytes(b"")
        shutil.copytree(peer.path / "network" / "openings", self.tree / "openings", dirs_exist_ok=True)
        first = raw_public_key(load_first_public(peer.path / KEYS_FOLDER, create=False))
        said = {"v": 1, "peers": [], "receipt_key": base64.b64encode(first).decode()}
        (self.tree / "node.json").write_text(json.dumps(said))

    def pull(self) -> None:
        """Have all that rounds rest on, and the log."""
        peer = self.peer
        shutil.copytree(peer.state.model(peer.genesis.digest), self.mine / "models" / peer.genesis.digest)
        shutil.copytree(peer.path / "network" / "incoming", self.mine / "network" / "incoming")
        self.pull_again(NOW_S)

    def pull_again(self, now_s: int) -> None:
        """Have what the log and its tree have by now; where nobody is asked, times are those of pulls."""
        self.publish()
        with serving_tree(self.tree) as url:
            content = f"quorum none\nnode north {log_key_of(self.peer.path)} {url}\n".encode()
            (self.mine / "network" / "peers.txt").write_bytes(content)
            self.peers = parse_peers(content)
            gather(self.mine / "network", self.peers, now=lambda: now_s)

    def audited(self, most: int = 9) -> Audited:
        return audit(self.mine, self.peers, "north", asked_again(most, 0, 1, 0), SECTIONS, NOW_S)

    @property
    def record(self) -> PeerRecord:
        return PeerRecord.of(self.mine / "network", self.peers.nodes[0].key)

    def book(self, capsule: str) -> tuple[CapsuleRecord, NodeBook]:
        """What the reader's books, who names the peer a verifier, say of an update that it judged."""
        logs, now_s = told_by(self.mine / "network", self.peers)
        maker = LogTold("log.example/2", (CapsuleTold(capsule, NOW_S),))
        books = books_of([maker, *map(judged_in_time, logs)], {self.record.origin}, 1, now_s)
        return books[maker.origin].capsules[0], books[self.record.origin]

    def reproduced(self) -> list[bool]:
        """What books go by: of each opened guest holdout, whether it bears its verdicts out."""
        return list(told_by(self.mine / "network", self.peers)[0][0].opened.values())


def judged_in_time(log: LogTold) -> LogTold:
    """All of it came in one pull, so that nothing is known to be older than anything else."""
    rounds = (replace(one, entered_s=0, recorded_s=NOW_S) for one in log.rounds)
    return replace(log, rounds=tuple(rounds))


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


def test_verdicts_over_a_hidden_update_count_no_more_until_it_is_shown(mirrored: Mirrored) -> None:
    """The head below has an update that nobody can have: what was judged on it cannot be made again."""
    peer = mirrored.peer
    hidden = peer.update(2)
    peer.round(hidden, weight="1/8")
    peer.round(mirrored.adapter)
    peer.open()
    mirrored.pull()
    place = mirrored.mine / "network" / "incoming" / hidden
    shutil.move(place, mirrored.mine / "hidden")
    update, verifier = mirrored.book(mirrored.adapter)
    assert (update.standing, verifier.withheld) == (Confirmation.CONFIRMED, 0), "nobody has looked yet"
    assert not mirrored.audited().refuted
    ((unmade,),) = mirrored.record.unmade.values()
    assert (unmade.lacks, unmade.tries) == (f"capsules/{hidden}", 0)
    for tries in (1, 2):
        mirrored.pull_again(NOW_S + tries)
        assert [one.tries for (one,) in mirrored.record.unmade.values()] == [tries]
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.CONFIRMED, "its day is not over"
    peer.log.abort(peer.log.announce())
    mirrored.pull_again(NOW_S + DAY_S)
    update, verifier = mirrored.book(mirrored.adapter)
    assert (update.standing, update.unreproduced_by, update.confirmed_by) == (Confirmation.OPEN, 1, 0)
    assert (verifier.opened, verifier.reproduced, verifier.withheld, verifier.void) == (1, 0, 1, False)
    assert not mirrored.audited().refuted, "an audit does not make it better"
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.OPEN
    shutil.move(mirrored.mine / "hidden", place)
    mirrored.pull_again(NOW_S + DAY_S + 1)
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.CONFIRMED
    assert not mirrored.audited().refuted
    assert (mirrored.record.unmade, mirrored.reproduced()) == ({}, [True])
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.CONFIRMED


def test_who_shows_hidden_files_one_after_the_other_gains_no_time_by_it(mirrored: Mirrored) -> None:
    peer, incoming = mirrored.peer, mirrored.mine / "network" / "incoming"
    hidden = [peer.update(2), peer.update(3)]
    for one in hidden:
        peer.round(one, weight="1/8")
    peer.round(mirrored.adapter)
    peer.open()
    mirrored.pull()

    def standing(now_s: int) -> Confirmation:
        mirrored.pull_again(NOW_S + now_s)
        return mirrored.book(mirrored.adapter)[0].standing

    for one in hidden:
        shutil.move(incoming / one, mirrored.mine / one)
    mirrored.audited()
    assert standing(1) is Confirmation.CONFIRMED
    peer.log.abort(peer.log.announce())
    assert standing(DAY_S) is Confirmation.OPEN
    shutil.move(mirrored.mine / hidden[0], incoming)
    assert standing(DAY_S + 1) is Confirmation.OPEN, "the other was asked for in vain as well"
    shutil.move(mirrored.mine / hidden[1], incoming)
    assert standing(DAY_S + 2) is Confirmation.CONFIRMED
    shutil.move(incoming / mirrored.adapter, mirrored.mine / "late")
    mirrored.audited()
    late = mirrored.book(mirrored.adapter)[0].standing
    assert late is Confirmation.OPEN, "what only comes to light then goes on from there"
    shutil.move(mirrored.mine / "late", incoming / mirrored.adapter)
    assert standing(DAY_S + 3) is Confirmation.CONFIRMED
    assert not mirrored.audited().refuted
    assert mirrored.record.unmade == {}


def test_examples_that_were_opened_and_are_not_shown_are_asked_for(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = mirrored.peer
    peer.round(mirrored.adapter)
    opened = peer.open()
    content = opened.read_bytes()
    opened.write_bytes(b"")
    mirrored.pull()
    mirrored.audited()
    for tries in (1, 2):
        mirrored.pull_again(NOW_S + tries)
    peer.log.abort(peer.log.announce())
    mirrored.pull_again(NOW_S + DAY_S)
    assert ["is not what was signed" in one.why for (one,) in mirrored.record.unmade.values()] == [True]
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.OPEN
    assert exit_code_of(monkeypatch, "node", "books", "--state", mirrored.mine) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 opened, 0 reproduced, 1 withheld: what its verdicts rest on is not shown" in said
    assert exit_code_of(monkeypatch, "node", "books", "--state", mirrored.mine, "--json") == 0
    (document,) = parsed(capsys.readouterr().out)
    assert complaints(document) == []
    assert [one["withheld"] for one in document["nodes"]] == [1]
    opened.write_bytes(content)
    mirrored.pull_again(NOW_S + DAY_S + 1)
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.CONFIRMED
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


def with_an_update_of_an_unknown_log(mirrored: Mirrored) -> str:
    """Below the head, and shown by the verifier alone."""
    peer = mirrored.peer
    shown = peer.update(2)
    peer.round(shown, weight="1/8")
    peer.round(mirrored.adapter)
    peer.open()
    mirrored.pull()
    (mirrored.tree / "capsules").mkdir()
    shutil.move(mirrored.mine / "network" / "incoming" / shown, mirrored.tree / "capsules" / shown)
    mirrored.audited()
    return shown


def test_settings_that_no_log_here_has_signed_refute_nobody(mirrored: Mirrored) -> None:
    """Whoever is on the way to the verifier could have changed them."""
    shown = with_an_update_of_an_unknown_log(mirrored)
    config = mirrored.tree / "capsules" / shown / ADAPTER_CONFIG
    config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 16'))
    mirrored.pull_again(NOW_S + 1)
    found = mirrored.audited()
    assert not found.refuted, details(found, Status.FAIL)
    assert any("by unsigned settings" in detail for detail in details(found, Status.UNKNOWN))
    assert mirrored.reproduced() == [True]
    mirrored.peer.log.abort(mirrored.peer.log.announce())
    mirrored.pull_again(NOW_S + DAY_S)
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.CONFIRMED
    mirrored.audited()
    mirrored.pull_again(NOW_S + DAY_S + 1)
    found_by_books = mirrored.book(mirrored.adapter)[0].standing
    assert found_by_books is Confirmation.OPEN, "what is shown falsely twice is not shown"
    right = config.read_text().replace('"lora_alpha": 16', '"lora_alpha": 8')
    config.write_text("no settings")
    mirrored.audited()
    mirrored.pull_again(NOW_S + DAY_S + 2)
    assert not mirrored.audited().refuted
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.OPEN, "nor are these any"
    config.write_text(right)
    mirrored.pull_again(NOW_S + DAY_S + 3)
    assert mirrored.audited().unmade == {}, "what was false does not stay in the place of what is shown now"
    assert mirrored.record.remeasured == dict.fromkeys(mirrored.record.remeasured, True)
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.CONFIRMED


def test_what_another_peer_claims_withholds_no_verdicts_of_an_honest_verifier(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log names the digest of what the verifier composed, with settings of its own; and shows them."""
    shown, incoming = with_an_update_of_an_unknown_log(mirrored), mirrored.mine / "network" / "incoming"
    claims = {shown: FirstClaim("cryoflux.dev/claims", sha256_hex(b"other settings"))}
    monkeypatch.setattr(gathering, "first_claims", lambda *_: claims)
    shutil.copytree(mirrored.tree / "capsules" / shown, incoming / shown)
    config = incoming / shown / ADAPTER_CONFIG
    config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 16'))
    for _ in range(3):
        found = mirrored.audited()
        assert not found.refuted, details(found, Status.FAIL)
    assert [one.tries for (one,) in mirrored.record.unmade.values()] == [0], "nobody was asked yet"
    mirrored.pull_again(NOW_S + 1)
    assert not mirrored.audited().refuted
    assert (mirrored.record.unmade, list(mirrored.record.remeasured.values())) == ({}, [True])
    shutil.move(mirrored.tree / "capsules" / shown, mirrored.mine / "gone")
    shutil.rmtree(mirrored.record.shown(shown))
    mirrored.audited()
    lacks = (Unmade(f"capsules/{shown}", 9, false=True),)
    mirrored.record.change_unmade(lambda _: dict.fromkeys(mirrored.record.remeasured, lacks))
    mirrored.peer.log.abort(mirrored.peer.log.announce())
    mirrored.pull_again(NOW_S + DAY_S)
    update, verifier = mirrored.book(mirrored.adapter)
    assert (update.standing, verifier.withheld) == (Confirmation.CONFIRMED, 0), "it was made again once"
    mirrored.audited()
    assert mirrored.record.unmade == {}


def test_an_update_of_a_log_that_the_reader_does_not_name_is_had_of_the_verifier_that_shows_it(
    mirrored: Mirrored,
) -> None:
    peer, shown = mirrored.peer, with_an_update_of_an_unknown_log(mirrored)
    ((unmade,),) = mirrored.record.unmade.values()
    assert unmade.lacks == f"capsules/{shown}"
    for tries in (1, 2):
        mirrored.pull_again(NOW_S + tries)
    assert [one.here for (one,) in mirrored.record.unmade.values()] == [True], unmade
    peer.log.abort(peer.log.announce())
    mirrored.pull_again(NOW_S + DAY_S)
    assert mirrored.book(mirrored.adapter)[0].standing is Confirmation.CONFIRMED
    assert not mirrored.audited().refuted
    assert (mirrored.record.unmade, mirrored.reproduced()) == ({}, [True])
