"""Witnesses as processes: a log of a run is witnessed, a liar is caught, and kill -9 changes nothing."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import textwrap
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from cryoflux.receipts.checkpoint import parse_note
from running import cryoflux
from signed_log import SignedLog
from synthetic_state import open_state
from waiting import PLAINLY, until
from witness_process import WitnessProcess, witness

LOG = SignedLog()
FORK = SignedLog("b")


def test_what_others_sign_and_what_we_serve_are_understood_on_both_sides(tmp_path: Path) -> None:
    signing, tlog = (pytest.importorskip(f"tlog_scales.{name}") for name in ("signing", "tlog"))
    root = LOG.head(5).checkpoint.root
    ours = signing.PlainEd25519Signer(LOG.origin, LOG.key)
    others = [signing.MLDSA44CosignatureSigner(f"other.example/{n}", bytes([n]) * 32) for n in range(15)]
    theirs = tlog.Checkpoint.make_signed(LOG.origin, 5, root, [*others, ours]).serialize().encode()
    assert len(theirs) > 15 * 3_000
    with witness(tmp_path, "--log", str(LOG.vkey)) as running:
        reply = running.post(b"old 0\n\n" + theirs)
        assert reply.status_code == 200, reply.text
        assert running.post(FORK.submission(5, 5)).status_code == 422
        place = hashlib.sha256(LOG.origin.encode()).hexdigest()
        text, heads = running.get(f"{place}/checkpoint").text, running.get("heads").text
        assert running.get(f"{place[::-1]}/checkpoint").status_code == 404
        keys = [signing.Vkey.from_string(key) for key in (str(LOG.vkey), running.hello["key"])]
    served = tlog.Checkpoint.from_text(text)
    assert (served.origin, served.size, served.root_hash) == (LOG.origin, 5, root)
    assert len(signing.VkeySet(*keys).verify(served.signatures, served)) == 2
    assert text.endswith(reply.text)
    assert heads == text


def test_a_log_is_witnessed_by_two_of_three_and_a_liar_is_caught(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    backup = shutil.copytree(made.path, tmp_path / "backup", symlinks=True)
    other = made.fork(tmp_path / "fork")
    key = cryoflux("witness", "key", "--state", made.path).stdout.strip()
    with ExitStack() as opened:
        a, b, c = (opened.enter_context(witness(tmp_path / name, "--log", key)) for name in "abc")
        c.end(signal.SIGKILL)
        policy = tmp_path / "policy"
        named = [w.policy_line(name) for name, w in zip("abc", (a, b, c), strict=True)]
        policy.write_text("\n".join([f"log {key}", *named, "group g 2 a b c", "quorum g\n"]))
        submit = ("witness", "submit", "--policy", policy, "--timeout", "600", "--json", "--state")
        verify = ("verify", "--policy", policy, "--max-age", "24h", "--heads", tmp_path / "heads")

        assert cryoflux(*verify, made.path).code == 1  # nobody has seen it yet
        first = cryoflux(*submit, made.path)
        assert first.code == 0, first.stderr
        assert first.events[-1]["cosigned"] == ["a", "b"]
        assert first.events[-1]["problems"] == ["c: cannot be reached (ConnectError)"]

        made.attempt(0.02)
        state = made.finish()
        assert cryoflux(*verify, state).code == 1  # the newest receipt is not witnessed
        assert cryoflux(*submit, state).code == 0
        verified = cryoflux(*verify, state)
        assert verified.code == 0, verified.stdout
        assert "✓ 12  witnessed by a quorum (attested): 4 entries cosigned by a, b" in verified.stdout

        cut = cryoflux(*submit, backup)
        assert (cut.code, cut.events[-1]["disputed"]) == (1, True)
        assert cryoflux(*verify, backup).code == 1
        other.attempt(0.03)
        lie = cryoflux(*submit, other.finish())
        assert (lie.code, lie.events[-1]["cosigned"], lie.events[-1]["disputed"]) == (1, [], True)
        assert cryoflux("verify", other.path, "--no-memory").code == 0  # in itself it is perfect
        refused = cryoflux("verify", other.path, "--heads", tmp_path / "heads")
        assert refused.code == 1
        assert "this is another history" in refused.stdout
        assert [w.end() for w in (a, b)] == [0, 0]
    evidence = [*(tmp_path / "a" / "evidence").iterdir(), *(tmp_path / "heads").glob("*.equivocation")]
    assert len(evidence) == 2
    for file in evidence:
        check_evidence(file, key)


def check_evidence(file: Path, key: str) -> None:
    shown = cryoflux("witness", "check-evidence", file, "--log", key)
    assert shown.code == 0, shown.stderr
    assert "✓ PROVEN" in shown.stdout
    assert cryoflux("witness", "check-evidence", file, "--log", str(LOG.vkey)).code == 1
    file.write_bytes(file.read_bytes().replace(b"\n4\n", b"\n5\n", 1))
    assert cryoflux("witness", "check-evidence", file).code == 1


def test_what_cannot_be_served_is_said(tmp_path: Path) -> None:
    serve = ("witness", "serve", "--dir", tmp_path / "w", "--port", "0")
    assert cryoflux(*serve).code == 2
    assert cryoflux(*serve, "--log", "nonsense").code == 2
    assert cryoflux(*serve, "--logs", tmp_path / "none").code == 2
    assert cryoflux(*serve, "--log", str(LOG.vkey), "--name", "a b").code == 2
    assert cryoflux("witness", "check-evidence", tmp_path / "none").code == 2
    assert cryoflux("witness", "key", "--state", tmp_path / "none").code == 2
    assert cryoflux("verify", tmp_path, "--max-age", "1h").code == 2
    assert not (tmp_path / "w").exists()


# Where it dies, and whether the head was remembered by then.
MOMENTS = {
    "before": ("heads.Heads.put = staticmethod(die)", False),
    "stored": ("put = heads.Heads.put; heads.Heads.put = staticmethod(lambda *a: (put(*a), die()))", False),
    "committed": ("service.Witness._sign = die", True),
    "signed": ("sign = service.Witness._sign; service.Witness._sign = lambda *a: (sign(*a), die())", True),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_witness_that_dies_anywhere_signs_one_history(tmp_path: Path, moment: str) -> None:
    patch, remembered = MOMENTS[moment]
    program = textwrap.dedent(f"""
        import os, signal, sys
        from cryoflux.cli.main import main
        from cryoflux.witness import heads, service
        def die(*_): os.kill(os.getpid(), signal.SIGKILL)
        {patch}
        main()
    """)
    dying = WitnessProcess(tmp_path, "--log", str(LOG.vkey), program=("-c", program))
    with pytest.raises(httpx2.TransportError):
        dying.post(LOG.submission(0, 5))
    assert dying.process.wait() == -signal.SIGKILL
    dying.process.stdout.close()
    dying.process.stderr.close()
    with witness(tmp_path, "--log", str(LOG.vkey)) as again:
        assert again.hello["key"] == dying.hello["key"]
        forked = again.post(FORK.submission(0, 5)).status_code
        # Where nothing was remembered, nothing was signed either, and any history may come first.
        assert forked == (409 if remembered else 200)
        honest = again.post(LOG.submission(5, 5)).status_code
        assert honest == (200 if remembered else 422)


def flood(url: str, story: SignedLog, signed: list[tuple[int, bytes]], stop: threading.Event) -> None:
    known, size = 0, 1
    with httpx2.Client(**PLAINLY) as http:
        while not stop.is_set():
            try:
                reply = http.post(f"{url}/add-checkpoint", content=story.submission(known, size))
            except httpx2.TransportError:
                return
            if reply.status_code == 200:
                signed.append((size, story.head(size).checkpoint.root))
                known, size = size, size + 1
            elif reply.status_code == 409:
                known = int(reply.text)
                size = max(size, known) + (known == size)
            else:
                size += 1


def wait_for(signed: list[tuple[int, bytes]], count: int) -> None:
    until(lambda: len(signed) >= count, f"{count} heads that are signed")


def stories_in(signed: list[tuple[int, bytes]]) -> set[str]:
    told = {
        (size, story.head(size).checkpoint.root): story.story for story in (LOG, FORK) for size, _ in signed
    }
    return {told[head] for head in signed}


def test_a_witness_that_is_killed_again_and_again_signs_one_history(tmp_path: Path) -> None:
    chance = random.Random(5)
    everything: list[tuple[int, bytes]] = []
    for _ in range(6):
        running = WitnessProcess(tmp_path, "--log", str(LOG.vkey))
        signed: list[tuple[int, bytes]] = []
        stop = threading.Event()
        threads = [
            threading.Thread(target=flood, args=(running.url, story, signed, stop))
            for story in (LOG, FORK, FORK, LOG)
        ]
        for thread in threads:
            thread.start()
        wait_for(signed, chance.randrange(12))
        time.sleep(chance.random() / 20)
        running.end(signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
        everything += signed
    assert everything
    assert len(stories_in(everything)) == 1


def test_two_processes_on_one_memory_sign_one_history(tmp_path: Path) -> None:
    signed: list[tuple[int, bytes]] = []
    stop = threading.Event()
    with witness(tmp_path, "--log", str(LOG.vkey)) as a, witness(tmp_path, "--log", str(LOG.vkey)) as b:
        threads = [
            threading.Thread(target=flood, args=(url, story, signed, stop))
            for url in (a.url, b.url)
            for story in (LOG, FORK)
        ]
        for thread in threads:
            thread.start()
        wait_for(signed, 100)
        stop.set()
        for thread in threads:
            thread.join()
    assert signed
    assert len(stories_in(signed)) == 1


def test_a_witness_that_ends_by_a_signal_ends_cleanly(tmp_path: Path) -> None:
    with witness(tmp_path, "--log", str(LOG.vkey), cold=True) as running:
        assert running.post(LOG.submission(0, 5)).status_code == 200
        assert running.end(signal.SIGINT) == 0
    assert oct((tmp_path / "keys" / "witness.pem").stat().st_mode & 0o777) == "0o600"


def test_the_checkpoint_of_a_real_log_carries_its_cosignatures(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    state = made.finish()
    with witness(tmp_path / "w", "--accept-new") as running:
        policy = tmp_path / "policy"
        policy.write_text(f"{running.policy_line('w')}\nquorum w\n")
        submit = ("witness", "submit", "--policy", policy, "--timeout", "600", "--state", state)
        assert cryoflux(*submit).code == 0
    note = parse_note((state / "log" / "checkpoint").read_bytes())
    assert [line.name for line in note.signatures][1:] == [running.hello["key"].split("+")[0]]
    assert cryoflux("verify", state, "--policy", policy, "--no-memory").code == 0
