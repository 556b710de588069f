"""What the faults of `fault_cases` make of our meter, of zeus and of codecarbon.

    python benchmarks/fault_matrix.py [--env DIR] [--only KEY,…] [--ours]
    python benchmarks/fault_matrix.py --schedules 1000000 [--silent]

zeus and codecarbon run with default settings in an environment of their own, made in DIR if it is not
there, each case in a process of its own and in real time: 20 s of a story, with the counters in plain
files. Ours runs on the same files under a clock that is turned by hand, one read a second. ``--schedules``
plays random wraps, resets, failed reads, suspends and gaps to the code that takes differences.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fault_cases import FAULTS, MICRO, TICK_S, Fault, World

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

TOOLS = ("zeus", "codecarbon")
SETTLE_S = 2.0
"""between a tool's begin and the first energy, so that its helpers are up"""
TIMEOUT_S = 90.0
AT_ONCE = 8
WRONG = 0.01
"""an answer further from the truth than this share of it is marked"""
NOTES = {
    "suspend": "No machine is put to sleep here: the counter starts anew and the wall clock jumps an hour "
    "ahead. Ours sees the sleep besides, as it would through the boot-time clock; the tools do not look.",
    "several-wraps": "The gap is a stopped process (SIGSTOP), helpers included.",
    "gpu-lost": "NVML of the tools is the real `pynvml`, with the functions they call answered from a file.",
    "gpu-disagrees": "The tools read the counter alone by default, as their documentation says.",
    "failed-last": "A failed read is an empty file here; the kernel would return an error.",
    "unreadable": "For the tools, opening the denied zone raises PermissionError, as the kernel has it.",
}


@dataclass(frozen=True)
class Answer:
    """What a tool said."""

    joules: float | None
    said: str
    version: str = ""


class Tool:
    """One tool in a process of its own, in front of one machine."""

    def __init__(self, python: Path, tool: str, folder: Path) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed with the tool
        self._process = subprocess.Popen(
            [python, HERE / "fault_anchors.py", tool, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )

    def answer(self) -> str:
        """The next line; empty once it has ended."""
        return self._process.stdout.readline() if self._process.stdout else ""

    def ask(self) -> str:
        """Let it go on, and have its next line."""
        try:
            if self._process.stdin:
                self._process.stdin.write("\n")
                self._process.stdin.flush()
        except BrokenPipeError:
            return ""
        return self.answer()

    def signal(self, number: int) -> None:
        """To it and to the helper processes that it has started."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def last_words(self) -> str:
        """The last line of its errors."""
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        return lines[-1].strip()[:60] if lines else "no answer"

    def close(self) -> None:
        """End it, whatever it is doing."""
        self.signal(signal.SIGKILL)
        self._process.communicate()
        self._errors.close()


def play(world: World, tool: Tool) -> None:
    """The story of the fault, in real time; energy flows by the plan, not by the clock."""
    time.sleep(SETTLE_S)
    due = time.monotonic()
    for step in world.fault.steps:
        if step.event == "stop":
            tool.signal(signal.SIGSTOP)
        world.event(step.event)
        if step.event == "continue":
            tool.signal(signal.SIGCONT)
        for _ in range(round(step.seconds / TICK_S)):
            due += TICK_S
            time.sleep(max(0.0, due - time.monotonic()))
            world.flow(TICK_S, step.watts)


def anchor(python: Path, tool: str, fault: Fault) -> Answer:
    """What a tool makes of a fault."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "machine", fault)
        running = Tool(python, tool, world.folder)
        watchdog = ThreadPoolExecutor(1)
        try:
            started = watchdog.submit(lambda: running.answer() and running.ask())
            if not started.result(TIMEOUT_S):
                return Answer(None, f"ends: {running.last_words()}")
            play(world, running)
            line = watchdog.submit(running.ask).result(TIMEOUT_S)
            if not line:
                return Answer(None, f"ends: {running.last_words()}")
            told: dict[str, Any] = json.loads(line)
            return Answer(told["cpu_j"] + told["gpu_j"], "", told["version"])
        except TimeoutError:
            return Answer(None, f"no answer within {TIMEOUT_S:.0f} s")
        finally:
            running.close()
            watchdog.shutdown()


def shown(answer: Answer, truth_j: float) -> str:
    """An answer beside the truth."""
    if answer.joules is None:
        return f"**{answer.said}**"
    off = answer.joules - truth_j
    text = f"{answer.joules:,.1f}"
    return f"**{text}** ({off:+,.1f})" if abs(off) > WRONG * truth_j else text


def row(fault: Fault, answers: Sequence[Answer]) -> str:
    """One line of the table."""
    from synthetic_world import TurnedMachine

    with tempfile.TemporaryDirectory() as folder:
        ours = TurnedMachine(Path(folder) / "machine", fault).run()
    gross = ours.sample.gross
    figure = f"{gross.joules:,.1f} [{gross.lo_uj / MICRO:,.1f}, {gross.hi_uj / MICRO:,.1f}]"
    if not gross.lo_uj <= ours.truth_uj <= gross.hi_uj:
        figure = f"**{figure}**"
    truth_j = ours.truth_uj / MICRO
    flags = ", ".join(f"`{flag}`" for flag in ours.settlement.energy.flags) or "none"
    cells = [fault.title, f"{truth_j:,.1f}", figure, flags, *(shown(answer, truth_j) for answer in answers)]
    return f"| {' | '.join(cells)} |"


def environment(folder: Path) -> Path:
    """The interpreter of an environment with both tools."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *TOOLS], check=True, stdout=sys.stderr)
    return python


def matrix(faults: Sequence[Fault], python: Path | None) -> None:
    """Print the table."""
    tools = TOOLS if python else ()
    cases = [(tool, fault) for fault in faults for tool in tools]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda case: anchor(python or Path(), *case), cases))
    versions = {
        tool: answer.version for (tool, _), answer in zip(cases, found, strict=True) if answer.version
    }
    print(
        f"{datetime.now(UTC):%Y-%m-%d}; joules; bold: the truth is outside the interval, or the answer is off"
    )
    print(f"by more than {WRONG:.0%} of it.\n")
    head = ["fault", "truth", "ours [95 %]", "flags of ours", *(f"{t} {versions.get(t, '')}" for t in tools)]
    print(f"| {' | '.join(head)} |\n|{'---|' + '---:|' * 2 + '---|' + '---:|' * len(tools)}")
    for number, fault in enumerate(faults):
        print(row(fault, found[number * len(tools) : (number + 1) * len(tools)]), flush=True)
    print()
    for fault in faults:
        if fault.key in NOTES and tools:
            print(f"- {fault.title}: {NOTES[fault.key]}")


def _part(numbers: range, silent: bool) -> tuple[Any, float]:  # noqa: FBT001 - called by a pool
    from synthetic_world import play_schedules

    started_s = time.process_time()
    return play_schedules(numbers, silent=silent), time.process_time() - started_s


def schedules(count: int, jobs: int, *, silent: bool) -> None:
    """Play random schedules and print what went wrong."""
    parts = [range(start, min(start + 10_000, count)) for start in range(0, count, 10_000)]
    totals: dict[str, int] = {}
    cpu_s, first = 0.0, ""
    with ProcessPoolExecutor(jobs) as pool:
        for tally, spent_s in pool.map(_part, parts, [silent] * len(parts)):
            for field in fields(tally):
                if field.name != "first":
                    totals[field.name] = totals.get(field.name, 0) + getattr(tally, field.name)
            cpu_s, first = cpu_s + spent_s, first or tally.first
    print(json.dumps({**totals, "us_per_read": round(cpu_s / totals["reads"] * 1e6, 2), "first": first}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--env", type=Path, default=Path("bench") / "anchors", help="environment of the tools"
    )
    parser.add_argument("--only", default="", help="keys of some faults")
    parser.add_argument("--ours", action="store_true", help="leave the other tools out")
    parser.add_argument("--schedules", type=int, default=0, help="play so many random schedules instead")
    parser.add_argument("--silent", action="store_true", help="restarts change no epoch")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.schedules:
        schedules(options.schedules, options.jobs, silent=options.silent)
        return
    chosen = [fault for fault in FAULTS if not options.only or fault.key in options.only.split(",")]
    matrix(chosen, None if options.ours else environment(options.env.absolute()))


if __name__ == "__main__":
    main()
