"""A node's public tree over HTTP: the files of a table, which any static server could serve, and two hints.

What is not here and what is not shown yet are the same answer. Where the log has grown, or witnesses have
cosigned it, the tree is brought up to date before its head is answered, so a run beside the server shows up
at once. Peers may say that their own logs have grown: that is a reason to look, and believed in nothing.
"""

from __future__ import annotations

__all__ = ["OPERATIONS", "create_app"]

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.files import read_beginning
from cryoflux.network.folder import CAPSULE, EXAMPLES, NODE, NetworkFolder
from cryoflux.network.freshness import Freshness
from cryoflux.network.hints import HintBody, HintReply, Hints
from cryoflux.network.introducing import IntroductionBody, IntroductionReply, Introductions
from cryoflux.network.publishing import OPENING
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, parse_note
from cryoflux.receipts.tiles import parse_tile_path
from cryoflux.serving.event_streams import EVENT_STREAM, EventStreams
from cryoflux.serving.fairness import Allowances, Fairness
from cryoflux.serving.files import IMMUTABLE, REVALIDATED, FileTree, answer_file
from cryoflux.serving.guard import Guard
from cryoflux.serving.openapi import JSON, Operation
from cryoflux.serving.routing import App, FileReply, NotServedError, Reply, Request, Router, Stream
from cryoflux.state import ADAPTER, ADAPTER_CONFIG

_LOG = logging.getLogger(__name__)
_TEXT = "text/plain; charset=utf-8"
_LINES = "application/x-ndjson"
_BYTES = "application/octet-stream"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_BODY_BYTES = 8 * 1024


_CAPSULES, _OPENINGS = "/capsules/{adapter}", "/openings/{root}"
_NODE = Operation("GET", f"/{NODE}", "node", "Who the node is, with a proof, and whom it knows")
_CHECKPOINT = Operation(
    "GET", "/log/checkpoint", "checkpoint", "The newest signed head of its log", media=_TEXT
)
_HEADS = Operation(
    "GET", "/log/heads", "heads", "All heads that witnesses cosigned, oldest first", media=_TEXT
)
_TILE = Operation(
    "GET", "/log/tile/{path...}", "tile", "A part of its log, as C2SP tlog-tiles has it", media=_BYTES
)
_CAPSULE = Operation("GET", f"{_CAPSULES}/{CAPSULE}", "capsule", "Who offers an update, with proofs")
_ADAPTER = Operation("GET", f"{_CAPSULES}/{ADAPTER}", "adapter", "The update itself", media=_BYTES)
_CONFIG = Operation("GET", f"{_CAPSULES}/{ADAPTER_CONFIG}", "config", "Its settings")
_LIST = Operation("GET", "/lists/{digest}", "list", "What a version is composed of", media=_TEXT)
_EXAMPLES = Operation(
    "GET", f"{_OPENINGS}/{EXAMPLES}", "examples", "A guest holdout that retired", media=_LINES
)
_OPENING = Operation("GET", f"{_OPENINGS}/{OPENING}", "opening", "What makes its verdicts again")
_CONTRACT = Operation("GET", "/contracts/{digest}", "contract", "A contract, as it was signed", media=_BYTES)
_HINT = Operation(
    "POST",
    "/v1/hint",
    "hint",
    "Say that a log has grown",
    reply=HintReply,
    body=HintBody,
    refusals=(415, 422),
)
_INTRODUCTION = Operation(
    "POST",
    "/v1/introduction",
    "introduction",
    "Introduce a node, where introductions are taken",
    reply=IntroductionReply,
    body=IntroductionBody,
    refusals=(403, 415, 422),
)
_EVENTS = Operation("GET", "/v1/events", "events", "New heads, as server-sent events", media=EVENT_STREAM)
_FILES: dict[Operation, tuple[str, bytes]] = {
    _NODE: (NODE, REVALIDATED),
    _CHECKPOINT: ("log/checkpoint", REVALIDATED),
    _HEADS: ("log/heads", REVALIDATED),
    _TILE: ("log/tile/{}", IMMUTABLE),
    _CAPSULE: (f"capsules/{{}}/{CAPSULE}", REVALIDATED),
    _ADAPTER: (f"capsules/{{}}/{ADAPTER}", IMMUTABLE),
    _CONFIG: (f"capsules/{{}}/{ADAPTER_CONFIG}", IMMUTABLE),
    _LIST: ("lists/{}", IMMUTABLE),
    _EXAMPLES: (f"openings/{{}}/{EXAMPLES}", IMMUTABLE),
    _OPENING: (f"openings/{{}}/{OPENING}", REVALIDATED),
    _CONTRACT: ("contracts/{}", IMMUTABLE),
}
"""row of the table → the file in the tree, and how long it may be kept"""
OPERATIONS = (*_FILES, _HINT, _INTRODUCTION, _EVENTS)


class _Heads:
    """The newest head in the tree, as events."""

    def __init__(self, checkpoint: Path, freshness: Freshness, stopping: asyncio.Event) -> None:
        self._checkpoint, self._freshness = checkpoint, freshness
        self._streams = EventStreams(stopping)

    async def stream(self, request: Request) -> Reply | Stream:
        if self._streams.full:
            raise NotServedError(503, "Too many event streams are open.")
        known = request.headers.get(b"last-event-id", b"").decode("latin-1")

        def next_event() -> str:
            nonlocal known
            self._freshness.nudge()
            try:
                head = parse_note(read_beginning(self._checkpoint, MAX_NOTE_BYTES)).checkpoint
            except (OSError, VerificationError):
                return ""
            if str(head.size) == known:
                return ""
            known = str(head.size)
            data = json.dumps({"origin": head.origin, "size": head.size}, separators=(",", ":"))
            return f"id: {known}\nevent: checkpoint\ndata: {data}\n\n"

        return Stream(EVENT_STREAM, self._streams.pour(next_event))


def create_app(
    folder: NetworkFolder,
    freshness: Freshness,
    hints: Hints,
    introductions: Introductions,
    *,
    stopping: asyncio.Event | None = None,
    allowances: Allowances | None = None,
    most_at_once: int = 16,
    most_of_all: int = 256,
    only_loopback: bool = True,
) -> App:
    """The ASGI application over a node's public tree.

    Args:
        folder: of the node's network.
        freshness: brings the tree up to date.
        hints: keeps what others say of logs.
        introductions: keeps who introduces itself.
        stopping: set when open event streams should end.
        allowances: how often a client may ask.
        most_at_once: answers to one client at a time.
        most_of_all: answers to all clients at a time.
        only_loopback: refuse requests that name another host.
    """
    tree = FileTree(folder.public)
    heads = _Heads(folder.public / "log/checkpoint", freshness, stopping or asyncio.Event())
    files = [(row, _file(tree, row, freshness)) for row in _FILES]
    said = [(_HINT, hints.take), (_INTRODUCTION, introductions.take)]
    router = Router([*files, *said, (_EVENTS, heads.stream)], _refuse)
    fair = Fairness(
        router,
        allowances or Allowances(2000, 500),
        most_at_once=most_at_once,
        most_of_all=most_of_all,
    )
    return Guard(fair, any_host=not only_loopback, most_bytes=_MOST_BODY_BYTES)


def _file(
    tree: FileTree, row: Operation, freshness: Freshness
) -> Callable[[Request], Awaitable[Reply | FileReply]]:
    place, keep = _FILES[row]
    varies = "{" in row.path

    def answer(request: Request) -> Reply | FileReply:
        named = request.named
        good = parse_tile_path(f"tile/{named}") is not None if row is _TILE else _DIGEST.fullmatch(named)
        stream = tree.open(place.format(named)) if good or not varies else None
        if stream is None:
            raise NotServedError(404, "Not Found.")
        return answer_file(stream, request, row.media, keep)

    async def handle(request: Request) -> Reply | FileReply:
        if keep is REVALIDATED:
            await freshness.settled()
        return await asyncio.to_thread(answer, request)

    return handle


def _refuse(error: Exception) -> Reply:
    if isinstance(error, NotServedError):
        return _refusal(error.status, str(error), error.headers)
    if isinstance(error, CryoFluxError | OSError):  # what exactly is nobody's business out there
        _LOG.error("the tree cannot be read: %s", error)
        return _refusal(503, "The tree cannot be read now.", ((b"retry-after", b"5"),))
    _LOG.error("a request failed", exc_info=error)
    return _refusal(500, "This is a mistake of ours.")


def _refusal(status: int, what: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    body = {"error": {"what": what, "why": "", "hint": ""}}
    return Reply(json.dumps(body).encode(), status, JSON, headers)
