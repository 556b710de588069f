"""A commitment is the earliest time by which a quorum had seen it, and published heads only ever grow."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import VerificationError
from cryoflux.network.head_times import (
    HeadTimes,
    SeenBy,
    all_heads,
    continued,
    cosigned_by,
    last_reached_by,
    merged,
    not_there,
    reached_by,
    seen_before,
    together,
)
from cryoflux.receipts.checkpoint import Note, parse_note
from cryoflux.witness.cosigned import heads_in
from cryoflux.witness.policy import Policy, parse_policy
from node_tree import CosigningWitness
from signed_log import SignedLog

W = [CosigningWitness(name) for name in "abc"]
_LINES = "".join(f"witness {one.name} {one.vkey}\n" for one in W).encode()
POLICY = parse_policy(_LINES + b"group g 2 a b c\nquorum g\n")
POLICY_OF_ANY = _LINES + b"group g any a b c\nquorum g\n"


def reached(note: Note, policy: Policy) -> int | None:
    return reached_by(cosigned_by(note, policy), policy)


def head(size: int, **times: int) -> Note:
    note = SignedLog().note(size)
    for one in W:
        if one.name in times:
            note = one.cosigned(note, times[one.name])
    return parse_note(note)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 99)), max_size=12))
def test_the_time_of_an_entry_is_the_earliest_of_all_heads_that_cover_it(seen: list[tuple[int, int]]) -> None:
    times = HeadTimes.of(seen)
    for index in range(31):
        due = [time_s for size, time_s in seen if size > index]
        assert times.at(index) == min(due, default=None)
    assert times.size == max((size for size, _ in seen), default=0)


def test_a_quorum_has_seen_a_head_when_the_last_one_that_it_needs_had() -> None:
    assert reached(head(3, a=10, b=20, c=30), POLICY) == 20
    assert reached(head(3, a=10), POLICY) is None
    assert reached(head(3), parse_policy(b"quorum none\n")) is None


@pytest.mark.parametrize(
    ("one", "other", "is_before", "is_after"),
    [
        ({"a": 300, "b": 1}, {"b": 2, "c": -300}, True, False),
        ({"a": 1, "b": 1}, {"a": 1, "b": 1}, False, False),
        ({"a": 1, "b": 9, "c": 1}, {"a": 2, "b": 2, "c": 2}, True, False),
        ({"a": 1}, {"a": 2}, False, False),
        ({"a": 1, "b": 9}, {"a": 2, "b": 2}, False, False),
        ({"a": 1, "b": 1}, {}, True, False),
    ],
)
def test_what_a_quorum_had_seen_first_needs_no_two_clocks(
    one: dict[str, int], other: dict[str, int], is_before: bool, is_after: bool
) -> None:
    seen = SeenBy(5, one), SeenBy(5, other)
    assert seen_before(*seen, POLICY) is is_before
    assert seen_before(*reversed(seen), POLICY) is is_after


@pytest.mark.parametrize(("same_second", "told"), [("", True), ("b", False)])
def test_a_witness_that_dates_both_to_one_second_tells_nothing(same_second: str, told: bool) -> None:
    """Nobody lies: the copy was cosigned within the second in which its original became known."""
    original = SeenBy(100, {"a": 100, "b": 100})
    copy = SeenBy(101, {"b": 100 if "b" in same_second else 101, "c": 101})
    assert seen_before(original, copy, POLICY) is told
    assert not seen_before(copy, original, POLICY)


def test_where_one_witness_may_decide_clocks_must_not_say_the_opposite() -> None:
    """Of 2 of 3 one that lies beside one that is absent would say alone who was first; not so of 3 of 4."""
    one, other = {"a": 10, "b": 10}, {"b": 11, "c": 11}
    assert seen_before(SeenBy(10, one), SeenBy(11, other), POLICY)
    assert not seen_before(SeenBy(12, one), SeenBy(11, other), POLICY)
    larger = policy_of("group g 3 a b c d")
    assert seen_before(SeenBy(12, one | {"d": 10}), SeenBy(11, other | {"d": 11}), larger)


@pytest.mark.parametrize(("apart_s", "told"), [(0, False), (600, False), (601, True)])
def test_where_two_quorums_share_no_witness_clocks_tell_beyond_ten_minutes(apart_s: int, told: bool) -> None:
    some = parse_policy(POLICY_OF_ANY)
    one, other = SeenBy(5, {"a": 5}), SeenBy(5 + apart_s, {"b": 5 + apart_s, "a": 4})
    assert seen_before(one, other, some) is told
    assert not seen_before(other, one, some)
    nobody = parse_policy(b"quorum none\n")
    assert seen_before(SeenBy(5), SeenBy(6), nobody), "arrivals are of one clock"
    assert not seen_before(SeenBy(5), SeenBy(5), nobody)


POLICIES = [
    *(f"group g {k} {' '.join('abcdef'[:n])}" for n in range(1, 7) for k in range(1, n + 1)),
    "group x 2 a b c\ngroup y any d e\ngroup g all x y",
    "group x 2 a b c\ngroup y 2 d e\ngroup g 2 x y f",
    "group x 3 a b c d\ngroup g any x e",
]  # fmt: skip
SEERS = [CosigningWitness(name) for name in "abcdef"]


def policy_of(groups: str) -> Policy:
    lines = "".join(f"witness {one.name} {one.vkey}\n" for one in SEERS)
    return parse_policy(f"{lines}{groups}\nquorum g\n".encode())


def quorums(policy: Policy) -> list[set[str]]:
    every = chain.from_iterable(combinations("abcdef", count) for count in range(7))
    return [names for some in every if policy.reached(names := set(some))]


@pytest.mark.parametrize("groups", POLICIES)
def test_what_two_quorums_share_at_least(groups: str) -> None:
    policy = policy_of(groups)
    assert policy.shared == min(len(one & other) for one in quorums(policy) for other in quorums(policy))


@given(st.sampled_from(POLICIES), st.data())
def test_a_copy_is_never_first_while_fewer_lie_than_two_quorums_share(
    groups: str, data: st.DataObject
) -> None:
    """Whatever liars say of either, whoever is absent when the original is shown, however wrong clocks."""
    policy = policy_of(groups)
    most = max(0, policy.shared - 1)
    liars = data.draw(st.sets(st.sampled_from("abcdef"), max_size=most))
    shown_to = data.draw(st.sampled_from(quorums(policy)))
    ahead = {name: data.draw(st.integers(-300, 300)) for name in "abcdef"}
    original = {name: 1000 + ahead[name] for name in shown_to - liars}
    later = data.draw(st.sets(st.sampled_from("abcdef")))  # heads of later that cover it, too
    original |= {name: 3000 + ahead[name] for name in later - liars - shown_to}
    copied = data.draw(st.sets(st.sampled_from("abcdef")))
    copy = {name: 2000 + ahead[name] for name in copied - liars}
    for lies in (original, copy):
        lies |= {name: data.draw(st.integers(-(10**6), 10**6)) for name in liars if data.draw(st.booleans())}
    first = SeenBy(policy.seen_by(original) or 0, original)
    second = SeenBy(policy.seen_by(copy) or 0, copy)
    if policy.shared:
        assert not seen_before(second, first, policy)
        clocks = policy.shared > 1 or first.time_s <= second.time_s
        assert liars or seen_before(first, second, policy) is clocks, "where nobody lies it is told"


def test_a_false_cosignature_counts_for_nothing_and_takes_nothing_away() -> None:
    """Whoever stands on the way may add lines: what true ones say stays as it is, whichever came first."""
    false, another = head(4, c=5).signatures[-1], head(4, b=5).signatures[-1]
    note = head(3, a=10, b=20)
    assert reached(note, POLICY) == 20
    assert reached(Note(note.checkpoint, (*note.signatures, false)), POLICY) == 20
    assert reached(merged(Note(note.checkpoint, (another, false)), note), POLICY) == 20
    assert reached(Note(note.checkpoint, (false, another)), POLICY) is None


def test_heads_are_read_as_they_were_written() -> None:
    notes = (head(1, a=1), head(2), head(5, a=1, b=2, c=3))
    for count in range(4):
        assert heads_in(all_heads(notes[:count])) == notes[:count]


@pytest.mark.parametrize(
    "content", [b"x", b"\n\n", b"a\n\nb\n", all_heads([head(1)]) + b"\n\n", all_heads([head(1)]) * 2]
)
def test_what_are_no_heads_is_refused(content: bytes) -> None:
    with pytest.raises(VerificationError):
        heads_in(content)


def test_signatures_add_up_and_none_that_was_seen_goes() -> None:
    kept = [head(1, a=1), head(2, a=2)]
    came = [head(1, b=3, a=9), head(2), head(3, c=4)]
    found = continued(kept, came)
    assert [reached(note, POLICY) for note in found] == [3, None, None]
    assert len(found[1].signatures) == 2


def test_of_a_head_that_is_cosigned_again_and_again_the_first_and_the_newest_time_stay() -> None:
    """Also behind false lines that somebody on the way has brought, and within what a note may hold."""
    false = head(4, a=7).signatures[-1]
    kept = merged(head(3, a=10, b=10), Note(head(3).checkpoint, (false,)))
    many = [CosigningWitness(f"w{number}") for number in range(12)]
    for time_s in range(20, 30):
        came = head(3, a=time_s, b=time_s)
        for one in many:
            came = parse_note(one.cosigned(came.content, time_s))
        kept = merged(kept, came)
        seen = cosigned_by(parse_note(kept.content), POLICY)
        assert (reached_by(seen, POLICY), last_reached_by(seen, POLICY)) == (10, time_s)


def test_fewer_than_a_quorum_date_a_head_neither_back_nor_forward() -> None:
    seen = cosigned_by(merged(head(3, a=10, b=20, c=1), head(3, a=30, c=99)), POLICY)
    assert (reached_by(seen, POLICY), last_reached_by(seen, POLICY)) == (10, 30)


@pytest.mark.parametrize(("came", "gone"), [([], 1), ([1], 2), ([2, 1], 1), ([1, 3], 2), ([1, 2, 3], 0)])
def test_a_head_that_is_not_where_it_was_is_found(came: list[int], gone: int) -> None:
    found = not_there([head(1), head(2)], [head(size) for size in came])
    assert (found.checkpoint.size if found is not None else 0) == gone


@given(st.permutations([head(1, a=1), head(1, b=2), head(3), head(2, c=1)]))
def test_heads_from_anywhere_are_put_together(notes: list[Note]) -> None:
    found = list(together(notes))
    assert [note.checkpoint.size for note in found] == [1, 2, 3]
    assert reached(found[0], POLICY) == 2
