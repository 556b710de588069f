"""Whoever claims what rounds certify wants levels, rounds and recalls to be other than its log says."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from cryoflux.claims.check import check_claim
from cryoflux.claims.document import Carrier, ClaimedValue, format_claim, parse_claim
from cryoflux.claims.evaluation import add_up, told_by
from cryoflux.claims.evidence import outside, pack, unpack
from cryoflux.claims.making import ClaimScope, make_claim
from cryoflux.claims.report import ClaimReport
from cryoflux.errors import StateTamperedError, VerificationError
from cryoflux.receipts.guest_tree import guest_root
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.signing.envelope import CLAIM_PAYLOAD, sign_document
from cryoflux.signing.keys import load_key, load_public_key
from cryoflux.verification.result import Status
from node_log import GUEST_KEY, GUESTS, Forge, NodeLog, as_it_is
from plain_log import StoredLog
from synthetic_parts import digest_of

LEVEL = "certified >= 0.05 nats"


def node(path: Path, forge: Forge = as_it_is) -> NodeLog:
    """An update of its own, a round that adopts, and one that does not."""
    found = NodeLog(StoredLog(path), RoundResult, forge)
    found.train()
    found.introduce()
    found.enter()
    adopts(found)
    found.record(found.announce([found.candidate()]), gain=-1_000_000)
    return found


def adopts(found: NodeLog) -> str:
    """A round that adopts one update; which."""
    candidate = found.candidate()
    found.record(found.announce([candidate]))
    return candidate.capsule


def certified(said: NodeLog) -> int:
    """What the rounds of a log certify, as claims and as books have it, nano-nats."""
    told = (one for entry in said.log.entries if (one := told_by(entry)) is not None)
    by_claims = sum(add_up(told).certified.values())
    assert by_claims == said.log.state.nodes["lora_delta"].certified.total
    return by_claims


def checked(content: bytes, state: Path) -> ClaimReport:
    key, log_key = (load_public_key(state / "keys" / f"{name}.pub") for name in ("receipt", "log"))
    return check_claim(content, Path("claim.json"), key=key, log_key=log_key)


def complaints(content: bytes, state: Path) -> str:
    bad = [one for one in checked(content, state).report.checks if one.status is Status.FAIL]
    return "\n".join(f"{one.number} {one.subject}: {one.detail}" for one in bad)


def signed_again(content: bytes, state: Path, evidence: Carrier | None = None, **changes: object) -> bytes:
    """The claim as the owner of the log may sign it, with changes."""
    claim = parse_claim(content)
    statement = claim.statement.but(predicate=claim.predicate.but(**changes))
    envelope = sign_document(statement, load_key(state / "keys", "receipt", create=False), CLAIM_PAYLOAD)
    kept = evidence or Carrier(**json.loads(content)["evidence"])
    return format_claim(envelope, claim.checkpoint, kept)


def without(content: bytes, *dropped: int) -> Carrier:
    """What carries a claim, without some entries, with the honest hashes in their place."""
    claim = parse_claim(content)
    entries = unpack(claim.packed, claim.carried)
    kept = [at for at in range(len(entries)) if at not in dropped]
    leaves = [leaf_hash(entry) for entry in entries]
    spans = [(at, at + 1) for at in kept]
    beside = [root_hash(leaves[slice(*part)]).hex() for part in outside(spans, 0, len(entries))]
    packed = base64.b64encode(pack([entries[at] for at in kept])).decode()
    return Carrier(spans=[list(span) for span in spans], hashes=beside, entries=packed)


def test_nats_are_certified_with_what_stands_behind_them(tmp_path: Path) -> None:
    said = node(tmp_path / "state")
    announced, record = (said.log.entries[at] for at in (4, 5))
    state = said.log.close()
    report = checked(make_claim(state, f"{LEVEL} and joules <= 330 and rounds == 2").content, state)
    assert report.to_json()["claim"]["backing"] == {
        "certified_nats": 0.05,
        "rounds": 1,
        "guests": [{"root": guest_root(GUESTS, GUEST_KEY), "was_opened": False, "was_compared": False}],
        "list_before": announced.round_intent.composed,
        "list_after": record.round.composed,
        "upper_joules": 330.0,
        "tier": "modelled",
    }
    assert "opened: no, the bits are its word" in report.sentence
    assert "reproduced by nobody in this file" in report.sentence
    # What rounds cost is in no claim left out, and what was sealed is not called proven.
    with pytest.raises(VerificationError, match="joules is at most 330 J"):
        make_claim(state, "joules <= 329")
    (level,) = [one for one in report.report.checks if "certified >= 0.05 nats:" in one.detail]
    assert level.knowledge.value == "attested"


def test_a_part_says_that_bars_and_lists_of_its_rounds_are_not_here(tmp_path: Path) -> None:
    state = node(tmp_path / "state").log.close()
    report = checked(make_claim(state, LEVEL, ClaimScope(first=4)).content, state)
    assert report.ok
    (asked,) = [one for one in report.report.checks if one.number == 17 and one.status is Status.UNKNOWN]
    assert "follow from earlier entries, which are not here" in asked.detail
    whole = make_claim(state, LEVEL, ClaimScope(first=4)).content
    within = signed_again(whole, state, without(whole, 0), first=5)
    assert "begins within a round" in complaints(within, state)


def test_a_recall_withdraws_what_was_certified_on_top_of_the_update(tmp_path: Path) -> None:
    said = node(tmp_path / "state")
    (first,) = said.log.state.nodes["lora_delta"].adopted
    later, found = adopts(said), [certified(said)]
    said.recall(later)
    found.append(certified(said))
    adopts(said)
    found.append(certified(said))
    said.recall(first)
    assert [*found, certified(said)] == [100_000_000, 50_000_000, 100_000_000, 0]
    state = said.log.close()
    with pytest.raises(VerificationError, match="certified is 0 nats"):
        make_claim(state, LEVEL)
    # Before the recalls it was so, and whoever claims that is said to have chosen the part.
    earlier = make_claim(state, LEVEL, ClaimScope(end=8)).content
    assert not checked(earlier, state).whole


def test_a_recall_that_is_left_out_is_missed_even_if_the_owner_signs(tmp_path: Path) -> None:
    said = node(tmp_path / "state")
    (adopted,) = said.log.state.nodes["lora_delta"].adopted
    recall = said.recall(adopted).index
    state = said.log.close()
    honest = make_claim(state, "certified == 0").content
    values = [ClaimedValue(quantity="certified", value="50000000")]
    forged = {"expression": LEVEL, "values": values}
    complaint = complaints(signed_again(honest, state, without(honest, recall), **forged), state)
    assert "21 range: its entries are not all here" in complaint
    complaint = complaints(signed_again(honest, state, **forged), state)
    assert "22 certified >= 0.05 nats: certified is 0 nats" in complaint


@pytest.mark.parametrize("dropped", [{4, 5}, {6, 7}])
def test_a_round_that_is_left_out_is_missed_even_if_the_owner_signs(
    tmp_path: Path, dropped: set[int]
) -> None:
    state = node(tmp_path / "state").log.close()
    honest = make_claim(state, "rounds == 2 and joules <= 400").content
    said = complaints(signed_again(honest, state, without(honest, *dropped)), state)
    assert "21 range: its entries are not all here" in said


@pytest.mark.parametrize(
    ("level", "opens", "complaint"),
    [(77, False, "its look says another thing"), (250_000_000, True, "and its sums certify 50000000")],
)
def test_no_claim_is_made_of_a_level_that_does_not_follow(
    tmp_path: Path, level: int, opens: bool, complaint: str
) -> None:
    def forge(said: RoundResult) -> RoundResult:
        return said.but(look=said.look.but(level=level)) if said.look.level else said

    said = node(tmp_path / "state", forge)
    if opens:
        said.open()
    state = said.log.close()
    with pytest.raises(StateTamperedError, match=complaint):
        make_claim(state, "certified >= 0.00000001")


def test_guests_lists_and_joules_of_others_stand_behind_nothing(tmp_path: Path) -> None:
    said = node(tmp_path / "state")
    said.open()
    state = said.log.close()
    honest = make_claim(state, LEVEL).content
    assert complaints(honest, state) == ""
    assert "opened: yes, its sums give the levels" in checked(honest, state).sentence
    part = make_claim(state, LEVEL, ClaimScope(first=4)).content
    assert "entered before this range, so that its sums are not compared" in checked(part, state).sentence
    backing = parse_claim(honest).predicate.backing
    for other in (
        backing.but(guests=[digest_of("other")]),
        backing.but(list_after=digest_of("other")),
        backing.but(upper_microjoules=1),
        None,
    ):
        assert "not those of its rounds" in complaints(signed_again(honest, state, backing=other), state)
