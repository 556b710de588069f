"""``cryoflux verify``: the numbered checks, and one line that says what they show."""

from __future__ import annotations

__all__ = ["verify"]

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.errors import ExitCode, UsageError
from cryoflux.report.layout import unbroken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from cryoflux.verification.result import Check, Report
    from cryoflux.verification.witnessing import Demand

_QUIET_S = 1.0
_MARKS = {"ok": "✓", "fail": "✗", "unknown": "?"}
_FOLDED = {1, 2, 3, 4, 5, 6, 7, 8, 10}
"""steps that go on from what is remembered, where that is asked for"""
_ALWAYS = {9, 10}
_ON_REQUEST = {
    11: "--recompute N",
    12: "--policy FILE",
    14: "--spot-check N",
    15: "--retrain N",
}
"""steps that are gone through only if an option asks for it"""
_TrustMemoryOption = Annotated[
    bool,
    typer.Option(
        "--trust-memory", help="Entries that were verified here before: only that they are the same bytes."
    ),
]
_OnlyNewOption = Annotated[
    bool, typer.Option("--only-new", help="Entries that were verified here before are not even read.")
]
_LogKeyOption = Annotated[
    Path | None,
    typer.Option("--log-key", metavar="FILE", help="Public key (PEM) that must have signed a claim's head."),
]

_TaskOption = Annotated[
    list[str] | None,
    typer.Option(
        "--task", metavar="NAME", help="A task of your own that may check its receipts: module:Class."
    ),
]
_SpotCheckOption = Annotated[
    int,
    typer.Option(
        "--spot-check",
        metavar="N",
        min=0,
        help="Evaluate N examples again, drawn at random here; 64 is a good number.",
    ),
]
_SpotReceiptsOption = Annotated[
    int, typer.Option("--spot-receipts", metavar="N", min=1, help="Of how many receipts.")
]
_SpotSeedOption = Annotated[
    str | None,
    typer.Option(
        "--spot-seed",
        metavar="HEX|head",
        help="Repeat the draw of a report; or draw by the log's signed head, which is weaker.",
    ),
]
_RetrainOption = Annotated[
    int,
    typer.Option("--retrain", metavar="N", min=0, help="Train the last N kept updates again, and compare."),
]


_ParentOption = Annotated[
    str | None,
    typer.Option(
        "--parent", metavar="LOG", help="Of a fork: state, log folder or URL of the log that it goes on from."
    ),
]
_HeadsOption = Annotated[
    Path | None,
    typer.Option(
        "--heads",
        metavar="DIR",
        help="Where the heads that were seen are remembered.",
        show_default="~/.local/state/cryoflux/heads",
    ),
]


class _Named(TypedDict):
    """What whoever verifies brings along."""

    key: Ed25519PublicKey | None
    meter_key: Ed25519PublicKey | None
    demand: Demand | None
    heads: Path | None


class _Progress:
    """One line on a terminal that says how far a verification is, where it takes a while."""

    def __init__(self) -> None:
        self._began_s = self._said_s = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Say it, at most once a second; ``done`` of ``total`` entries."""
        now_s = time.monotonic()
        said = self._said_s > self._began_s
        if stderr.is_terminal and (now_s - self._said_s > _QUIET_S or (said and done == total)):
            self._said_s = now_s
            left_s = (now_s - self._began_s) * (total - done) / max(1, done)
            end = "\n" if done == total else ""
            sys.stderr.write(f"\rverified {done} of {total} entries, {left_s:.0f} s left \x1b[K{end}")
            sys.stderr.flush()


def _target(target: str | None, state: str | None) -> Path:
    from cryoflux.config import load_settings

    if target is not None and state is not None:
        raise UsageError(
            "Both a target and --state were given.",
            why="It is not clear which of them to verify.",
            hint="Give one: cryoflux verify STATE, or cryoflux verify FILE.",
        )
    return Path(target or load_settings({"state": state}).settings.run.state)


def _remembered_heads() -> Path | None:
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(home).expanduser() / "cryoflux" / "heads"
    except RuntimeError:  # there is no home to remember anything in
        return None


def _verify_claim(path: Path, named: _Named, log_key: Path | None, *, as_json: bool) -> None:
    from cryoflux.cli.claim import print_claim_verdict, report_claim
    from cryoflux.signing.keys import load_public_key

    found = report_claim(path, log_key=load_public_key(log_key) if log_key is not None else None, **named)
    if as_json:
        emit_json("verify/1", found.to_json())
    else:
        for check in found.report.checks:
            _print_check(check)
        print_claim_verdict(found)
    if not found.ok:
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))


def _is_claim(path: Path, log_key: Path | None, again: int, parent: str | None) -> bool:
    from cryoflux.claims.document import is_claim

    claimed = is_claim(path)
    if claimed and again:
        raise UsageError(
            f"{path} is a claim, and brings neither models nor examples.",
            why="Nothing of it can be evaluated or trained again.",
            hint="Leave out --recompute, --spot-check and --retrain, or verify the state.",
        )
    if claimed and parent is not None:
        raise UsageError(
            f"--parent was given, but {path} is a claim.",
            why="A claim is about one log; what that goes on from, only the log shows.",
            hint="Leave it out, or verify the state that the claim is about.",
        )
    if log_key is not None and not claimed and path.exists():
        raise UsageError(
            f"--log-key was given, but {path} is not a claim.",
            why="A state brings the key of its head, and exported receipts have no head.",
            hint="Leave it out, or name a file made by cryoflux claim.",
        )
    return claimed


def _print_check(check: Check, *, before: str = "") -> None:
    mark, where = _MARKS[check.status.value], f"{check.subject}: " if check.subject else ""
    by_memory = f", {before}" if before and check.status.value == "ok" and check.number in _FOLDED else ""
    known = f"({check.knowledge.value}{by_memory})"
    stdout.print(f"{mark} {check.number:>2}  {check.name} {known}: {where}{check.detail}", indent=6)


def _print_report(report: Report) -> None:
    before = f"{report.remembered} of {report.entries} entries by memory" if report.remembered else ""
    for check in report.checks:
        _print_check(check, before=before)
    asked = {check.number for check in report.checks}
    if not asked.isdisjoint(_ALWAYS) and (unasked := [n for n in _ON_REQUEST if n not in asked]):
        options = ", ".join(unbroken(f"{number} {_ON_REQUEST[number]}") for number in unasked)
        stdout.print(f"–     not asked for: {options}", indent=6)
    stdout.print(_verdict(report))


def _verdict(report: Report) -> str:
    statuses = [check.status.value for check in report.checks]
    if not report.ok:
        bad = dict.fromkeys(check.subject for check in report.checks if check.status.value == "fail")
        return f"✗ NOT VERIFIED. Failed ({statuses.count('fail')}): {', '.join(list(bad)[:5])}."
    still_open = f" Still open (?): {statuses.count('unknown')}." if "unknown" in statuses else ""
    if not report.receipts:
        return f"There is nothing to verify yet: the log holds no receipt.{still_open}"
    signer = "" if report.signer else ", but not who signed them"
    before = f" Of {report.entries} entries, {report.remembered} by memory." if report.remembered else ""
    return (
        f"✓ VERIFIED {report.receipts} receipts.{before} "
        f"Proven: bytes, order, arithmetic and decisions{signer}. "
        f"Recomputed: {_recomputed(report)}. "
        f"Attested, not proven: joules, hardware, and that nothing else was tried.{still_open}"
    )


def _recomputed(report: Report) -> str:
    from cryoflux.verification.levels import Level, Word

    said = [(Level(level), Word(word)) for one in report.levels for level, word in one["levels"].items()]
    done = [level for level, word in said if word.reproduced]
    otherwise = {(Level.RETRAINING, Word.OTHER_BYTES), (Level.RETRAINING, Word.NOT_REPRODUCED)}
    but = "; training again gave another adapter" if not otherwise.isdisjoint(said) else ""
    if report.recomputed:
        return f"losses and Δ of {report.recomputed} of {report.evaluated} evaluated receipts{but}"
    if spots := done.count(Level.SPOT_CHECK):
        weaker = _weaker_draw(report)
        return f"drawn examples of {spots} of {report.evaluated} evaluated receipts{weaker}{but}"
    if Level.RETRAINING in done:
        return f"the training of {done.count(Level.RETRAINING)} of the kept updates{but}"
    asked = any(check.knowledge.value == "recomputed" for check in report.checks)
    return f"nothing{but}" if asked or not report.evaluated else "nothing (add --recompute 1)"


def _weaker_draw(report: Report) -> str:
    by = {one["draw"]["by"] for one in report.levels if "draw" in one}
    return "" if by == {"verifier"} else " (the draw was not made at random here)"


def verify(
    target: Annotated[
        str | None, typer.Argument(metavar="[TARGET]", help="State directory, exported receipts, or a claim.")
    ] = None,
    state: StateOption = None,
    recompute: Annotated[
        int,
        typer.Option(
            "--recompute", metavar="N", min=0, help="Evaluate N receipts again, the last kept first."
        ),
    ] = 0,
    spot_check: _SpotCheckOption = 0,
    spot_receipts: _SpotReceiptsOption = 1,
    spot_seed: _SpotSeedOption = None,
    retrain: _RetrainOption = 0,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Public key (PEM) that must have signed.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="Witnesses that must have seen the log.")
    ] = None,
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="TIME", help="How old their word may be, such as 1d.")
    ] = None,
    heads: _HeadsOption = None,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Neither compare with what was seen before nor remember it.")
    ] = False,
    meter_key: Annotated[
        Path | None,
        typer.Option("--meter-key", metavar="FILE", help="Public key (PEM) of the meter that must sign."),
    ] = None,
    log_key: _LogKeyOption = None,
    trust_memory: _TrustMemoryOption = False,
    only_new: _OnlyNewOption = False,
    task: _TaskOption = None,
    parent: _ParentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every receipt, or a claim; exit 1 if one is not what it claims to be."""
    from cryoflux.log_view import asked_again, demand_of, sections_of
    from cryoflux.signing.keys import load_public_key
    from cryoflux.verification.steps import verify_target
    from cryoflux.verification.verified import trust_in

    place = _target(target, state)
    named: _Named = {
        "key": load_public_key(key) if key is not None else None,
        "meter_key": load_public_key(meter_key) if meter_key is not None else None,
        "demand": demand_of(policy, max_age),
        "heads": None if no_memory else heads or _remembered_heads(),
    }
    if no_memory and (trust_memory or only_new):
        raise UsageError(
            "--no-memory leaves nothing to trust.",
            why="--trust-memory and --only-new go by what is remembered here of this log.",
            hint="Leave out --no-memory.",
        )
    if _is_claim(place, log_key, recompute + spot_check + retrain, parent):
        _verify_claim(place, named, log_key, as_json=as_json)
        return
    again = asked_again(recompute, spot_check, spot_receipts, retrain, spot_seed)
    checks, progress = sections_of(task or ()), _Progress()
    trust = trust_in(trust_memory=trust_memory, only_new=only_new)
    report = verify_target(
        place, **named, again=again, sections=checks, progress=progress, trust=trust, parent=parent
    )
    if as_json:
        emit_json("verify/1", report.to_json())
    else:
        _print_report(report)
    if not report.ok:
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))
