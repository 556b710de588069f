"""A list follows from how its version was made, and a recall is the list of a head that never adopted."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.registry.composition import Composition, Term
from cryoflux.registry.made import MadeVersion, list_of, lists_on_the_way
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after
from cryoflux.registry.parent_lists import updates_of

GENESIS = "00" * 32
BASE = Composition(genesis=GENESIS)
Event = Term | tuple[ListStep, ...] | str
"""an update that was trained here, the steps of a round, or the adapter that was recalled"""


def named(number: int) -> str:
    return f"{number:064x}"


def version(number: int) -> str:
    return f"{number:064x}".replace("0", "f", 1)


def remembered(events: Sequence[Event]) -> tuple[dict[str, MadeVersion], str]:
    made, head = dict[str, MadeVersion](), GENESIS
    for number, event in enumerate(events):
        how = {
            Term: lambda e=event: {"term": e},
            tuple: lambda e=event: {"steps": e},
            str: lambda e=event: {"recalled": e},
        }[type(event)]()
        made[version(number)] = MadeVersion(GENESIS, head, **how)
        head = version(number)
    return made, head


def step(kind: StepKind, number: int, amount: str, parent: tuple[Term, ...] = ()) -> ListStep:
    return ListStep(
        kind=kind, update=OfferedUpdate(adapter=named(number), genesis=GENESIS, parent=parent), amount=amount
    )


@st.composite
def histories(draw: st.DrawFn, first: int = 1) -> list[Event]:
    events: list[Event] = []
    for number in range(first, first + draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["trained", "add", "mix"]))
        if kind == "trained":
            events.append(Term(weight="1", adapter=named(number), parent=BASE.digest))
        else:
            amount = draw(st.sampled_from(["1/2", "1/4"]))
            events.append((step(StepKind(kind), number, amount),))
    return events


@given(histories())
def test_the_list_of_a_version_is_what_its_history_makes(events: list[Event]) -> None:
    made, head = remembered(events)
    due = BASE
    for event in events:
        if isinstance(event, Term):
            due = Composition(genesis=GENESIS, terms=(*due.terms, event))
        elif isinstance(event, tuple):
            due = after(due, event)
    assert (list_of(made, head) or BASE) == due


@given(histories(first=1), histories(first=100))
def test_a_recall_is_the_list_of_a_head_that_never_adopted(before: list[Event], later: list[Event]) -> None:
    poison = (step(StepKind.MIX, 50, "1/3"),)
    made, head = remembered([*before, poison, *later])
    never, clean = remembered([*before, *later])
    due = list_of(never, clean) or BASE
    assert (list_of(made, head, never=named(50)) or BASE) == due
    recalled, after_it = remembered([*before, poison, *later, named(50)])
    assert list_of(recalled, after_it) == due


@st.composite
def taken_out_and_brought_back(draw: st.DrawFn) -> list[Event]:
    """Few updates that come, go by a recall, and come again with what others trained on them."""
    events: list[Event] = []
    for number in range(draw(st.integers(1, 9))):
        known = draw(st.integers(1, 3))
        parent = (Term(weight="1", adapter=named(known), parent=BASE.digest),)
        event: Event = draw(
            st.sampled_from(
                [
                    (step(StepKind.ADD, known, "1/2"),),
                    (step(StepKind.MIX, 10 + number, "1/3", parent),),
                    named(known),
                ]
            )
        )
        events.append(event)
    return events


def as_it_came(events: Sequence[Event], without: frozenset[str] = frozenset()) -> Composition:
    """One event after the other; a recall is all before it once more, without the update."""
    composed = BASE
    for at, event in enumerate(events):
        if isinstance(event, str):
            composed = as_it_came(events[:at], without | {event})
        elif isinstance(event, tuple):
            composed = after(composed, event, without)
    return composed


@given(taken_out_and_brought_back(), st.integers(1, 3))
def test_a_list_is_the_same_as_it_came_and_by_its_history(events: list[Event], never: int) -> None:
    """What was recalled and comes back with a mixture is in the weights, so it is in the list."""
    made, head = remembered(events)
    assert list_of(made, head) == as_it_came(events)
    assert list_of(made, head, never=named(never)) == as_it_came(events, frozenset({named(never)}))


@given(histories(), st.integers(0, 8))
def test_what_is_not_remembered_back_to_the_genesis_has_no_list(events: list[Event], lost: int) -> None:
    made, head = remembered(events)
    if lost < len(events):
        del made[version(lost)]
        assert list_of(made, head) is None


def test_a_recall_across_folded_lists_is_the_head_that_never_adopted_and_its_lists_are_known() -> None:
    def trained(numbers: range) -> list[Event]:
        return [Term(weight="1", adapter=named(number), parent=f"{number:063x}f") for number in numbers]

    theirs = tuple(term for term in trained(range(500, 560)) if isinstance(term, Term))
    before, later = trained(range(40)), [*trained(range(100, 170)), (step(StepKind.MIX, 600, "1/2", theirs),)]
    for poison in ((step(StepKind.ADD, 50, "1/2"),), (step(StepKind.MIX, 50, "1/3", theirs),)):
        made, head = remembered([*before, poison, *later])
        never, clean = remembered([*before, *later])
        due = list_of(never, clean)
        assert due is not None
        assert any(term.is_list for term in due.terms), "nothing was folded"
        assert list_of(made, head, never=named(50)) == due
        assert list_of(made, head) != due
        recalled, after_it = remembered([*before, poison, *later, named(50)])
        assert list_of(recalled, after_it) == due
        updates = updates_of(due.terms, lists_on_the_way(never, clean).__getitem__)
        assert len(updates) > 64
        for lists in (
            lists_on_the_way(made, head, never=named(50)),
            lists_on_the_way(recalled, after_it),
        ):
            assert updates_of(due.terms, lists.__getitem__) == updates


def test_what_another_round_gave_another_weight_keeps_nobody_from_recalling_what_brought_it() -> None:
    """Else whoever offers a poison on top of an update that a later round reweights has it there for good."""
    carried = Term(weight="1", adapter=named(60), parent=BASE.digest)
    poison = (step(StepKind.MIX, 50, "1/2", (carried,)),)
    made, head = remembered([poison, (step(StepKind.REWEIGHT, 60, "3/4"), step(StepKind.ADD, 2, "1"))])
    assert list_of(made, head, never=named(50)) == after(BASE, [step(StepKind.ADD, 2, "1")])
    trained = [Term(weight="1", adapter=named(one), parent=f"{one:063x}f") for one in range(100, 164)]
    full, _ = remembered([(step(StepKind.ADD, 50, "1"),), *trained])
    whole = list_of(full, version(64))
    assert whole is not None
    halved = step(StepKind.REWEIGHT, int(whole.terms[0].adapter, 16), "1/2")
    made, head = remembered([(step(StepKind.ADD, 50, "1"),), *trained, (halved,)])
    due = list_of(made, head, never=named(50))
    assert due is not None
    assert [term.adapter for term in due.terms] == [named(number) for number in range(100, 164)]


def test_parents_of_what_was_adopted_are_known_by_their_digests() -> None:
    theirs = (Term(weight="1", adapter=named(8), parent=BASE.digest),)
    made, head = remembered(
        [
            Term(weight="1", adapter=named(1), parent=BASE.digest),
            (step(StepKind.ADD, 9, "1/2", theirs),),
        ]
    )
    lists = lists_on_the_way(made, head)
    composed = list_of(made, head)
    assert composed is not None
    assert {term.parent for term in composed.terms} <= lists.keys()
    assert all(Composition(genesis=GENESIS, terms=terms).digest == name for name, terms in lists.items())
