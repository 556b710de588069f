"""Runs the real command in a real process, on the tiny model and data.

The process is forked from one that has imported the libraries already (`zygote` says what that changes);
``cold=True`` starts an interpreter instead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cryoflux.cli.main import main
from cryoflux.energy.started import Started
from zygote import Forked, Zygote

OTHERS = ("CRYOFLUX_", "HF_", "TOKENIZERS_")
"""variables of who runs the tests, or that cryoflux set when it ran in this process"""
DRIVER = Path(__file__).with_name("drive.py")
ONE_ARITHMETIC = Path(__file__).with_name("one_arithmetic.py")
QUICK = ["--learning-rate", "0.01", "--reserve", "12J", "--recipes", "prefix-1,lean"]
SURE = [
    *("--learning-rate", "0.01", "--reserve", "40J", "--recipes", "lean", "--max-steps", "12"),
    *("--policy", "prior-eta/v1"),
]
"""Steps end the training long before the joules do, however busy the machine is."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("event") == kind]

    @property
    def summary(self) -> dict[str, Any]:
        assert self.code == 0, self.stderr + self.stdout
        return self.events[-1]


def environment(**extra: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OTHERS)}
    kept.pop("TORCHINDUCTOR_CACHE_DIR", None)  # set by torch, in a test process that used it
    # One modelled machine for all tests, so that a reservation buys the same work wherever they run.
    machine = {"CRYOFLUX_THREADS": "1", "CRYOFLUX_TDP_W": str(2.0 * len(os.sched_getaffinity(0)))}
    return {**kept, "HF_HUB_OFFLINE": "1", **machine, **extra}


ZYGOTE = Zygote(environment)
LIGHT_ZYGOTE = Zygote(environment, trains=False)
LIGHT = {
    *("agent", "capsule", "claim", "config", "contract", "dashboard", "doctor", "energy", "export"),
    *("keys", "memory", "models", "node", "receipts", "report", "state", "verify", "witness"),
}
"""commands that need no training library, unless they compute losses again"""
COMPUTES = {"--recompute", "--spot-check", "--retrain"}
MAKES = {"alias", "chat", "promote", "rebuild", "rollback"}
"""commands of ``models`` that may make weights, with torch"""


def is_light(program: list[str]) -> bool:
    """Whether this is a command that needs no training library."""
    named = program[:2] == ["-m", "cryoflux"] and not LIGHT.isdisjoint(program[2:3])
    makes = program[2:3] == ["models"] and not MAKES.isdisjoint(program[3:4])
    return named and not makes and COMPUTES.isdisjoint(program)


def python(
    *program: object, cold: bool = False, light: bool = False, **options: Any
) -> subprocess.Popen[str]:
    """A process of a Python program, given as after ``python``: ``-m``, ``-c`` or a file.

    ``light`` is for a program that needs no training library; of commands it is known.
    """
    chosen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
    words = [*map(str, program)]
    command = [sys.executable, *words]
    if cold:
        return subprocess.Popen(command, **{**chosen, **options})
    return Forked(LIGHT_ZYGOTE if light or is_light(words) else ZYGOTE, command, **{**chosen, **options})


def start(
    *arguments: object, cwd: Path | None = None, kill_at: str = "", cold: bool = False, **extra: str
) -> subprocess.Popen[str]:
    """A process of the command; ``kill_at`` is what `drive` is told."""
    program = [DRIVER, kill_at] if kill_at else ["-m", "cryoflux"]
    return python(*program, *arguments, cold=cold, cwd=cwd, env=environment(**extra))


def stopped_at(step: str, moment: str, *arguments: object, cold: bool = False) -> subprocess.Popen[str]:
    """A process of the command that was stopped when it reached a step; SIGCONT lets it go on."""
    process = start(*arguments, kill_at=f"{step}:{moment}:stop", cold=cold)
    state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert state.si_code == os.CLD_STOPPED, process.communicate()
    return process


def ended(process: subprocess.Popen[str]) -> Outcome:
    """How a process ends."""
    stdout, stderr = process.communicate()
    return Outcome(process.returncode, stdout, stderr)


def cryoflux(
    *arguments: object, cwd: Path | None = None, kill_at: str = "", cold: bool = False, **extra: str
) -> Outcome:
    return ended(start(*arguments, cwd=cwd, kill_at=kill_at, cold=cold, **extra))


def trained(*arguments: object, **extra: str) -> Outcome:
    """A run whose training comes out alike, whichever arithmetic is fastest here at the moment."""
    return ended(python(ONE_ARITHMETIC, *arguments, env=environment(**extra)))


def exit_code_of(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of a command line that runs in this process."""
    monkeypatch.setattr(sys, "argv", ["cryoflux", *map(str, arguments)])
    # A run charges what its process did before: here that is every test before this one, kilojoules at last.
    monkeypatch.setattr(Started, "with_process", Started.now)
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)
