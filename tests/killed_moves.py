"""Runs ``cryoflux models …`` and kills itself, without warning, where a function is called.

killed_moves.py MODULE:NAME:WHEN[:NTH] ARGUMENTS…

WHEN is ``before`` or ``after`` the call: the NTH, or the first. NAME may be of a class.
"""

import os
import signal
import sys
from importlib import import_module

from cryoflux.cli.main import main

MODULE, NAME, WHEN, *NTH = sys.argv[1].split(":")
LEFT = [int(NTH[0]) if NTH else 1]


def die() -> None:
    LEFT[0] -= 1
    if not LEFT[0]:
        os.kill(os.getpid(), signal.SIGKILL)


def deadly(function):
    def call(*args, **kwargs):
        if WHEN == "before":
            die()
        found = function(*args, **kwargs)
        if WHEN == "after":
            die()
        return found

    return call


*path, last = NAME.split(".")
owner = import_module(MODULE)
for part in path:
    owner = getattr(owner, part)
setattr(owner, last, deadly(getattr(owner, last)))
sys.argv = ["cryoflux", *sys.argv[2:]]
main()
