"""``cryoflux claim``: a true sentence about a log, in one small file that proves itself offline."""

from __future__ import annotations

__all__ = ["claim", "print_claim_verdict", "report_claim"]

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.chosen import state_of, there
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.outputs import require_output
from cryoflux.quantities import counted
from cryoflux.report.layout import unbroken
from cryoflux.report.verdict_words import key_in_words, open_in_words, proven_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from cryoflux.claims.report import ClaimReport
    from cryoflux.verification.witnessing import Demand


def claim(
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help='Such as "delta >= 0.05 and joules_estimate <= 2 kJ".')
    ],
    state: StateOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File.")] = Path(
        "claim.json"
    ),
    first: Annotated[
        int, typer.Option("--from", metavar="INDEX", min=0, help="First entry of the range.")
    ] = 0,
    to: Annotated[
        int | None,
        typer.Option(
            "--to", metavar="INDEX", min=0, help="Last entry of it.", show_default="the head's last"
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            "--last", metavar="N", min=1, help="Only the last N attempts of it.", show_default="all"
        ),
    ] = None,
    witnessed: Annotated[
        bool, typer.Option("--witnessed", help="Claim up to the last head that witnesses cosigned.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a signed claim with the receipts that carry it; exit 1 if it is false."""
    from cryoflux.claims.making import ClaimScope, make_claim
    from cryoflux.files import write_atomic

    require_output(output)
    folder = there(state_of(state), "run --budget 2kJ")
    scope = ClaimScope(first, None if to is None else to + 1, last, witnessed)
    made = make_claim(folder, expression, scope)
    write_atomic(output, made.content)
    if as_json:
        claimed = made.report.to_json()["claim"]
        written = {"event": "claimed", "file": str(output), "bytes": len(made.content)}
        emit_json("claim/1", {**written, **claimed})
        return
    keys = folder / "keys"
    check = f"--key {shlex.quote(str(keys / 'receipt.pub'))} --log-key {shlex.quote(str(keys / 'log.pub'))}"
    said = f"True: {made.report.sentence}. {len(made.content)} bytes written to {output}; check it:"
    command = unbroken(f"cryoflux verify {shlex.quote(str(output))} {check}")
    stderr.print(f"{said}  {command}")


def report_claim(
    path: Path,
    *,
    key: Ed25519PublicKey | None,
    log_key: Ed25519PublicKey | None,
    meters: Sequence[Ed25519PublicKey],
    demand: Demand | None,
    heads: Path | None,
) -> ClaimReport:
    """Check the claim of a file."""
    from cryoflux.claims.check import check_claim
    from cryoflux.claims.document import MAX_CLAIM_BYTES
    from cryoflux.files import read_beginning
    from cryoflux.tasks.causal.section import SECTIONS as OF_CAUSAL
    from cryoflux.tasks.index.section import SECTIONS as OF_INDEX
    from cryoflux.tasks.lora.section import SECTIONS

    content = read_beginning(path, MAX_CLAIM_BYTES + 1)
    return check_claim(
        content,
        path,
        key=key,
        log_key=log_key,
        meters=meters,
        demand=demand,
        heads=heads,
        sections={**SECTIONS, **OF_INDEX, **OF_CAUSAL},
    )


def print_claim_verdict(found: ClaimReport, *, strict: bool = False) -> None:
    """One line that says what the claim comes to, and how each part of it is known."""
    report = found.report
    checks = report.checks
    bad = dict.fromkeys(check.subject or check.name for check in checks if check.status.value == "fail")
    if bad:
        stdout.print(f"✗ CLAIM NOT VERIFIED. Failed: {', '.join(list(bad)[:5])}.", markup=False)
        return
    if strict and not report.complete:
        left = open_in_words(report) or "the range holds no receipt"
        said = f"✗ CLAIM NOT VERIFIED, as --strict asks for. Nothing failed; open: {left}."
        stdout.print(said, markup=False)
        return
    open_ = sum(check.status.value == "unknown" for check in checks)
    rounds = f" and {counted(found.rounds, 'round')}" if found.rounds else ""
    where = f"entries {found.first} to {found.end - 1}, {counted(report.receipts, 'attempt')}{rounds}"
    where += ", the whole log up to its head" if found.whole else f", a part of {found.size} entries"
    left_out = f", except: {'; '.join(report.exceptions)}" if report.exceptions else ""
    stdout.print(
        f"✓ CLAIM HOLDS: {found.sentence} ({where}){left_out}. "
        f"Proven: {proven_in_words(report, 'that the range is complete')}. {key_in_words(report)} "
        "Recomputed: nothing; losses and Δ are as they were signed. "
        f"Attested, not proven: joules ({found.metering}), hardware, and that nothing else was tried."
        + (f" Still open (?): {open_}." if open_ else ""),
        markup=False,
    )
