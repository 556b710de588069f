"""Who is let in, and how much they may send."""

from __future__ import annotations

import asyncio

import pytest

from cryoflux.serving.guard import Guard, is_loopback


def ask(headers, *, token="", chunks=(b"",), method="POST", **limits):
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

    scope = {
        "type": "http",
        "method": method,
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    asyncio.run(Guard(app, token, **limits)(scope, receive, send))
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


OURS = "127.0.0.1:8787"


@pytest.mark.parametrize(
    "said",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://localhost:8787"},
        {"origin": "http://127.0.0.1:8787.evil.example"},
        {"origin": "http://127.0.0.1:8787@evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"origin": "http://127.0.0.1:8787", "sec-fetch-site": "Cross-Site"},
    ],
)
def test_a_page_of_another_site_is_refused_whatever_it_sends(said):
    assert ask({"host": OURS} | said) == 403
    assert ask({"host": OURS, "content-type": "application/json"} | said) == 403


@pytest.mark.parametrize(
    "said", [{}, {"origin": f"http://{OURS}"}, {"origin": f"HTTP://{OURS}", "sec-fetch-site": "same-origin"}]
)
def test_a_program_and_a_page_of_this_very_server_are_answered(said):
    assert ask({"host": OURS} | said) == 200


def test_a_link_from_another_site_may_be_followed_to_what_is_read():
    assert ask({"host": OURS, "sec-fetch-site": "cross-site"}, method="GET") == 200
    assert ask({"host": OURS, "origin": "https://evil.example"}, method="GET") == 403


def test_where_a_token_is_asked_for_or_no_browser_can_come_from_the_page_is_not():
    given = {"host": "meter.example", "origin": "https://ours.example", "sec-fetch-site": "same-site"}
    assert ask(given | {"authorization": "Bearer secret"}, token="secret") == 200
    assert ask(given, any_host=True) == 200


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


def test_a_server_may_allow_less():
    assert ask({"host": "localhost", "content-length": "101"}, most_bytes=100) == 413
    assert ask({"host": "localhost"}, chunks=[b"x" * 60, b"x" * 60], most_bytes=100) == 413
    assert ask({"host": "localhost"}, chunks=[b"x" * 60, b"x" * 40], most_bytes=100) == 200


def test_where_no_browser_can_come_from_any_host_may_be_named():
    assert ask({"host": "evil.example"}, any_host=True) == 200


@pytest.mark.parametrize(
    ("host", "stays"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("meter.example", False),
    ],
)
def test_what_stays_on_this_machine_is_known(host, *, stays):
    assert is_loopback(host) is stays
