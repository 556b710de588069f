"""What an NVIDIA GPU's energy figures are worth, and what it costs to read them: one table in eight minutes.

    python benchmarks/gpu_energy.py [--seconds 20] [--attempt-timeout 240] [--no-attempt] [--fake]

For the first GPU: its energy counter against its integrated power, and against zeus where that can be
imported, in the same windows, at rest and under two torch loads (steady, and in training-like steps of
0.237 s); the counter's step; the CPU time of each read; the idle power; then one attempt of the
whitepaper's recipe and the daemon's own cost, both through the real command. ``--fake`` tries the script
without a GPU: a made-up board takes NVML's place, and every line says so. Such figures show nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryoflux.energy.clock import SystemClock
from cryoflux.energy.sources.integral import PowerIntegral
from cryoflux.energy.sources.nvml import NvmlSource, find_gpus, load_pynvml

FAKES = Path(__file__).parents[1] / "tests"
FAKE_MODULE = """
import sys
sys.path.append({folder!r})
from cryoflux.energy.clock import SystemClock
from fake_nvml import Board, NVMLError, RichNvml
board = Board("GPU-made-up", SystemClock())
_nvml = RichNvml([board])
def __getattr__(name):
    return getattr(_nvml, name)
"""
LOAD = """
import sys, time, torch
seconds, period_s, duty = map(float, sys.argv[1:])
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
for _ in range(20):
    a @ a
torch.cuda.synchronize()
print("ready", flush=True)
end = time.monotonic() + seconds
while time.monotonic() < end:
    start = time.monotonic()
    while time.monotonic() < start + period_s * duty:
        for _ in range(4):
            a @ a
        torch.cuda.synchronize()
    time.sleep(max(0.0, start + period_s - time.monotonic()) if duty < 1 else 0)
"""
SHAPES = {"at rest": None, "steady load": (1.0, 1.0), "steps of 0.237 s": (0.237, 0.3)}
POWER_AVERAGE, POWER_INSTANT = 185, 186


@dataclass(frozen=True, slots=True)
class Window:
    """Joules of one window, by each way to get them; none where the board has not that way."""

    seconds: float
    counter_j: float | None
    check_j: float | None
    """power that the source itself integrated beside its counter, read once a second"""
    instant_j: float | None
    """instantaneous power, ten times a second in an uneven rhythm"""
    average_j: float | None
    legacy_j: float | None
    """nvmlDeviceGetPowerUsage"""
    zeus_j: float | None
    powers_w: list[float]
    """mean of each second, by the source"""


class Output:
    """Prints lines; made-up ones say so."""

    def __init__(self, *, fake: bool) -> None:
        self._mark = "FAKE " if fake else ""

    def __call__(self, text: str = "") -> None:
        """Print."""
        for line in text.splitlines() or [""]:
            print(f"{self._mark}{line}", flush=True)


def field_mw(nvml: Any, handle: Any, field: int) -> int | None:
    """A power field in mW; none where the board has not that field."""
    try:
        told = nvml.nvmlDeviceGetFieldValues(handle, [(field, 0)])[0]
    except (nvml.NVMLError, AttributeError):
        return None
    return int(told.value.uiVal) if told.nvmlReturn == 0 else None


def call_or_none(nvml: Any, name: str, *arguments: Any) -> Any | None:
    """What a call returns; none where the board refuses it."""
    try:
        return getattr(nvml, name)(*arguments)
    except (nvml.NVMLError, AttributeError):
        return None


def zeus_window() -> tuple[Callable[[], None], Callable[[], float]] | None:
    """How to begin and end a window of zeus; none where it cannot be imported."""
    try:
        monitor = importlib.import_module("zeus.monitor").ZeusMonitor(gpu_indices=[0])
    except Exception as error:  # noqa: BLE001 - whatever keeps zeus from working here is the answer
        print(f"zeus is left out: {error!r}", file=sys.stderr)
        return None
    return (
        lambda: monitor.begin_window("gpu_energy"),
        lambda: float(monitor.end_window("gpu_energy").gpu_energy[0]),
    )


def measure(gpu: NvmlSource, nvml: Any, handle: Any, seconds: float, zeus: Any | None) -> Window:
    """One window, all ways at once."""
    ways: dict[str, Callable[[], int | None]] = {
        "instant": lambda: field_mw(nvml, handle, POWER_INSTANT),
        "average": lambda: field_mw(nvml, handle, POWER_AVERAGE),
        "legacy": lambda: call_or_none(nvml, "nvmlDeviceGetPowerUsage", handle),
    }
    integrals = {name: PowerIntegral() for name, way in ways.items() if way() is not None}

    def sample() -> None:
        for name, integral in integrals.items():
            power_mw = ways[name]()
            if power_mw is not None:
                integral.add(power_mw * 1000, time.monotonic_ns())

    rhythm = random.Random(0)  # noqa: S311
    gpu.read()  # after a pause the first power sample joins on to nothing
    if zeus:
        zeus[0]()
    readings = [gpu.read()]
    sample()
    end_ns = readings[0].monotonic_ns + round(seconds * 1e9)
    while (now_ns := time.monotonic_ns()) < end_ns:
        sample()
        if now_ns - readings[-1].monotonic_ns >= 1_000_000_000:
            readings.append(gpu.read())
        time.sleep(0.1 * rhythm.uniform(0.8, 1.2))
    readings.append(gpu.read())
    sample()
    zeus_j = zeus[1]() if zeus else None
    good = [r for r in readings if r.energy_uj is not None]
    pairs = list(pairwise(good))
    checks = [r.check_uj for r in good if r.check_uj is not None]
    joules = {name: integral.total_uj / 1e6 for name, integral in integrals.items()}
    return Window(
        seconds=(good[-1].monotonic_ns - good[0].monotonic_ns) / 1e9,
        counter_j=((good[-1].energy_uj or 0) - (good[0].energy_uj or 0)) / 1e6,
        check_j=(checks[-1] - checks[0]) / 1e6 if checks else None,
        instant_j=joules.get("instant"),
        average_j=joules.get("average"),
        legacy_j=joules.get("legacy"),
        zeus_j=zeus_j,
        powers_w=[
            ((b.energy_uj or 0) - (a.energy_uj or 0)) * 1000 / (b.monotonic_ns - a.monotonic_ns)
            for a, b in pairs
            if b.monotonic_ns - a.monotonic_ns > 900_000_000
        ],
    )


@contextlib.contextmanager
def load(shape: tuple[float, float] | None, seconds: float, board: Any | None) -> Iterator[None]:
    """Keep the GPU busy; a made-up board draws what a busy one might."""
    if shape is None:
        yield
        return
    period_s, duty = shape
    if board is not None:
        stop = threading.Event()
        thread = threading.Thread(target=_pretend, args=(board, period_s, duty, stop), daemon=True)
        thread.start()
        time.sleep(1.0)
        yield
        stop.set()
        thread.join()
        board.draw(60.0)
        return
    command = [sys.executable, "-c", LOAD, str(seconds + 5), str(period_s), str(duty)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise SystemExit("the load did not start: torch with CUDA is needed")
        time.sleep(2.0)
        yield
    finally:
        process.terminate()
        process.wait()


def _pretend(board: Any, period_s: float, duty: float, stop: threading.Event) -> None:
    while not stop.is_set():
        board.draw(280.0)
        stop.wait(period_s * duty)
        if duty < 1:
            board.draw(90.0)
            stop.wait(period_s * (1 - duty))


def step_of_counter(nvml: Any, handle: Any, seconds: float) -> tuple[float, float, float] | None:
    """Milliseconds between two changes of the counter: median, least, most."""
    before = call_or_none(nvml, "nvmlDeviceGetTotalEnergyConsumption", handle)
    if before is None:
        return None
    changes_s: list[float] = []
    end_s = time.monotonic() + seconds
    while (now_s := time.monotonic()) < end_s:
        after = call_or_none(nvml, "nvmlDeviceGetTotalEnergyConsumption", handle)
        if after != before:
            changes_s.append(now_s)
            before = after
    gaps_ms = [1000 * (b - a) for a, b in pairwise(changes_s)]
    return (statistics.median(gaps_ms), min(gaps_ms), max(gaps_ms)) if gaps_ms else None


def cost(call: Callable[[], object], *, seconds: float = 1.0) -> tuple[float, float, int]:
    """CPU µs and wall µs of one call, and how often it was called."""
    call()
    calls, cpu_ns, wall_ns = 0, time.process_time_ns(), time.monotonic_ns()
    while time.monotonic_ns() - wall_ns < seconds * 1e9:
        call()
        calls += 1
    cpu_ns, wall_ns = time.process_time_ns() - cpu_ns, time.monotonic_ns() - wall_ns
    return cpu_ns / calls / 1000, wall_ns / calls / 1000, calls


def compared(say: Output, windows: dict[str, Window]) -> None:
    """The table of windows."""

    def cell(joules: float | None, to: float | None) -> str:
        if joules is None:
            return "–"
        return f"{joules:.1f}" if not to else f"{joules:.1f} ({100 * (joules / to - 1):+.2f} %)"

    say("| window | s | source J | its own check | instant, 10 Hz | average, 10 Hz | PowerUsage | zeus |")
    say("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, w in windows.items():
        others = (w.check_j, w.instant_j, w.average_j, w.legacy_j, w.zeus_j)
        cells = " | ".join(cell(joules, w.counter_j) for joules in others)
        say(f"| {name} | {w.seconds:.1f} | {cell(w.counter_j, None)} | {cells} |")
    rest = windows["at rest"].powers_w
    if rest:
        spread = statistics.stdev(rest) if len(rest) > 1 else 0.0
        say(f"\nidle: median {statistics.median(rest):.2f} W, sd {spread:.2f} W, {len(rest)} blocks of 1 s")


def costs(say: Output, gpu: NvmlSource, nvml: Any, handle: Any) -> None:
    """The table of read costs."""
    calls: dict[str, Callable[[], object]] = {
        "energy counter": lambda: call_or_none(nvml, "nvmlDeviceGetTotalEnergyConsumption", handle),
        "power, PowerUsage": lambda: call_or_none(nvml, "nvmlDeviceGetPowerUsage", handle),
        "power, instant field": lambda: field_mw(nvml, handle, POWER_INSTANT),
        "power, average field": lambda: field_mw(nvml, handle, POWER_AVERAGE),
        "whole read of the source": gpu.read,
        "its users": gpu.users,
    }
    say("\n| read | CPU µs | wall µs | calls |\n|---|---:|---:|---:|")
    for name, call in calls.items():
        cpu_us, wall_us, count = cost(call)
        say(f"| {name} | {cpu_us:.1f} | {wall_us:.1f} | {count} |")
    say(f"\nusers told here: {gpu.users()}")


def attempt(say: Output, state: Path, environ: dict[str, str], timeout_s: float) -> None:
    """One attempt of the whitepaper's recipe by the real command."""
    options = ["--recipes", "whitepaper", "--attempts", "1", "--budget", "100kJ", "--state", str(state)]
    command = [sys.executable, "-m", "cryoflux", "run", *options, "--json"]
    started_s = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environ, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        say(f"\none attempt: not done after {timeout_s:.0f} s")
        return
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    attempts = [line for line in lines if line.get("event") == "attempt"]
    if not attempts:
        say(f"\none attempt: exit code {done.returncode}, no attempt; {done.stderr.strip()[-500:]}")
        return
    kept = ("decision", "joules_spent", "joules_lo", "joules_hi", "tier", "steps", "flags", "delta")
    told = ", ".join(f"{key} {attempts[0][key]}" for key in kept if key in attempts[0])
    say(f"\none attempt of the whitepaper's recipe, {time.monotonic() - started_s:.0f} s in all: {told}")


def daemon(say: Output, state: Path, environ: dict[str, str], seconds: float) -> None:
    """CPU share and memory of the daemon with the GPU as a source, once it answers."""
    options = ["--state", str(state), "--port", "0", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cryoflux", "agent", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environ,
    )
    try:
        if process.stdout is None or not process.stdout.readline():
            say("\nthe daemon did not start")
            return
        time.sleep(2.0)
        before_s, started_s = _cpu_s(process.pid), time.monotonic()
        time.sleep(seconds)
        share = 100 * (_cpu_s(process.pid) - before_s) / (time.monotonic() - started_s)
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
        peak = next(line.split(":")[1].strip() for line in status.splitlines() if line.startswith("VmHWM"))
        say(f"\nthe daemon at rest, {seconds:.0f} s: {share:.3f} % of a core, at most {peak} of memory")
    finally:
        process.terminate()
        process.wait()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a window under load")
    parser.add_argument("--attempt-timeout", type=float, default=240.0)
    parser.add_argument("--no-attempt", action="store_true")
    parser.add_argument("--fake", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environ = dict(os.environ)
        if chosen.fake:
            Path(folder, "pynvml.py").write_text(FAKE_MODULE.format(folder=str(FAKES)), "utf-8")
            sys.path.insert(0, folder)
            environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, environ.get("PYTHONPATH"))))
        report(Output(fake=chosen.fake), Path(folder) / "state", environ, chosen)


def report(say: Output, state: Path, environ: dict[str, str], chosen: argparse.Namespace) -> None:
    """All tables of the first GPU."""
    gpus, problems = find_gpus(SystemClock())
    for problem in problems:
        say(f"{problem.name}: {problem.reason} ({problem.code})")
    if not gpus:
        raise SystemExit("there is no GPU to measure")
    gpu, nvml = gpus[0], load_pynvml()
    if nvml is None:
        raise SystemExit("there is no NVML")
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    name = nvml.nvmlDeviceGetName(handle)
    driver = call_or_none(nvml, "nvmlSystemGetDriverVersion")
    say(f"{len(gpus)} GPU, the first one: {name}, driver {driver}, tier {gpu.tier}\n")
    board = getattr(nvml, "board", None) if chosen.fake else None
    zeus = None if chosen.fake else zeus_window()
    windows = {}
    for shape, drawn in SHAPES.items():
        seconds = chosen.seconds if drawn else 1.5 * chosen.seconds
        with load(drawn, seconds, board):
            windows[shape] = measure(gpu, nvml, handle, seconds, zeus)
            if shape == "steady load":
                step = step_of_counter(nvml, handle, 3.0)
    compared(say, windows)
    if step:
        say("the counter moves every {:.1f} ms (median; {:.1f} to {:.1f})".format(*step))
    costs(say, gpu, nvml, handle)
    if not chosen.no_attempt:
        attempt(say, state, environ, chosen.attempt_timeout)
        daemon(say, state, environ, 30.0)


if __name__ == "__main__":
    main()
