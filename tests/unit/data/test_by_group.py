"""Groups with copies are one, and whoever has the sets can draw them again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.data.by_group import Chunk, draw, is_drawn_by_group, joined

chunks = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 12)),
    min_size=1,
    max_size=60,
    unique_by=lambda one: one[0],
)


def made(rows: list[tuple[int, int]]) -> list[Chunk]:
    return [Chunk.of(f"text {text}", f"{group}" if group else "") for text, group in rows]


@given(chunks, st.integers(1, 25), st.integers(1, 3))
def test_what_was_drawn_is_drawn_again_whatever_it_was_to_hold_at_most(
    rows: list[tuple[int, int]], most: int, count: int
) -> None:
    pool, sets = made(rows), []
    for _ in range(count):
        sets.append(draw(pool, most))
        pool = [one for one in pool if one not in sets[-1]]
        assert len(sets[-1]) <= most
        assert not {one.group for one in sets[-1] if one.group} & {one.group for one in pool}
    assert is_drawn_by_group(sets, pool)


@given(chunks, st.integers(1, 25), st.data())
def test_another_set_is_not_what_the_rule_draws(
    rows: list[tuple[int, int]], most: int, data: st.DataObject
) -> None:
    pool = made(rows)
    drawn = draw(pool, most)
    other = data.draw(st.lists(st.sampled_from(pool), unique=True))
    other.sort(key=lambda one: one.hashed)
    rest = [one for one in pool if one not in other]
    assert is_drawn_by_group([other], rest) == (draw(pool, len(other)) == other)
    if len(other) == len(drawn) and other != drawn:
        assert not is_drawn_by_group([other], rest)


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b", "c", "d"]), st.integers(0, 9).map(str)), max_size=30)
)
def test_groups_with_copies_are_one_by_the_first_of_their_names(rows: list[tuple[str, str]]) -> None:
    names = joined(rows)
    for (group, fold), name in zip(rows, names, strict=True):
        same = [
            other for (g, f), other in zip(rows, names, strict=True) if f == fold or (group and g == group)
        ]
        assert set(same) == {name}
        assert not group or "" < name <= group
    for name in {*names} - {""}:
        assert any(group == name for group, _ in rows)


def test_a_chain_of_copies_joins_all_of_it() -> None:
    rows = [("c", "1"), ("b", "1"), ("b", "2"), ("", "2"), ("a", "2"), ("d", "3"), ("", "4")]
    assert joined(rows) == ["a", "a", "a", "a", "a", "d", ""]
