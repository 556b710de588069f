"""A real partition between a coordinator and its worker: two network namespaces, a cable, and Ray with TLS.

Each namespace is a machine as far as the network goes. The cable is pulled while the worker trains, and put
back once the run has ended; then the next run goes on. Printed: what the coordinator charged for the attempt,
what the worker's own account says that it cost, and whether the log verifies. It needs root, ``ip`` and
``openssl``, and Ray in this Python (``pip install 'cryoflux[fleet]'``); it changes nothing but two namespaces
of its own.

    sudo .venv/bin/python benchmarks/fleet_partition.py
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from cryoflux.fleet.words import LastWords
from cryoflux.state import StateFolder

HERE, THERE = ("cryoflux-a", "10.77.0.1"), ("cryoflux-b", "10.77.0.2")
PORT, CLIENT_PORT = 6379, 10001
RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"]
RUN = [
    *(sys.executable, "-m", "cryoflux", "run", "--fleet", f"ray://{HERE[1]}:{CLIENT_PORT}", "--workers", "1"),
    *(
        "--recipes",
        "prefix-1",
        "--policy",
        "uniform/v1",
        "--budget",
        "600J",
        "--worker-silence",
        "10",
        "--json",
    ),
]


def ip(*words: str) -> None:
    """Have ``ip`` do something."""
    subprocess.run(["ip", *words], check=True)


def inside(machine: tuple[str, str], *command: str) -> list[str]:
    """A command as it is typed on one of the two machines."""
    return ["ip", "netns", "exec", machine[0], *command]


@contextmanager
def machines() -> Iterator[None]:
    """Two machines, and a cable between them."""
    with ExitStack() as undo:
        for name, _ in (HERE, THERE):
            ip("netns", "add", name)
            undo.callback(ip, "netns", "delete", name)
        ip("link", "add", "cable-a", "type", "veth", "peer", "name", "cable-b")
        for (name, address), end in ((HERE, "cable-a"), (THERE, "cable-b")):
            ip("link", "set", end, "netns", name)
            for words in (["addr", "add", f"{address}/24", "dev", end], ["link", "set", end, "up"]):
                ip("-n", name, *words)
            ip("-n", name, "link", "set", "lo", "up")
        yield


def cable(state: str) -> None:
    """Pull the cable out of the worker's machine (``down``), or put it back (``up``)."""
    ip("-n", THERE[0], "link", "set", "cable-b", state)


def guarded(folder: Path) -> dict[str, str]:
    """The environment of a cluster with a token and a certificate."""
    token, key, certificate = (folder / name for name in ("token", "tls.key", "tls.crt"))
    token.write_text(os.urandom(32).hex())
    names = ",".join(f"IP:{address}" for address in (HERE[1], THERE[1], "127.0.0.1"))
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=cryoflux"]
    made += ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    guard = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(certificate),
        "RAY_TLS_SERVER_KEY": str(key),
        "RAY_TLS_CA_CERT": str(certificate),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_timeout_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
    }
    return {**os.environ, **guard}


@contextmanager
def ray(machine: tuple[str, str], folder: Path, environ: dict[str, str], *words: str) -> Iterator[None]:
    """Ray on a machine, whose workers keep what they keep in a folder."""
    folder.mkdir(exist_ok=True)
    own = {**environ, "XDG_STATE_HOME": str(folder), "RAY_TMPDIR": tempfile.mkdtemp(prefix="ray-")}
    command = inside(machine, *RAY, "--disable-usage-stats", f"--node-ip-address={machine[1]}", *words)
    with (folder / "ray.log").open("ab") as log:
        process = subprocess.Popen(command, env=own, stdout=log, stderr=log, start_new_session=True)
    try:
        time.sleep(12)
        yield
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(own["RAY_TMPDIR"], ignore_errors=True)


def cut_while_it_trains(state: Path, environ: dict[str, str]) -> list[dict[str, object]]:
    """A run whose cable is pulled once a word on its attempt is there; its events."""
    running = subprocess.Popen(
        inside(HERE, *RUN, "--attempts", "3", "--state", str(state)),
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    words = LastWords(StateFolder(state).words)
    while running.poll() is None and sum(bool(word.word) for word in words.all()) < 2:
        time.sleep(0.2)
    cable("down")
    said, _ = running.communicate()
    print(f"cut      the run ended with {running.returncode}")
    return [json.loads(line) for line in said.splitlines()]


def settled_there(folder: Path, request: str) -> float:
    """What the worker's own account charged an attempt, J; waits until it has."""
    (account,) = folder.glob("cryoflux/fleet/*/w1/account.db")
    query = (
        "SELECT -balance_change_uj FROM entries e JOIN reservations r ON r.id = e.reservation "
        "WHERE e.kind = 'settle' AND r.request_id = ?"
    )
    for _ in range(120):
        with closing(sqlite3.connect(f"file:{account}?mode=ro", uri=True)) as db:
            if (row := db.execute(query, (request,)).fetchone()) is not None:
                return float(row[0]) / 1e6
        time.sleep(0.5)
    raise TimeoutError(f"nothing was settled for {request}")


def main() -> None:
    """The whole story."""
    with tempfile.TemporaryDirectory(prefix="partition-") as name, machines():
        folder, state = Path(name), Path(name) / "state"
        environ = guarded(folder)
        head = ["--head", f"--port={PORT}", f"--ray-client-server-port={CLIENT_PORT}", "--num-cpus=0"]
        worker = [f"--address={HERE[1]}:{PORT}", "--num-cpus=1", '--resources={"joule_meter": 1}']
        with ray(HERE, folder / "a", environ, *head, "--include-dashboard=false"):
            with ray(THERE, folder / "b", environ, *worker):
                events = cut_while_it_trains(state, environ)
                (attempt,) = [event for event in events if event["event"] == "attempt"]
                for part in attempt["parts"]:  # type: ignore[attr-defined]
                    if part["worker"]:
                        ends = f"{part['joules']:.2f} J [{part['joules_lo']:.2f}, {part['joules_hi']:.2f}]"
                        print(f"charged  {ends}, {', '.join(part['flags'])}")
                there_j = settled_there(folder / "b", str(attempt["task_id"]))
                print(f"spent    {there_j:.2f} J by the worker's own account, which heard nothing for 10 s")
                cable("up")
            with ray(THERE, folder / "b", environ, *worker):
                again = inside(HERE, *RUN, "--attempts", "1", "--state", str(state))
                done = subprocess.run(again, env=environ, capture_output=True, text=True, check=False)
                print(f"healed   the next run ended with {done.returncode}")
        verify = [sys.executable, "-m", "cryoflux", "verify", str(state)]
        done = subprocess.run(verify, capture_output=True, text=True, check=False)
        print(f"verify   {done.returncode}")


if __name__ == "__main__":
    main()
