"""Folders whose names were chosen by whoever handed them over, shown as states."""

from __future__ import annotations

import html
import os
import re
import shutil
from pathlib import Path

import pytest

from browser import dashboard
from synthetic_state import make_state

LINK = re.compile(r'(?:href|action)="(/[^"#]*)"')
NAMES = [
    b"an innocent one",
    "ünïcöde".encode(),
    b"a?b",
    b"a#b",
    b"%41",
    b"..%2f",
    b"a\r\nSet-Cookie: x=y",
    b"\xff\xfe no UTF-8",
    "\u202egnp".encode(),
    b"static",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("made") / "state").path


@pytest.mark.parametrize("name", NAMES)
def test_every_link_of_a_state_leads_to_it_whatever_its_folder_is_called(
    tmp_path: Path, made: Path, name: bytes
) -> None:
    named = tmp_path / os.fsdecode(name)
    shutil.copytree(made, named, symlinks=True)
    for shown in ((named,), (named, made)):
        with dashboard(*shown) as running:
            first = running.get("/")
            assert first.status_code == 200
            links = {html.unescape(link) for link in LINK.findall(first.text)}
            assert len(links) > 2
            for link in links:
                answer = running.get(link)
                assert answer.status_code == 200, link
                assert "set-cookie" not in answer.headers
            for page in ("/models", "/energy", "/receipts") if len(shown) == 1 else ():
                assert running.get(page).status_code == 200
