"""Two workers train under one budget, one of them is killed half-way, and the log is verified afterwards.

    make fleet-demo          about two minutes on two cores; everything lies in demo-fleet/

The texts are the embedded ones. Each worker is a process with a meter, an account and a key of its own. The
one that is killed with signal 9 while it trains loses its attempt and nothing else: its account
says what it had spent, another worker takes its place, and nothing is charged twice.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path("demo-fleet")
BUDGET = "1kJ"
RECIPES = "carry-1,prefix-1"


def begin(*arguments: str) -> subprocess.Popen[str]:
    """Show a command and begin it."""
    print(f"\n$ cryoflux {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "cryoflux", *arguments]
    columns = str(shutil.get_terminal_size().columns)
    folded = {**os.environ, "COLUMNS": columns}  # it writes into a pipe, and a person reads it
    return subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True, env=folded)


def said(event: dict[str, object]) -> str:
    """A line about what happened."""
    match event["event"]:
        case "workers":
            workers = event["workers"]
            names = [f"{one['worker']} (process {one['pid']})" for one in workers]  # type: ignore[attr-defined, index]
            return f"workers  {', '.join(names)}"
        case "worker_lost":
            return f"lost     {event['why']}"
        case "attempt":
            return f"#{event['number']}       {event['outcome']}, {event['joules_spent']:.1f} J (modelled)"
        case _:
            return ""


def killed_on_the_way(running: subprocess.Popen[str]) -> int:
    """Follow a run, and kill the worker that is still at it when the other one is done; the exit code."""
    victim = 0
    for line in running.stdout or ():
        event = json.loads(line)
        if text := said(event):
            print(text, flush=True)
        if event["event"] == "workers" and not victim:
            victim = int(event["workers"][1]["pid"])
        if event["event"] == "attempt" and event["number"] == 1:
            print(f"$ kill -9 {victim}", flush=True)
            os.kill(victim, signal.SIGKILL)
    return running.wait()


def shown(*arguments: str) -> int:
    """Carry a command out, with what it says; its exit code."""
    running = begin(*arguments)
    for line in running.stdout or ():
        print(line, end="", flush=True)
    return running.wait()


def main() -> int:
    """The whole story; the exit code of its verification."""
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    run = ["run", "--workers", "2", "--budget", BUDGET, "--recipes", RECIPES, "--json"]
    if code := killed_on_the_way(begin(*run)):
        return code
    shown("receipts", "list")
    shown("fleet", "status")
    return shown("verify", "state", "--recompute", "1", "--meter-key", "state/fleet/meters")


if __name__ == "__main__":
    sys.exit(main())
