"""`cryoflux run --agent` spends from a daemon in another process, and survives what daemons do."""

import http.server
import json
import re
import shutil
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryoflux.energy.interface import SESSION
from running import QUICK, SURE, cryoflux, ended, start, stopped_at
from waiting import CEILING_S, until

PATIENT = ["--timeout", "600"]


def spent_uj(url: str) -> int:
    """What the daemon has noted of the one attempt that it pays for."""
    with urllib.request.urlopen(f"{url}/v1/reservations", timeout=CEILING_S) as answer:
        found = json.load(answer)["reservations"]
        (reservation,) = (one for one in found if not one["request_id"].startswith(SESSION))
    return int(reservation["spent"]["uj"])


@contextmanager
def daemon(state: Path, *options: object) -> Iterator[str]:
    process = start("agent", "--port", "0", "--state", state, *options)
    try:
        text = ""
        for line in process.stdout:
            text += line
            if found := re.search(r"http://127\.0\.0\.1:\d+|unix:///\S+\.sock", line):
                yield found[0]
                break
        else:
            raise AssertionError(text + process.stderr.read())
    finally:
        process.terminate()
        process.communicate()


def test_a_daemon_does_the_same_job_as_the_embedded_meter(tmp_path: Path, inputs: list[str]) -> None:
    with daemon(tmp_path / "agent", "--credit", "grant") as url:
        outcome = cryoflux(
            "run", *inputs, *QUICK, *PATIENT, "--budget", "36J", "--agent", url,
            "--state", tmp_path / "s", "--json",
        )  # fmt: skip
        with urllib.request.urlopen(f"{url}/v1/sample", timeout=CEILING_S) as answer:
            bucket_j = json.load(answer)["bucket_j"]
    summary = outcome.summary
    assert summary["attempts"] >= 2
    assert summary["kept"] >= 1
    assert summary["all_in_joules"] <= 36 + 0.6
    assert bucket_j == pytest.approx(36 - summary["all_in_joules"], abs=1e-5)
    assert cryoflux("verify", tmp_path / "s").code == 0


def test_a_daemon_that_is_not_there_is_said_to_be_down(tmp_path: Path, inputs: list[str]) -> None:
    outcome = cryoflux(
        "run", *inputs, *QUICK, "--budget", "24J", "--agent", "http://127.0.0.1:9", "--state", tmp_path / "s"
    )
    assert outcome.code == 3
    assert "Traceback" not in outcome.stderr
    assert "cryoflux agent" in outcome.stderr


def test_a_daemon_that_answers_garbage_is_said_to(tmp_path: Path, inputs: list[str]) -> None:
    class Garbage(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{'bucket': banana}")

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Garbage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        outcome = cryoflux(
            "run", *inputs, *QUICK, "--budget", "24J",
            "--agent", f"http://127.0.0.1:{server.server_port}", "--state", tmp_path / "s",
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    assert outcome.code == 3
    assert "Traceback" not in outcome.stderr


def test_a_daemon_that_dies_mid_attempt_leaves_an_attempt_that_the_next_run_closes(
    tmp_path: Path, inputs: list[str]
) -> None:
    state, account = tmp_path / "s", tmp_path / "agent"
    with daemon(account, "--credit", "grant") as url:
        options = [*QUICK, *PATIENT, "--budget", "48J", "--agent", url, "--state", state, "--json"]
        run = stopped_at("train", "end", "run", *inputs, *options)
        until(lambda: spent_uj(url), "joules that the daemon has noted")
    run.send_signal(signal.SIGCONT)
    stopped = ended(run)
    assert stopped.code == 3, stopped.stdout + stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert cryoflux("verify", state).code == 0
    with daemon(account, "--credit", "grant") as url:
        again = cryoflux(
            "run", *QUICK, *PATIENT, "--attempts", "1", "--agent", url, "--state", state, "--json"
        )
        assert again.code == 0, again.stderr
        (closed,) = again.of("recovered")
        assert closed["joules_spent"] > 0
    assert cryoflux("verify", state).code == 0
    shutil.rmtree(state)


def test_a_daemon_that_restarts_mid_attempt_is_asked_again(tmp_path: Path, inputs: list[str]) -> None:
    state, account, listens = tmp_path / "s", tmp_path / "agent", ("--socket", tmp_path / "agent.sock")
    steps = ["--learning-rate", "0.01", "--reserve", "400J", "--max-steps", "150"]
    with daemon(account, "--credit", "grant", *listens) as url:
        options = [*steps, *PATIENT, "--budget", "500J", "--attempts", "1", "--agent", url]
        run = stopped_at("train", "begin", "run", *inputs, *options, "--state", state, "--json")
    with daemon(account, "--credit", "grant", *listens):
        run.send_signal(signal.SIGCONT)  # not before: how long it asks again for is seconds
        outcome = ended(run)
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    (attempt,) = outcome.of("attempt")
    assert attempt["decision"] in {"kept", "rejected"}
    assert attempt["joules_spent"] > 0
    assert cryoflux("verify", state).code == 0


def test_joules_reserved_at_a_daemon_are_unknown_and_not_zero_without_it(
    tmp_path: Path, inputs: list[str]
) -> None:
    state = tmp_path / "s"
    with daemon(tmp_path / "agent", "--credit", "grant") as url:
        killed = cryoflux(
            "run", *inputs, *SURE, *PATIENT, "--budget", "200J", "--agent", url, "--state", state, "--json",
            kill_at="evaluate:begin",
        )  # fmt: skip
        assert killed.code < 0
    again = cryoflux("run", *SURE, "--budget", "200J", "--attempts", "1", "--state", state, "--json")
    assert again.code == 0, again.stderr
    (first, _) = json.loads(cryoflux("receipts", "list", "--state", state, "--json").stdout)["entries"]
    assert first["outcome"] == "aborted"
    assert (first["joules_lo"], first["joules_hi"]) == (0, 40), "anything up to the reservation is possible"
    assert cryoflux("verify", state).code == 0


def test_a_run_that_watches_waits_until_the_daemon_has_joules(tmp_path: Path, inputs: list[str]) -> None:
    folder, log = tmp_path / "in", tmp_path / "events.jsonl"
    folder.mkdir()

    def events(kind: str) -> int:
        return log.read_text().count(f'"event": "{kind}"') if log.exists() else 0

    with daemon(tmp_path / "agent", "--credit", "grant") as url:
        options = [
            *QUICK,
            *PATIENT,
            "--agent",
            url,
            "--state",
            tmp_path / "s",
            "--watch",
            folder,
            "--log",
            log,
        ]
        run = start("run", *inputs, *options)
        until(lambda: events("waiting"), "that it says that it waits")
        body = json.dumps({"joules": 60, "request_id": "first"}).encode()
        request = urllib.request.Request(
            f"{url}/v1/grant", body, {"Content-Type": "application/json"}, method="POST"
        )
        urllib.request.urlopen(request, timeout=CEILING_S).close()
        until(lambda: events("attempt"), "an attempt")
        run.send_signal(signal.SIGTERM)
        assert ended(run).code == 0
    assert cryoflux("verify", tmp_path / "s").code == 0
