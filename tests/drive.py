"""Runs ``cryoflux run`` in this process and kills it, without warning, when a step is reached.

drive.py STEP:MOMENT ARGUMENTS…
"""

import os
import signal
import sys

from cryoflux.cli import run_view
from cryoflux.cli.main import main

DEADLY = tuple(sys.argv[1].split(":"))


class Killer(run_view.JsonView):
    def step(self, step, moment):
        super().step(step, moment)
        if (step.value, moment) == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)


run_view.JsonView = Killer
sys.argv = ["cryoflux", *sys.argv[2:]]
main()
