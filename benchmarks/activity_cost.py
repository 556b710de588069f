"""What it costs a run to say what it does: CPU time of its thread, second by second, and of each step.

    python benchmarks/activity_cost.py [--seconds 60]

The embedded meter of this machine, an attempt and a session that are under way, and a document that is
written each second, as in a run; once a second and no faster, so that caches are as cold as they are there.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from cryoflux.attempt.watch import Step
from cryoflux.config import load_settings
from cryoflux.energy.interface import SESSION
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.quantities import MICRO, Energy, Tier
from cryoflux.queries.activity import read_activity
from cryoflux.queries.power import power_since
from cryoflux.runs.activity import ActivityObserver
from cryoflux.runs.activity_files import ROWS_A_FILE
from cryoflux.runs.activity_form import OLDER_ROWS, ROWS, SampleRow, pack_row
from cryoflux.state import StateFolder
from cryoflux.tasks.pacing import Progress


def cost_of_a_run(folder: Path, seconds: int) -> None:
    """CPU time of a second, and of a step that begins."""
    settings, state = load_settings({"state": str(folder)}).settings, StateFolder(folder)
    with closing(LocalAgent(settings, folder, credit="grant")) as agent:
        agent.grant(1000 * MICRO, request_id="bench", note="")
        session = agent.take(10 * MICRO, request_id=f"{SESSION}bench", log="bench")
        reservation = agent.take(100 * MICRO, request_id="bench-1", log="bench")
        activity = ActivityObserver(state)
        with activity.metering(settings, agent):
            activity._entered = True  # noqa: SLF001 - without its thread: here it is this one
            activity.funded(session, 1000 * MICRO)
            steps = []
            for step in list(Step)[:5]:
                began = time.thread_time_ns()
                activity.step(step, "begin")
                steps.append((time.thread_time_ns() - began) / 1e6)
            activity.reserved(reservation)
            activity.trained(Progress(1, 40, 1.5, MICRO), 100 * MICRO)
            costs = []
            for _ in range(seconds):
                time.sleep(1)
                began = time.thread_time_ns()
                activity._note()  # noqa: SLF001
                costs.append((time.thread_time_ns() - began) / 1e6)
    print(
        f"a second: {statistics.mean(costs):.2f} ms of CPU in the mean, {max(costs):.2f} ms at most: "
        f"{statistics.mean(costs) / 10:.3f} % of a core"
    )
    print(f"a step that begins or ends: {statistics.median(steps):.2f} ms")


def cost_of_reading(folder: Path) -> None:
    """What a page pays, with both files full."""
    state = StateFolder(folder)
    for first, name in ((0, OLDER_ROWS), (ROWS_A_FILE, ROWS)):
        rows = (drawn(number) for number in range(first + 1, first + ROWS_A_FILE + 1))
        (state.activity / name).write_bytes(b"".join(map(pack_row, rows)))
    newest = 2 * ROWS_A_FILE
    for what, read in (
        ("what happens now", lambda: read_activity(state)),
        ("the last second", lambda: power_since(state, newest - 1)),
        ("the last ten minutes", lambda: power_since(state, newest - 600)),
    ):
        costs = []
        for _ in range(5):
            began = time.process_time_ns()
            read()
            costs.append((time.process_time_ns() - began) / 1e6)
        print(f"reading {what}: {statistics.median(costs):.1f} ms of CPU")


def drawn(number: int) -> SampleRow:
    """A row of 50 W."""
    energy = Energy(number * 50 * MICRO, number * 45 * MICRO, number * 55 * MICRO, Tier.COUNTER)
    return SampleRow(number, number * MICRO, energy, energy, 0, 1, Step.TRAIN, first=number == 1)


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        cost_of_a_run(Path(folder), chosen.seconds)
        cost_of_reading(Path(folder))


if __name__ == "__main__":
    main()
