"""Options of the commands about contracts, and what they have in common."""

from __future__ import annotations

__all__ = [
    "NANO",
    "PPM",
    "SOME_CLAUSES",
    "AlphaOption",
    "ClauseOption",
    "DeltaOption",
    "ExamplesOption",
    "JoulesOption",
    "LogOption",
    "PointOption",
    "PowerOption",
    "SpreadOption",
    "WindowsOption",
    "evaluator_of",
    "joules_of",
    "say_signed",
    "signing",
]

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.changing import changing
from cryoflux.cli.chosen import settings_of, there
from cryoflux.cli.console import emit_json, stdout
from cryoflux.cli.contract_words import NO_MONEY
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryoflux.receipts.contract_parts import AgreedTerms, CountedJoules
    from cryoflux.receipts.entry import Entry
    from cryoflux.runs.by_hand import VersionsByHand
    from cryoflux.runs.contract_look import Evaluate

NANO, PPM = 1_000_000_000, 1_000_000
SOME_CLAUSES = ("delta >= 0.05 nats",)
ClauseOption = Annotated[
    list[str] | None,
    typer.Option("--clause", metavar="TEXT", help='Such as "eta >= 0.2 nats/kJ"; repeatable.'),
]
WindowsOption = Annotated[int, typer.Option(metavar="N", min=1, max=64, help="How many windows.")]
AlphaOption = Annotated[float, typer.Option(min=1e-6, max=0.5, help="Error over all windows.")]
PowerOption = Annotated[float, typer.Option(min=0.5, max=0.999, help="Chance of what is as expected.")]
_MOST_NATS = 1_000_000
"""that one may say: nano-nats of it are an integer that every reader of JSON holds"""
DeltaOption = Annotated[
    float,
    typer.Option(metavar="NATS", min=0, max=_MOST_NATS, help="Mean Δ that is expected of a window."),
]
SpreadOption = Annotated[
    float,
    typer.Option(metavar="NATS", min=0, max=_MOST_NATS, help="Standard deviation of Δ between examples."),
]
JoulesOption = Annotated[
    str, typer.Option("--joules", metavar="ENERGY", help="Most that a window is expected to take: 700J.")
]
PointOption = Annotated[
    str,
    typer.Option(
        "--joules-estimate", metavar="ENERGY", help="Of that, the estimate.", show_default="the same"
    ),
]
ExamplesOption = Annotated[
    int, typer.Option("--examples", metavar="N", min=0, help="Of the guest holdout.", show_default="its own")
]
LogOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--log", metavar="DIR", help="State, public tree or mirror; repeatable.", show_default="own, peers"
    ),
]


@contextmanager
def signing(state: str | None) -> Iterator[VersionsByHand]:
    """A state to write into."""
    settings, path = settings_of(state)
    with changing(there(path), settings, "cryoflux contract") as hand:
        yield hand


def evaluator_of(terms: AgreedTerms) -> Evaluate:
    """What scores a model on examples, as the terms say."""

    def evaluate(model: Path, examples: Path) -> Sequence[int]:
        from cryoflux.tasks.lora.again import TorchRecomputer

        recomputer = TorchRecomputer(max_tokens=terms.max_tokens, threads=1)
        return recomputer.evaluate_some(model, examples, None, terms.profile)[0]

    return evaluate


def joules_of(most: str, estimate: str, tier: str) -> CountedJoules:
    """Joules of a window, as they were typed."""
    from cryoflux.quantities import Tier, parse_energy
    from cryoflux.receipts.contract_parts import CountedJoules

    if tier not in set(Tier):
        raise UsageError(f"There is no tier {tier!r}.", hint=f"Known are {', '.join(Tier)}.")
    upper_uj = parse_energy(most) if most else 0
    point_uj = parse_energy(estimate) if estimate else upper_uj
    if point_uj > upper_uj:
        raise UsageError(
            "The estimate of the joules of a window is more than the most of them.",
            hint="Say --joules for the upper end, and --joules-estimate for the estimate.",
        )
    return CountedJoules(
        counted="net", upper_microjoules=upper_uj, point_microjoules=point_uj, tier_min=Tier(tier)
    )


def say_signed(event: str, terms: AgreedTerms, entry: Entry, path: Path, *, as_json: bool) -> None:
    """Say that terms were signed for."""
    from cryoflux.network.folder import NetworkFolder

    file = NetworkFolder.of(path).contracts / terms.digest
    if as_json:
        said = {"event": event, "contract": terms.digest, "entry": entry.index, "file": str(file)}
        emit_json("contract.signed/1", {**said, "seller": terms.seller, "buyer": terms.buyer})
        return
    stdout.print(f"{event} as entry {entry.index}: contract {terms.digest}", markup=False)
    for text in terms.clauses:
        stdout.print(f"  {text}", markup=False)
    stdout.print(f"  file: {file}", markup=False)
    if event == "proposed":
        stdout.print("Send it to the other party, who types: cryoflux contract accept FILE", markup=False)
    stdout.print(NO_MONEY, markup=False)
