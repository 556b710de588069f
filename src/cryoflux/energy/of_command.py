"""The joules of a command: it is run to its end, and everything that it starts counts.

Orphans count too: where a cgroup can be made it holds them, elsewhere this process adopts them.
"""

from __future__ import annotations

__all__ = ["measure_command"]

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from cryoflux.energy.cgroup import CgroupTimes, own_cgroup
from cryoflux.energy.measured import Measured
from cryoflux.energy.of_work import EnergyMeasurement
from cryoflux.energy.processes import become_subreaper
from cryoflux.errors import UsageError
from cryoflux.stop_request import TO_STOP, handled

_NOT_FOUND, _NOT_EXECUTABLE, _SIGNALLED = 127, 126, 128


def measure_command(
    measurement: EnergyMeasurement, command: Sequence[str], *, stdout: int | None = None
) -> tuple[Measured, int]:
    """Run a command to its end; what it cost, and its exit code as a shell would give it.

    Args:
        measurement: how it is measured.
        command: what is run.
        stdout: descriptor that its output goes to; where ours goes by default.

    Raises:
        UsageError: there is no such command.
    """
    with own_cgroup(os.getpid()) as group:
        adopted = group is None and become_subreaper()
        measurement.begin(group, "cgroup" if group else "process tree")
        try:
            code = _run(command, group, stdout)
        finally:
            if adopted:
                _reap()
            measured = measurement.end()
    return measured, code


def _run(command: Sequence[str], group: CgroupTimes | None, stdout: int | None) -> int:
    join = group.join if group is not None else None
    with _signals_passed_on() as started:
        try:
            process = subprocess.Popen(command, stdout=stdout, preexec_fn=join)  # noqa: S603, PLW1509 - as asked
        except OSError as error:
            code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
            raise UsageError(
                f"{command[0]} cannot be run: {error.strerror}.",
                why=f"A shell would have ended with {code}.",
                hint="Write the command as in: cryoflux energy measure -- python3 train.py",
            ) from error
        started(process)
        code = process.wait()
    return _SIGNALLED - code if code < 0 else code


@contextmanager
def _signals_passed_on() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Ctrl-C reaches a running command by itself, SIGTERM is sent on; what it does then is measured too."""
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        if not children:
            early.append(number)  # the command is not itself yet, and would not notice
        elif number == signal.SIGTERM:
            children[0].send_signal(number)

    def started(process: subprocess.Popen[bytes]) -> None:
        children.append(process)
        for number in early:
            process.send_signal(number)

    with handled(TO_STOP, handle):
        yield started


def _reap() -> None:
    """Wait for adopted orphans that have ended, so that the kernel adds their time to ours."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
