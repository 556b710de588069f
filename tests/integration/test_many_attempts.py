"""A list of ten thousand attempts: a page of it stays small, whatever is asked of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from cryoflux.energy.derived import Rates
from cryoflux.pages import attempts
from cryoflux.pages.render import render
from cryoflux.pages.scene import Scene
from cryoflux.queries.followed import Followed
from cryoflux.receipts.attempts import Attempt
from synthetic_state import open_state

_MOST_HTML = 30_000
_MANY = 10_000


class Many(Followed):
    """A state that has had many attempts: those of a real one, over and over, with other figures."""

    many: list[Attempt]

    @property
    def attempts(self) -> list[Attempt]:
        return list(self.many)


def drawn(pattern: Attempt, number: int, chance: random.Random) -> Attempt:
    joules, delta = chance.lognormvariate(3, 0.8), chance.gauss(-0.01, 0.05)
    ends = {"joules_lo": joules * 0.4, "joules_hi": joules * 2.2}
    said = {**ends, "joules": joules, **{f"chain_{name}": value for name, value in ends.items()}}
    said |= {"chain_joules": joules, "number": number, "arm": f"recipe-{number % 9}"}
    if pattern.delta is not None:
        said |= {"delta": delta, "delta_lo": delta - 0.02, "delta_hi": delta + 0.02}
        said |= {"eta_per_kj": 1000 * delta / joules, "eta_low_per_kj": 450 * delta / joules}
    elif pattern.screen_delta is not None:
        said |= {"screen_delta": delta, "screen_delta_lo": delta - 0.02, "screen_delta_hi": delta + 0.02}
    return replace(pattern, **said)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Many:
    state = open_state(tmp_path_factory.mktemp("many") / "state")
    state.attempt(0.05)
    state.attempt(0.0005)
    state.abort(state.announce())
    state.screen_out()
    state.finish()
    found, chance = Many(state.path), random.Random(1)
    found.refresh()
    patterns = Followed.attempts.fget(found)  # type: ignore[attr-defined]
    found.many = [drawn(chance.choice(patterns), number, chance) for number in range(1, _MANY + 1)]
    return found


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"sort": "eta"},
        {"sort": "delta", "order": "rising", "after": "5000"},
        {"outcome": "screened"},
        {"recipe": "recipe-3", "outcome": "kept"},
    ],
    ids=str,
)
def test_a_page_of_ten_thousand_is_small_and_has_all_of_them_in_its_picture(
    many: Many, query: dict[str, str]
) -> None:
    look = Scene(many, "many", "", ("many",), Rates(), query, "", 0.0)
    page = attempts.page(look)
    assert len(render(page, look).encode()) <= _MOST_HTML
    ((_, scatter),) = page.values["pictures"]
    assert sum(count for _, _, count in scatter.kinds) == page.values["found"].found
    assert len(page.values["rows"]) == min(20, page.values["found"].found)
