"""``cryoflux node``: join a network of nodes, make rounds of what others offer, retire guest holdouts."""

from __future__ import annotations

__all__ = ["app"]

import sys
from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.changing import changing
from cryoflux.cli.chosen import settings_of, there
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.node_audit import audit_peer
from cryoflux.cli.node_books import show_books
from cryoflux.cli.node_demo import demonstrate
from cryoflux.cli.node_init import NodeTaskOption, init_node
from cryoflux.cli.node_introduce import introduce_node
from cryoflux.cli.node_pull import peers_app, pull_peers
from cryoflux.cli.node_serve import serve_node
from cryoflux.quantities import counted, parse_energy

app = typer.Typer(
    cls=CommandGroup,
    help="Take what helps of other nodes' updates, and offer one's own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("serve")(serve_node)
app.command("pull")(pull_peers)
app.command("introduce")(introduce_node)
app.command("books")(show_books)
app.command("audit")(audit_peer)
app.add_typer(peers_app, name="peers")
app.command("demo")(demonstrate)
app.command("init")(init_node)
_TASK = "lora_delta"


@app.command("round")
def make_rounds(
    budget: Annotated[
        str | None, typer.Option(help="All that it may spend.", metavar="ENERGY, e.g. 200J")
    ] = None,
    state: StateOption = None,
    task: NodeTaskOption = _TASK,
    as_json: JsonOption = False,
) -> None:
    """Compose what others offer with the head, and keep it if the guest holdout shows that it helps."""
    from cryoflux.cli.interrupts import Interrupts
    from cryoflux.cli.run_view import Shown, view_for
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import rates_of
    from cryoflux.energy.started import Started
    from cryoflux.runs.makers import RunLimits
    from cryoflux.runs.node_offers import waiting_offers
    from cryoflux.runs.session import run as spend

    budget_uj = parse_energy(budget) if budget is not None else None
    sourced = load_settings({"state": state, "task": task})
    reserve_uj = parse_energy(sourced.settings.attempt.reserve)
    if not waiting_offers(there(Path(sourced.settings.run.state)), task, reserve_uj):
        if as_json:
            emit_json("run/1", {"event": "summary", "rounds": 0, "rounds_kept": 0, "offers_waiting": 0})
        else:
            stdout.print("Nothing that others offer waits for a round: cryoflux node pull looks for more.")
        return
    with (
        Interrupts.heard() as interrupts,
        view_for(
            as_json=as_json,
            show=Shown(),
            terminal=stderr.is_terminal,
            on_closed=interrupts.output_closed,
        ) as view,
    ):
        view.rates = rates_of(sourced.settings.energy)
        limits = RunLimits(budget_uj, only_rounds=True)
        summary = spend(
            sourced,
            limits,
            observers=[view],
            stop=lambda: interrupts.asked,
            started=Started.with_process(),
        )
        view.summary(summary)
    if summary.exit_code:
        sys.exit(int(summary.exit_code))


@app.command("retire")
def retire_guest(
    root: Annotated[
        str,
        typer.Option(
            "--root", metavar="ROOT", help="First digits of its root.", show_default="the one in use"
        ),
    ] = "",
    give_up: Annotated[
        bool,
        typer.Option("--give-up-windows", help="Open it though windows of contracts wait for a look at it."),
    ] = False,
    task: NodeTaskOption = _TASK,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a guest holdout: from here on anybody can make each of its verdicts again."""
    from cryoflux.runs.guests_by_hand import retire

    settings, folder = settings_of(state)
    with changing(there(folder), settings, "cryoflux node retire") as opened:
        found = retire(opened, task, root, give_up_windows=give_up)
    if as_json:
        emit_json(
            "node.retire/1",
            {
                "root": found.root,
                "looks": found.looks,
                "looks_kept": found.kept,
                "contract_looks": found.contract_looks,
                "windows_given_up": [
                    {"contract": one.contract, "number": one.window + 1} for one in found.given_up
                ],
                "examples": str(found.examples),
            },
        )
        return
    looks = "one look" if found.looks == 1 else f"{found.looks} looks"
    looks += f", {found.kept} kept"
    if found.contract_looks:
        looks += f", and {counted(found.contract_looks, 'look', 'looks')} for contracts"
    stdout.print(f"opened   {found.root[:16]}…: {looks}; it judges nothing any more")
    for one in found.given_up:
        stdout.print(f"given up {one}: nobody can look at it any more")
    stdout.print(f"examples {found.examples}")
