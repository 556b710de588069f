"""Runs a command whose looks at a guest holdout find other losses of what was composed than it has.

other_looks.py NANO[!] ARGUMENTS…

Each example loses so many nano-nats less; with ``!`` it dies once the look is kept.
"""

import os
import signal
import sys

from cryoflux.cli.main import main
from cryoflux.evaluation.losses import Losses
from cryoflux.network import looking, rounds

SHIFT = sys.argv[1]
REAL, KEEP = looking._losses, rounds.keep_look


def losses(opened, version, *others):
    found = REAL(opened, version, *others)
    if version.digest == opened.task.head.digest:
        return found
    return Losses(tuple(one - int(SHIFT.rstrip("!")) for one in found.nano_nats), found.correct)


def keep(*args):
    KEEP(*args)
    os.kill(os.getpid(), signal.SIGKILL)


looking._losses = losses
if SHIFT.endswith("!"):
    rounds.keep_look = keep
sys.argv = ["cryoflux", *sys.argv[2:]]
main()
