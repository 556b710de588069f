"""``cryoflux judge``: did a model that somebody made elsewhere really get better, and with which receipt?"""

from __future__ import annotations

__all__ = ["OTHER_HINTS", "judge"]

import math
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.errors import CryoFluxError, ExitCode, UsageError

if TYPE_CHECKING:
    from cryoflux.config import Settings
    from cryoflux.runs.judgements import Judged

_SIGNS = {"kept": "✓", "rejected": "✗", "undecided": "?"}
_EACH = 16
"""examples between two lines of progress"""
_Pair = tuple[Path, Path] | None
OTHER_HINTS = {
    "--model": "Name another model: --base or --new, a folder or an id of the hub.",
    "--max-tokens": "Shorten the texts of the holdout.",
    "--most-dropped": "Mend those rows, or take them out of the file.",
    "-column": "Call its columns text and label.",
    "--encoding": "Save it as UTF-8.",
    "--separator": "Save it as CSV with commas, or as JSONL.",
    "--learning-rate": "Look at the model: its weights may be broken.",
    "--holdout-size": "Judge on a holdout that has examples enough.",
}
"""options of other commands that a hint may name → what to do here instead"""


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
    with _own_hints():
        judged = _models(asked, settings) if asked.models else _losses(asked, settings)
    if as_json:
        emit_json("judge/1", _document(judged))
    else:
        _show(judged)
    if not judged.kept:
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))


@contextmanager
def _own_hints() -> Iterator[None]:
    """Let an error name the options of this command, where it was written for another one.

    Raises:
        CryoFluxError: the one that came, with a hint that can be typed here.
    """
    try:
        yield
    except CryoFluxError as error:
        for option, hint in OTHER_HINTS.items():
            if option in error.hint:
                error.hint = hint
        raise


def _models(asked: _Asked, settings: Settings) -> Judged:
    from cryoflux.runs.judging_models import ModelsToJudge, judge_models

    if asked.base is None or asked.new is None or asked.holdout is None:
        raise UsageError(
            "Two models and a holdout are needed.",
            why="Δ is measured example by example, on both.",
            hint="Type: cryoflux judge --base DIR --new DIR --holdout FILE.",
        )

    def progress(what: str, done: int, count: int) -> None:
        if done == 0 or (stderr.is_terminal and done % _EACH == 0):
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
        "delta_per_token": judged.delta_per_token,
        "unit": judged.unit,
        "examples": judged.count,
        "examples_cut": judged.cut,
        "most_tokens": judged.most_tokens,
        "target_tokens": judged.targets,
        "accuracy_before": before,
        "accuracy_after": after,
        "look": judged.look,
        "error_budget": judged.error_budget,
        "noise_passes_once_in": judged.odds,
        "again": judged.again,
        "joules_stated": judged.joules,
        "reason": judged.reason,
        "receipt_hash": judged.receipt,
        "entry": judged.entry,
        "state": str(judged.state),
    }


def _show(judged: Judged) -> None:
    from cryoflux.state import StateFolder

    stdout.print(f"{_SIGNS[judged.outcome]} {judged.outcome}: {judged.why}.")
    for name, said in judged.lines():
        stdout.print(f"{name:<9} {said}")
    show = f"cryoflux receipts show {judged.entry}{StateFolder(judged.state).flag()}"
    stdout.print(f"receipt   entry {judged.entry}, {judged.receipt[:12]}…: {show}")
    stdout.print(f"check it  cryoflux verify {shlex.quote(str(judged.state))}")
