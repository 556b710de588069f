"""``cryoflux energy measure``: the joules of any command, or of what runs already."""

from __future__ import annotations

__all__ = ["measure"]

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, as_json_line, emit_json, stderr
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.energy.measured import Measured
    from cryoflux.energy.of_running import RunningTimes
    from cryoflux.energy.of_work import EnergyMeasurement
    from cryoflux.quantities import Energy

_SCHEMA = "energy.measure/1"
_STDERR = 2


def measure(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND [ARGUMENTS]", help="What to run.")
    ] = None,
    pid: Annotated[
        list[int] | None,
        typer.Option("--pid", metavar="PID", help="Measure this process and what it starts, from now on."),
    ] = None,
    cgroup: Annotated[
        str | None, typer.Option("--cgroup", metavar="PATH", help="Measure this control group, from now on.")
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="With --pid or --cgroup: at most so long, as in 30s."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the result there as JSON.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar="DIR",
            help="Where the idle baseline of this machine is kept.",
            show_default="~/.local/state/cryoflux",
        ),
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record every reading, for `cryoflux energy replay`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a command and say what energy it took, source by source; or measure what runs already.

    The exit code is the command's. The table goes to stderr, so that the command's output stays as it is.
    With --json stdout is one JSON document and nothing else: what the command prints there goes to stderr.
    What runs already is measured until it ends, until Ctrl-C, or for so long as --for says.
    """
    from cryoflux.energy.of_work import EnergyMeasurement

    running = _running(command, pid, cgroup, duration)
    if output is not None:
        _check_output(output)
    measurement = EnergyMeasurement(
        state=Path(state) if state else None, trace=trace, progress=None if as_json else show_learning
    )
    if running is None:
        document, print_it, code = _of_command(measurement, command or [], as_json=as_json)
    else:
        document, print_it, code = _of_running(measurement, running, pid or [], cgroup, duration)
    if as_json:
        emit_json(_SCHEMA, document)
    else:
        print_it()
    if output is not None:
        _write(output, document)
    raise typer.Exit(code)


def show_learning(done_s: int, total_s: int) -> None:
    if done_s == 1 or done_s % 10 == 0 or done_s == total_s:
        stderr.print(f"learning the idle baseline of this machine, once: {done_s} of {total_s} s")


def _running(
    command: list[str] | None, pids: list[int] | None, cgroup: str | None, duration: str | None
) -> RunningTimes | None:
    """What runs already and is to be measured; none where a command is."""
    from cryoflux.config import load_settings
    from cryoflux.energy.of_running import find_group, find_processes

    if sum(map(bool, (command, pids, cgroup))) != 1:
        raise UsageError(
            "It takes one of a command, --pid and --cgroup.",
            why="Nothing was measured.",
            hint="As in: cryoflux energy measure -- python3 train.py; or: cryoflux energy measure --pid 4711",
        )
    if command and duration is not None:
        raise UsageError(
            "--for goes with --pid or --cgroup.",
            why="A command is measured until it ends.",
            hint=f"To end it after so long: cryoflux energy measure -- timeout {duration} {command[0]} …",
        )
    proc_root = load_settings().settings.energy.proc_root
    if pids:
        return find_processes(pids, proc_root)
    return find_group(cgroup, proc_root=proc_root) if cgroup else None


def _of_command(
    measurement: EnergyMeasurement, command: list[str], *, as_json: bool
) -> tuple[dict[str, Any], Callable[[], None], int]:
    from cryoflux.energy.of_command import measure_command

    measured, code = measure_command(measurement, command, stdout=_STDERR if as_json else None)
    document = {"event": "measured", "command": command, "exit_code": code, **measured.to_dict()}
    return document, partial(_print, measured, "the command", f"it ended with {code}" if code else ""), code


def _of_running(
    measurement: EnergyMeasurement,
    running: RunningTimes,
    pids: list[int],
    cgroup: str | None,
    duration: str | None,
) -> tuple[dict[str, Any], Callable[[], None], int]:
    from cryoflux.energy.of_running import StoppedBy, measure_running
    from cryoflux.quantities import parse_duration

    seconds = parse_duration(duration) if duration else None
    named = {"cgroup": cgroup} if cgroup else {"pids": sorted(set(pids))}
    whom = f"control group {cgroup}" if cgroup else f"process {', '.join(map(str, named['pids'] or ()))}"

    def begun() -> None:
        stderr.print(f"measuring {whom}; Ctrl-C ends that, and leaves it running", markup=False)

    measured, ending = measure_running(measurement, running, seconds=seconds, begun=begun)
    how = "it has ended" if ending is StoppedBy.ENDED else "it runs on"
    document = {"event": "measured", **named, "ending": ending.value, **measured.to_dict()}
    return document, partial(_print, measured, "it", how), 0


def _check_output(path: Path) -> None:
    """Refuse a file that could not be written at the end, before anything runs."""
    from os import R_OK, W_OK, X_OK, access

    folder = path.absolute().parent
    if not folder.is_dir():
        what = f"{path} cannot be written: there is no folder {folder}."
        hint = f"Make it first: mkdir -p {shlex.quote(str(folder))}"
    elif path.exists() and not path.is_file():
        what = f"{path} cannot be written: it is no regular file, and the result would take its place."
        hint = "Name a file; to print the result, use --json."
    elif not access(folder, R_OK | W_OK | X_OK):
        what = f"{path} cannot be written: you may not write in {folder}."
        hint = "Name a file in another folder."
    else:
        return
    raise UsageError(what, why="Nothing was run: its joules could not have been kept.", hint=hint)


def _write(path: Path, document: dict[str, Any]) -> None:
    from cryoflux.errors import StorageError
    from cryoflux.files import write_atomic

    try:
        write_atomic(path, as_json_line(_SCHEMA, document).encode())
    except StorageError as error:
        raise StorageError(
            error.what, why="The result is only what was printed.", hint="Check the disk; then measure again."
        ) from error


def _figure(energy: Energy) -> str:
    return f"{energy.joules:.2f} J [{energy.lo_uj / 1e6:.2f}, {energy.hi_uj / 1e6:.2f}]"


_RIGHT = (False, False, True, True, True)


def _print(measured: Measured, whose: str, ended: str) -> None:
    from cryoflux.energy.derived import derived_line

    counted = f"{measured.cpu_seconds:.2f} s of CPU time by {measured.counted_by}"
    stderr.print(f"{measured.seconds:.2f} s, {counted}{f'; {ended}' if ended else ''}")
    heading = ("source", "tier", f"caused by {whose}", "whole machine, net", "gross")
    rows = [
        [use.name, use.tier.value, *map(_figure, (use.energy, use.machine_net)), f"{use.gross.joules:.2f} J"]
        for use in measured.sources
    ]
    figures = map(_figure, (measured.energy, measured.machine_net))
    stderr.table([heading, *rows, ["total", "", *figures, f"{measured.gross.joules:.2f} J"]], _RIGHT)
    stderr.print(
        f"Net of an idle baseline that is {measured.baseline_state}; in brackets: {_brackets(measured)}."
    )
    if derived := derived_line(measured.energy, measured.rates):
        stderr.print(derived)
    if measured.energy.flags:
        stderr.print(f"flags: {' '.join(measured.energy.flags)}")


def _brackets(measured: Measured) -> str:
    """Of what kind the ranges are: only what was measured has been held against the truth."""
    modelled = [use.name for use in measured.sources if use.tier.value == "modelled"]
    if not modelled:
        return "95 % intervals"
    told = f"of {', '.join(modelled)}, modelled and not measured, what is plausible (see `cryoflux doctor`)"
    return told if len(modelled) == len(measured.sources) else f"95 % intervals, but {told}"
