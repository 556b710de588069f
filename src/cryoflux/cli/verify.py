"""``cryoflux verify``: the numbered checks, and one line that says what they show."""

from __future__ import annotations

__all__ = ["verify"]

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from cryoflux.verification.recompute import RecomputerFactory
    from cryoflux.verification.result import Check, Report
    from cryoflux.verification.witnessing import Demand

_MARKS = {"ok": "✓", "fail": "✗", "unknown": "?"}


def _target(target: str | None, state: str | None) -> Path:
    from cryoflux.config import load_settings

    if target is not None and state is not None:
        raise UsageError(
            "Both a target and --state were given.",
            why="It is not clear which of them to verify.",
            hint="Give one: cryoflux verify STATE, or cryoflux verify FILE.",
        )
    return Path(target or load_settings({"state": state}).settings.run.state)


def _recomputer_factory() -> RecomputerFactory:
    from cryoflux.libraries import require_training

    require_training()
    from cryoflux.recomputation import TorchRecomputer

    return lambda max_tokens: TorchRecomputer(max_tokens=max_tokens, threads=1)


def _demand(policy: Path | None, max_age: str | None) -> Demand | None:
    from cryoflux.quantities import parse_duration
    from cryoflux.verification.witnessing import Demand
    from cryoflux.witness.policy import read_policy

    if policy is None:
        if max_age is not None:
            raise UsageError(
                "--max-age was given without --policy.",
                why="Only witnesses say when they saw a log.",
                hint="Name those whom you trust with --policy FILE.",
            )
        return None
    oldest_s = int(parse_duration(max_age)) if max_age is not None else None
    return Demand(read_policy(policy), int(time.time()), oldest_s)


def _remembered_heads() -> Path | None:
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(home).expanduser() / "cryoflux" / "heads"
    except RuntimeError:  # there is no home to remember anything in
        return None


def _print_check(check: Check) -> None:
    mark, where = _MARKS[check.status.value], f"{check.subject}: " if check.subject else ""
    stdout.print(
        f"{mark} {check.number:>2}  {check.name} ({check.claim.value}): {where}{check.detail}", markup=False
    )


def _verdict(report: Report) -> str:
    statuses = [check.status.value for check in report.checks]
    if not report.ok:
        bad = dict.fromkeys(check.subject for check in report.checks if check.status.value == "fail")
        return f"✗ NOT VERIFIED. Failed ({statuses.count('fail')}): {', '.join(list(bad)[:5])}."
    still_open = f" Still open (?): {statuses.count('unknown')}." if "unknown" in statuses else ""
    if not report.receipts:
        return f"There is nothing to verify yet: the log holds no receipt.{still_open}"
    signer = "" if report.signer else ", but not who signed them"
    return (
        f"✓ VERIFIED {report.receipts} receipts. Proven: bytes, order, arithmetic and decisions{signer}. "
        f"Recomputed: {_recomputed(report)}. "
        f"Attested, not proven: joules, hardware, and that nothing else was tried.{still_open}"
    )


def _recomputed(report: Report) -> str:
    if report.recomputed:
        return f"losses and Δ of {report.recomputed} of {report.evaluated} evaluated receipts"
    asked = any(check.claim.value == "recomputed" for check in report.checks)
    return "nothing" if asked or not report.evaluated else "nothing (add --recompute 1)"


def verify(
    target: Annotated[
        str | None, typer.Argument(metavar="[TARGET]", help="State directory, or file of exported receipts.")
    ] = None,
    state: StateOption = None,
    recompute: Annotated[
        int,
        typer.Option(
            "--recompute", metavar="N", min=0, help="Evaluate N receipts again, the last accepted first."
        ),
    ] = 0,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Public key (PEM) that must have signed.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="Witnesses that must have seen the log.")
    ] = None,
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="TIME", help="How old their word may be, such as 1d.")
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(
            "--heads",
            metavar="DIR",
            help="Where the heads that were seen are remembered.",
            show_default="~/.local/state/cryoflux/heads",
        ),
    ] = None,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Neither compare with what was seen before nor remember it.")
    ] = False,
    meter_key: Annotated[
        Path | None,
        typer.Option("--meter-key", metavar="FILE", help="Public key (PEM) of the meter that must sign."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every receipt; exit 1 if one is not what it claims to be."""
    from cryoflux.signing.keys import load_public_key
    from cryoflux.verification.steps import verify_target

    report = verify_target(
        _target(target, state),
        key=load_public_key(key) if key is not None else None,
        meter_key=load_public_key(meter_key) if meter_key is not None else None,
        recompute=recompute,
        recomputer=_recomputer_factory() if recompute else None,
        demand=_demand(policy, max_age),
        heads=None if no_memory else heads or _remembered_heads(),
    )
    if as_json:
        emit_json(report.to_json())
    else:
        for check in report.checks:
            _print_check(check)
        stdout.print(_verdict(report), markup=False)
    if not report.ok:
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))
