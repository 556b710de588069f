"""``cryoflux node init``: say who a node is, and enter what judges others' offers."""

from __future__ import annotations

__all__ = ["NodeTaskOption", "init_node"]

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.changing import changing
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.data_options import AuditOption, HoldoutOption, setting_option
from cryoflux.cli.node_pull import begin_peers, first_peers
from cryoflux.errors import UsageError
from cryoflux.quantities import MICRO, parse_energy

if TYPE_CHECKING:
    from cryoflux.config import Settings, Sourced
    from cryoflux.quantities import Energy
    from cryoflux.runs.by_hand import VersionsByHand
    from cryoflux.runs.first_version import FirstVersion
    from cryoflux.runs.guests_by_hand import Entered, GuestWishes
    from cryoflux.state import StateFolder

NodeTaskOption = Annotated[str, typer.Option("--task", metavar="NAME", help="Whose head is composed.")]
_MOST_URLS = 4


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What was asked for."""

    name: str
    urls: list[str] | None
    guest: GuestWishes | None
    no_witnesses: bool
    budget_uj: int


@dataclass(frozen=True, slots=True)
class _Joined:
    """What it came to."""

    name: str
    origin: str
    stated: bool
    """whether the log says it newly"""
    entered: Entered | None
    judges: bool
    """whether a guest holdout is in use"""
    unused: dict[str, int]
    """root → examples of a guest holdout that judged nothing, and that no contract is judged by"""
    seed: int
    """that its runs go by"""
    seed_before: int | None
    """that its examples were shuffled by; none before the first attempt"""
    charged: Energy | None
    """none where nothing was begun"""


def init_node(
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
    train: Annotated[
        str | None,
        setting_option("Begin a new state with these examples, as a run does.", "--train", metavar="FILE"),
    ] = None,
    holdout: HoldoutOption = None,
    audit: AuditOption = None,
    model: Annotated[
        str | None, setting_option("Hugging Face id or folder.", "--model", metavar="ID|DIR")
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            "--budget", metavar="ENERGY", help="Granted for beginning; what it takes more is charged."
        ),
    ] = "100J",
    task: NodeTaskOption = "lora_delta",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say in the log who the node is, and enter a guest holdout: examples that judge what others offer.

    With --train it begins a new state first, for runs to go on with. Every other setting of a run is taken
    from CRYOFLUX_* variables and cryoflux.toml.
    """
    from cryoflux.config import load_settings
    from cryoflux.runs.guests_by_hand import GuestWishes

    wished = None
    if guest is not None:
        wished = GuestWishes(guest, max(1, round(error_budget * MICRO)), max_looks, days)
    flags = {"state": state, "task": task, "train": train, "holdout": holdout, "audit": audit, "model": model}
    sourced = load_settings(flags)
    joined = _join(sourced, _Wishes(name, url, wished, no_witnesses, parse_energy(budget)))
    begun = begin_peers(sourced.settings, Path(sourced.settings.run.state))
    if as_json:
        emit_json("node.init/1", _document(joined))
        return
    for line in _lines(joined, begun):
        stdout.print(line)


def _join(sourced: Sourced, wishes: _Wishes) -> _Joined:
    from cryoflux.runs.first_version import first_version
    from cryoflux.state import StateFolder

    settings, folder = sourced.settings, Path(sourced.settings.run.state)
    _refuse_early(settings, wishes)
    first = first_version(sourced, "cryoflux node init", _said)
    if first.beginning is not None:
        _refuse_beginning(StateFolder(folder), first, wishes)
        _refuse_unmetered(settings)
    with changing(folder, settings, "cryoflux node init", begin=first.write) as opened:
        return _stated(opened, sourced, first, wishes)


def _refuse_early(settings: Settings, wishes: _Wishes) -> None:
    """Refuse what can be told by the command alone, before anything is loaded.

    Raises:
        UsageError, DataError: a name, an address or a file is not what it has to be.
    """
    from cryoflux.data.formats import read_arrived
    from cryoflux.network.node_file import is_hinted_url
    from cryoflux.network.node_name import refuse_node_name

    if wishes.name:
        refuse_node_name(wishes.name, "cryoflux node init --name")
    urls = wishes.urls or []
    if len(urls) > _MOST_URLS:
        raise UsageError(f"A node has at most {_MOST_URLS} URLs.", hint="Leave some of them out.")
    if strange := [url for url in urls if not is_hinted_url(url)]:
        raise UsageError(
            f"{strange[0][:100]!r} is no address that others can hear of.",
            why="They take http or https, a host name in lower case or an IPv4 address, a port up to 65535 "
            "that is not the usual one, and a plain path.",
            hint="Write it as in --url http://HOST:8790.",
        )
    first_peers(settings)
    if wishes.guest is not None:
        read_arrived(wishes.guest.file, wishes.guest.wishes)


def _refuse_beginning(state: StateFolder, first: FirstVersion, wishes: _Wishes) -> None:
    """Refuse what a new state cannot be begun with, before it is: what fails later would leave half a node.

    Raises:
        UsageError: the node has no name.
        DataError: its guest holdout could not be entered.
    """
    from cryoflux.runs.guests_by_hand import refuse_guests

    _called(wishes.name, "")
    if wishes.guest is not None and (data := first.data(state)) is not None:
        refuse_guests(state, wishes.guest, data)


def _refuse_unmetered(settings: Settings) -> None:
    """Refuse where nothing meters what beginning takes: the daemon, or else this machine.

    Raises:
        MeterError, AgentError: nothing can be measured here, or the daemon does not answer.
    """
    from cryoflux.energy.platforms import check_platform
    from cryoflux.runs.checks import daemon_of

    if not settings.agent.agent:
        check_platform(settings.energy, sys.platform)
        return
    with daemon_of(settings):
        pass


def _stated(opened: VersionsByHand, sourced: Sourced, first: FirstVersion, wishes: _Wishes) -> _Joined:
    """Write the entries; where no attempt has loaded the model yet, what that takes is metered."""
    from contextlib import nullcontext

    from cryoflux.runs.guests_by_hand import enter, refuse_guests
    from cryoflux.runs.metered_by_hand import Charged, metered_by_hand
    from cryoflux.runs.node_by_hand import (
        NodeWishes,
        data_of,
        ground_of,
        join,
        node_of,
        state_no_witnesses,
    )
    from cryoflux.runs.own_seed import with_own_seed

    task = first.task.name
    said = node_of(opened, task).node
    known = opened.memory.tasks.get(task)
    name = _called(wishes.name, said.name if said is not None else "")
    urls = wishes.urls if wishes.urls is not None else list(said.urls) if said is not None else []
    if wishes.guest is not None and first.beginning is None:
        refuse_guests(opened.state, wishes.guest, data_of(opened, task))
    metered = metered_by_hand(opened, sourced.settings, wishes.budget_uj, "cryoflux node init --budget")
    with metered if known is None else nullcontext(Charged()) as charged:
        ground = ground_of(opened, first.task)
        stated = join(opened, NodeWishes(name, urls, task), ground)
        entered = enter(opened, task, wishes.guest, ground.data) if wishes.guest is not None else None
        if wishes.no_witnesses:
            state_no_witnesses(opened)
    return _Joined(
        name,
        opened.origin,
        stated,
        entered,
        node_of(opened, task).guest is not None,
        {root: tally.said.count for root, tally in node_of(opened, task).unused.items()},
        with_own_seed(sourced, opened.memory, opened.origin).run.seed,
        known.pool_seed if known is not None else None,
        charged.energy,
    )


def _said(what: str, done: int, count: int) -> None:
    if done in {0, count}:
        stderr.print(f"… {what}")


def _called(name: str, before: str) -> str:
    """The node's name: the one that is given, or that it had."""
    if not (name or before):
        raise UsageError(
            "The node has no name yet.",
            why="Others see it beside what it offers.",
            hint="Name it: cryoflux node init --name north.",
        )
    return name or before


def _document(joined: _Joined) -> dict[str, object]:
    entered, charged = joined.entered, joined.charged
    found: dict[str, object] = {
        "name": joined.name,
        "origin": joined.origin,
        "stated": joined.stated,
        "seed": joined.seed,
        "joules_spent": charged.uj / MICRO if charged is not None else None,
        "guest_holdout": None,
        "unused_guest_holdouts": [{"root": root, "examples": count} for root, count in joined.unused.items()],
    }
    if entered is not None:
        found["guest_holdout"] = {
            "root": entered.root,
            "examples": entered.count,
            "search_examples": entered.searched,
            "examples_left_out_as_known": entered.known,
            "examples_left_out_of_no_class": entered.strange,
        }
    return found


def _lines(joined: _Joined, peers: Path | None) -> list[str]:
    lines = [f"node     {joined.name}, {joined.origin}{'' if joined.stated else '; as it was said before'}"]
    lines.append(f"seed     {joined.seed} draws what its runs train on and begin with")
    if joined.seed_before is not None and joined.seed_before != joined.seed:
        lines.append(
            f"         it began with seed {joined.seed_before}, which chains that go on keep. Updates of "
            "nodes that began alike look more like copies; a new state begins with its own: "
            "cryoflux node init --name NAME --train FILE --state NEW"
        )
    lines += _entered_lines(joined.entered, joined.unused)
    if peers is not None:
        lines.append(f"peers    {peers} begins with the witnesses that you trust")
    if joined.charged is not None:
        lines.append(f"cost     {joined.charged.text}, for data and model")
    if not joined.judges:
        lines.append(
            "         no guest holdout yet: it offers, and adopts nothing; enter one with --guest FILE"
        )
    return lines


def _entered_lines(entered: Entered | None, unused: dict[str, int]) -> list[str]:
    """What was entered; else what a contract can be judged by, with the whole of its root."""
    if entered is None:
        told = (f"{count} examples, by root {root}" for root, count in unused.items())
        return [f"{'unused' if not number else '':8} {one}" for number, one in enumerate(told)]
    lines = [f"guests   {entered.count} examples judge what others offer, by root {entered.root[:16]}…"]
    if entered.searched:
        lines.append(f"search   {entered.searched} more are set aside to compose with")
    left_out = {"like texts of this state": entered.known, "of no class of the model": entered.strange}
    words = [f"{count} {why}" for why, count in left_out.items() if count]
    return [*lines, *([f"         left out: {', '.join(words)}"] if words else [])]
