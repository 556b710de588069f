"""From a request to the function that answers it: what is found, what is read, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from cryoflux.serving.openapi import Operation, describe
from cryoflux.serving.routing import NotServedError, Reply, Request, Router, Stream


class Body(BaseModel):
    joules: float


class Refusal(BaseModel):
    what: str


OPERATIONS = (
    Operation("GET", "/things", "things", "All of them", query=("like",)),
    Operation("GET", "/things/{thing}", "thing", "One", refusals=(404,)),
    Operation("POST", "/things", "add", "One more", body=Body),
    Operation("POST", "/raw", "raw", "Anything", raw=True),
    Operation("GET", "/ticks", "ticks", "On and on", media="text/event-stream"),
)
JSON_BODY = (b"content-type", b"Application/JSON; charset=utf-8")


async def echo(request: Request) -> Reply:
    return Reply(repr((request.body, dict(request.query), request.named)).encode())


async def fails(_: Request) -> Reply:
    raise ValueError("ours")


async def ticks(_: Request) -> Stream:
    async def parts() -> AsyncIterator[str]:
        for number in range(3):
            yield f"{number};"

    return Stream("text/event-stream", parts())


def refuse(error: Exception) -> Reply:
    headers = error.headers if isinstance(error, NotServedError) else ()
    return Reply(b"", error.status if isinstance(error, NotServedError) else 500, headers=headers)


def ask(
    method: str, path: str, *chunks: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), **answers: Any
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[dict[str, Any]] = []
    waiting = list(chunks or (b"",))
    router = Router(
        [(o, answers.get(o.name, ticks if o.name == "ticks" else echo)) for o in OPERATIONS], refuse
    )

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(message)

    place, _, query = path.partition("?")
    scope = {"method": method, "path": place, "query_string": query.encode(), "headers": list(headers)}
    asyncio.run(router(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


def test_a_request_finds_its_answer_by_path_and_method() -> None:
    assert ask("GET", "/things?like=a%20b&x=")[2] == repr((b"", {"like": "a b", "x": ""}, "")).encode()
    assert ask("GET", "/things/seven")[2] == repr((b"", {}, "seven")).encode()
    assert ask("POST", "/things", b"{", b"}", headers=(JSON_BODY,))[2] == repr((b"{}", {}, "")).encode()
    assert ask("POST", "/raw", b"\xff", b"\x00")[2] == repr((b"\xff\x00", {}, "")).encode()


@pytest.mark.parametrize("path", ["/", "/thing", "/things/", "/things/a/b", "/raw/", "/raw/a", ""])
def test_what_is_not_in_the_table_is_not_found(path: str) -> None:
    assert ask("GET", path)[0] == 404


def test_another_method_is_refused_with_those_that_there_are() -> None:
    status, headers, _ = ask("PUT", "/things")
    assert (status, headers[b"allow"]) == (405, b"GET, HEAD, POST")
    assert ask("GET", "/raw")[0] == 405


@pytest.mark.parametrize("kind", [b"text/plain", b"jsonp", b"multipart/form-data; boundary=x"])
def test_what_says_that_it_is_no_json_is_not_read_as_json(kind: bytes) -> None:
    assert ask("POST", "/things", b"{}", headers=((b"content-type", kind),))[0] == 415


@pytest.mark.parametrize(
    "kind", [b"", b"application/x-www-form-urlencoded", b"Application/JSON; charset=utf-8"]
)
def test_what_says_that_it_is_json_or_nothing_or_what_curl_says_is_read(kind: bytes) -> None:
    assert ask("POST", "/things", b"{}", headers=((b"content-type", kind),))[0] == 200
    assert ask("POST", "/things", b"{}", headers=())[0] == 200


def test_whatever_an_answer_raises_is_refused() -> None:
    assert ask("GET", "/things", things=fails)[0] == 500


def test_a_stream_is_sent_part_by_part() -> None:
    status, headers, body = ask("GET", "/ticks")
    assert (status, body) == (200, b"0;1;2;")
    assert headers == {b"content-type": b"text/event-stream", b"cache-control": b"no-store"}
    assert ask("HEAD", "/ticks")[2] == b""


def test_the_document_says_what_the_table_says() -> None:
    document = describe(
        OPERATIONS, title="Things", version="1", refusal=Refusal, token=True, always=(401, 413)
    )
    assert document["info"]["title"] == "Things"
    assert set(document["paths"]) == {"/things", "/things/{thing}", "/raw", "/ticks"}
    assert set(document["components"]["schemas"]) == {"Body", "Refusal"}
    assert set(document["paths"]["/things/{thing}"]["get"]["responses"]) == {"200", "401", "404", "413"}
    assert "application/json" in document["paths"]["/things"]["post"]["requestBody"]["content"]
    assert list(document["paths"]["/raw"]["post"]["requestBody"]["content"]) == ["*/*"]
    assert document["security"] == [{"bearer": []}]
