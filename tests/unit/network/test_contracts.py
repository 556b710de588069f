"""What a contract comes to: by the logs of both parties, whoever computes it, and however they came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_world import COUNT, FIRST, GAIN, LENGTH, World
from cryoflux.errors import UsageError
from cryoflux.network.contracts.due import ContractLogs, DueLook
from cryoflux.network.contracts.evaluation import ContractVerdict, evaluate
from cryoflux.quantities import Tier
from cryoflux.receipts.contract_parts import (
    AgreedWindows,
    ContractStanding,
    CountedJoules,
    HowKnown,
    OnMissing,
)
from cryoflux.receipts.contract_statement import ContractResult
from cryoflux.runs.contract_check import ResultsApart, results_apart
from cryoflux.runs.contract_look import due_look
from node_log import AT, TASK

ONE = AgreedWindows(first=FIRST, length_s=LENGTH, count=1)
TWO = AgreedWindows(first=FIRST, length_s=LENGTH, count=2)


def codes(verdict: ContractVerdict, window: int = 0) -> list[str]:
    return [one.code for one in verdict.windows[window].evidence]


def standings(verdict: ContractVerdict, window: int = 0) -> list[str]:
    return [one.standing.value for one in verdict.windows[window].clauses]


def kept(windows: AgreedWindows = ONE, **changes: object) -> World:
    world = World().agree(windows=windows, **changes)
    world.deliver(0)
    return world


def test_a_window_is_pending_then_attested_then_verified() -> None:
    world = World().agree(windows=ONE)
    assert world.evaluate().standing is ContractStanding.PENDING
    world.deliver(0)
    assert codes(world.evaluate())[-1] == "look-due"
    world.look(0)
    found = world.evaluate()
    assert found.standing is ContractStanding.FULFILLED
    assert {one.known for one in found.windows[0].clauses} == {HowKnown.ATTESTED}
    world.open()
    found = world.evaluate()
    assert found.standing is ContractStanding.FULFILLED
    assert [one.known.value for one in found.windows[0].clauses] == ["verified", "verified", "attested"]


def test_joules_decide_a_clause_on_eta_and_no_other() -> None:
    world = kept(clauses=("delta >= 0.05 nats", "eta >= 100 nats/kJ"))
    world.look(0)
    assert standings(world.evaluate()) == ["fulfilled", "breached"]


def test_nothing_that_was_offered_is_a_breach_without_a_look() -> None:
    world = World().agree(windows=ONE)
    world.pass_time(world.terms.windows.end_s(0))
    found = world.evaluate()
    assert found.standing is ContractStanding.BREACHED
    assert codes(found) == ["nothing-offered"]


@pytest.mark.parametrize("on_missing", list(OnMissing))
def test_a_look_that_is_withheld_is_pending_until_it_was_due(on_missing: OnMissing) -> None:
    world = kept(on_missing=on_missing)
    world.pass_time(world.terms.windows.due_s(0))
    assert world.evaluate().standing is ContractStanding.PENDING
    world.pass_time(world.terms.windows.due_s(0) + 1)
    due = ContractStanding.BREACHED if on_missing is OnMissing.BREACH else ContractStanding.VOID
    assert world.evaluate().standing is due


def test_a_buyer_whose_log_ends_cannot_withhold_for_ever() -> None:
    world = kept(on_missing=OnMissing.VOID)
    world.seller.seen(world.terms.windows.due_s(0) + LENGTH)
    assert world.evaluate().standing is ContractStanding.VOID


def test_a_seller_whose_log_ends_cannot_withhold_for_ever() -> None:
    world = World().agree(windows=ONE)
    world.buyer.seen(world.terms.windows.end_s(0) + 1)
    assert codes(world.evaluate()) == ["log-ends"]
    assert world.evaluate().standing is ContractStanding.PENDING
    world.buyer.seen(world.terms.windows.due_s(0) + LENGTH)
    assert world.evaluate().standing is ContractStanding.BREACHED


def test_a_window_that_was_kept_is_the_base_of_the_next_and_one_that_was_not_is_not() -> None:
    world = World().agree(windows=AgreedWindows(first=FIRST, length_s=LENGTH, count=3))
    world.deliver(0)
    world.look(0)
    world.deliver(1)
    assert world.due(1).base == world.due(0).offer.result
    assert world.due(1).paid.upper_uj == world.due(0).paid.upper_uj
    world.look(1, -GAIN)
    world.deliver(2)
    assert world.due(2).base == world.due(1).base
    assert world.due(2).paid.upper_uj == 2 * world.due(1).paid.upper_uj
    world.look(2)
    found = world.evaluate()
    assert [one.standing.value for one in found.windows] == ["fulfilled", "breached", "fulfilled"]


def test_a_tier_below_the_least_says_so() -> None:
    joules = CountedJoules(counted="net", upper_microjoules=1, point_microjoules=1, tier_min=Tier.COUNTER)
    world = kept(joules=joules)
    world.look(0)
    found = world.evaluate()
    assert standings(found) == ["fulfilled", "unverifiable", "fulfilled"]
    (clause,) = [one for one in found.windows[0].clauses if one.standing is ContractStanding.UNVERIFIABLE]
    assert clause.evidence[0].value.endswith("< counter")


def test_bytes_that_another_had_were_available_whatever_the_buyer_says() -> None:
    world = kept(on_missing=OnMissing.VOID)
    world.look(0, None)
    assert standings(world.evaluate()) == ["breached", "breached", "breached"]
    candidate = world.verifier.node.candidate().but(capsule=world.due(0).offer.adapter)
    world.verifier.node.enter(bytes(32))
    world.verifier.node.record(world.verifier.node.announce([candidate]))
    world.verifier.seen(world.terms.windows.due_s(0))
    assert standings(world.evaluate()) == ["void", "void", "fulfilled"]


# The same for everybody


def history() -> World:
    world = World().agree(windows=TWO)
    world.deliver(0)
    world.look(0)
    world.deliver(1)
    world.look(1, [GAIN if at % 3 else -GAIN for at in range(COUNT)])
    world.open()
    return world


WORLD = history()
PARTIES = (WORLD.seller, WORLD.buyer, WORLD.verifier)
SIZES = [len(party.log.entries) for party in PARTIES]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_order_and_partition_of_logs_do_not_matter(data: st.DataObject) -> None:
    copies = [party.told(WORLD.terms) for party in PARTIES]
    for party, size in zip(PARTIES, SIZES, strict=True):
        cuts = data.draw(st.lists(st.integers(0, size), max_size=3))
        copies += [party.told(WORLD.terms, cut) for cut in cuts]
    drawn = data.draw(st.permutations(copies))
    assert evaluate(WORLD.terms, drawn) == WORLD.evaluate()


def again(world: World, window: int, deltas: Iterable[int], upper_uj: int) -> list[bool]:
    """A second implementation, in fractions: each clause of a window by its definition."""
    each = [Fraction(one, 10**9) for one in deltas]
    bar = Fraction(_bar(world), 1000)
    found = []
    for clause in world.terms.clauses[:2]:
        number, unit = clause.split(" >= ")[1].split()
        asked = Fraction(number) if unit == "nats" else Fraction(number) * Fraction(upper_uj, 10**6) / 1000
        asked = Fraction(-(-asked * 10**9 // 1), 10**9)
        left = [one - asked for one in each]
        total, squares = sum(left), sum(one**2 for one in left)
        found.append(total > 0 and total**2 > bar * squares)
    return found


def _bar(world: World) -> int:
    from decimal import ROUND_CEILING, Decimal, getcontext

    getcontext().prec = 60
    level = Decimal(world.terms.alpha_ppm) / 10**6 / world.terms.windows.count
    return int((-2000 * level.ln()).to_integral_value(ROUND_CEILING))


@given(st.lists(st.integers(-(10**9), 10**9 - 1), min_size=4, max_size=4), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_a_second_implementation_agrees(pattern: list[int], step: int) -> None:
    gains = [pattern[at // step % 4] for at in range(COUNT)]
    world = kept()
    world.look(0, gains)
    world.open()
    found = world.evaluate().windows[0].clauses
    due = again(world, 0, gains, world.due(0).paid.upper_uj)
    assert [one.standing is ContractStanding.FULFILLED for one in found[:2]] == due


def signed(world: World, **changes: object) -> list[ResultsApart]:
    """What the buyer's result of the first window differs in, from what everybody computes."""
    verdict = world.evaluate()
    (found,) = verdict.windows
    said = {
        "sequence": 0,
        "prev": "0" * 64,
        "task": TASK,
        "contract": verdict.digest,
        "window": 0,
        "standing": found.standing,
        "clauses": tuple(one.result for one in found.clauses),
        "evidence": found.evidence,
        "logs": verdict.logs,
        "evaluated_at": AT,
        **changes,
    }
    told = replace(world.buyer.told(world.terms), results=(("0" * 64, ContractResult(**said)),))
    return list(results_apart(verdict, [world.seller.told(world.terms), told], world.seller.origin))


def test_two_results_differ_in_a_clause_or_in_the_evidence_of_the_same_logs() -> None:
    world = kept()
    world.look(0)
    assert signed(world) == []
    (found,) = world.evaluate().windows
    first, *others = (one.result for one in found.clauses)
    (apart,) = signed(world, clauses=(first.but(standing=ContractStanding.BREACHED), *others))
    assert apart.clause is not None
    assert (apart.clause.clause, apart.mine, apart.theirs) == (first.clause, None, None)
    evidence = (*found.evidence[:2], found.evidence[2].but(value="1"), *found.evidence[3:])
    (apart,) = signed(world, evidence=evidence)
    assert (apart.mine, apart.theirs) == (found.evidence[2], evidence[2])
    # Who had read less of the logs had less evidence, and is not contradicted by that.
    assert signed(world, evidence=evidence, logs=()) == []


def test_a_look_waits_for_the_sellers_log_though_it_is_quiet_and_says_who_has_to_do_what() -> None:
    world = World().agree(windows=ONE)
    world.offer(world.train())
    end_s = ONE.end_s(0)
    world.seller.seen(end_s - 100)
    world.buyer.seen(end_s + 10)

    def due() -> DueLook:
        told = [party.told(world.terms) for party in (world.seller, world.buyer)]
        return due_look(world.terms, ContractLogs(world.terms, told), set(), " --state mine")

    with pytest.raises(UsageError, match="the seller's log is here until") as refused:
        due()
    assert "cryoflux witness submit" in refused.value.hint
    assert "cryoflux node pull --state mine" in refused.value.hint
    world.seller.seen(end_s + 20)  # the same head, cosigned again
    assert due().window == 0
