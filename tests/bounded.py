"""Verifying in a process of its own, whose memory and CPU time are bounded by the kernel."""

from __future__ import annotations

__all__ = ["bounded", "failures"]

import json
import os
import subprocess
import sys
from pathlib import Path

_BEFORE = """
import json, resource, sys
from pathlib import Path
for what, most in ((resource.RLIMIT_AS, int(sys.argv[1])), (resource.RLIMIT_CPU, int(sys.argv[2]))):
    resource.setrlimit(what, (most, most))
"""
_VERIFY = """
from verifying import verify_target
report = verify_target(Path(sys.argv[3]))
print(json.dumps([[c.status.value, c.subject, c.detail] for c in report.checks]))
"""


def bounded(code: str, *words: object, mib: int = 768, cpu_s: int = 20, wall_s: int = 400) -> str:
    """What Python code prints that has so much address space and so many seconds of CPU; it has to end well.

    Args:
        code: sees ``sys.argv[3:]``.
        words: the arguments.
        mib: address space; the interpreter with what it imports takes about 300.
        cpu_s: seconds of CPU time.
        wall_s: seconds until it is taken to wait for ever.
    """
    command = [sys.executable, "-c", _BEFORE + code, str(mib << 20), str(cpu_s), *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=wall_s,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout


def failures(target: Path, **limits: int) -> dict[str, str]:
    """What fails when a state or a file is verified within the limits: subject → detail."""
    found = json.loads(bounded(_VERIFY, target, **limits))
    return {subject: detail for status, subject, detail in found if status == "fail"}
