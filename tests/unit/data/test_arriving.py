"""Files that arrive together: searched at once, and each told its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from cryoflux.data import growing
from cryoflux.data.arriving import offer_together
from cryoflux.data.examples import Example
from cryoflux.data.formats import Arrived
from cryoflux.data.growing import Joining, Refusal
from cryoflux.data.near import Likeness, find_near
from cryoflux.data.prepared import PreparedData, open_prepared, render, store
from cryoflux.data.split import Splits

ROWS = [Example(text, label) for text, label in tiny.sentences(400, 5)]


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    splits = Splits(tuple(ROWS[:100]), tuple(ROWS[100:130]), tuple(ROWS[130:160]), tuple(tiny.TOPICS), {}, ())
    files, digest = render(splits)
    return open_prepared(store(files, digest, tmp_path / "data"), "toy", {})


def files(*contents: Sequence[Example]) -> list[Arrived]:
    return [Arrived(Path(f"{n}.csv"), list(enumerate(rows, start=2))) for n, rows in enumerate(contents)]


def test_each_file_is_told_what_it_would_be_told_alone_after_those_before_it(data: PreparedData) -> None:
    odd = Example("of no class", "nobody")
    read = files(ROWS[160:200], [ROWS[100], *ROWS[190:210], odd], [], [ROWS[5], ROWS[220]], [ROWS[220]])
    alone = Joining(data)
    each = [alone.offer(file.path.name, file.numbered) for file in read]
    joining, offers = offer_together(lambda: Joining(data), read)
    assert [(offer.joined, list(offer.refused)) for offer in offers] == each
    assert joining.joined == alone.joined
    assert {one.why for offer in offers for one in offer.refused} >= {Refusal.CLASS, Refusal.JUDGED}


def test_a_search_does_not_cost_more_for_many_files(
    data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[int] = []

    def counted(wanted: Sequence[str], *rest: Any) -> Likeness:
        searches.append(len(wanted))
        return find_near(wanted, *rest)

    monkeypatch.setattr(growing, "find_near", counted)
    offer_together(lambda: Joining(data), files(ROWS[160:360]))
    together = len(searches)
    searches.clear()
    joining, offers = offer_together(lambda: Joining(data), files(*([one] for one in ROWS[160:360])))
    assert (len(searches), len(offers)) == (together, 200)
    assert len(joining.joined) > 100


def test_a_file_that_cannot_be_searched_keeps_no_other_one_out(
    data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Example("made to be like all others", "tools")

    def limited(wanted: Sequence[str], texts: Sequence[str], *rest: Any) -> Likeness:
        found = find_near(wanted, texts, *rest)
        return replace(found, whole=found.whole and bad.text not in (*wanted, *texts))

    monkeypatch.setattr(growing, "find_near", limited)
    joining, (bad_file, good) = offer_together(lambda: Joining(data), files([bad], ROWS[160:190]))
    assert [one.why for one in bad_file.refused] == [Refusal.UNSEARCHED]
    assert Refusal.UNSEARCHED not in {one.why for one in good.refused}
    assert (bad_file.joined, good.joined) == (0, len(joining.joined))
    assert good.joined > 0
