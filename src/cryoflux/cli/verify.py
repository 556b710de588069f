"""``cryoflux verify``: the numbered checks, and one line that says what they show."""

from __future__ import annotations

__all__ = ["verify"]

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr
from cryoflux.cli.memory import HeadsOption, heads_folder
from cryoflux.cli.verdict import exit_code, print_check, print_report
from cryoflux.cli.verify_tree import tree_report
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from cryoflux.verification.witnessing import Demand

_QUIET_S = 1.0
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
    typer.Option("--log-key", metavar="FILE", help="Public key (PEM) that must have signed the head."),
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
_ALL = 1_000_000_000
"""more receipts than a log has"""


def _how_many(text: object) -> int:
    """How many receipts: a number, or all of them."""
    said = str(text)
    if said == "all":
        return _ALL
    if said.isascii() and said.isdecimal() and int(said) <= _ALL:
        return int(said)
    raise typer.BadParameter(f"{said!r} is neither a number of receipts nor the word all.")


_RecomputeOption = Annotated[
    int,
    typer.Option(
        "--recompute",
        metavar="N|all",
        parser=_how_many,
        help="Evaluate N receipts again, the last kept first, and as many rounds and opened looks; or all.",
    ),
]
_RetrainOption = Annotated[
    int,
    typer.Option(
        "--retrain",
        metavar="N|all",
        parser=_how_many,
        help="Train the last N kept updates again, or all, and compare.",
    ),
]


_ParentOption = Annotated[
    str | None,
    typer.Option(
        "--parent", metavar="LOG", help="Of a fork: state, log folder or URL of the log that it goes on from."
    ),
]
_StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict", help="Exit 1 for every question that stays open (?), who signed included (--key)."
    ),
]


class _Named(TypedDict):
    """What whoever verifies brings along."""

    key: Ed25519PublicKey | None
    meters: tuple[Ed25519PublicKey, ...]
    log_key: Ed25519PublicKey | None
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


def _verify_claim(path: Path, named: _Named, *, strict: bool, as_json: bool) -> None:
    from cryoflux.cli.claim import print_claim_verdict, report_claim

    found = report_claim(path, **named)
    if as_json:
        emit_json("verify/2", found.to_json())
    else:
        for check in found.report.checks:
            print_check(check)
        print_claim_verdict(found, strict=strict)
    if (code := exit_code(found.report, strict=strict)) is not None:
        raise typer.Exit(int(code))


def _is_claim(path: Path, again: int, parent: str | None) -> bool:
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
    return claimed


def verify(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]", help="State directory, public tree of a node, exported receipts, or a claim."
        ),
    ] = None,
    state: StateOption = None,
    recompute: _RecomputeOption = 0,
    spot_check: _SpotCheckOption = 0,
    spot_receipts: _SpotReceiptsOption = 1,
    spot_seed: _SpotSeedOption = None,
    retrain: _RetrainOption = 0,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="Public key that must have signed: PEM, or node.json of a tree.",
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="Witnesses that must have seen the log: a policy, or a file of peers.",
        ),
    ] = None,
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="TIME", help="How old their word may be, such as 1d.")
    ] = None,
    heads: HeadsOption = None,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Neither compare with what was seen before nor remember it.")
    ] = False,
    meter_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--meter-key",
            metavar="FILE|DIR",
            help="Public key (PEM) of the meter that must sign every charge; once for each, or their folder.",
        ),
    ] = None,
    log_key: _LogKeyOption = None,
    trust_memory: _TrustMemoryOption = False,
    only_new: _OnlyNewOption = False,
    task: _TaskOption = None,
    parent: _ParentOption = None,
    strict: _StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check every receipt, or a claim; exit 1 if one is not what it claims to be."""
    from cryoflux.cli.capsule_policy import named_policy
    from cryoflux.log_check import asked_again, demand_of, load_receipt_key, sections_of
    from cryoflux.signing.keys import load_public_key, load_public_keys
    from cryoflux.verification.steps import verify_target
    from cryoflux.verification.verified import trust_in

    place = _target(target, state)
    named: _Named = {
        "key": load_receipt_key(key) if key is not None else None,
        "meters": tuple(key for place in meter_key or () for key in load_public_keys(place)),
        "log_key": load_public_key(log_key) if log_key is not None else None,
        "demand": demand_of(policy, max_age, named_policy),
        "heads": None if no_memory else heads or heads_folder(),
    }
    if no_memory and (trust_memory or only_new):
        raise UsageError(
            "--no-memory leaves nothing to trust.",
            why="--trust-memory and --only-new go by what is remembered here of this log.",
            hint="Leave out --no-memory.",
        )
    if _is_claim(place, recompute + spot_check + retrain, parent):
        _verify_claim(place, named, strict=strict, as_json=as_json)
        return
    again = asked_again(recompute, spot_check, spot_receipts, retrain, spot_seed)
    checks, progress = sections_of(task or ()), _Progress()
    trust = trust_in(trust_memory=trust_memory, only_new=only_new)
    of_state: dict[str, object] = {"--key": key, "--log-key": log_key, "--parent": parent}
    of_state |= {"--recompute and its like": again}
    of_state |= {"--heads": heads, "--trust-memory": trust_memory or None, "--only-new": only_new or None}
    report = tree_report(place, named["demand"], named["meters"], checks, of_state) or verify_target(
        place, **named, again=again, sections=checks, progress=progress, trust=trust, parent=parent
    )
    if as_json:
        emit_json("verify/2", report.to_json())
    else:
        print_report(report, strict=strict)
    if (code := exit_code(report, strict=strict)) is not None:
        raise typer.Exit(int(code))
