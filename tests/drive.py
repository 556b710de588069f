"""Runs ``cryoflux run`` and, when a step is reached, kills itself without warning, or stops, or kills others.

drive.py STEP:MOMENT[:stop|:PID,PID…] ARGUMENTS…
"""

import os
import signal
import sys

from cryoflux.cli import run_view
from cryoflux.cli.main import main

STEP, MOMENT, *OTHERWISE = sys.argv[1].split(":")
STOPS = OTHERWISE == ["stop"]
SIGNAL = signal.SIGSTOP if STOPS else signal.SIGKILL
PIDS = [int(pid) for pid in OTHERWISE[0].split(",")] if OTHERWISE and not STOPS else [os.getpid()]


class Driven(run_view.JsonView):
    def step(self, step, moment):
        super().step(step, moment)
        if (step.value, moment) == (STEP, MOMENT):
            for pid in PIDS:
                os.kill(pid, SIGNAL)


run_view.JsonView = Driven
sys.argv = ["cryoflux", *sys.argv[2:]]
main()
