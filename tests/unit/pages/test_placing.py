"""Words in a chart that is drawn once for all widths: none covers another at the widths that were asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.pages.charts.density import dots
from cryoflux.pages.charts.placing import Words

_SHARE = st.floats(0, 1)
_SIZES = ((620.0, 420.0), (270.0, 320.0))


def box(size: tuple[float, float], x: float, y: float, dx: int, dy: int, anchor: int) -> tuple[float, ...]:
    """Where three digits of a mark's number stand, somewhat smaller than they are."""
    left = x * size[0] + dx - {1: 0, -1: 20, 0: 10}[anchor]
    return left, y * size[1] + dy - 10, left + 20, y * size[1] + dy


@given(places=st.lists(st.tuples(_SHARE, _SHARE), max_size=40))
def test_no_number_stands_on_another_or_beyond_the_picture(places: list[tuple[float, float]]) -> None:
    words = Words()
    for x, y in places:
        words.mark(x, y)
    put = [(x, y, found) for x, y in places if (found := words.put(x, y, "123")) is not None]
    for size in _SIZES:
        shown = [one for one in put if size[0] > 300 or not one[2].wide]
        boxes = [box(size, x, y, one.dx, one.dy, one.anchor) for x, y, one in shown]
        for place, one in enumerate(boxes):
            assert one[0] >= 0
            assert one[2] <= size[0]
            for other in boxes[:place]:
                apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
                assert apart


@given(places=st.lists(st.tuples(_SHARE, _SHARE), min_size=1, max_size=500))
def test_dots_of_any_number_of_marks_stay_few_and_inside(places: list[tuple[float, float]]) -> None:
    (inner,) = dots([("others", places), ("kept", [])])
    _, _, across, down = map(int, inner.attrib["viewBox"].split())
    found = set()
    for path in inner:
        x = y = 0
        for step in path.attrib["d"].replace("M", "m").split("m")[1:]:
            right, below = step.removesuffix("h0").split()
            x, y = x + int(right), y + int(below)
            found.add((x, y))
    assert found == {(round(x * across), round(y * down)) for x, y in places}
    assert len(found) <= 440 or (across, down) == (24, 12)
