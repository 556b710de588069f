"""What a round may bring, and what a head may hang on: bounded, and said."""

from __future__ import annotations

from cryoflux.network.membership import beyond_composing, bringing_back
from cryoflux.network.proposing import MOST_BROUGHT
from cryoflux.receipts.network_parts import MOST_CANDIDATES, GuardResult, Member, MemberVerdict
from cryoflux.receipts.network_statement import MOST_STEPS, RoundResult
from cryoflux.registry.composition import MOST_TERMS, Composition, Term, folded, list_digest
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind
from cryoflux.signing.canonical import MAX_ENTRY_BYTES
from node_log import NodeLog
from plain_log import PlainLog
from synthetic_parts import digest_of

FOR_THE_METER = 10_000
"""bytes of an envelope that a meter's statement may have"""


def largest(said: RoundResult) -> RoundResult:
    """As many candidates, steps and terms of their lists as a round takes, all in the longest words."""
    digest = digest_of("any")
    terms = (Term(weight="0.333333333333", adapter=digest, parent=digest),) * MOST_TERMS
    brought = [terms, terms[: MOST_BROUGHT - MOST_TERMS], *[()] * (MOST_STEPS - 2)]
    return said.but(
        members=[
            Member(capsule=digest_of(str(number)), verdict=MemberVerdict.DUPLICATE, of=digest)
            for number in range(MOST_CANDIDATES)
        ],
        steps=[
            ListStep(
                kind=StepKind.MIX,
                update=said.steps[0].update.but(parent=parent),
                amount="1/3",
            )
            for parent in brought
        ],
        guards=[GuardResult(name="g" * 64, sha256=digest, count=10**6, passed=True)] * 8,
    )


def test_the_largest_record_of_a_round_is_an_entry_with_room_for_a_meter() -> None:
    node = NodeLog(PlainLog(), RoundResult, largest)
    node.train()
    node.introduce()
    node.enter()
    entry = node.record(node.announce([node.candidate()]))
    assert len(entry.envelope) + FOR_THE_METER < MAX_ENTRY_BYTES


def test_an_offer_that_hangs_too_deep_says_so_and_one_that_can_replace_the_head_does_not() -> None:
    lists: dict[str, tuple[Term, ...]] = {}

    def own(count: int, first: int) -> Composition:
        made = Composition(genesis="0" * 64)
        for number in range(first, first + count):
            lists[made.digest] = made.terms
            made = made.adopting(f"{number:064x}")
        lists[made.digest] = made.terms
        return made

    full, short = own(1009, 0), own(3, 5000)
    update = OfferedUpdate(adapter="f" * 64, genesis=full.genesis, parent=short.terms)
    deep = OfferedUpdate(adapter="f" * 64, genesis=full.genesis, parent=full.terms)
    assert beyond_composing(full, update, lists.__getitem__) == ""
    assert beyond_composing(short, deep, lists.__getitem__) == ""
    assert "16 lists" in beyond_composing(full, deep, lists.__getitem__)


def test_what_has_a_recalled_update_in_its_list_or_in_one_folded_there_is_not_mixed() -> None:
    def offered(name: str, parent: tuple[Term, ...] = ()) -> OfferedUpdate:
        return OfferedUpdate(adapter=digest_of(name), genesis="0" * 64, parent=parent)

    bad = offered("bad")
    full = (*(offered(str(number)).term for number in range(MOST_TERMS - 1)), bad.term)
    lists = {list_digest(terms): terms for terms in ((), full)}
    on_it, on_fold = offered("on it", (bad.term,)), offered("on a fold", folded(full))
    beside = offered("beside", (offered("other").term,))
    found = bringing_back([bad, on_it, on_fold, beside], {bad.adapter}, lists.__getitem__)
    assert found == {on_it.adapter, on_fold.adapter}
