"""``cryoflux node``: join a network of nodes, make rounds of what others offer, retire guest holdouts."""

from __future__ import annotations

__all__ = ["app"]

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.chosen import settings_of
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.node_audit import audit_peer
from cryoflux.cli.node_books import show_books
from cryoflux.cli.node_demo import demonstrate
from cryoflux.cli.node_pull import begin_peers, peers_app, pull_peers
from cryoflux.cli.node_serve import serve_node
from cryoflux.errors import UsageError
from cryoflux.quantities import MICRO, parse_energy

if TYPE_CHECKING:
    from cryoflux.runs.guests_by_hand import Entered

app = typer.Typer(
    cls=CommandGroup,
    help="Take what helps of other nodes' updates, and offer one's own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("serve")(serve_node)
app.command("pull")(pull_peers)
app.command("books")(show_books)
app.command("audit")(audit_peer)
app.add_typer(peers_app, name="peers")
app.command("demo")(demonstrate)
NodeTaskOption = Annotated[str, typer.Option("--task", metavar="NAME", help="Whose head is composed.")]
_TASK = "lora_delta"
_MOST_URLS = 4


@app.command("init")
def init(
    name: Annotated[str, typer.Option(help="What others call the node.", metavar="NAME")] = "",
    url: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="URL", help="Where others find it; at most four times."),
    ] = None,
    guest: Annotated[
        Path | None,
        typer.Option("--guest", metavar="FILE", help="Labelled texts that judge what others offer."),
    ] = None,
    error_budget: Annotated[
        float, typer.Option(help="Most probability of ever adopting what is no improvement.", min=1e-6, max=1)
    ] = 0.01,
    max_looks: Annotated[int, typer.Option(help="Verdicts that it may give.", min=1, max=128)] = 40,
    days: Annotated[
        int, typer.Option(help="Days after which it is opened at the latest.", min=1, max=3650)
    ] = 90,
    no_witnesses: Annotated[
        bool,
        typer.Option("--no-witnesses", help="State that it has none: its own head is enough to reveal."),
    ] = False,
    task: NodeTaskOption = _TASK,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say in the log who the node is, and enter a guest holdout: examples that judge what others offer."""
    from cryoflux.runs.by_hand import versions_by_hand
    from cryoflux.runs.guests_by_hand import GuestWishes, enter
    from cryoflux.runs.node_by_hand import NodeWishes, join, node_of, state_no_witnesses

    if len(url or []) > _MOST_URLS:
        raise UsageError(f"A node has at most {_MOST_URLS} URLs.", hint="Leave some of them out.")
    settings, folder = settings_of(state)
    with versions_by_hand(folder, settings, "cryoflux node init") as opened:
        known = node_of(opened, task).node
        called = _called(name, known.name if known is not None else "")
        urls = url if url is not None else list(known.urls) if known is not None else []
        joined = join(opened, NodeWishes(called, urls, task))
        entered = None
        if guest is not None:
            alpha_ppm = max(1, round(error_budget * MICRO))
            entered = enter(opened, task, GuestWishes(guest, alpha_ppm, max_looks, days))
        if no_witnesses:
            state_no_witnesses(opened)
        left = node_of(opened, task).guest
        origin = opened.origin
    begun = begin_peers(settings, folder)
    if as_json:
        emit_json("node.init/1", _init_document(called, origin, entered, joined=joined))
        return
    stdout.print(f"node     {called}, {origin}" + ("" if joined else "; as it was said before"))
    for line in _entered_lines(entered):
        stdout.print(line)
    if begun is not None:
        stdout.print(f"peers    {begun} begins with the witnesses that you trust")
    if left is None:
        stdout.print(
            "         no guest holdout yet: it offers, and adopts nothing; enter one with --guest FILE"
        )


def _called(name: str, before: str) -> str:
    """The node's name: the one that is given, or that it had."""
    if not (name or before):
        raise UsageError(
            "The node has no name yet.",
            why="Others see it beside what it offers.",
            hint="Name it: cryoflux node init --name north.",
        )
    return name or before


def _init_document(name: str, origin: str, entered: Entered | None, *, joined: bool) -> dict[str, object]:
    found: dict[str, object] = {"name": name, "origin": origin, "stated": joined, "guest_holdout": None}
    if entered is not None:
        found["guest_holdout"] = {
            "root": entered.root,
            "examples": entered.count,
            "search_examples": entered.searched,
            "examples_left_out_as_known": entered.known,
            "examples_left_out_of_no_class": entered.strange,
        }
    return found


def _entered_lines(entered: Entered | None) -> list[str]:
    if entered is None:
        return []
    lines = [f"guests   {entered.count} examples judge what others offer, by root {entered.root[:16]}…"]
    if entered.searched:
        lines.append(f"search   {entered.searched} more are set aside to compose with")
    left_out = {"like texts of this state": entered.known, "of no class of the model": entered.strange}
    words = [f"{count} {why}" for why, count in left_out.items() if count]
    return [*lines, *([f"         left out: {', '.join(words)}"] if words else [])]


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
    from cryoflux.cli.run import Interrupts
    from cryoflux.cli.run_view import Shown, view_for
    from cryoflux.config import load_settings
    from cryoflux.energy.derived import rates_of
    from cryoflux.runs.node_offers import waiting_offers
    from cryoflux.runs.open_session import Started
    from cryoflux.runs.session import run as spend
    from cryoflux.runs.spending import RunLimits

    budget_uj = parse_energy(budget) if budget is not None else None
    sourced = load_settings({"state": state, "task": task})
    reserve_uj = parse_energy(sourced.settings.attempt.reserve)
    if not waiting_offers(Path(sourced.settings.run.state), task, reserve_uj):
        if as_json:
            emit_json("run/1", {"event": "summary", "rounds": 0, "rounds_kept": 0, "offers_waiting": 0})
        else:
            stdout.print("Nothing that others offer waits for a round: cryoflux node pull looks for more.")
        return
    interrupts = Interrupts()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupts)
    closed = interrupts.output_closed
    with view_for(as_json=as_json, show=Shown(), terminal=stderr.is_terminal, on_closed=closed) as view:
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
    task: NodeTaskOption = _TASK,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a guest holdout: from here on anybody can make each of its verdicts again."""
    from cryoflux.runs.by_hand import versions_by_hand
    from cryoflux.runs.guests_by_hand import retire

    settings, folder = settings_of(state)
    with versions_by_hand(folder, settings, "cryoflux node retire") as opened:
        found = retire(opened, task, root)
    if as_json:
        emit_json(
            "node.retire/1",
            {
                "root": found.root,
                "looks": found.looks,
                "looks_kept": found.kept,
                "examples": str(found.examples),
            },
        )
        return
    looks = "one look" if found.looks == 1 else f"{found.looks} looks"
    stdout.print(f"opened   {found.root[:16]}…: {looks}, {found.kept} kept; it judges nothing any more")
    stdout.print(f"examples {found.examples}")
