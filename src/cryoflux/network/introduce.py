"""Introducing a node to another one: who hears it is asked for its name, and told who one is and where."""

from __future__ import annotations

__all__ = ["introduce"]

import json
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2

from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.files import read_regular
from cryoflux.log_state import LogState
from cryoflux.network.deadline import DeadlineTransport
from cryoflux.network.fetching import Fetcher
from cryoflux.network.introducing import IntroductionReply, introduction_of
from cryoflux.network.node_file import hint_of
from cryoflux.network.peers import is_url
from cryoflux.network.unreached import why_unreached
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, parse_note
from cryoflux.receipts.log import CHECKPOINT
from cryoflux.receipts.reading import each_entry
from cryoflux.signing.keys import KEYS_FOLDER, RECEIPT_KEY, load_key
from cryoflux.state import StateFolder
from cryoflux.witness.cosigned import log_key_of

_WHOLE_S = 10.0
_HOUR_S = 3600
_MOST_ANSWER_BYTES = 64 * 1024
_WRONG = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, CryoFluxError)


def introduce(state: Path, to_url: str, own_url: str = "") -> tuple[str, int]:
    """Introduce the node of a state to another one.

    Args:
        state: the state directory.
        to_url: of the public tree of the node that hears it.
        own_url: of the node's own tree; the first of those that its log says, where it is empty.

    Returns:
        the origin of the log of the other one, and until when the introduction stands, Unix seconds.

    Raises:
        UsageError: the node has no address, no quorum of witnesses has seen its log, its first receipt key is
            not here, or the other one does not answer or does not take it.
    """
    folder, key = StateFolder(state), log_key_of(state)
    if not is_url(to_url):
        raise UsageError(
            f"{to_url[:100]!r} is no http address.",
            why="The other node is asked at the address that its `cryoflux node serve` shows.",
            hint=f"Write it as in: cryoflux node introduce http://HOST:8790{folder.flag()}",
        )
    url = own_url or _stated_url(state)
    if hint_of(str(key), url) is None:
        raise UsageError(
            f"{url[:100]!r} is no address that a node can be introduced by."
            if url
            else "The node has no address.",
            why="Others look there for its log and what it offers: http or https, a host, and a plain path.",
            hint=f"Say it: cryoflux node introduce {to_url} --url http://HOST:PORT{folder.flag()}.",
        )
    if not folder.witnessed.is_file():
        raise UsageError(
            "No quorum of witnesses has seen this log yet.",
            why="A node that takes introductions takes only logs that its own witnesses have seen.",
            hint=f"Have it seen: cryoflux witness submit --policy FILE{folder.flag()}.",
        )
    signer = load_key(state / KEYS_FOLDER, RECEIPT_KEY, create=False)
    head = read_regular(folder.witnessed, MAX_NOTE_BYTES)
    there = to_url.rstrip("/")
    try:
        with Fetcher(whole_s=_WHOLE_S) as fetcher:
            newest = fetcher.fetch(f"{there}/log/{CHECKPOINT}", MAX_NOTE_BYTES).content
        to = parse_note(newest).checkpoint.origin
        said = introduction_of(key, url, to, head, signer, int(time.time()))
        answer = _answer(f"{there}/v1/introduction", said.model_dump_json().encode())
    except _WRONG as error:
        why = error.what.rstrip(".") if isinstance(error, CryoFluxError) else f"it {why_unreached(error)}"
        raise UsageError(
            f"{there} is no node that answers: {why}.",
            why="It is asked for the newest head of its log first.",
            hint="Check the address, with its port, or try again later.",
        ) from error
    return to, _until(answer, there, folder)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back."""

    status: int
    content: bytes
    wait_s: int | None
    """after which to ask again; none where it does not say"""


def _answer(url: str, body: bytes) -> _Answer:
    """An answer, with as many bytes as one may have."""
    sending, content = DeadlineTransport(), bytearray()
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    with (
        httpx2.Client(trust_env=False, transport=sending, follow_redirects=False) as client,
        sending.within(_WHOLE_S),
        client.stream("POST", url, content=body, headers=headers) as reply,
    ):
        for part in reply.iter_raw():
            content += part
            if len(content) > _MOST_ANSWER_BYTES:
                raise ValueError(f"its answer has more than {_MOST_ANSWER_BYTES:,} bytes")
        return _Answer(reply.status_code, bytes(content), _wait_of(reply.headers.get("retry-after", "")))


def _wait_of(text: str) -> int | None:
    """The seconds of a header that somebody else wrote; none where it is no such number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 7 else None


def _until(answer: _Answer, there: str, folder: StateFolder) -> int:
    """Until when it stands.

    Raises:
        UsageError: it was not taken.
    """
    if answer.status == httpx2.codes.ACCEPTED:
        try:
            return IntroductionReply.model_validate_json(answer.content).until
        except ValueError:
            return int(time.time())
    try:
        said = str(json.loads(answer.content)["error"]["what"])[:300]
        what = said.encode("utf-8", "backslashreplace").decode()
    except (ValueError, KeyError, TypeError, RecursionError):
        what = f"it answered {answer.status}"
    if answer.status == httpx2.codes.TOO_MANY_REQUESTS:
        raise UsageError(
            f"{there} does not take an introduction now: {what}",
            why="It bounds how often one address may ask, and how many nodes stand there.",
            hint=f"Type the same again {_wait_words(answer.wait_s)}.",
        )
    raise UsageError(
        f"{there} did not take the introduction: {what}",
        why="What it takes, its owner says in its file of peers.",
        hint=f"Try another node, or send its owner your key: cryoflux witness key{folder.flag()}",
    )


def _wait_words(wait_s: int | None) -> str:
    if wait_s is None:
        return "later"
    return f"in {wait_s:,} s" if wait_s < _HOUR_S else f"in {-(-wait_s // _HOUR_S)} h"


def _stated_url(state: Path) -> str:
    """The first address that the log says of its node; empty where it says none."""
    memory = LogState()
    for entry in each_entry(state):
        memory.take(entry)
    urls = [url for node in memory.nodes.values() if node.node is not None for url in node.node.urls]
    return urls[0] if urls else ""
