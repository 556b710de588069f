"""Runs ``cryoflux run`` with workers, and has something happen to it, or to a worker, at a certain call.

fleet_drive.py PLAN ARGUMENTS…

PLAN is a JSON object, worker → what happens to it, with the coordinator under an empty name. What happens is
ACTION@MODULE:NAME:WHEN[:NTH], or a clock that is wrong: clock+SECONDS. ACTION is ``kill`` or ``freeze`` of
the process itself, ``fill`` for a disk that has no more room from then on, ``hold`` for a call that takes
ten seconds, or ``wait`` for one that took an hour.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

WORKER = "cryoflux.fleet.worker_process"
HERE = Path(__file__).parent


def fill():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


def wait():
    monotonic = time.monotonic
    time.monotonic = lambda: monotonic() + 3600


ACTIONS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "fill": fill,
    "hold": lambda: time.sleep(10),
    "wait": wait,
}


def fated(function, act, when, nth):
    left = [nth]

    def call(*args, **kwargs):
        left[0] -= when == "before"
        if when == "before" and not left[0]:
            act()
        found = function(*args, **kwargs)
        left[0] -= when == "after"
        if when == "after" and not left[0]:
            act()
        return found

    return call


def arrange(fate):
    if fate.startswith("clock+"):
        wall, ahead = time.time, float(fate.removeprefix("clock+"))
        time.time = lambda: wall() + ahead
        time.time_ns = lambda: int((wall() + ahead) * 1e9)
        return
    action, _, where = fate.partition("@")
    module, name, when, *nth = where.split(":")
    *path, last = name.split(".")
    owner = import_module(module)
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, fated(getattr(owner, last), ACTIONS[action], when, int(nth[0]) if nth else 1))


def main():
    plan = json.loads(sys.argv[1])
    sys.argv = ["cryoflux", *sys.argv[2:]]
    from cryoflux.cli.main import main as cryoflux

    begun = subprocess.Popen

    def begin(command, *args, **kwargs):
        if command[1] == "-c" and WORKER in command[2] and (fate := plan.get(command[3])):
            here = f"import sys\nsys.path.insert(0, {str(HERE)!r})\n"
            first = f"{here}from fleet_drive import arrange\narrange({fate!r})\nfrom {WORKER}"
            command = [*command[:2], command[2].replace(f"from {WORKER}", first), *command[3:]]
        return begun(command, *args, **kwargs)

    subprocess.Popen = begin
    if plan.get(""):
        arrange(plan[""])
    cryoflux()


if __name__ == "__main__":
    main()
