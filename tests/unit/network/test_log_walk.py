"""What a log comes to is read of entries that the valid key signed, and of rounds that keep their rule."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contract_world import Party, World
from cryoflux.network.log_facts import LogFacts, receipt_key_of
from cryoflux.network.log_walk import walk
from cryoflux.network.peer_record import PeerRecord
from cryoflux.receipts.checkpoint import VerifierKey, origin_of, verifier_key
from cryoflux.receipts.contract_parts import ContractStanding
from cryoflux.receipts.contract_statement import ContractResult, ContractResultStatement
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.merkle import root_hash
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.receipts.network_statement import GuestOpening, RoundIntent, RoundResult, UpdateOffer
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind
from cryoflux.signing.envelope import sign_document
from cryoflux.signing.keys import raw_public_key
from node_log import AT, TASK, NodeLog, node_log
from plain_log import LOG_KEY, PlainLog, plain_log
from synthetic_parts import digest_of

OTHER = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)


def log_key(log: PlainLog) -> VerifierKey:
    return verifier_key(origin_of(log.key.public_key()), LOG_KEY.public_key())


def facts_of(log: PlainLog, envelopes: Sequence[bytes] = (), parts: Sequence[int] = ()) -> LogFacts:
    """What a log comes to, read in parts."""
    told = list(envelopes) or [entry.envelope for entry in log.entries]
    facts = LogFacts()
    for start, end in zip([0, *parts], [*parts, len(told)], strict=True):
        raw = raw_public_key(log.key.public_key())
        _, bad = walk(facts, log_key(log), raw, told[start:end], told.__getitem__, wanted=frozenset({end}))
        if bad is not None:
            facts.fault = f"entry {bad}: bad"
        facts = msgspec.json.decode(msgspec.json.encode(facts), type=LogFacts)
    return facts


@pytest.mark.parametrize("parts", [(), (3,), (1, 2, 9), (12, 13)])
def test_all_that_a_node_says_comes_to_the_same_in_any_parts(parts: Sequence[int]) -> None:
    log = PlainLog()
    node_log(log)
    facts = facts_of(log, parts=parts)
    assert facts == facts_of(log)
    assert (facts.fault, facts.broken, facts.open, facts.size) == ("", 0, set(), len(log.entries))
    assert facts.last == log.entries[-1].leaf_hash
    kept, missed = facts.rounds
    assert (kept.level, missed.level) == (50_000_000, 0)
    assert list(kept.members.values()) == [MemberVerdict.ADOPTED, MemberVerdict.SCREENED]
    assert set(kept.origins.values()) == {"log.example/2"}
    assert [one.shown_alone for one in facts.rounds] == [next(iter(one.members)) for one in (kept, missed)]
    (node,) = facts.nodes.values()
    assert (node.certified.levels, node.certified.withdrawn) == ([], 1), "it was recalled"
    (offer,) = facts.offers
    assert log.entries[offer.receipt_index].leaf_hash == offer.receipt_leaf
    assert log.entries[offer.index].leaf_hash == offer.leaf
    assert facts.made[offer.update.adapter] == (offer.config, offer.receipt_index)
    assert [one.follows for one in facts.openings] == [True]
    paid = [one.energy.hi_microjoules for entry in log.entries if (one := entry.receipt or entry.round)]
    assert facts.upper_uj == sum(paid)
    assert offer.upper_uj == paid[0]


def test_facts_of_whatever_a_party_of_a_contract_says_are_kept(tmp_path: Path) -> None:
    world = World(seller=Party(PlainLog()), buyer=Party(PlainLog()))
    world.agree()
    world.deliver(0)
    world.look(0)
    said = {"contract": world.terms.digest, "window": 0, "standing": ContractStanding.FULFILLED}
    said |= {"clauses": (), "evidence": (), "logs": (), "evaluated_at": AT, "task": TASK}
    world.say(world.buyer, ContractResultStatement, ContractResult, **said)
    world.open()
    log = world.buyer.log
    PeerRecord.of(tmp_path, log_key(log)).keep_facts(facts_of(log))
    (node,) = facts_of(log).nodes.values()
    tally = node.contracts[world.terms.digest]
    assert [one.window for one in (*tally.looks, *tally.results)] == [0, 0]


def test_roots_are_those_of_the_sizes_that_were_asked_for() -> None:
    log = plain_log()
    told = [entry.envelope for entry in log.entries]
    raw = raw_public_key(log.key.public_key())
    roots, bad = walk(LogFacts(), log_key(log), raw, told, told.__getitem__, wanted=frozenset({0, 4, 99}))
    assert bad is None
    assert roots == {
        0: root_hash([]),
        4: root_hash(bytes.fromhex(entry.leaf_hash) for entry in log.entries[:4]),
    }


def test_what_has_no_record_is_counted_and_what_it_cost_is_never_less_than_nothing() -> None:
    log = PlainLog()
    first = log.announce()
    log.announce()
    assert first.intent is not None
    assert facts_of(log).open == {entry.leaf_hash for entry in log.entries}
    log = PlainLog()
    receipt = log.conclude(log.announce())
    assert receipt.receipt is not None
    figure = receipt.receipt.energy
    log.conclude(
        log.announce(), energy=figure.but(microjoules=-9, lo_microjoules=-(10**9), hi_microjoules=-5)
    )
    assert facts_of(log).upper_uj == figure.hi_microjoules


def signed_by_another(entry: Entry) -> bytes:
    return sign_document(entry.statement, OTHER)


FAULTS: dict[str, tuple[Callable[[list[bytes], list[Entry]], list[bytes]], str]] = {
    "signed by another": (
        lambda told, log: [*told[:5], signed_by_another(log[5]), *told[6:]],
        "entry 5: is signed by key",
    ),
    "left out": (lambda told, _: [*told[:5], *told[6:]], "entry 5: it does not follow"),
    "twice": (lambda told, _: [*told[:5], told[4], *told[5:]], "entry 5: it does not follow"),
    "no entry": (lambda told, _: [*told[:5], b"{}", *told[6:]], "entry 5: "),
    "the first of another log": (
        lambda told, log: [signed_by_another(log[0]), *told[1:]],
        "entry 0: its key is not the one that the log is named after",
    ),
}


@pytest.mark.parametrize(("forge", "said"), FAULTS.values(), ids=list(FAULTS))
def test_a_log_counts_up_to_the_first_entry_that_is_not_what_it_has_to_be(
    forge: Callable[[list[bytes], list[Entry]], list[bytes]], said: str
) -> None:
    log = PlainLog()
    node_log(log)
    told = [entry.envelope for entry in log.entries]
    facts = facts_of(log, forge(told, log.entries))
    assert facts.fault.startswith(said)
    assert facts.size == int(said.split()[1].rstrip(":"))
    facts.fault = ""
    assert not facts.size or facts == facts_of(log, told[: facts.size])


def test_a_signature_that_does_not_hold_is_named() -> None:
    log = plain_log()
    told = [entry.envelope for entry in log.entries]
    signature = log.entries[4].signed.signature
    wrong = base64.b64encode(signature[:32] + bytes(32))
    told[4] = told[4].replace(base64.b64encode(signature), wrong)
    assert facts_of(log, told).fault == "entry 4: bad"


def reweighted(said: RoundResult) -> ListStep:
    """Another weight of the update that the log has made itself."""
    own = OfferedUpdate(adapter=digest_of("adapter 0"), genesis=said.steps[0].update.genesis)
    return ListStep(kind=StepKind.REWEIGHT, update=own, amount="1/2")


def test_what_was_shown_beside_another_weight_of_an_older_update_was_not_shown_alone() -> None:
    facts = forged(RoundResult, lambda said: said.but(steps=[*said.steps, reweighted(said)]))
    assert ([one.shown_alone for one in facts.rounds], facts.broken) == (["", ""], 0)


def forged(kind: type, forge: Callable) -> LogFacts:
    log = PlainLog()
    node_log(log, kind, forge)
    return facts_of(log)


@pytest.mark.parametrize(
    ("kind", "forge"),
    [
        (RoundIntent, lambda said: said.but(guest=said.guest.but(needed_milli=1))),
        (RoundIntent, lambda said: said.but(guest=said.guest.but(looks=0, kept=0, needed_milli=9_000))),
        (RoundIntent, lambda said: said.but(guest=said.guest.but(root="0" * 64))),
        (RoundResult, lambda said: said.but(look=said.look.but(level=1))),
        (RoundResult, lambda said: said.but(look=None)),
        (RoundResult, lambda said: said.but(members=said.members[:-1])),
        (RoundResult, lambda said: said.but(intent="0" * 64)),
        (
            RoundResult,
            lambda said: said.but(members=[one.but(verdict=MemberVerdict.ADOPTED) for one in said.members]),
        ),
        (RoundResult, lambda said: said.but(steps=[reweighted(said)])),
    ],
)
def test_a_round_that_does_not_keep_its_rule_is_counted(kind: type, forge: Callable) -> None:
    facts = forged(kind, forge)
    assert facts.broken > 0
    assert facts.fault == ""


@pytest.mark.parametrize(
    "forge",
    [
        lambda said: said.but(key="ab" * 32),
        lambda said: said.but(count=511),
        lambda said: said.but(rounds=said.rounds[:-1]),
        lambda said: said.but(rounds=said.rounds[::-1]),
        lambda said: said.but(rounds=[one.but(sums=one.sums.but(new_loss_sum=1)) for one in said.rounds]),
    ],
)
def test_an_opening_to_something_else_does_not_follow(forge: Callable) -> None:
    assert [one.follows for one in forged(GuestOpening, forge).openings] == [False]


def test_an_offer_of_what_no_receipt_made_is_none() -> None:
    assert forged(UpdateOffer, lambda said: said.but(config="0" * 64)).offers == []
    assert forged(UpdateOffer, lambda said: said.but(receipt_at=0)).offers == []
    assert forged(UpdateOffer, lambda said: said.but(receipt_at=10**9)).offers == []


def test_an_offer_that_is_repeated_counts_once() -> None:
    log = PlainLog()
    node = NodeLog(log)
    receipt = node.train()
    node.offer(receipt)
    node.offer(receipt)
    assert len(facts_of(log).offers) == 1


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'"x"',
        b"{}",
        b'{"receipt_key":7}',
        b'{"receipt_key":"AA=="}',
        b"[" * 100_000,
        b'{"receipt_key":"%s"}',
    ],
)
def test_a_key_that_the_log_is_not_named_after_is_none(document: bytes) -> None:
    log = PlainLog()
    assert receipt_key_of(document, log_key(log)) == b""
