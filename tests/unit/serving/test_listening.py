"""What can be listened on, and what is said where it cannot."""

from __future__ import annotations

import resource
import socket
import stat
from pathlib import Path

import pytest

from cryoflux.errors import UsageError
from cryoflux.serving.listening import bind, listen_on_file, make_room


def test_a_port_that_is_taken_is_a_usage_error() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(UsageError, match="cannot be listened on"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_an_address_of_another_machine_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be listened on"):
        bind("192.0.2.1", 0)


def test_what_is_accepted_sends_without_delay() -> None:
    # asyncio switches Nagle off only where a socket says that it is TCP.
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_socket_file_is_its_owner_s_and_goes_when_the_server_goes(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listen_on_file(path) as listener:
        assert listener.family == socket.AF_UNIX
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(UsageError, match="listened on already"), listen_on_file(path):
            pass
        assert path.exists()
    assert not path.exists()


def test_only_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    left, kept = tmp_path / "left", tmp_path / "kept"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    with listen_on_file(left):
        pass
    kept.write_text("mine")
    with pytest.raises(UsageError, match="is no socket"), listen_on_file(kept):
        pass
    assert kept.read_text() == "mine"


def test_what_another_server_put_there_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listen_on_file(path):
        path.rename(tmp_path / "gone")  # so that its number is not given to the next file
        path.write_text("mine")
    assert path.read_text() == "mine"


def test_there_is_room_for_some_connections_within_the_limit_on_files() -> None:
    most = make_room()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard
    assert 16 <= most <= max(16, soft)
