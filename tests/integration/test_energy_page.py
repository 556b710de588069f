"""The page of joules: what it adds up is what the log says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from browser import dashboard
from cryoflux.pages.charts.bars import bar_rows, stack
from cryoflux.quantities import Energy, Tier
from cryoflux.queries.followed import Followed
from cryoflux.receipts.reading import each_entry
from synthetic_state import make_state, open_state


def test_what_the_page_adds_up_is_what_the_log_was_charged(tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    followed = Followed(state)
    followed.refresh()
    joules, summary = followed.joules(), followed.summary()
    assert summary is not None
    assert joules.attempts == summary.energy
    assert joules.beside == summary.beside
    assert joules.told == Energy.total(filter(None, (summary.energy, summary.beside)))
    assert sum(energy.uj for _, energy in joules.outcomes) == summary.energy.uj
    charges = [entry for entry in each_entry(state) if entry.receipt or entry.session]
    assert joules.charges == len(charges)


def test_it_is_followed_and_not_folded_anew(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    followed = Followed(state.path)
    followed.refresh()
    first = followed.joules()
    state.attempt(0.02)
    state.finish()
    followed.refresh()
    after = followed.joules()
    again = Followed(state.path)
    again.refresh()
    assert first.attempts is not None
    assert after.attempts is not None
    assert after.attempts.uj > first.attempts.uj
    assert after == again.joules()


def test_a_baseline_that_cannot_be_read_is_said_and_nothing_is_made_up(tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    (state / "baseline.json").write_text("{}")
    with dashboard(state) as running:
        page = running.get("/energy")
        assert page.status_code == 200
        assert "is not a baseline that CryoFlux wrote" in page.text


def test_rates_that_are_set_are_named_with_what_follows_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = make_state(tmp_path / "state").path
    with dashboard(state) as running:
        assert "CO₂e" not in running.get("/energy").text
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cryoflux.toml").write_text(
        '[energy]\nprice_per_kwh = 0.3\ncurrency = "EUR"\ncarbon_g_per_kwh = 380\ncarbon_source = "a table"\n'
    )
    with dashboard(state) as running:
        text = running.get("/energy").text
        assert "g CO₂e" in text
        assert "380 g a kWh: a table" in text
        assert "0.3 EUR a kWh" in text


_UJ = st.integers(min_value=-(10**9), max_value=10**15)


@given(st.lists(st.tuples(_UJ, _UJ, _UJ).map(sorted), min_size=1, max_size=6))
def test_no_bar_leaves_its_frame(ends: list[list[int]]) -> None:
    rows = bar_rows([("a", "", "kept", Energy(mid, low, high, Tier.MODELLED)) for low, mid, high in ends])
    for row in rows:
        shares = [
            float(part.split('%"')[0].rpartition('"')[2])
            for part in str(row.bar).split("=")[1:]
            if '%"' in part
        ]
        assert all(0 <= share <= 100 for share in shares)


def test_a_stack_says_in_words_what_it_shows() -> None:
    drawn = str(stack([("learning 3 J", "kept", 3), ("nothing", "idle", 0), ("<b>", "rejected", 1)]))
    assert 'aria-label="learning 3 J; &lt;b&gt;"' in drawn
    assert drawn.count("<rect") == 2
