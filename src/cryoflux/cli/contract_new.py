"""``cryoflux contract new``: terms that are proposed to another party."""

from __future__ import annotations

__all__ = ["new_contract"]

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption
from cryoflux.cli.contract_options import (
    NANO,
    PPM,
    SOME_CLAUSES,
    AlphaOption,
    ClauseOption,
    DeltaOption,
    ExamplesOption,
    JoulesOption,
    PointOption,
    PowerOption,
    SpreadOption,
    WindowsOption,
    joules_of,
    say_signed,
    signing,
)
from cryoflux.cli.signed_text import signed_text
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.receipts.contract_parts import AgreedWindows, OnMissing
    from cryoflux.registry.composition import Term


def new_contract(
    policy: Annotated[Path, typer.Option(metavar="FILE", help="Names both logs, witnesses and a quorum.")],
    first: Annotated[str, typer.Option(metavar="TIME", help="Start of the first window: 2027-01-04T00:00Z.")],
    seller: Annotated[str, typer.Option(metavar="ORIGIN", help="The other log, where it trains.")] = "",
    buyer: Annotated[str, typer.Option(metavar="ORIGIN", help="The other log, where it measures.")] = "",
    clause: ClauseOption = None,
    window: Annotated[str, typer.Option(metavar="DURATION", help="How long a window is.")] = "7d",
    windows: WindowsOption = 4,
    delta: DeltaOption = 0.05,
    spread: SpreadOption = 0.0,
    spread_from: Annotated[
        list[str] | None, typer.Option(metavar="HASH", help="Round of this log that measured it; repeatable.")
    ] = None,
    joules: JoulesOption = "",
    joules_estimate: PointOption = "",
    tier: Annotated[str, typer.Option(metavar="TIER", help="The least that is believed.")] = "counter",
    guest: Annotated[
        str, typer.Option(metavar="ROOT", help="The buyer's guest holdout.", show_default="this log's")
    ] = "",
    examples: ExamplesOption = 0,
    alpha: AlphaOption = 0.01,
    power: PowerOption = 0.95,
    on_missing: Annotated[
        str, typer.Option(metavar="WORD", help="Of a window without a look: breach or void.")
    ] = "void",
    amount: Annotated[str, typer.Option(metavar="TEXT", help="What is owed; nothing here reads it.")] = "",
    start: Annotated[Path | None, typer.Option("--list", metavar="FILE", help="To start from.")] = None,
    task: Annotated[str, typer.Option(metavar="NAME", help="Whose head.", show_default="the first")] = "",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose terms: they are signed into this log, and their file goes to the other party."""
    from cryoflux.runs.contract_terms import TermsAsked, measured_spread, terms_for
    from cryoflux.runs.contracting import propose_terms

    _refuse_two(seller, buyer)
    text, spans, terms_list = _text(policy), _windows(first, window, windows), _list(start)
    with signing(state) as hand:
        entries = hand.entries() if spread_from else []
        asked = TermsAsked(
            parties=(seller, hand.origin) if seller else (hand.origin, buyer),
            policy=text,
            task=task,
            clauses=tuple(clause or SOME_CLAUSES),
            windows=spans,
            alpha_ppm=round(alpha * PPM),
            power_ppm=round(power * PPM),
            expected_delta_nano_nat=round(delta * NANO),
            spread_nano_nat=measured_spread(entries, spread_from) if spread_from else round(spread * NANO),
            spread_rounds=tuple(spread_from or ()),
            joules=joules_of(joules, joules_estimate, tier),
            on_missing=_on_missing(on_missing),
            amount=signed_text(amount, "--amount"),
            guest_root=guest,
            count=examples,
            start_list=terms_list,
        )
        terms = terms_for(asked, hand.memory, hand.origin, hand.state)
        entry, path = propose_terms(hand, terms), hand.state.path
    say_signed("proposed", terms, entry, path, as_json=as_json)


def _refuse_two(seller: str, buyer: str) -> None:
    if bool(seller) == bool(buyer):
        raise UsageError(
            "One other party is to be named.",
            why="This log is the one party, and the other one sells to it or buys from it.",
            hint="Say --seller ORIGIN or --buyer ORIGIN.",
        )


def _text(policy: Path) -> str:
    from cryoflux.files import read_beginning

    try:
        return read_beginning(policy, 16_001).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The policy {policy} cannot be read: {error}.", hint="Name a policy file."
        ) from error


def _moment(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time.", hint="Write it as in 2027-01-04T00:00Z.") from error
    if found.tzinfo is None:
        raise UsageError(f"{text!r} has no zone.", hint="Write it as in 2027-01-04T00:00Z.")
    return int(found.timestamp())


def _windows(first: str, length: str, count: int) -> AgreedWindows:
    from cryoflux.quantities import parse_duration
    from cryoflux.receipts.contract_parts import AgreedWindows

    if (seconds := int(parse_duration(length))) < 1:
        raise UsageError(f"{length!r} is too short for a window.", hint="Write it as in 7d.")
    return AgreedWindows(first=_moment(first), length_s=seconds, count=count)


def _on_missing(word: str) -> OnMissing:
    from cryoflux.receipts.contract_parts import OnMissing

    if word not in set(OnMissing):
        raise UsageError(f"{word!r} is neither breach nor void.", hint="Say --on-missing void.")
    return OnMissing(word)


def _list(path: Path | None) -> tuple[Term, ...] | None:
    from cryoflux.files import read_beginning
    from cryoflux.registry.composition import parse_list

    if path is None:
        return None
    try:
        return parse_list(read_beginning(path, 1 << 16))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", hint="Name a list of updates."
        ) from error
