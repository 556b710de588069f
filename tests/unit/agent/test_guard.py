"""Who is let in, and how much they may send."""

from __future__ import annotations

import asyncio

import pytest

from cryoflux.agent.guard import Guard, is_loopback
from cryoflux.agent.server import require_token
from cryoflux.errors import ConfigError


def ask(headers, *, token="", chunks=(b"",)):
    """The status that a request gets from a guard in front of an application that reads it all."""
    sent, waiting = [], list(chunks)

    async def app(_, receive, send):
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    asyncio.run(Guard(app, token)(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8787", 200),
        ("localhost", 200),
        ("[::1]:80", 200),
        ("[::1]", 200),
        ("LocalHost:80", 200),
        ("evil.example:8787", 403),
        ("", 403),
    ],
)
def test_without_a_token_only_a_loopback_name_is_answered(host, status):
    assert ask({"host": host}) == status


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer secret", 200),
        ("bearer secret", 200),
        ("BEARER  secret", 200),
        ("secret", 401),
        ("Bearer secre", 401),
        ("Bearer ", 401),
        ("Basic secret", 401),
        ("", 401),
    ],
)
def test_with_a_token_every_request_must_carry_it(given, status):
    assert ask({"host": "meter.example", "authorization": given}, token="secret") == status


def test_large_bodies_are_refused_announced_or_not():
    assert ask({"host": "localhost", "content-length": "10000000"}) == 413
    assert ask({"host": "localhost", "content-length": "-1"}) == 413
    assert ask({"host": "localhost"}, chunks=[b"x" * 40_000, b"x" * 40_000]) == 413
    assert ask({"host": "localhost"}, chunks=[b"x" * 40_000, b""]) == 200


def test_beyond_loopback_a_token_is_required():
    for host in ("0.0.0.0", "::", "192.168.1.2", "meter.example"):
        assert not is_loopback(host)
        with pytest.raises(ConfigError):
            require_token(host, "")
        require_token(host, "secret")
    for host in ("127.0.0.1", "::1", "[::1]", "localhost"):
        require_token(host, "")


@pytest.mark.parametrize("token", ["schlüssel", "two words", "line\nbreak"])
def test_a_token_that_no_request_could_carry_is_refused(token):
    with pytest.raises(ConfigError) as caught:
        require_token("127.0.0.1", token)
    assert len(caught.value.lines()) == 3
    assert token not in "".join(caught.value.lines())
