"""``cryoflux energy replay`` and ``fit-curve``: from recorded or watched counters to figures."""

from __future__ import annotations

__all__ = ["fit_curve", "replay"]

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.console import JsonOption, emit_json, stderr, stdout
from cryoflux.errors import MeterError

if TYPE_CHECKING:
    from cryoflux.energy.trace_totals import Replayed
    from cryoflux.quantities import Energy


def replay(
    trace: Annotated[Path, typer.Argument(metavar="FILE", help="Trace of `energy measure --trace`.")],
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar="DIR",
            help="Where the idle baseline is, for a trace of before it was recorded too.",
            show_default="~/.local/state/cryoflux",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add up a recorded trace again: the machine's joules as they were measured, to the microjoule, anywhere.

    Whose joules they were is not recorded.
    """
    from cryoflux.energy.baseline import Baseline, load_baseline
    from cryoflux.energy.of_work import default_state
    from cryoflux.energy.trace import read_trace
    from cryoflux.energy.trace_totals import replay_trace
    from cryoflux.quantities import named_ranges

    recorded = read_trace(trace)
    baseline = Baseline(())
    if not all(part.conditions.idles for part in recorded.parts):
        baseline = load_baseline((Path(state) if state else default_state()) / "baseline.json")
    for found in replay_trace(recorded, baseline):
        if as_json:
            emit_json("energy.replay/1", named_ranges(asdict(found)))
        else:
            _print(found)


def _print(found: Replayed) -> None:
    stdout.print(f"{found.seconds:.2f} s, {found.readings} readings {' '.join(found.flags)}".rstrip())
    for source in found.sources:
        said = f"{source.name}  {source.tier}  {_figures(source.gross, source.net)}"
        stdout.print(f"{said}  {' '.join(source.gross.flags)}".rstrip())
    total = f"total  {found.gross.tier}  {_figures(found.gross, found.net)}"
    stdout.print(f"{total}  {' '.join((found.net or found.gross).flags)}".rstrip())
    kinds = dict.fromkeys(source.gross.range_kind.words for source in found.sources)
    stdout.print(f"in brackets: {', '.join(kinds)}")


def _figures(gross: Energy, net: Energy | None) -> str:
    return f"gross {_figure(gross)}  net {_figure(net) if net else 'unknown: no idle baseline (--state DIR)'}"


def _figure(energy: Energy) -> str:
    return f"{energy.joules:.6f} J [{energy.lo_uj / 1e6:.6f}, {energy.hi_uj / 1e6:.6f}]"


def fit_curve(
    seconds: Annotated[int, typer.Option(min=10, max=3600, help="How long to watch, s.")] = 60,
    as_json: JsonOption = False,
) -> None:
    """Fit this machine's power curve to its own RAPL counters, and say how well it fits.

    Let the machine do varied work meanwhile: loads that are all alike say nothing about the curve.
    """
    from cryoflux.config import load_settings
    from cryoflux.energy.clock import SystemClock
    from cryoflux.energy.curve_fit import fit_curve as fit
    from cryoflux.energy.curve_fit import observe_loads
    from cryoflux.energy.sources.discovery import find_sources
    from cryoflux.quantities import Tier

    settings = load_settings().settings
    clock = SystemClock(settings.energy.proc_root)
    with closing(find_sources(settings, clock)) as found:
        counters = [s for s in found.sources if s.kind != "gpu" and s.tier is Tier.COUNTER]
        if not counters:
            raise MeterError(
                "There is no RAPL counter here to fit a power curve to.",
                why="A curve that is fitted to a model only repeats the model.",
                hint="Run `cryoflux doctor` to see how RAPL can be read here.",
            )
        show = None if as_json else _progress
        fitted = fit(observe_loads(counters, found.times, clock, seconds=seconds, progress=show))
    if as_json:
        emit_json("energy.fit-curve/1", asdict(fitted))
        return
    stdout.print(
        f"{fitted.curve.id}: {fitted.idle_w:.1f} W idle, {fitted.max_w:.1f} W at full load, residual "
        f"{fitted.mape:.1%} over {fitted.samples} s (concave/v1: {fitted.default_mape:.1%})"
    )
    for load, share in fitted.curve.points:
        stdout.print(f"  {load:4.0%} load  {share * fitted.max_w:8.2f} W")
    stdout.print(f"Where no counter can be read on this machine: export CRYOFLUX_TDP_W={fitted.max_w:.0f}")


def _progress(done_s: int, total_s: int) -> None:
    if done_s == 1 or done_s % 10 == 0 or done_s == total_s:
        stderr.print(f"watching load and watts: {done_s} of {total_s} s")
