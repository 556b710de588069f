"""``cryoflux energy``: what the account and the idle baseline of a state say."""

from __future__ import annotations

__all__ = ["app"]

import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.errors import MeterError, StateError

if TYPE_CHECKING:
    from cryoflux.energy.account.ledger import Identity, LedgerEntry, Pending
    from cryoflux.energy.baseline import Baseline
    from cryoflux.quantities import Energy

app = typer.Typer(
    cls=CommandGroup,
    help="Measure any command; look at the joule account and the idle baseline.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_NO_ACCOUNT = "`cryoflux run` or `cryoflux agent` makes it; or name another folder with --state DIR."
_NO_BASELINE = (
    "Learn it now, while nothing else runs: cryoflux energy baseline --learn; or see the one that "
    "`cryoflux energy measure` keeps: --state ~/.local/state/cryoflux."
)


def _file(flag: str | None, name: str, what: str, hint: str) -> Path:
    from cryoflux.config import load_settings

    path = Path(load_settings({"state": flag}).settings.run.state) / name
    if not path.exists():
        raise StateError(
            f"{path} does not exist.",
            why=f"There is no {what} in this state yet.",
            hint=hint,
        )
    return path


@app.command()
def ledger(state: StateOption = None, as_json: JsonOption = False) -> None:
    """List every grant, credit, take and settlement, and add them up."""
    from cryoflux.database import read_only
    from cryoflux.energy.account.audit import check_account, fault_of, require_account

    path = _file(state, "account.db", "joule account", _NO_ACCOUNT)
    with closing(read_only(path)) as connection:
        require_account(connection, path)
        connection.execute("BEGIN")
        holds = not fault_of(connection)
        entries, pending, sums = _shown(connection, path)
        if as_json:
            rows = [entry._asdict() for entry in entries]
            verdict = asdict(sums) | {"holds": holds}
            waiting = asdict(pending) | {"since": pending.since or None}
            document = {"entries": rows, "pending": waiting, "identity": verdict}
            emit_json("energy.ledger/1", document | _derived_document(entries))
        else:
            notes = [" ".join(filter(None, (entry.tier, entry.note))) for entry in entries]
            stdout.table([_HEADING, *map(_row, entries)], _RIGHT, below=["", *notes])
            if pending.readings:
                stdout.print(_unfolded(pending))
            for line in _sum(sums, holds=holds):
                stdout.print(line)
            if derived := _derived_line(entries):
                stdout.print(derived)
        check_account(connection, path)


def _shown(connection: sqlite3.Connection, path: Path) -> tuple[list[LedgerEntry], Pending, Identity]:
    from cryoflux.energy.account.audit import check_account
    from cryoflux.energy.account.ledger import identity, read_entries, read_pending

    try:
        return list(read_entries(connection)), read_pending(connection), identity(connection)
    except (sqlite3.Error, UnicodeDecodeError):
        check_account(connection, path)  # what cannot be read does not add up either
        raise


_HEADING = ("entry", "when", "kind", "change J", "held J", "balance J")
_RIGHT = (True, False, False, True, True, True)


def _row(entry: LedgerEntry) -> list[str]:
    from cryoflux.quantities import MICRO

    changes = (entry.balance_change_uj, entry.reserved_change_uj)
    moved = [f"{uj / MICRO:+.6f}" if uj else "" for uj in changes]
    return [str(entry.seq), entry.at, entry.kind, *moved, f"{entry.balance_uj / MICRO:.6f}"]


def _unfolded(pending: Pending) -> str:
    from cryoflux.quantities import MICRO

    words = " ".join(part for part in (pending.tier, pending.flags) if part)
    change = f"{pending.uj / MICRO:+.6f} J"
    return f"pending {pending.since}  credit {change}  {pending.readings} readings, not yet an entry  {words}"


def _sum(sums: Identity, *, holds: bool) -> list[str]:
    from cryoflux.quantities import MICRO

    parts = (sums.opening_uj, sums.granted_uj, sums.credited_uj, sums.settled_uj)
    opening, granted, credited, settled = (f"{uj / MICRO:.6f}" for uj in parts)
    mark, verdict = ("✓", "adds up") if holds else ("✗", "DOES NOT ADD UP")
    summands = f"opening {opening}  + grants {granted}  + net credited {credited}  − settled {settled}"
    return [
        f"{mark} balance {sums.balance_uj / MICRO:.6f} J {verdict}:  {summands}",
        f"  held {sums.reserved_uj / MICRO:.6f} J, available {sums.available_uj / MICRO:.6f} J",
    ]


def _settled(entries: list[LedgerEntry]) -> Energy | None:
    """What was measured of all that was settled."""
    from cryoflux.quantities import Energy, Tier

    return Energy.total(
        Energy(-entry.balance_change_uj, entry.lo_uj, entry.hi_uj, Tier(entry.tier))
        for entry in entries
        # A withdrawal at face value was measured by nobody.
        if entry.kind == "settle"
        and entry.lo_uj is not None
        and entry.hi_uj is not None
        and entry.tier
        and "face-value" not in entry.note.split()
    )


def _derived_document(entries: list[LedgerEntry]) -> dict[str, Any]:
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import derived_fields, rates_of

    settled = _settled(entries)
    derived = settled and derived_fields(settled, rates_of(load_settings().settings.energy))
    return {"derived": derived} if derived else {}


def _derived_line(entries: list[LedgerEntry]) -> str:
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import derived_line, rates_of

    settled = _settled(entries)
    return derived_line(settled, rates_of(load_settings().settings.energy)) if settled else ""


@app.command()
def baseline(
    state: StateOption = None,
    learn: Annotated[
        bool, typer.Option("--learn", help="Learn it again: a new baseline, with a digest of its own.")
    ] = False,
    wait: Annotated[
        str | None,
        typer.Option(
            "--wait", metavar="TIME", help="With --learn: wait for rest up to so long, such as 10m."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the frozen idle baseline, or learn it again while nothing else runs."""
    from cryoflux.energy.baseline import load_baseline

    if learn:
        before, frozen = _learned(state, wait, quiet=as_json)
        if before.digest != frozen.digest and not as_json:
            stdout.print(f"It takes the place of {before.digest[:16]}….", markup=False)
    else:
        frozen = load_baseline(_file(state, "baseline.json", "idle baseline", _NO_BASELINE))
    if as_json:
        sources = [asdict(idle) for idle in frozen.idles]
        emit_json("energy.baseline/1", {"digest": frozen.digest, "sources": sources})
        return
    _print_baseline(frozen)


def _learned(state: str | None, wait: str | None, *, quiet: bool) -> tuple[Baseline, Baseline]:
    """The baseline before, and the one that was learned now."""
    import random

    from cryoflux.cli.measure import show_learning
    from cryoflux.config import load_settings
    from cryoflux.energy.baseline import learn_again
    from cryoflux.energy.clock import SystemClock
    from cryoflux.energy.hold import hold_meter
    from cryoflux.energy.sources.discovery import find_sources
    from cryoflux.quantities import parse_duration

    settings = load_settings({"state": state}).settings
    folder, clock = Path(settings.run.state), SystemClock(settings.energy.proc_root)
    with closing(find_sources(settings, clock)) as found:
        if all(source.idle_uw is not None for source in found.sources):
            raise MeterError(
                "There is nothing to learn: no source here measures.",
                why="The idle power of a model is its curve at zero load, by definition.",
                hint="See what could be measured here: cryoflux doctor.",
            )
        with hold_meter(folder):
            return learn_again(
                folder / "baseline.json",
                found.sources,
                found.times,
                clock,
                seconds=settings.energy.baseline_seconds,
                rng=random.Random(settings.run.seed),  # noqa: S311
                progress=None if quiet else show_learning,
                patience_s=parse_duration(wait) if wait else 0.0,
            )


def _print_baseline(frozen: Baseline) -> None:
    from cryoflux.quantities import MICRO

    for idle in frozen.idles:
        how = f"curve {idle.curve}" if idle.state == "modelled" else f"{idle.blocks} s"
        how += ", in place of one that was lost" if idle.replaces == "unknown" else ""
        how += ", while the machine was at work" if idle.doubt_uw else ""
        stdout.print(
            f"{idle.source}  {idle.idle_uw / MICRO:.2f} W ± {idle.error_uw / MICRO:.2f}  "
            f"{idle.state} ({idle.tier}, {how}), learned {idle.learned_at}",
            markup=False,
        )
    stdout.print(f"sha256 {frozen.digest}", markup=False)
