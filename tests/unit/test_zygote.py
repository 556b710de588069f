"""What is forked from a warm process is a process like one that was executed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from running import ended, environment, python

TELL = """
import json, os, sys, time
told = [sys.stdin.read(), os.getpid(), os.getppid(), os.getsid(0), os.getcwd(), sys.argv, sys.path[0]]
print(json.dumps([*told, time.process_time(), os.environ["CRYOFLUX_SEED"], __name__]))
"""


def test_it_has_streams_arguments_and_times_of_its_own(tmp_path: Path) -> None:
    options = {"cwd": tmp_path, "stdin": subprocess.PIPE, "env": environment(CRYOFLUX_SEED="5")}
    process = python("-c", TELL, "a", "b", start_new_session=True, **options)
    stdout, stderr = process.communicate("typed")
    assert (process.returncode, stderr) == (0, "")
    *told, cpu_s, seed, name = json.loads(stdout)
    identity = [process.pid, os.getpid(), process.pid]
    assert told == ["typed", *identity, str(tmp_path), ["-c", "a", "b"], ""]
    assert cpu_s < 1, "what the zygote spent is not its own"
    assert (seed, name) == ("5", "__main__")


@pytest.mark.parametrize(
    ("program", "code", "says"),
    [
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit('why')", 1, "why\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT, "KeyboardInterrupt\n"),
        ("import atexit; atexit.register(print, 'last'); print('first')", 0, ""),
    ],
)
def test_it_ends_as_an_interpreter_ends(program: str, code: int, says: str) -> None:
    forked, executed = (ended(python("-c", program, cold=cold)) for cold in (False, True))
    assert (forked.code, forked.stdout) == (executed.code, executed.stdout)
    assert forked.code == code
    assert forked.stderr.endswith(says)
    assert executed.stderr.endswith(says)


def test_what_may_have_been_read_while_everything_was_imported_is_refused() -> None:
    with pytest.raises(ValueError, match="PYTHONIOENCODING"):
        python("-c", "", env=environment(PYTHONIOENCODING="ascii"))
