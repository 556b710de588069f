"""A contract from the proposal to two signed results, by the commands, over two states and their copies."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from contract_world import GAIN, Party, World, policy_text
from cryoflux.network.contracts.document import read_contract
from cryoflux.network.following import follow
from cryoflux.network.peer_record import PeerRecord
from cryoflux.quantities import Tier, utc_label
from cryoflux.receipts.contract_parts import AgreedTerms
from cryoflux.signing.keys import load_public_key, raw_public_key
from cryoflux.verification.result import Status
from cryoflux.witness.cosigned import log_key_of
from json_rule import complaints, keys_of, parsed
from node_log import TASK
from plain_log import StoredLog
from running import exit_code_of
from verifying import verify_target

HOUR = 3600
PAGE = (Path(__file__).parents[2] / "docs/reference/json.md").read_text("utf-8")
Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = exit_code_of(monkeypatch, "contract", *words)
        out, err = capsys.readouterr()
        for document in parsed(out) if "--json" in words and code < 2 else []:
            assert complaints(document) == []
            assert [key for key in sorted(keys_of(document)) if f"`{key}`" not in PAGE] == []
        return code, out, err

    return run


class Deal:
    """Two states, and what is done in them between commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seller, self.buyer = StoredLog(folder / "seller"), StoredLog(folder / "buyer")
        self.world = World(seller=Party(self.seller), buyer=Party(self.buyer))
        self.policy = folder / "deal.policy"
        for party in (self.world.seller, self.world.buyer):
            party.node.train()
            party.node.introduce()
        self.world.buyer.node.enter()
        self.policy.write_text(policy_text(log_key_of(self.seller.path), log_key_of(self.buyer.path)))
        self.first = int(time.time()) + HOUR
        self.let_go()

    @property
    def terms(self) -> AgreedTerms:
        (path,) = (self.folder / "seller/network/contracts").iterdir()
        return read_contract(path)

    def let_go(self) -> None:
        for log in (self.seller, self.buyer):
            log.close()

    def again(self, time_s: int = 0) -> None:
        """Take in what commands wrote, and let witnesses see it."""
        for party, log in ((self.world.seller, self.seller), (self.world.buyer, self.buyer)):
            log.reopen()
            if time_s:
                party.seen(time_s)

    def new(self, *more: object) -> list[object]:
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.first))
        words = ["new", "--state", self.seller.path, "--buyer", self.world.buyer.origin]
        words += ["--policy", self.policy, "--first", start, "--window", "1h", "--windows", 1]
        words += ["--guest", self.guest, "--examples", 512, "--delta", 0.4, "--spread", 0.1]
        words += ["--clause", "delta >= 0.05 nats", "--clause", "eta >= 0.1 nats/kJ"]
        return [*words, "--joules", "700J", "--tier", "modelled", "--amount", "one cake", *more]

    @property
    def guest(self) -> str:
        return next(iter(self.buyer.state.nodes[TASK].guests))


@pytest.fixture
def deal(tmp_path: Path) -> Iterator[Deal]:
    found = Deal(tmp_path)
    yield found
    found.let_go()


def agreed(deal: Deal, said: Said) -> AgreedTerms:
    code, out, err = said(*deal.new())
    assert (code, err) == (0, "")
    assert "No money moves" in out
    (file,) = (deal.folder / "seller/network/contracts").iterdir()
    sent = deal.folder / "sent.json"
    shutil.copy(file, sent)
    assert said("accept", sent, "--state", deal.buyer.path)[0] == 0
    assert (deal.folder / "buyer/network/contracts" / file.name).read_bytes() == file.read_bytes()
    deal.again(deal.first - 60)
    return deal.terms


def done(deal: Deal, said: Said, gain: int = GAIN, **forged: object) -> AgreedTerms:
    """A contract whose one window is over, and was looked at."""
    terms = agreed(deal, said)
    deal.world.terms = terms
    deal.world.deliver(0)
    deal.world.look(0, gain, **forged)
    deal.let_go()
    return terms


def test_from_the_proposal_to_two_results_that_are_the_same(deal: Deal, said: Said) -> None:
    terms = done(deal, said)
    logs = ["--log", deal.seller.path, "--log", deal.buyer.path]
    found = []
    for who in (deal.seller, deal.buyer):
        code, out, _ = said("evaluate", terms.digest[:12], *logs, "--state", who.path)
        assert code == 0
        assert "fulfilled" in out
        assert "the buyer's word" in out
        assert "No money moves" in out
        found.append(out)
        code, out, _ = said("result", terms.digest[:12], *logs, "--state", who.path)
        assert code == 0, out
        assert "window 1: fulfilled, signed as entry" in out
    third = said("evaluate", deal.folder / "sent.json", *logs)[1]
    same = {one.partition("read: ")[0] for one in (*found, third)}  # logs have grown by results since
    assert len(same) == 1
    code, out, _ = said("result", terms.digest[:12], *logs, "--state", deal.buyer.path)
    assert (code, "nothing new to sign" in out) == (0, True)
    for words in (("evaluate",), ("result",)):
        assert said(*words, terms.digest, *logs, "--state", deal.buyer.path, "--json")[0] == 0
    for log in (deal.seller, deal.buyer):
        checks = verify_target(log.path).checks
        wrong = [check for check in checks if check.status is Status.FAIL and check.number != 9]
        assert wrong == []


def test_a_result_that_was_attested_and_one_that_is_verified_do_not_differ(deal: Deal, said: Said) -> None:
    terms = done(deal, said)
    both = ["--log", deal.seller.path, "--log", deal.buyer.path]
    assert said("result", terms.digest, *both, "--state", deal.buyer.path)[0] == 0
    deal.again()
    made = deal.seller.announce()
    deal.seller.abort(made)
    deal.world.seller.seen(deal.first + 2 * HOUR + 120)
    deal.world.buyer.seen(deal.first + 2 * HOUR + 120)
    deal.world.open()
    deal.let_go()
    found = said("result", terms.digest, *both, "--state", deal.seller.path, "--json")
    (document,) = [json.loads(line) for line in found[1].splitlines()]
    assert document["differing"] == []
    assert [one["standing"] for one in document["signed"]] == ["fulfilled"]


def test_two_results_that_differ_show_the_first_evidence_that_does(deal: Deal, said: Said) -> None:
    terms = done(deal, said, kept=(False, True))
    both = ["--log", deal.seller.path, "--log", deal.buyer.path]
    code, out, _ = said("result", terms.digest, *both, "--state", deal.buyer.path)
    assert (code, "window 1: breached" in out) == (0, True)
    deal.again()
    deal.world.open(deal.first + 3 * HOUR)
    deal.let_go()
    code, out, _ = said("result", terms.digest, *both, "--state", deal.seller.path)
    assert code == 1
    assert "window 1: fulfilled, signed as entry" in out
    said_of = f"signed breached, and that {terms.clauses[0]} is breached. "
    assert f"{said_of}First evidence that differs: here the buyer has opened the guest holdout (entry " in out


def test_mirrors_of_a_state_are_read_without_being_named(deal: Deal, said: Said) -> None:
    terms = done(deal, said)
    pull(deal.buyer, deal.seller)
    code, out, _ = said("evaluate", terms.digest[:8], "--state", deal.seller.path, "--json")
    (document,) = [json.loads(line) for line in out.splitlines()]
    assert (code, document["standing"]) == (0, "fulfilled")
    assert {one["origin"] for one in document["logs_read"]} == set(terms.parties)


def test_a_log_that_signed_another_history_is_convicted_by_its_copies(deal: Deal, said: Said) -> None:
    terms = done(deal, said)
    apart = deal.folder / "apart"
    shutil.copytree(deal.seller.path, apart)
    deal.again()
    deal.world.seller.node.train()
    deal.let_go()
    with closing(StoredLog(apart)) as other:
        other.abort(other.announce())
        other.announce()
    logs = [word for path in (deal.seller.path, apart, deal.buyer.path) for word in ("--log", path)]
    code, out, _ = said("evaluate", terms.digest, *logs, "--state", deal.buyer.path)
    assert (code, "the seller told two histories" in out, "void" in out) == (0, True, True)


def pull(log: StoredLog, into: StoredLog) -> None:
    """Mirror a log in the state of another one."""
    record = PeerRecord.of(into.path / "network", log_key_of(log.path))
    shutil.copytree(log.path / "log", record.folder)
    follow(record, raw_public_key(load_public_key(log.path / "keys/receipt.pub")))


# What is refused


def refused(found: tuple[int, str, str], words: str, code: int = 2) -> None:
    assert found[0] == code, found
    assert words in found[2]


def test_terms_that_the_holdout_is_too_small_for_are_refused_with_others(deal: Deal, said: Said) -> None:
    found = said(*deal.new("--spread", 5.0))
    refused(found, "The guest holdout has 512 examples", 1)
    assert "with a guest holdout of" in found[2]
    assert not (deal.folder / "seller/network/contracts").exists()


def test_joules_that_the_seller_does_not_have_are_asked_for_in_no_terms(deal: Deal, said: Said) -> None:
    """A clause on η at a better tier than the seller's could never be decided; nor by who buys from it."""
    found = said(*deal.new("--tier", "counter"))
    refused(found, "those of the seller's log are modelled", 1)
    assert "cryoflux contract new --tier modelled" in " ".join(found[2].split())
    assert not (deal.folder / "seller/network/contracts").exists()
    assert said(*deal.new())[0] == 0
    terms, sent = deal.terms, deal.folder / "sent.json"
    sent.write_bytes(terms.but(joules=terms.joules.but(tier_min=Tier.COUNTER)).content)
    pull(deal.seller, deal.buyer)
    refused(said("accept", sent, "--state", deal.buyer.path), "those of the seller's log are modelled", 1)
    refused(said(*buying(deal, "--tier", "counter")), "those of the seller's log are modelled", 1)
    assert said(*buying(deal, "--tier", "modelled"))[0] == 0


def test_terms_that_nobody_could_settle_are_refused(deal: Deal, said: Said) -> None:
    refused(said(*deal.new("--clause", "joules <= 5 J")), "is no clause of a contract")
    refused(said(*deal.new("--seller", "x")), "One other party")
    refused(said(*deal.new("--first", "2020-01-01T00:00Z")), "has begun")
    refused(said(*deal.new("--first", "next monday")), "is no time")
    refused(said(*deal.new("--tier", "guessed")), "no tier")
    policy = deal.policy.read_text()
    deal.policy.write_text(policy.replace("quorum w1", "quorum none"))
    refused(said(*deal.new()), "no quorum of witnesses")
    deal.policy.write_text("\n".join(policy.splitlines()[1:]))
    refused(said(*deal.new()), "does not name the log")


def test_a_contract_is_accepted_by_the_other_party_once_and_in_time(deal: Deal, said: Said) -> None:
    terms = agreed(deal, said)
    deal.let_go()
    sent = deal.folder / "sent.json"
    refused(said("accept", sent, "--state", deal.buyer.path), "already")
    refused(said("accept", sent, "--state", deal.seller.path), "already")
    for changed, words in (
        (terms.but(windows=terms.windows.but(first=1)), "has begun"),
        (terms.but(guest_root="0" * 64), "cannot judge"),
        (terms.but(parties=("a", terms.buyer)), "does not name the log"),
        (terms.but(spread_nano_nat=5 * 10**9), "has 512 examples"),
    ):
        sent.write_bytes(changed.content)
        code = 1 if "examples" in words else 2
        found = said("accept", sent, "--state", deal.buyer.path)
        refused(found, words, code)
        if words == "cannot judge":  # what was entered first is pledged by now
            assert "cryoflux node init --guest FILE" in found[2]
    sent.write_bytes(terms.content + b" ")
    refused(said("accept", sent, "--state", deal.buyer.path), "The contract", 1)


def test_what_is_no_contract_is_refused_by_its_name(deal: Deal, said: Said) -> None:
    for name, words in ((deal.folder / "nosuch.json", "cannot be read"), (deal.policy, "is no contract")):
        found = said("accept", name, "--state", deal.buyer.path)
        refused(found, words)
        assert name.name in found[2]
        assert "The other party sends it" in found[2]


def test_terms_say_whose_guest_holdout_it_is(deal: Deal, said: Said) -> None:
    found = said(*deal.new("--guest", "abc"))
    refused(found, "'abc' is no root of a guest holdout")
    assert "regex" not in found[2]
    refused(said(*deal.new("--examples", 0)), "The buyer's guest holdout is not named")


def test_a_seller_that_has_pulled_the_buyers_log_need_not_name_its_guest_holdout(
    deal: Deal, said: Said
) -> None:
    words = deal.new()
    at = words.index("--guest")
    del words[at : at + 4]
    found = said(*words)
    refused(found, "The buyer's guest holdout is not named")
    assert "cryoflux node pull" in " ".join(found[2].split())
    pull(deal.buyer, deal.seller)
    assert said(*words)[0] == 0
    assert (deal.terms.guest_root, deal.terms.count) == (deal.guest, 512)


def buying(deal: Deal, *more: object) -> list[object]:
    words = deal.new(*more)
    at = words.index("--buyer")
    words[at : at + 2] = ["--seller", deal.world.seller.origin]
    words[words.index(deal.seller.path)] = deal.buyer.path
    at = words.index("--guest")
    del words[at : at + 4]
    return words


def test_a_buyer_names_the_guest_holdout_that_is_unused(deal: Deal, said: Said) -> None:
    """The first one is pledged by a first contract, so a second contract goes by the second one."""
    first = deal.guest
    assert said(*buying(deal))[0] == 0
    deal.again()
    deal.let_go()
    found = said(*buying(deal))
    refused(found, "The log has no guest holdout that is unused.")
    assert "cryoflux node init --guest FILE" in found[2]
    deal.again()
    deal.world.buyer.node.enter(bytes(32))
    (second,) = deal.buyer.state.nodes[TASK].guests.keys() - {first}
    deal.let_go()
    found = said(*buying(deal, "--guest", first[:12], "--amount", "two cakes"))
    refused(found, "cannot judge this contract")
    assert f"--guest {second} --examples 512" in found[2]
    refused(said(*buying(deal, "--guest", "feed")), "0 guest holdouts of this log begin with 'feed'")
    assert said(*buying(deal))[0] == 0
    files = (deal.folder / "buyer/network/contracts").iterdir()
    assert {read_contract(file).guest_root for file in files} == {first, second}


def test_a_log_that_is_no_nodes_yet_proposes_nothing(deal: Deal, said: Said, tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "plain")) as plain:
        World(seller=Party(plain)).seller.node.train()
        own = log_key_of(plain.path)
    words = deal.new()
    words[words.index(deal.seller.path)] = tmp_path / "plain"
    deal.policy.write_text(policy_text(own, log_key_of(deal.buyer.path)))
    refused(said(*deal.new("--task", "loradelta")), "no node for the task loradelta")
    found = said(*words)
    refused(found, "does not say yet who its node is")
    assert f"cryoflux node init --name NAME --state {tmp_path / 'plain'}" in " ".join(found[2].split())


def test_a_window_is_told_in_words_with_its_zone(deal: Deal, said: Said) -> None:
    code, _, _ = said(*deal.new())
    assert code == 0
    logs = ["--log", deal.seller.path, "--log", deal.buyer.path]
    name = deal.terms.digest
    out = " ".join(said("evaluate", name, *logs, "--state", deal.seller.path)[1].split())
    assert " UTC: pending" in out
    assert "not accepted yet by the buyer" in out
    sent = deal.folder / "seller/network/contracts" / name
    assert said("accept", sent, "--state", deal.buyer.path)[0] == 0
    deal.again(deal.first - 60)
    deal.let_go()
    out = " ".join(said("evaluate", name, *logs, "--state", deal.seller.path)[1].split())
    assert f"the window ends at {utc_label(deal.first + HOUR)}" in out
    deal.again(deal.first + HOUR + 5)
    deal.let_go()
    out = " ".join(said("evaluate", name, *logs, "--state", deal.seller.path)[1].split())
    assert "nothing was offered in the window" in out


def test_a_check_asks_for_what_it_goes_by(said: Said) -> None:
    clause = ("--clause", "eta >= 0.2 nats/kJ", "--delta", 0.36)
    refused(said("check"), "Neither a contract nor a clause is named")
    refused(said("check", *clause, "--spread", 0.82), "--joules 700J")
    refused(said("check", *clause, "--joules", "705J"), "--spread 0.8")


def test_a_result_is_a_partys_word(deal: Deal, said: Said, tmp_path: Path) -> None:
    terms = done(deal, said)
    with closing(StoredLog(tmp_path / "third")) as third:
        World(seller=Party(third)).seller.node.train()
    logs = ["--log", deal.seller.path, "--log", deal.buyer.path]
    found = said("result", deal.folder / "sent.json", *logs, "--state", tmp_path / "third")
    refused(found, "has not signed for the contract")
    refused(
        said("evaluate", terms.digest, "--log", tmp_path / "third", "--state", deal.buyer.path),
        "does not name",
    )
    refused(said("evaluate", "feed", "--state", deal.buyer.path), "No single contract")


TABLE = {
    "η over modelled joules": ("eta >= 0.0002 nats/J", 512, 4, 0.36, 0.82, "1458J", 3_748, 1),
    "η over counted joules": ("eta >= 0.0002 nats/J", 512, 4, 0.36, 0.82, "705J", 366, 0),
    # the specification says 19,011, with the quantile 1.645 in place of 1.64485
    "one small adoption": ("eta >= 0.0002 nats/J", 512, 4, 0.044, 0.27, "170J", 19_010, 1),
    "a little every week": ("delta >= 0 nats", 512, 12, 0.02, 0.28, "2kJ", 5_738, 1),
    "the same once at the end": ("delta >= 0 nats", 512, 1, 0.24, 0.6, "24kJ", 137, 0),
}


@pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
def test_the_table_of_what_is_refused_comes_out(row: tuple[Any, ...], said: Said) -> None:
    clause, count, windows, delta, spread, joules, needed, code = row
    words = ["--examples", count, "--windows", windows, "--delta", delta, "--spread", spread]
    found = said("check", "--clause", clause, *words, "--joules", joules, "--json")
    (document,) = [json.loads(line) for line in found[1].splitlines()]
    assert found[0] == code
    assert document["examples_needed"] == needed
    assert bool(document["alternatives"]) or code == 0
    if "little" in str(row):
        assert any("settled once" in one["words"] for one in document["alternatives"])
