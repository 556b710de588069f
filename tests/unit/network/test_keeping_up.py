"""What says that logs have grown is a reason to look, and floods of it cost a bounded part of the time."""

from __future__ import annotations

import threading
from collections.abc import Collection
from pathlib import Path

import pytest

from bad_peer import Conversation, bad_peer
from cryoflux.network import listening
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.hints import HintBody, taken_hints
from cryoflux.network.keeping_up import keep_up
from cryoflux.network.listening import Listening
from cryoflux.network.peers import PeerNode, Peers, parse_peers
from cryoflux.stop_request import StopRequest
from node_tree import tree_key

KEY = tree_key("ab" * 8)
PEERS = parse_peers(f"quorum none\nnode north {KEY} http://127.0.0.1:9\n".encode())


class Impatient(StopRequest):
    """Waits for nothing, and remembers what it should have waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            self.waits.append(seconds)
        else:
            super().wait(seconds)


def test_a_flood_of_hints_is_one_pull_of_the_logs_that_are_known_and_a_rest(tmp_path: Path) -> None:
    folder, stop = NetworkFolder(tmp_path), Impatient()
    pulled: list[Collection[str] | None] = []

    def pull(only: Collection[str] | None) -> Peers:
        folder.hints.mkdir(exist_ok=True)
        for number in range(100):
            origin = KEY.name if number == 0 else f"cryoflux.dev/unknown{number}"
            said = HintBody(origin=origin, size=number).model_dump_json()
            (folder.hints / str(number)).write_text(said)
        (folder.hints / "junk").write_bytes(b"\x00")
        pulled.append(only)
        if len(pulled) == 4:
            stop.ask()
        return PEERS

    keep_up(folder, pull, 3600, stop)
    assert pulled == [None, *[{KEY.name}] * 3]
    assert len(stop.waits) == 4
    assert min(stop.waits) >= 5
    assert len(taken_hints(folder)) == 100
    assert list(folder.hints.iterdir()) == []


def test_a_stream_without_end_is_left_and_what_it_says_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_MOST_BYTES", 10_000)
    stop, left, heard = StopRequest(), threading.Event(), list[str]()

    def endless(said: Conversation) -> None:
        said.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        try:
            while True:
                said.say(b'data: {"origin": "of somebody else", "size": -1}\n' * 20)
        finally:
            left.set()

    with bad_peer(endless) as peer:
        Listening(heard.append, stop, lambda _: 0).to([PeerNode("north", KEY, peer.url)])
        left.wait()
        stop.ask()
        assert peer.asked == ["/v1/events"]
    assert set(heard) == {KEY.name}
    assert len(heard) < 10_000
