"""Places that a document is to be written to, where something lies that is no document.

The innocent twins are a new file, one that is replaced, and a link to a file.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.cli.outputs import require_output
from running import cryoflux
from synthetic_state import make_state


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("made") / "state").path


def test_a_pipe_is_not_replaced_by_a_file(state: Path, tmp_path: Path) -> None:
    place, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(place)
    link.symlink_to(place)
    for named in (place, link):
        said = cryoflux("export", "--state", state, "-o", named)
        assert said.code == 2
        assert "is a pipe or a device" in said.stderr
    assert stat.S_ISFIFO(place.lstat().st_mode)
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_nor_is_a_socket(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(Exception, match="is a pipe or a device"):
            require_output(tmp_path / "socket")


def test_a_file_is_replaced_and_a_link_gives_way_to_one(state: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "old").write_text("mine")
    for name in ("new", "old", "link"):
        assert cryoflux("export", "--state", state, "-o", tmp_path / name).code == 0
        assert (tmp_path / name).read_text().startswith("state,number,")
    assert (tmp_path / "precious").read_text() == "mine"
