"""A node whose keys were copied: who speaks for its log, and what its owner can still do."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rogues.acting import Found, judge, pull, words_of_book
from rogues.live import Live
from rogues.truth import Truth

_SUBMIT = ("witness", "submit", "--policy", "policy")


def _steal(live: Live, into: str) -> None:
    """Copy south's state as it is, keys and all."""
    shutil.copytree(live.folder / "south", live.folder / into, symlinks=True)


def _witnesses_say(live: Live, state: str) -> str:
    """Whether witnesses cosign what a state says now."""
    said = live.run(*_SUBMIT, "--state", state, codes=(0, 1))
    return "refused" if "NOT WITNESSED" in said else "cosigned"


@contextmanager
def _log_alone(live: Live) -> Iterator[str]:
    """South's log as it is on its disk, witnessed or not, as any static server shows it; its address."""
    place = live.folder / "shown"
    shutil.copytree(live.folder / "south/log", place / "log")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=place))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def __init__(self, *said: object, directory: Path) -> None:
        super().__init__(*said, directory=str(directory))  # type: ignore[arg-type]

    def log_message(self, format: str, *said: object) -> None:  # noqa: A002
        """Nothing."""


def stolen(live: Live, truth: Truth) -> Found:
    """South's keys and state are copied twice: the first copy speaks after its owner, the second before."""
    _steal(live, "late")
    live.offer("south", "#1")
    live.run("capsule", "offer", "#1", "--terms", "to the thief", "--state", "late")
    for state in ("south", "late"):
        live.serve(state)
    gate = live.know("north", "south", verifier=True)
    before = live.head("south")
    pull(live, "north")
    late = _witnesses_say(live, "late")
    live.behind(gate, "late")
    led = pull(live, "north")["south"]["outcome"]
    found = Found("copies south's state with its keys; a copy signs after south, and another one before it")
    found.said = f"the late copy: {late} by the witnesses, north, led to it: {led}"

    _steal(live, "early")
    live.run("node", "init", "--url", "http://thief.example", "--state", "early")
    live.run("node", "init", "--url", "http://south.example", "--state", "south")
    live.serve("early")
    live.behind(gate, "early")
    spoken = pull(live, "north")["south"]
    found.said += (
        f"; the early one: {_witnesses_say(live, 'early')}, north {spoken['outcome']} "
        f"({spoken['witnessed_entries']} of {spoken['entries']} entries witnessed), south itself "
        f"{_witnesses_say(live, 'south')}"
    )
    believed = words_of_book(live.books("north", "south"))
    with _log_alone(live) as url:
        gate.target = url
        shown = pull(live, "north")["south"]
    if shown["evidence"]:
        key = live.documents("witness", "key", "--state", "south")[0]["key"]
        proof = live.run("witness", "check-evidence", shown["evidence"], "--log", key, codes=(0, 1))
        found.said += f"; once south shows its own head: {shown['outcome']}, {proof.splitlines()[0].strip()}"
    found.books = f"{believed}; once both heads are here: {words_of_book(live.books('north', 'south'))}"
    found.harm.append("the thief is south to north until south shows its own head; then the log is void")
    found.harmful = not shown["evidence"]
    judge(live, found, truth, before)
    return found
