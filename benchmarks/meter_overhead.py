"""What metering costs: the daemon, codecarbon and an idle Python side by side in one run.

    python benchmarks/meter_overhead.py [--window 60] [--rounds 3] [--json]
    python benchmarks/meter_overhead.py --idle 10000 [--json]

All of them run at the same time in the same window, in an order that is reversed from round to round. CPU
time is that of the process clock that the kernel keeps for each (all threads, to the nanosecond), per second
of wall time; memory is resident, and the part of it that is the process's own. codecarbon, at its defaults,
is installed into an environment of its own. `--idle` opens that many connections that say nothing and shows
what the daemon then does for others.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

CODECARBON = """
from codecarbon import OfflineEmissionsTracker
tracker = OfflineEmissionsTracker(country_iso_code="USA", save_to_file=False, log_level="critical",
                                  allow_multiple_runs=True)
tracker.start()
print("ready", flush=True)
import time
time.sleep(10**6)
"""
IDLE = 'import time; print("ready", flush=True); time.sleep(10**6)'
_CLOCK_OF_PROCESS = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """What one of them cost in one round."""

    name: str
    start_cpu_s: float
    rest_core_percent: float
    rss_mb: float
    private_mb: float
    threads: int


def cpu_s(pid: int) -> float:
    """CPU time of a process so far: the clock that clock_getcpuclockid(3) gives."""
    return time.clock_gettime((~pid << 3) | _CLOCK_OF_PROCESS)


def memory_mb(pid: int) -> tuple[float, float, int]:
    """Resident memory, the private part of it, and the number of threads."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    parts = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    private_kb = sum(int(words[1]) for words in parts if words[0] in {"Private_Clean:", "Private_Dirty:"})
    return int(status["VmRSS"].split()[0]) / 1024, private_kb / 1024, int(status["Threads"])


def codecarbon_python(folder: Path) -> str:
    """The interpreter of an environment that has codecarbon, which is made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "codecarbon"], check=True)
    return str(python)


def environment() -> dict[str, str]:
    """Without settings of the user that change what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CRYOFLUX_")}


@contextmanager
def running(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process and the first line that it says, which is when it is ready."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    )
    try:
        line = ""
        while (
            not line or '"event": "baseline"' in line
        ):  # where one has to be learned, the last is waited for
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise SystemExit(f"{command[0]} ended before it was ready")
        yield process, line
    finally:
        process.terminate()
        process.wait()


def daemon_command(state: Path) -> list[str]:
    """The daemon as anybody starts it."""
    return [sys.executable, "-m", "cryoflux", "agent", "--json", "--port", "0", "--state", str(state)]


def one_round(commands: dict[str, list[str]], window_s: float) -> list[Cost]:
    """Start all of them, let them come to rest, and measure all in one window."""
    with ExitStack() as stack:
        processes, started = {}, {}
        for name, command in commands.items():
            process, line = stack.enter_context(running(command))
            processes[name], started[name] = process.pid, cpu_s(process.pid)
            if name == "cryoflux":
                _ask_everything(json.loads(line)["url"])
        time.sleep(2)
        began_s = time.monotonic()
        before = {name: cpu_s(pid) for name, pid in processes.items()}
        time.sleep(window_s)
        after = {name: cpu_s(pid) for name, pid in processes.items()}
        elapsed_s = time.monotonic() - began_s
        return [
            Cost(name, started[name], 100 * (after[name] - before[name]) / elapsed_s, *memory_mb(pid))
            for name, pid in processes.items()
        ]


def _ask_everything(url: str) -> None:
    # Its memory is to be that of a daemon that has answered.
    for path in ("/v1/sample", "/v1/reservations", "/metrics"):
        with urllib.request.urlopen(url + path, timeout=60) as reply:  # noqa: S310 - the URL of our own daemon
            reply.read()


def side_by_side(arguments: argparse.Namespace, folder: Path) -> list[Cost]:
    """All rounds."""
    codecarbon = codecarbon_python(Path(arguments.environment))
    costs: list[Cost] = []
    for number in range(arguments.rounds):
        commands = {
            "idle python": [sys.executable, "-c", IDLE],
            "codecarbon": [codecarbon, "-c", CODECARBON],
            "cryoflux": daemon_command(folder / f"state-{number}"),
        }
        names = list(commands) if number % 2 == 0 else list(reversed(commands))
        costs += one_round({name: commands[name] for name in names}, arguments.window)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    return costs


def show(costs: Sequence[Cost]) -> None:
    """Medians over the rounds, with the range of what matters most."""
    print("| | CPU at rest, % of a core (range) | CPU to start, s | RSS, MB | private, MB | threads |")
    print("|---|---|---|---|---|---|")
    for name in dict.fromkeys(cost.name for cost in costs):
        rows = [cost for cost in costs if cost.name == name]
        rest = [cost.rest_core_percent for cost in rows]
        print(
            f"| {name} | {median(rest):.4f} ({min(rest):.4f}–{max(rest):.4f}) "
            f"| {median(cost.start_cpu_s for cost in rows):.2f} | {median(cost.rss_mb for cost in rows):.1f} "
            f"| {median(cost.private_mb for cost in rows):.1f} | {rows[-1].threads} |"
        )


def with_idle_connections(count: int, folder: Path) -> dict[str, float]:
    """What the daemon does for others while so many connections say nothing."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with running(daemon_command(folder / "state")) as (process, line), ExitStack() as stack:
        url = json.loads(line)["url"]
        host, _, port = url.removeprefix("http://").rpartition(":")
        before = {
            "gross_j": _sample(url)["gross_j"],
            "cpu_s": cpu_s(process.pid),
            "rss": memory_mb(process.pid)[0],
        }
        began_s = time.monotonic()
        for _ in range(count):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
        opened_s = time.monotonic() - began_s
        takes_s = sorted(_timed_take(url) for _ in range(100))
        time.sleep(2)
        return {
            "connections": count,
            "opened_s": opened_s,
            "open_files_of_the_daemon": len(list(Path(f"/proc/{process.pid}/fd").iterdir())),
            "take_median_ms": 1000 * takes_s[50],
            "take_worst_ms": 1000 * takes_s[-1],
            "joules_counted_meanwhile": _sample(url)["gross_j"] - before["gross_j"],
            "cpu_us_per_connection": 1e6 * (cpu_s(process.pid) - before["cpu_s"]) / count,
            "rss_mb_before": before["rss"],
            "rss_mb": memory_mb(process.pid)[0],
        }


def _sample(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/v1/sample", timeout=60) as reply:  # noqa: S310
        found: dict[str, float] = json.load(reply)
        return found


def _timed_take(url: str) -> float:
    request = urllib.request.Request(  # noqa: S310
        f"{url}/v1/take", b'{"joules": 0.000001}', {"Content-Type": "application/json"}
    )
    began_s = time.monotonic()
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
        reply.read()
    return time.monotonic() - began_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--window", type=float, default=60.0, help="how long each round measures, s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--environment", default="bench/codecarbon", help="where codecarbon is installed to")
    parser.add_argument("--idle", type=int, default=0, metavar="N", help="idle connections to open instead")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.idle:
            found = with_idle_connections(arguments.idle, Path(folder))
            print(json.dumps(found, indent=None if arguments.json else 2))
            return
        costs = side_by_side(arguments, Path(folder))
    if arguments.json:
        print(json.dumps([asdict(cost) for cost in costs]))
    else:
        show(costs)


if __name__ == "__main__":
    main()
