"""Why a request came to nothing is said in words of ours, whichever library found out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from cryoflux.network.fetching import Fetcher, PeerUnreachableError
from cryoflux.network.unreached import why_unreached


@pytest.fixture
def silent() -> Iterator[str]:
    """An address at which somebody takes connections, and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"


@pytest.fixture
def closed() -> str:
    """An address at which nobody listens any more."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/x"


def said(url: str, made: Callable[[], Fetcher] = Fetcher) -> str:
    with made() as fetcher, pytest.raises(PeerUnreachableError) as error:
        fetcher.fetch(url, 100)
    return error.value.what.removeprefix(url).strip()


def test_nobody_listens(closed: str) -> None:
    assert said(closed) == "refuses connections: nothing listens there."


def test_nobody_answers(silent: str) -> None:
    assert said(silent, lambda: Fetcher(between_s=0.2)) == "did not answer in time."


@pytest.mark.parametrize("url", ["north.example/x", "http:///x", "ftp://north.example/x", "http://[::1/x"])
def test_an_address_that_is_none(url: str) -> None:
    assert said(url) == "is no http address."


def test_a_name_that_nobody_knows() -> None:
    assert "no address is known of that name" in said("http://nobody.invalid/x")


def test_what_is_not_known_is_told_as_it_came() -> None:
    assert why_unreached(ValueError("odd")) == "cannot be had (odd)"
    assert why_unreached(ValueError()) == "cannot be had (ValueError)"
