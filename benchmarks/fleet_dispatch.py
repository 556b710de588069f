"""What dispatch costs: CPU time of coordinator and workers by what they do to train elsewhere.

    python benchmarks/fleet_dispatch.py [--workers 2] [--attempts 5] [--recipes prefix-1]

One real run on the embedded model and data. Each part is the CPU time of the thread that does it. Merging an
update into a head that has moved, and screening it anew, is told apart: it is judging, and a run without
workers does the same of its own. A share is that of all CPU time that the attempts were charged.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fleet_records import read_run

HERE = Path(__file__).parent
_TOLD = "FLEET_DISPATCH"
"""names the folder that parts are written into"""
_COORDINATOR = {
    "cryoflux.fleet.attempts:FleetAttempts._dispatch": "lend, write the order, begin",
    "cryoflux.fleet.local:LocalStation.give": "of that: send inputs",
    "cryoflux.fleet.crew:Crew.ended": "ask how it goes, write words down",
    "cryoflux.fleet.attempts:FleetAttempts._charging": "take, and read what is signed",
    "cryoflux.fleet.charging:repay": "repay",
    "cryoflux.fleet.local:LocalStation.fetch": "fetch",
    "cryoflux.fleet.crew:Crew.forget": "tell it that all is here",
    "cryoflux.tasks.lora.elsewhere:LoraElsewhere.screened_again": "screen anew",
}
_WORKER = {
    "state": "say how it goes, sign words",
    "lacks": "look for inputs",
    "add": "copy and digest inputs",
    "begin": "begin",
    "forget": "forget",
}
_INSIDE = frozenset({"of that: send inputs"})
_JUDGING = frozenset({"screen anew"})
Times = dict[str, tuple[int, float]]


def _timed(times: Times, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def new(*given: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return call(*given, **named)
        finally:
            count, spent = times.get(name, (0, 0.0))
            times[name] = count + 1, spent + time.thread_time() - began

    return new


def _write(times: Times, who: str) -> None:
    (Path(os.environ[_TOLD]) / f"{who}.json").write_text(json.dumps(times), "utf-8")


def be_worker() -> None:
    """Be a worker that counts what its answers take."""
    from cryoflux.fleet import worker_process

    times: Times = {}
    whole = worker_process.Desk.answer

    def answer(desk: worker_process.Desk, line: bytes) -> worker_process.WorkerAnswer:
        call = json.loads(line)["call"]
        found: worker_process.WorkerAnswer = _timed(times, call, whole)(desk, line)
        return found

    with patch.object(worker_process.Desk, "answer", answer):
        worker_process.main()
    _write(times, f"worker-{os.getpid()}")


def be_coordinator(arguments: Sequence[str]) -> None:
    """Be the command, and count."""
    import importlib

    from cryoflux.fleet import local

    times: Times = {}
    for place, name in _COORDINATOR.items():
        module, _, inside = place.partition(":")
        owner: Any = importlib.import_module(module)
        *outer, last = inside.split(".")
        for part in outer:
            owner = getattr(owner, part)
        setattr(owner, last, _timed(times, name, getattr(owner, last)))
    charging: Any = importlib.import_module("cryoflux.fleet.charging")
    left: Any = importlib.import_module("cryoflux.fleet.left")
    left.repay = charging.repay
    launch = local._LAUNCH.replace(  # noqa: SLF001 - workers are to count, too
        "cryoflux.fleet.worker_process import main", "fleet_dispatch import be_worker"
    )
    local._LAUNCH = launch.replace("main()", "be_worker()")  # noqa: SLF001 - the same
    atexit.register(_write, times, "coordinator")
    sys.argv = ["cryoflux", *arguments]
    from cryoflux.cli.main import main as command

    command()


def show(times: Mapping[str, Times], attempts: int, all_s: float) -> None:
    """The table, in Markdown."""
    print("| part | times | ms each | ms an attempt | share |\n|---|---:|---:|---:|---:|")
    total = 0.0
    for who, names in (("coordinator", _COORDINATOR.values()), ("worker", _WORKER)):
        for name in names:
            count, spent = times[who].get(name, (0, 0.0))
            title = f"{who}: {_WORKER.get(name, name)}"
            total += 0.0 if name in _INSIDE | _JUDGING else spent
            each = spent / count * 1000 if count else 0.0
            print(f"| {title} | {count} | {each:.2f} | {spent / attempts * 1000:.1f} | {spent / all_s:.2%} |")
    print(f"| **all, without screening** | | | {total / attempts * 1000:.1f} | {total / all_s:.2%} |")


def added(found: Sequence[Times]) -> Times:
    """What several workers took."""
    total: Times = {}
    for times in found:
        for name, (count, spent) in times.items():
            before = total.get(name, (0, 0.0))
            total[name] = before[0] + count, before[1] + spent
    return total


def measure(asked: argparse.Namespace, folder: Path) -> None:
    """One run in a folder."""
    command = [sys.executable, __file__, "--coordinator", "run", "--json", "--state", str(folder / "state")]
    command += ["--policy", "uniform/v1", "--budget", "3kJ", "--threads", "1", "--recipes", asked.recipes]
    command += ["--workers", str(asked.workers), "--attempts", str(asked.attempts)]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, _TOLD: str(folder), "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    about = {"recipes": asked.recipes, "policy": "merge-all", "workers": asked.workers, "seed": 0}
    run = read_run(folder / "state", events, wall_s=0.0, **about)
    workers = [json.loads(path.read_text("utf-8")) for path in folder.glob("worker-*.json")]
    own = json.loads((folder / "coordinator.json").read_text("utf-8"))
    all_s = sum(one.worker_cpu_s + one.own_cpu_s for one in run.made)
    stale = sum(one.moved > 0 for one in run.made)
    print(f"{len(run.made)} attempts, {stale} stale: {all_s:.1f} CPU-s, {all_s / len(run.made):.2f} each\n")
    show({"coordinator": own, "worker": added(workers)}, len(run.made), all_s)


def main() -> None:
    """Measure, or be the coordinator of what is measured."""
    if sys.argv[1:2] == ["--coordinator"]:
        be_coordinator(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--attempts", type=int, default=5)
    parser.add_argument("--recipes", default="prefix-1")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(asked, Path(folder))


if __name__ == "__main__":
    main()
