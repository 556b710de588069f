"""A state that is followed: what a page says is of one moment, whatever becomes of the log meanwhile."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from cryoflux.energy.derived import Rates
from cryoflux.log_view import open_log
from cryoflux.pages import models
from cryoflux.pages.app import create_app, site_of
from cryoflux.pages.render import render
from cryoflux.pages.scene import Scene
from cryoflux.queries.followed import Followed
from cryoflux.queries.results import results_of
from cryoflux.receipts.reading import read_entries
from rewriting import flip_signature
from synthetic_state import make_state, open_state


def answers(states: Sequence[Path], *paths: str) -> list[httpx2.Response]:
    """What an application over some states answers, one path after the other."""

    async def ask() -> list[httpx2.Response]:
        app = create_app(site_of(states, Rates(), asyncio.Event()))
        transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


def test_the_first_thing_that_is_asked_for_may_be_the_file_of_an_entry(tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    (answer,) = answers([state], "/receipts/0.json")
    assert answer.content == read_entries(state)[0].envelope


def test_a_folder_may_be_called_what_an_address_cannot_say(tmp_path: Path) -> None:
    odd = tmp_path / "run #1, 50 %? ü"
    states = [make_state(tmp_path / "plain").path, make_state(odd).path]
    root = f"/s/{quote(odd.name, safe='')}"
    overview, listed, other = answers(states, "/", f"{root}/attempts", f"/s/{quote('no such')}/attempts")
    assert f'<a href="{root}/">' in overview.text
    inside = [one for one in re.findall(r'href="([^"]*)"', listed.text) if one.startswith("/s/run")]
    assert len(inside) > 10
    assert all(one.startswith(f"{root}/") for one in inside)
    assert other.status_code == 404
    found = answers(states, *dict.fromkeys(inside))
    assert {one.status_code for one in found} == {200}


def test_a_log_before_its_first_entry_is_as_none(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state").finish()
    for answer in answers([state], "/", "/attempts", "/receipts", "/energy"):
        assert "Nothing has been tried yet." in answer.text


def test_what_a_page_says_of_the_log_is_what_it_was_made_from(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    followed = Followed(made.path)
    followed.refresh()
    scene = Scene(followed, "state", "", ("state",), Rates(), {}, "", 0.0)
    page, versions = models.page(scene), len(followed.catalogue().versions())
    size, head = followed.size, followed.head
    made.attempt(0.04)
    made.finish()
    followed.refresh()  # as another request does it before this one is written
    text = render(page, scene)
    assert followed.size > size
    assert f'data-size="{size}"' in text
    assert head[:12] in text
    assert followed.head[:12] not in text
    assert len(page.values["catalogue"].versions()) == versions
    assert len(followed.catalogue().versions()) == versions + 1


def test_a_log_whose_table_is_not_made_yet_is_none_and_no_trouble(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    with closing(sqlite3.connect(tmp_path / "receipts.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        assert followed.trouble() is None
        connection.execute("CREATE TABLE other (name)")
        assert followed.trouble() is not None


def test_another_log_that_begins_alike_is_read_anew(tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    followed = Followed(state)
    followed.refresh()
    size, head = followed.size, followed.head
    flip_signature(state, size - 1)
    assert followed.trouble() is None
    assert followed.size == size
    assert followed.head != head
    assert followed.head == read_entries(state)[-1].leaf_hash


def scores(state: Path) -> list[str]:
    """The holdout losses that the page of models says: where it began, and now."""
    (answer,) = answers([state], "/models")
    row = answer.text.partition("holdout loss</th>")[2].partition("</tr>")[0]
    return re.findall(r'class="num">([0-9.]+|unknown)', row)


@pytest.mark.parametrize("made", [["parts", "whole"], ["whole", "parts"]])
def test_losses_stand_beside_each_other_only_on_the_same_examples(tmp_path: Path, made: list[str]) -> None:
    """An attempt that was read in part, or on another holdout, says nothing of where the log began."""
    state = open_state(tmp_path / "state", spares=2)
    for how in made:
        gain, read = (0.05, 0) if how == "whole" else (-0.3, 32)
        state.conclude_attempt(state.announce(), gain, read=read)
    followed = Followed(state.path)
    followed.refresh()
    first, head = followed.head_scores(state.task)
    assert first is not None
    assert head is not None
    results = results_of(open_log(state.path), Rates()).tasks[0]
    assert (first, head) == (results.holdout.before, results.holdout.after)
    assert scores(state.path) == [f"{one.loss:,.4f}" for one in (first, head)]
    state.rotate()
    state.attempt(0.05)
    assert scores(state.path)[0] == "unknown"
    assert results_of(open_log(state.path), Rates()).tasks[0].holdout.before is None
    state.finish()
