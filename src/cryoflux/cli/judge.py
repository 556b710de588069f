"""``cryoflux judge``: did a model that somebody made elsewhere really get better, and with which receipt?"""

from __future__ import annotations

__all__ = ["judge"]

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from cryoflux.config import Settings
    from cryoflux.runs.judging import Judged

_SIGNS = {"kept": "✓", "rejected": "✗", "undecided": "?"}
_EACH = 16
"""examples between two lines of progress"""
_Pair = tuple[Path, Path] | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was typed."""

    base: str | None
    new: str | None
    holdout: Path | None
    losses: _Pair
    lm_eval: _Pair
    inspect: _Pair
    task: str
    metric: str
    unit: str
    train: Path | None
    joules: str | None
    min_delta: float | None
    name: str

    @property
    def models(self) -> bool:
        """Whether two models were named, or one of them."""
        return any(given is not None for given in (self.base, self.new, self.holdout))

    def refuse_two_ways(self) -> None:
        """Make sure that one thing was given to judge.

        Raises:
            UsageError: nothing was, or more.
        """
        ways = {"--losses": self.losses, "--lm-eval": self.lm_eval, "--inspect": self.inspect}
        named = [way for way, given in ways.items() if given is not None]
        named = ["--base, --new and --holdout", *named] if self.models else named
        if len(named) != 1:
            raise UsageError(
                f"{' and '.join(named) or 'Nothing'} was given to judge.",
                why="A verdict is about two models, or about the losses of two.",
                hint="Type: cryoflux judge --base DIR --new DIR --holdout FILE, or --losses BASE NEW.",
            )
        if self.train is not None and not self.models:
            raise UsageError(
                "--train was given with losses.",
                why="Losses have no texts that could be compared with it.",
                hint="Leave it out, or judge the models themselves: --base, --new, --holdout.",
            )


def judge(
    base: Annotated[
        str | None, typer.Option(metavar="MODEL", help="What is there: a folder, a hub id.")
    ] = None,
    new: Annotated[
        str | None, typer.Option(metavar="MODEL", help="What was made from it; a LoRA adapter too.")
    ] = None,
    holdout: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Examples to judge on: CSV, JSONL.")
    ] = None,
    losses: Annotated[
        _Pair, typer.Option(metavar="BASE NEW", help="Two files of losses, by example.")
    ] = None,
    lm_eval: Annotated[
        _Pair, typer.Option("--lm-eval", metavar="BASE NEW", help="Two folders of lm-eval --log_samples.")
    ] = None,
    inspect: Annotated[_Pair, typer.Option(metavar="BASE NEW", help="Two logs of Inspect.")] = None,
    task: Annotated[
        str, typer.Option(metavar="NAME", help="classification or causal-lm; of lm-eval, its task.")
    ] = "",
    metric: Annotated[str, typer.Option(metavar="NAME", help="Which score of lm-eval or Inspect.")] = "",
    unit: Annotated[str, typer.Option(metavar="NAME", help="Of a loss in --losses.")] = "nats",
    train: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What it learned from: none may be in the holdout.")
    ] = None,
    joules: Annotated[
        str | None, typer.Option(metavar="ENERGY", help="What making it cost: 12kJ, or a measurement's file.")
    ] = None,
    min_delta: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Least mean Δ that counts; nats, of language models a token."),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of what is judged, in the receipt.")] = "",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge what was trained elsewhere: Δ, how sure, and a signed receipt.

    Every verdict on a holdout is counted, and raises the bar of the next. Exit code 1 unless it is better.
    """
    from cryoflux.config import load_settings

    sides = (base, new, holdout, losses, lm_eval, inspect)
    asked = _Asked(*sides, task, metric, unit, train, joules, min_delta, name)
    asked.refuse_two_ways()
    settings = load_settings({"state": state}).settings
    judged = _models(asked, settings) if asked.models else _losses(asked, settings)
    if as_json:
        emit_json("judge/1", _document(judged))
    else:
        _show(judged)
    if not judged.kept:
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))


def _models(asked: _Asked, settings: Settings) -> Judged:
    from cryoflux.runs.judging_models import ModelsToJudge, judge_models

    if asked.base is None or asked.new is None or asked.holdout is None:
        raise UsageError(
            "Two models and a holdout are needed.",
            why="Δ is measured example by example, on both.",
            hint="Type: cryoflux judge --base DIR --new DIR --holdout FILE.",
        )

    def progress(what: str, done: int, count: int) -> None:
        if stderr.is_terminal and done % _EACH == 0:
            stderr.print(f"… {what}: {done} of {count} examples")

    named = ModelsToJudge(asked.base, asked.new, asked.holdout, asked.task, asked.train, asked.name)
    return judge_models(named, settings, asked.joules, asked.min_delta, progress)


def _losses(asked: _Asked, settings: Settings) -> Judged:
    from cryoflux.evaluation.eval_logs import ERRORS, read_eval_log
    from cryoflux.evaluation.given_losses import read_given_losses
    from cryoflux.receipts.parts import Metric
    from cryoflux.runs.judging import judge_given

    if asked.losses is not None:
        base, new = (read_given_losses(path) for path in asked.losses)
        metric = Metric(name="loss", unit=asked.unit)
    else:
        logs = asked.lm_eval or asked.inspect or ()
        (base, scored), (new, other) = (read_eval_log(path, asked.task, asked.metric) for path in logs)
        if scored != other:
            raise UsageError(
                f"The samples of {base.name} have {scored}, those of {new.name} {other}.",
                why="One score is compared with the same score.",
                hint="Name one that both have: --metric NAME.",
            )
        metric = Metric(name=f"1 - {scored}", unit=ERRORS)
    return judge_given(
        base,
        new,
        settings,
        name=asked.name,
        energy=asked.joules,
        metric=metric,
        min_delta=asked.min_delta,
    )


def _document(judged: Judged) -> dict[str, Any]:
    low, high = judged.interval if math.isfinite(judged.interval[0]) else (None, None)
    before, after = judged.accuracy or (None, None)
    return {
        "outcome": judged.outcome,
        "kept": judged.kept,
        "delta": judged.delta,
        "delta_lo_anytime": low,
        "delta_hi_anytime": high,
        "unit": judged.unit,
        "examples": judged.count,
        "accuracy_before": before,
        "accuracy_after": after,
        "look": judged.look,
        "again": judged.again,
        "joules_stated": judged.joules,
        "reason": judged.reason,
        "receipt_hash": judged.receipt,
        "entry": judged.entry,
        "state": str(judged.state),
    }


def _show(judged: Judged) -> None:
    from cryoflux.quantities import MICRO, format_efficiency, format_energy, format_nats
    from cryoflux.state import StateFolder

    low, high = judged.interval
    ends = f"anytime [{format_nats(low)}, {format_nats(high)}]"
    interval = ends if math.isfinite(low) else "so few examples rule nothing out"
    stdout.print(f"{_SIGNS[judged.outcome]} {judged.outcome}: {judged.why}.")
    stdout.print(f"Δ         {format_nats(judged.delta)} {judged.unit} an example, {interval}")
    if judged.accuracy is not None:
        before, after = (100 * share for share in judged.accuracy)
        stdout.print(f"accuracy  {before:.1f} → {after:.1f} % ({after - before:+.1f} points)")
    again = "judged before, so that no look was spent" if judged.again else "each raises the bar of the next"
    stdout.print(f"holdout   {judged.count:,} examples; look {judged.look} of this log at it ({again})")
    stated = "not stated (--joules)"
    if judged.joules is not None:
        uj = round(judged.joules * MICRO)
        stated = f"{format_energy(uj)} as stated, {format_efficiency(judged.delta, uj, judged.unit)}"
    stdout.print(f"energy    {stated}")
    show = f"cryoflux receipts show {judged.entry}{StateFolder(judged.state).flag()}"
    stdout.print(f"receipt   entry {judged.entry}, {judged.receipt[:12]}…: {show}")
    stdout.print(f"check it  cryoflux verify {shlex.quote(str(judged.state))}")
