"""A party that would have a contract come out otherwise: each way is found by what both logs say."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from contract_world import FIRST, GAIN, LENGTH, World
from cryoflux.attempt.metered_parts import lost_part
from cryoflux.decision.reason import Reason
from cryoflux.network.contracts.evaluation import ContractVerdict, evaluate
from cryoflux.network.contracts.logs import read_each
from cryoflux.network.contracts.told import HeadTold, contract_told
from cryoflux.quantities import SO_FAR, Tier
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.contract_parts import AgreedWindows, ContractStanding, OnMissing
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Cause
from cryoflux.receipts.store import Row
from cryoflux.registry.composition import Term, list_digest
from cryoflux.verification.contracts import Contracts
from cryoflux.verification.material import Material
from cryoflux.verification.walk import walk
from synthetic_parts import digest_of, figure

ONE = AgreedWindows(first=FIRST, length_s=LENGTH, count=1)
ON_ETA = ("eta >= 0.1 nats/kJ",)
NO_GAIN = -1_000_000


def codes(verdict: ContractVerdict) -> set[str]:
    return {one.code for window in verdict.windows for one in window.evidence}


def kept(**changes: object) -> World:
    world = World().agree(**{"windows": ONE, **changes})
    world.deliver(0)
    return world


# Moved goalposts


@pytest.mark.parametrize("forged", ["base", "result", "offer"])
def test_a_look_that_compares_other_lists_than_are_due_counts_nothing(forged: str) -> None:
    world = kept(on_missing=OnMissing.VOID)
    world.look(0, NO_GAIN, **{forged: digest_of("an easier list")})
    found = world.evaluate()
    assert found.standing is ContractStanding.VOID
    assert "look-of-another" in codes(found)
    honest = kept(on_missing=OnMissing.VOID)
    honest.look(0, NO_GAIN)
    assert honest.evaluate().standing is ContractStanding.BREACHED


def test_terms_that_one_party_changed_afterwards_are_another_contract() -> None:
    world = kept()
    world.look(0)
    changed = world.terms.but(clauses=("delta >= 0.9 nats",))
    world.terms = changed
    found = world.evaluate()
    assert found.standing is ContractStanding.VOID
    assert codes(found) == {"not-agreed"}


def test_an_offer_after_the_window_is_not_what_the_window_is_about() -> None:
    world = kept()
    due = world.due(0)
    world.offer(world.train())
    world.seller.seen(world.terms.windows.end_s(0) + 100)
    assert world.due(0).offer == due.offer


# What cannot be read here


def newer(entry: Entry) -> bytes:
    """An entry in a form that is not known here; whose signature it has is not what is looked at."""
    said, kind = json.loads(entry.envelope), f"/{entry.kind.value}/v".encode()
    before, found, after = entry.signed.payload.rpartition(kind)
    assert found
    said["payload"] = base64.b64encode(before + kind + b"9" + after).decode()
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize("hidden", ["an attempt", "an offer", "a look"])
def test_what_a_party_signs_in_another_form_fulfils_and_breaches_nothing(hidden: str) -> None:
    """Joules, an offer or a look may be in it: what rests on them is not known."""
    world = kept(clauses=("delta >= 0.05 nats", "eta >= 0.001 nats/kJ"), on_missing=OnMissing.BREACH)
    world.look(0)
    world.pass_time(world.terms.windows.due_s(0) + 1)
    assert world.evaluate().standing is ContractStanding.FULFILLED
    party = world.buyer if hidden == "a look" else world.seller
    kinds = {"an attempt": ("intent", "receipt"), "an offer": ("offer",), "a look": ("contract-look",)}[
        hidden
    ]
    entries = [
        newer(one) if one.kind.value in kinds and one.index > 3 else one.envelope for one in party.log.entries
    ]
    told = contract_told(party.origin, list(read_each(entries)), party.heads, world.terms)
    others = [one.told(world.terms) for one in (world.seller, world.buyer) if one is not party]
    found = evaluate(world.terms, [told, *others])
    standings = [one.standing for one in found.windows[0].clauses]
    unknown = ContractStanding.UNVERIFIABLE
    delta = ContractStanding.FULFILLED if hidden == "an attempt" else unknown
    assert standings == [delta, unknown]
    assert "not-read" in codes(found)


def test_a_look_that_witnesses_saw_late_leaves_the_base_and_its_log_verifies() -> None:
    world = World().agree(windows=AgreedWindows(first=FIRST, length_s=LENGTH, count=2))
    world.deliver(0)
    world.look(0)
    world.buyer.heads.pop()  # nobody saw it until it was too late
    world.pass_time(world.terms.windows.due_s(0) + 1)
    world.offer(world.train())
    world.seller.seen(world.terms.windows.end_s(1) - 100)
    world.pass_time(world.terms.windows.end_s(1) + 10)
    said = world.look(1)
    assert said.base == world.terms.start, "what came too late counts nothing"
    assert world.evaluate().windows[1].standing is ContractStanding.FULFILLED
    log = world.buyer.log
    rows = [Row(one.index, None, None, one.envelope) for one in log.entries]
    fold = Contracts(Material(target=Path("log"), rows=rows, state=None, key=log.key.public_key()))
    walk(rows, [fold])
    assert not fold.findings.failed


# A second measurement


def test_a_second_measurement_counts_nothing() -> None:
    world = kept()
    world.look(0, NO_GAIN)
    world.look(0, GAIN)
    found = world.evaluate()
    assert found.standing is ContractStanding.BREACHED
    assert "second-look" in codes(found)


def test_bits_that_the_opened_sums_do_not_give_are_contradicted() -> None:
    world = kept()
    world.look(0, GAIN, kept=(False, False, True))
    assert world.evaluate().standing is ContractStanding.BREACHED
    world.open()
    found = world.evaluate()
    assert found.standing is ContractStanding.FULFILLED
    assert "bit-contradicted" in codes(found)


def test_sums_that_were_not_sealed_decide_nothing() -> None:
    world = kept(on_missing=OnMissing.VOID)
    world.look(0, GAIN)
    world.sums[0] = world.sums[0].but(new_loss_sum=world.sums[0].base_loss_sum)
    world.open()
    found = world.evaluate()
    assert found.windows[0].clauses[0].standing is ContractStanding.VOID
    assert "not-opened" in codes(found)


# Joules ÷ 10


def test_joules_of_an_attempt_without_a_record_are_not_left_out() -> None:
    world = World().agree(windows=ONE, clauses=ON_ETA)
    for _ in range(9):
        world.seller.log.announce()
    world.deliver(0)
    world.look(0)
    found = world.evaluate()
    assert found.standing is ContractStanding.UNVERIFIABLE
    assert {"joules-unknown", "no-record"} <= codes(found)
    assert kept(clauses=ON_ETA).due(0).paid.known_uj is not None


def test_an_update_that_was_trained_in_another_log_or_before_is_not_free() -> None:
    world = World().agree(windows=ONE, clauses=ON_ETA, start_list=())
    assert world.seller.log.entries[1].receipt is not None  # before the contract
    world.deliver(0)
    world.look(0)
    found = world.evaluate()
    assert found.standing is ContractStanding.UNVERIFIABLE
    assert "made-elsewhere" in codes(found)


def test_a_bit_for_fewer_joules_than_were_spent_is_not_believed() -> None:
    world = kept(clauses=ON_ETA)
    world.look(0, upper_microjoules=world.due(0).paid.upper_uj // 10)
    found = world.evaluate()
    assert found.standing is ContractStanding.UNVERIFIABLE
    assert "tested-at" in codes(found)


def test_joules_that_are_recorded_after_the_window_count_to_the_window_in_which_they_were_announced() -> None:
    world = World().agree(windows=ONE, clauses=ON_ETA)
    late = world.seller.log.announce()
    made = world.train()
    world.offer(made)
    world.seller.seen(world.terms.windows.end_s(0) - 1)
    world.pass_time(world.terms.windows.end_s(0) + 1)
    assert world.due(0).paid.known_uj is None
    world.seller.log.abort(late)
    world.seller.seen(world.terms.windows.end_s(0) + 2)
    paid = world.due(0).paid
    assert paid.known_uj is not None
    assert paid.known_uj > kept(clauses=ON_ETA).due(0).paid.upper_uj


def test_joules_of_a_worker_that_was_lost_are_all_that_was_lent_and_known_as_well_as_modelled() -> None:
    counted = figure(tier=Tier.COUNTER, reserved_microjoules=0)
    lost = lost_part("w1", 10**12, boot="", baseline=counted.baseline)
    word = counted.own.but(worker="w1", flags=[SO_FAR], reserved_microjoules=10**12)
    for part in (lost, word):
        world = World().agree(windows=ONE, clauses=ON_ETA)
        attempt = world.seller.log.announce()
        energy = EnergyFigure.of_parts([counted.own, part])
        reason = Reason(code="lost", numbers={"worker": "w1"})
        world.seller.log.abort(attempt, energy=energy, cause=Cause.LOST, reason=reason)
        world.deliver(0)
        (told,) = [one for one in world.seller.told(world.terms).attempts if one.leaf == attempt.leaf_hash]
        assert (energy.tier is Tier.MODELLED) == (part is lost)
        assert told.tier is Tier.MODELLED
        assert told.upper_uj >= 10**12


# Split logs, time and start


@pytest.mark.parametrize("who", ["seller", "buyer"])
def test_a_party_that_tells_two_histories_voids_the_contract(who: str) -> None:
    world, other = kept(), World().agree(windows=ONE)
    world.look(0)
    party, apart = getattr(world, who), getattr(other, who)
    while len(apart.log.entries) < len(party.log.entries):
        apart.node.train()
    told = apart.told(world.terms, len(party.log.entries))
    found = world.evaluate(told)
    assert found.standing is ContractStanding.VOID
    assert codes(found) == {"two-histories"}


def test_a_window_that_began_before_both_had_signed_binds_nobody() -> None:
    world = World().agree(at_s=FIRST, windows=ONE)
    world.deliver(0)
    world.look(0)
    found = world.evaluate()
    assert found.standing is ContractStanding.VOID
    assert codes(found) == {"agreed-late"}


def test_a_head_that_is_published_late_does_not_date_an_offer_back() -> None:
    world = kept()
    before = world.due(0).offer
    world.offer(world.train())
    size = len(world.seller.log.entries)
    world.seller.log.announce()
    world.seller.seen(world.terms.windows.end_s(0) + 100)
    world.seller.heads.append(HeadTold(size, world.terms.windows.end_s(0) - 1))
    assert world.due(0).offer == before


def test_a_damaged_start_gains_nothing_because_the_start_is_in_the_terms() -> None:
    good = (Term(weight="1", adapter=digest_of("good"), parent=list_digest(())),)
    world = World().agree(windows=ONE, start_list=good, on_missing=OnMissing.VOID)
    world.deliver(0)
    assert world.due(0).base == list_digest(good)
    world.look(0, GAIN, base=list_digest(()))
    assert world.evaluate().standing is ContractStanding.VOID


def test_a_gain_that_is_taken_back_is_not_sold_twice() -> None:
    world = World().agree(windows=AgreedWindows(first=FIRST, length_s=LENGTH, count=3))
    good = world.deliver(0)
    world.look(0)
    sold = world.due(0).offer.result
    world.deliver(1)
    world.look(1, NO_GAIN)
    world.offer(good)
    world.seller.seen(world.terms.windows.end_s(2) - 1)
    world.pass_time(world.terms.windows.end_s(2) + 1)
    found = world.evaluate()
    assert sold == world.due(1).base
    assert [one.standing.value for one in found.windows] == ["fulfilled", "breached", "breached"]
    assert found.windows[2].evidence[0].code == "nothing-offered"
