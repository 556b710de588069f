"""Which offers the next round considers, and when a round is worth more than an attempt."""

from __future__ import annotations

import pytest
from msgspec import structs

from cryoflux.network.round_parts import OfferHere
from cryoflux.network_state import Consideration, NodeState, RoundGain
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.receipts.network_statement import Recall
from cryoflux.receipts.statement import Base
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.runs.adopting import MOST_TIMES, due_offers, is_worth_more
from cryoflux.scheduling.efficiency import ArmState, Expectation
from cryoflux.scheduling.policy import Arm, ArmRow

GENESIS = "00" * 32
OWN = "log.example/own"


def offer(number: int, *, origin: str = "log.example/2", absent: str = "") -> OfferHere:
    update = OfferedUpdate(adapter=f"{number:064x}", genesis=GENESIS)
    return OfferHere(update, origin, f"{number + 100:064x}", 1_000 + number, absent)


def considered(verdict: MemberVerdict, *, times: int = 1, head: str = "a") -> NodeState:
    node = NodeState()
    node.considered[offer(1).update.adapter] = Consideration(verdict, times, head)
    return node


def test_each_capsule_is_due_once_in_the_order_of_commitments() -> None:
    again = OfferHere(offer(1).update, "log.example/3", "ff" * 32, 2_000)
    due = due_offers(NodeState(), [offer(1), offer(2), again], "a", OWN)
    assert due == [offer(1), offer(2)]


def test_what_is_ones_own_or_adopted_is_not_due() -> None:
    node = NodeState()
    node.adopted[offer(2).update.adapter] = [offer(2).update.adapter]
    node.offers[offer(3).update.adapter] = 7
    assert due_offers(node, [offer(1, origin=OWN), offer(2), offer(3)], "a", OWN) == []


def test_what_was_recalled_is_not_taken_again_for_another_head() -> None:
    node, capsule = considered(MemberVerdict.ADOPTED), offer(1).update.adapter
    assert due_offers(node, [offer(1)], "b", OWN) == [offer(1)]
    node.adopted[capsule] = [capsule]
    base = Base(digest="a" * 64, files="b" * 64)
    node.recall(
        Recall(
            sequence=9,
            prev="0" * 64,
            task="lora_delta",
            capsule=capsule,
            base=base,
            result=base,
            composed="c" * 64,
            reason="it was poisoned",
            recalled_at="2026-11-29T00:00:00Z",
        )
    )
    assert capsule not in node.adopted
    assert due_offers(node, [offer(1)], "b", OWN) == []


@pytest.mark.parametrize("verdict", [MemberVerdict.SCREENED, MemberVerdict.NOT_CHOSEN])
def test_what_did_not_help_is_considered_again_for_another_head_and_not_for_ever(
    verdict: MemberVerdict,
) -> None:
    assert due_offers(considered(verdict), [offer(1)], "a", OWN) == []
    assert due_offers(considered(verdict), [offer(1)], "b", OWN) == [offer(1)]
    assert due_offers(considered(verdict, times=MOST_TIMES), [offer(1)], "b", OWN) == []


@pytest.mark.parametrize(
    "verdict",
    [MemberVerdict.DUPLICATE, MemberVerdict.MALFORMED, MemberVerdict.UNSAFE, MemberVerdict.STALE],
)
def test_what_can_never_help_is_never_considered_again(verdict: MemberVerdict) -> None:
    assert due_offers(considered(verdict), [offer(1)], "b", OWN) == []


def test_what_was_not_read_is_considered_once_it_is_here() -> None:
    node = considered(MemberVerdict.UNAVAILABLE)
    assert due_offers(node, [offer(1, absent="404")], "a", OWN) == []
    assert due_offers(node, [offer(1)], "a", OWN) == [offer(1)]
    assert due_offers(NodeState(), [offer(1, absent="404")], "a", OWN) == []
    withheld = [offer(1, absent="404"), offer(2)]
    assert due_offers(NodeState(), withheld, "a", OWN) == withheld
    assert due_offers(considered(MemberVerdict.UNREACHED), [offer(1)], "a", OWN) == [offer(1)]


def rival(delta_nano: int, cost_uj: int) -> ArmRow:
    arm = Arm("lora_delta", "lean", 1, 1)
    expected = Expectation(delta_nano, cost_uj, ArmState.TRIED)
    return ArmRow(arm, expected, affordable=True)


def test_a_round_is_made_where_it_brings_as_much_for_a_joule() -> None:
    gains = [RoundGain(30, 100), RoundGain(0, 100)]
    assert is_worth_more(gains, None)
    assert is_worth_more(gains, rival(15, 100))
    assert not is_worth_more(gains, rival(16, 100))
    assert not is_worth_more([structs.replace(gain, delta_nano=0) for gain in gains], rival(1, 10**9))
