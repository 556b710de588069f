"""Runs the real command in a real process, on the tiny model and data."""

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

DRIVER = Path(__file__).with_name("drive.py")
QUICK = ["--learning-rate", "0.01", "--reserve", "12J", "--recipes", "prefix-1,lean"]
SURE = ["--learning-rate", "0.01", "--reserve", "40J", "--recipes", "lean", "--max-steps", "12"]
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
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CRYOFLUX_", "HF_"))}
    # One modelled machine for all tests, so that a reservation buys the same work wherever they run.
    machine = {"CRYOFLUX_THREADS": "1", "CRYOFLUX_TDP_W": str(6.0 * len(os.sched_getaffinity(0)))}
    return {**kept, "HF_HUB_OFFLINE": "1", **machine, **extra}


def start(
    *arguments: object, cwd: Path | None = None, kill_at: str = "", **extra: str
) -> subprocess.Popen[str]:
    program = [str(DRIVER), kill_at] if kill_at else ["-m", "cryoflux"]
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment(**extra),
    )


def cryoflux(*arguments: object, cwd: Path | None = None, kill_at: str = "", **extra: str) -> Outcome:
    process = start(*arguments, cwd=cwd, kill_at=kill_at, **extra)
    stdout, stderr = process.communicate(timeout=240)
    return Outcome(process.returncode, stdout, stderr)


def exit_code_of(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of a command line that runs in this process."""
    monkeypatch.setattr(sys, "argv", ["cryoflux", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)
