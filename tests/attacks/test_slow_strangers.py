"""Somebody who is asked over a network sends a byte now and then, or little that unpacks to much."""

from __future__ import annotations

import gzip
import time
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.errors import UsageError
from cryoflux.verification import parent_log
from cryoflux.verification.parent_log import open_parent
from cryoflux.witness.client import WitnessClient
from cryoflux.witness.policy import parse_policy
from cryoflux.witness.service import WitnessReply
from signed_log import OpenWitness, SignedLog, policy_text, serving
from waiting import CEILING_S

LOG = SignedLog()


def test_a_parent_that_comes_in_drops_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent_log, "_TIMEOUT_S", 0.3)
    began_s = time.monotonic()
    with (
        serving(lambda *_: WitnessReply(200, b"x" * 1000), drip_s=0.05) as url,
        pytest.raises(UsageError, match="did not come in time"),
        open_parent(url),
    ):
        pass
    assert time.monotonic() - began_s < CEILING_S


def test_nor_are_its_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        serving(
            lambda path, _: WitnessReply(200, LOG.note(3) if path == "/checkpoint" else b"x" * 99)
        ) as url,
        open_parent(url) as parent,
    ):
        assert parent.note == LOG.note(3)
        monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
        with pytest.raises(UsageError, match="did not come in time"):
            list(parent.envelopes(3))


def test_one_that_answers_is_read() -> None:
    tile = b"".join(len(item).to_bytes(2, "big") + item for item in (b"a", b"bc"))
    with (
        serving(lambda path, _: WitnessReply(200, LOG.note(2) if path == "/checkpoint" else tile)) as url,
        open_parent(url) as parent,
    ):
        assert list(parent.envelopes(2)) == [b"a", b"bc"]


def test_what_a_witness_packs_is_not_unpacked(tmp_path: Path) -> None:
    watched = OpenWitness(tmp_path / "w")
    bomb = gzip.compress(bytes(50_000_000))
    reply = WitnessReply(200, bomb, "text/plain\r\ncontent-encoding: gzip")
    with serving(lambda *_: reply) as url:
        policy = parse_policy(policy_text("all", ("a", watched.vkey, url)))
        with closing(WitnessClient(policy, LOG.vkey, timeout_s=CEILING_S)) as client:
            found = client.submit(LOG.note(5), lambda old: LOG.proof(old, 5), wait_for_all=True)
    assert found.problems[0].startswith("a: answers nonsense")
