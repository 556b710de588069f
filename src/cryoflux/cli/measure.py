"""``cryoflux energy measure``: the joules of any command."""

from __future__ import annotations

__all__ = ["measure"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, emit_json, stderr

if TYPE_CHECKING:
    from cryoflux.energy.of_work import Measured
    from cryoflux.quantities import Energy


def measure(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARGUMENTS]", help="What to run.")],
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
    """Run a command and say what energy it took, source by source, and how far off that may be.

    The exit code is the command's. The table goes to stderr, so that the command's output stays as it is;
    with --json one line of JSON follows it on stdout.
    """
    from cryoflux.energy.of_command import measure_command
    from cryoflux.energy.of_work import EnergyMeasurement

    measurement = EnergyMeasurement(
        state=Path(state) if state else None, trace=trace, progress=None if as_json else show_learning
    )
    measured, code = measure_command(measurement, command)
    if as_json:
        emit_json(_document(measured, command, code))
    else:
        _print(measured, code)
    raise typer.Exit(code)


def show_learning(done_s: int, total_s: int) -> None:
    if done_s == 1 or done_s % 10 == 0 or done_s == total_s:
        stderr.print(f"learning the idle baseline of this machine, once: {done_s} of {total_s} s")


def _document(measured: Measured, command: list[str], code: int) -> dict[str, Any]:
    return {"event": "measured", "command": command, "exit_code": code, **measured.to_dict()}


def _figure(energy: Energy) -> str:
    return f"{energy.joules:.2f} J [{energy.lo_uj / 1e6:.2f}, {energy.hi_uj / 1e6:.2f}]"


_HEADING = ("source", "tier", "caused by the command", "whole machine, net", "gross")
_RIGHT = (False, False, True, True, True)


def _print(measured: Measured, code: int) -> None:
    ended = "" if code == 0 else f"; it ended with {code}"
    counted = f"{measured.cpu_s:.2f} s of CPU time by {measured.counted_by}"
    stderr.print(f"{measured.seconds:.2f} s, {counted}{ended}")
    rows = [
        [use.name, use.tier.value, *map(_figure, (use.energy, use.machine_net)), f"{use.gross.joules:.2f} J"]
        for use in measured.sources
    ]
    figures = map(_figure, (measured.energy, measured.machine_net))
    stderr.table([_HEADING, *rows, ["total", "", *figures, f"{measured.gross.joules:.2f} J"]], _RIGHT)
    stderr.print(
        f"Net of an idle baseline that is {measured.baseline_state}; in brackets: {_brackets(measured)}."
    )
    if measured.energy.flags:
        stderr.print(f"flags: {' '.join(measured.energy.flags)}")


def _brackets(measured: Measured) -> str:
    """Of what kind the ranges are: only what was measured has been held against the truth."""
    modelled = [use.name for use in measured.sources if use.tier.value == "modelled"]
    if not modelled:
        return "95 % intervals"
    told = f"of {', '.join(modelled)}, modelled and not measured, what is plausible (see `cryoflux doctor`)"
    return told if len(modelled) == len(measured.sources) else f"95 % intervals, but {told}"
