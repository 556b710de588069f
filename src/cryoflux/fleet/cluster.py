"""A Ray cluster of this machine alone: started, found again, and ended by what lies in the state.

Whoever reaches an open Ray cluster runs code on it, so this one asks for a token that lies in the state,
readable by its owner alone. Ray writes below a folder of its own in the system's folder for temporary files,
because the paths of its sockets have to be short.
"""

from __future__ import annotations

__all__ = ["LocalCluster", "start_cluster"]

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

from cryoflux.energy.clock import SystemClock
from cryoflux.energy.processes import find_owner
from cryoflux.errors import StateError, UsageError
from cryoflux.files import (
    MOST_DOCUMENT_BYTES,
    IrregularFileError,
    read_beginning,
    read_regular,
    storage_errors,
    write_atomic,
)
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.on_ray import METER
from cryoflux.fleet.ray_door import require_guarded, require_listening
from cryoflux.state import StateFolder

_FILE = "cluster.json"
_TOKEN = "cluster.token"  # noqa: S105 - a file's name
_STARTED = b"Ray runtime started"
_LOG_BYTES = 200_000
_PATIENCE_S = 90.0
_END_S = 20.0
_OBJECTS = 100 * 2**20
"""bytes of Ray's own memory for objects: nothing of ours lies there"""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "GRPC_ENABLE_FORK_SUPPORT": "0",  # with it, the server of clients did not start at times
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "6",
}


class LocalCluster(Struct, frozen=True):
    """A cluster that runs on this machine."""

    pid: int
    """of the process that holds it; it leads a process group"""
    start_ticks: int
    """when that began, so that a later one with the same number is not taken for it"""
    address: str
    workers: int
    token: str
    """path of the file with the token"""
    folder: str
    """where Ray writes"""

    @property
    def environment(self) -> dict[str, str]:
        """What a client of it has to have in its environment."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": self.token}

    @classmethod
    def open_door(cls, state: StateFolder, address: str) -> None:
        """Make sure that a cluster is guarded and listens; of one's own, its token is known.

        Args:
            state: that a cluster may have been started for.
            address: of the cluster.

        Raises:
            UsageError: it is not guarded.
            FleetError: nothing listens.
        """
        own = cls.of(state)
        if own is not None and own.address == address:
            os.environ.update(own.environment)
        require_listening(address)  # nothing is said to it yet
        require_guarded(address, os.environ)

    @classmethod
    def of(cls, state: StateFolder) -> LocalCluster | None:
        """The cluster that was started for a state, if it still runs."""
        try:
            found = msgspec.json.decode(read_regular(state.fleet / _FILE, MOST_DOCUMENT_BYTES), type=cls)
        except (OSError, IrregularFileError, msgspec.MsgspecError):
            return None
        return found if _start_ticks(found.pid) == found.start_ticks else None

    def end(self, state: StateFolder, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """End it, and take away what it wrote.

        Args:
            state: that it was started for.
            sleep: waits so many seconds.
        """
        for number, patience_s in ((signal.SIGTERM, _END_S), (signal.SIGKILL, _END_S)):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            waited_s = 0.0
            while _start_ticks(self.pid) == self.start_ticks and waited_s < patience_s:
                sleep(0.2)
                waited_s += 0.2
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in (_FILE, _TOKEN):
            (state.fleet / name).unlink(missing_ok=True)


def _start_ticks(pid: int) -> int:
    """When a live process began; 0 where there is none."""
    found = find_owner(pid, SystemClock().boot_id)
    return found.start_ticks if found is not None else 0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start_cluster(
    state: StateFolder, workers: int, port: int, *, sleep: Callable[[float], None] = time.sleep
) -> LocalCluster:
    """Start a cluster of one machine, with room for so many workers.

    Args:
        state: whose it is.
        workers: how many there may be at once.
        port: that clients speak to.
        sleep: waits so many seconds.

    Raises:
        UsageError: Ray is not installed.
        StateError: one runs already.
        FleetError: it did not start.
    """
    if find_spec("ray") is None or find_spec("grpc") is None:
        raise UsageError(
            "Ray is not installed.",
            why="A cluster is Ray's. Workers of this machine need none: cryoflux run --workers 2.",
            hint="pip install 'cryoflux[fleet]'",
        )
    if (running := LocalCluster.of(state)) is not None:
        raise StateError(
            f"A cluster runs already, at {running.address}.",
            why="A state has one at a time.",
            hint=f"Spend with it, or end it: cryoflux fleet down{state.flag()}",
        )
    with storage_errors(state.fleet):
        state.fleet.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="cryoflux-"))  # for its owner alone
    token, log = state.fleet / _TOKEN, state.fleet / "cluster.log"
    own = {"RAY_AUTH_TOKEN_PATH": str(token.absolute()), "RAY_TMPDIR": str(folder)}
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        undo.callback(token.unlink, missing_ok=True)
        write_atomic(token, secrets.token_hex(32).encode(), mode=0o600)
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - this Python, and words of ours
                [sys.executable, "-c", "from ray.scripts.scripts import main; main()", *_head(workers, port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_QUIET, **own},
                start_new_session=True,
            )
        undo.callback(_kill, process)
        address = f"ray://127.0.0.1:{port}"
        began = _start_ticks(process.pid)
        found = LocalCluster(process.pid, began, address, workers, str(token.absolute()), str(folder))
        write_atomic(state.fleet / _FILE, msgspec.json.encode(found))
        undo.pop_all()  # from here on it can be ended, whatever comes: the file says how
    if not _is_up(process, log, sleep):
        found.end(state)
        raise FleetError(
            "The cluster did not start.", why="What Ray said is in its log.", hint=f"Look there: {log}"
        )
    return found


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _is_up(process: subprocess.Popen[bytes], log: Path, sleep: Callable[[float], None]) -> bool:
    waited_s = 0.0
    while _STARTED not in read_beginning(log, _LOG_BYTES):
        if process.poll() is not None or waited_s > _PATIENCE_S:
            return False
        sleep(0.5)
        waited_s += 0.5
    return True


def _head(workers: int, port: int) -> list[str]:
    return [
        *("start", "--head", "--block", "--port", str(_free_port())),
        *("--ray-client-server-port", str(port), "--num-cpus", str(max(workers, os.cpu_count() or 1))),
        *("--resources", msgspec.json.encode({METER: workers}).decode()),
        *("--include-dashboard", "false", "--disable-usage-stats"),
        *("--object-store-memory", str(_OBJECTS)),
    ]
