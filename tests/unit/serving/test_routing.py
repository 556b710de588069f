"""From a request to the function that answers it: what is found, what is read, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cryoflux.serving.openapi import Operation, describe
from cryoflux.serving.routing import FileReply, NotServedError, Reply, Request, Router, Stream


class Body(BaseModel):
    joules: float


class Refusal(BaseModel):
    what: str


OPERATIONS = (
    Operation("GET", "/things", "things", "All of them", query=("like",)),
    Operation("GET", "/things/{thing}", "thing", "One", refusals=(404,)),
    Operation("POST", "/things", "add", "One more", body=Body),
    Operation("POST", "/raw", "raw", "Anything", raw=True),
    Operation("GET", "/below/{path...}", "below", "Anything below"),
    Operation("GET", "/file/{name}", "file", "A file"),
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
    assert set(document["paths"]) == {
        *("/things", "/things/{thing}", "/raw", "/ticks", "/below/{path}", "/file/{name}")
    }
    assert set(document["components"]["schemas"]) == {"Body", "Refusal"}
    assert set(document["paths"]["/things/{thing}"]["get"]["responses"]) == {"200", "401", "404", "413"}
    assert "application/json" in document["paths"]["/things"]["post"]["requestBody"]["content"]
    assert list(document["paths"]["/raw"]["post"]["requestBody"]["content"]) == ["*/*"]
    assert document["security"] == [{"bearer": []}]


def test_all_that_is_left_of_a_path_can_be_what_it_names() -> None:
    assert ask("GET", "/below/a/b/c.d")[2] == repr((b"", {}, "a/b/c.d")).encode()
    assert ask("GET", "/below//")[2] == repr((b"", {}, "/")).encode()
    assert [ask("GET", path)[0] for path in ("/below/", "/below", "/belows/a")] == [404] * 3
    assert ask("POST", "/below/a")[1][b"allow"] == b"GET, HEAD"
    document = describe(OPERATIONS, title="", version="1", refusal=Refusal, token=False, always=())
    assert document["paths"]["/below/{path}"]["get"]["parameters"][0]["name"] == "path"


@pytest.mark.parametrize(("method", "sent"), [("GET", b"x" * 600_000), ("HEAD", b"")])
def test_a_file_is_sent_in_pieces_and_closed(tmp_path: Path, method: str, sent: bytes) -> None:
    (tmp_path / "file").write_bytes(b"ab" + b"x" * 600_000 + b"cd")
    stream = (tmp_path / "file").open("rb")
    stream.seek(2)

    async def file(_: Request) -> FileReply:
        return FileReply(stream, 600_000, media="text/plain")

    status, headers, body = ask(method, "/file/a", file=file)
    assert (status, headers[b"content-length"], body) == (200, b"600000", sent)
    assert stream.closed


def test_what_has_not_changed_has_no_length() -> None:
    async def same(_: Request) -> Reply:
        return Reply(b"", 304)

    status, headers, body = ask("GET", "/things", things=same)
    assert (status, b"content-length" in headers, body) == (304, False, b"")
