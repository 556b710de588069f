"""A state that is followed: what a page says is of one moment, whatever becomes of the log meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import httpx2

from cryoflux.energy.derived import Rates
from cryoflux.pages import models
from cryoflux.pages.app import create_app, site_of
from cryoflux.pages.render import render
from cryoflux.pages.scene import Scene
from cryoflux.queries.followed import Followed
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
