"""``cryoflux capsule``: offer an update to others, and look at and check what is offered."""

from __future__ import annotations

__all__ = ["app"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.capsule_policy import PolicyOption, drawn_by_lottery, named_policy, policy_of
from cryoflux.cli.capsule_recall import recall
from cryoflux.cli.changing import tell_unwitnessed
from cryoflux.cli.chosen import reader_state, settings_of, there
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.signed_text import signed_text
from cryoflux.errors import ModelError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoflux.config import Settings
    from cryoflux.network.capsule import CheckedCapsule
    from cryoflux.queries.capsules import CapsuleView
    from cryoflux.runs.offering import MadeOffer
    from cryoflux.witness.policy import Policy

app = typer.Typer(
    cls=CommandGroup,
    help="Offer updates, and check what is offered.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("recall")(recall)
_NOT_CHECKED = (
    "that the update helps: its Δ is its own log's word until you measure it",
    "that it fits a genesis of yours: names and shapes are compared when a round admits it",
    "the rest of that log: whether it ended the key that signed this, or told others another history",
)


@app.command("offer")
def offer(
    update: Annotated[
        str,
        typer.Argument(metavar="ID|SHA", help="Attempt as '#3', index, task id, or digits of a hash."),
    ],
    terms: Annotated[
        str, typer.Option("--terms", metavar="TEXT", help="Price and licence, in your words.")
    ] = "",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Offer an update that was judged to others, by a signed entry of the log."""
    from cryoflux.runs.offering import offer_update

    settings, folder = settings_of(state)
    made = offer_update(there(folder), settings, update, signed_text(terms, "--terms"))
    said = made.offer
    tell_unwitnessed(made.witnessed)
    if as_json:
        emit_json(
            "capsule.offer/1",
            {
                "event": "offered",
                "capsule": said.update.adapter,
                "task_name": said.task,
                "genesis": said.update.genesis,
                "updates": len(said.update.parent),
                "adapter_bytes": said.adapter_bytes,
                "terms": said.terms,
                "entry": made.entry.index,
                "receipt_hash": said.receipt,
                "offered_at": said.offered_at,
            },
        )
        return
    stdout.print(
        f"{said.update.adapter[:16]}… is offered now, by entry {made.entry.index} of the log: "
        f"{_trained_on(len(said.update.parent), said.update.genesis)}"
    )
    for line in _next(made, settings, folder):
        stdout.print(line)


def _trained_on(updates: int, genesis: str) -> str:
    count = {0: "no update", 1: "1 update"}.get(updates, f"{updates} updates")
    return f"trained on the genesis {genesis[:16]}… with {count} over it"


def _next(made: MadeOffer, settings: Settings, folder: Path) -> list[str]:
    """What has to happen before others can adopt it."""
    from cryoflux.state import StateFolder

    flag = StateFolder(folder).flag()
    lines = []
    if made.node is None:
        lines.append(f"next: say who your node is, and which genesis it has: cryoflux node init{flag}")
    elif made.node.genesis.digest != made.offer.update.genesis:
        lines.append(
            f"note: your node says that its genesis is {made.node.genesis.digest[:16]}…; only nodes over the "
            "genesis of this update can adopt it"
        )
    if not settings.witness.trust:
        lines.append(f"next: have the log witnessed: cryoflux witness submit --policy FILE{flag}")
    lines.append(
        "then: the files appear to others as soon as a quorum of witnesses has seen the receipt, "
        f"not before: cryoflux node serve{flag}"
    )
    return lines


@app.command("show")
def show(
    target: Annotated[str, typer.Argument(metavar="FILE|SHA", help="A capsule.json, its folder, or digits.")],
    policy: PolicyOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who offers an update, since when, what it was trained on, and what rounds here found."""
    from cryoflux.cli.capsule_words import descendant_lines, descendants_document
    from cryoflux.queries.capsules import capsules_here, fetched_capsule, find_capsule, view_of_checked
    from cryoflux.queries.descendants import Descendants, descendants_of, memory_here
    from cryoflux.state import StateFolder

    settings = settings_of(state)[0]
    chosen, path = policy_of(settings, policy), Path(target)
    below = Descendants()
    if path.exists():
        file = _file(path)
        view = (
            fetched_capsule(file) if chosen is None else view_of_checked(_checked(file, chosen), file.parent)
        )
    else:
        here = StateFolder(reader_state(state))
        every = capsules_here(here, chosen, drawn_by_lottery(settings))
        view = find_capsule(every, target, here)
        below = descendants_of(view.capsule, every, memory_here(here), here)
    if as_json:
        emit_json("capsule.show/1", {**_document(view), **descendants_document(below)})
        return
    for name, value in _shown(view).items():
        stdout.print(f"{name:<12} {value}", indent=13)
    for line in descendant_lines(below):
        stdout.print(line)


def _file(target: Path) -> Path:
    """The document that a file or a folder stands for."""
    from cryoflux.network.folder import CAPSULE

    return target / CAPSULE if target.is_dir() else target


def _checked(file: Path, policy: Policy) -> CheckedCapsule:
    from cryoflux.network.capsule import check_capsule, read_capsule

    return check_capsule(read_capsule(file), policy)


def _document(view: CapsuleView) -> dict[str, Any]:
    """A capsule for a program."""
    from cryoflux.quantities import MICRO, NANO

    return {
        "capsule": view.capsule,
        "origin": view.origin,
        "own": view.own,
        "stranger": view.stranger,
        "checked": view.checked,
        "here": view.here,
        "task_name": view.offer.task,
        "entry": view.offer_at,
        "receipt_hash": view.receipt_hash,
        "offered_at": view.offer.offered_at,
        "committed_at": view.committed_at,
        "genesis": view.offer.update.genesis,
        "updates": len(view.offer.update.parent),
        "adapter_bytes": view.offer.adapter_bytes,
        "outcome": view.receipt.outcome.value,
        "delta": view.delta,
        "unit": view.unit,
        "joules_spent": view.receipt.energy.microjoules / MICRO,
        "tier": view.receipt.energy.tier.value,
        "terms": view.offer.terms,
        "was_recalled": view.taken_back,
        "recalled_below": list(view.recalled),
        "used": [
            {"entry": one.entry, "verdict": one.verdict.value, "certified_delta": one.level / NANO}
            for one in view.used
        ],
    }


def _shown(view: CapsuleView) -> dict[str, str]:
    """A capsule for a person: name → what there is to say."""
    from cryoflux.quantities import format_energy
    from cryoflux.report.version_words import byte_text

    training, offer = view.receipt.training, view.offer
    judged_on = f"{view.receipt.holdout.count} examples of its own"
    read = f"{training.slice_count} examples, {training.steps} steps, " if training is not None else ""
    energy = view.receipt.energy
    whose = _whose(view, view.origin)
    how = "by this log" if view.own else "by its log" if view.checked else "by its log, nothing is checked"
    return {
        "capsule": view.capsule,
        "offered": f"by {whose}, entry {view.offer_at}, {offer.offered_at} by its clock ({how})",
        "committed": _committed(view),
        "trained on": f"{read}{_trained_on(len(offer.update.parent), offer.update.genesis)}",
        "judged": f"{view.receipt.outcome.value}, {_delta(view)} on {judged_on}",
        "paid": f"{format_energy(energy.microjoules)}, {energy.tier.value}",
        "adapter": f"{byte_text(offer.adapter_bytes)}, {'here' if view.here else 'not here'}",
        **({"recalled": "by this log: its head does not hold it any more"} if view.taken_back else {}),
        "certified": _certified(view),
        **({"rests on": f"recalled here: {_named(view.recalled)}"} if view.recalled else {}),
        "terms": offer.terms or "none stated",
    }


def _named(capsules: Sequence[str]) -> str:
    return ", ".join(f"{one[:16]}…" for one in capsules)


def _committed(view: CapsuleView) -> str:
    if view.committed_at is not None:
        return f"{view.committed_at} by a quorum of witnesses"
    return "not known: no policy was named, or none of its quorums has seen the receipt (--policy FILE)"


def _delta(view: CapsuleView) -> str:
    from cryoflux.quantities import format_nats

    return "no Δ" if view.delta is None else f"Δ {format_nats(view.delta)} {view.unit}"


def _certified(view: CapsuleView) -> str:
    from cryoflux.quantities import NANO
    from cryoflux.receipts.network_parts import MemberVerdict

    found = []
    for one in view.used:
        level = f", round Δ > {one.level / NANO:g} nats" if one.verdict is MemberVerdict.ADOPTED else ""
        found.append(f"{one.verdict.value} in entry {one.entry} here{level}")
    return "; ".join(found) or "no round of this log has looked at it"


@app.command("check")
def check(
    target: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE", help="A capsule's folder, or a capsule.json alone.")
    ],
    policy: Annotated[Path, typer.Option("--policy", metavar="FILE", help="Logs, witnesses and a quorum.")],
    as_json: JsonOption = False,
) -> None:
    """Check an offer offline against a policy; exit 1 where something does not hold."""
    from cryoflux.queries.capsules import view_of_checked

    file, whole = _file(target), target.is_dir()
    found = _checked(file, named_policy(policy))
    if whole:
        _check_files(target, found)
    done = _done(found, whole=whole)
    not_done = _NOT_CHECKED if whole else ("the bytes of the adapter and of its settings", *_NOT_CHECKED)
    if as_json:
        view = _document(view_of_checked(found, file.parent))
        emit_json("capsule.check/1", {"ok": True, **view, "held": list(done), "not_checked": list(not_done)})
        return
    for line in done:
        stdout.print(f"✓ {line}")
    for line in not_done:
        stdout.print(f"? not checked: {line}")


def _check_files(folder: Path, found: CheckedCapsule) -> None:
    from cryoflux.network.admission import read_plain_update
    from cryoflux.network.capsule import check_capsule_files

    adapter, config = check_capsule_files(folder, found)
    try:
        read_plain_update(adapter, config, found.update.adapter)
    except ModelError as error:
        raise VerificationError(
            error.what, why=error.why, hint="Do not use it; no round admits it."
        ) from error


def _done(found: CheckedCapsule, *, whole: bool) -> list[str]:
    from cryoflux.quantities import utc_label
    from cryoflux.report.version_words import byte_text

    offer = found.offer
    when = (
        "no witness is needed by this policy"
        if found.committed_s is None
        else f"a quorum of its witnesses had seen the receipt at {utc_label(found.committed_s)}"
    )
    both = f"entries {offer.sequence} (offer) and {offer.receipt_at} (receipt)"
    trained = _trained_on(len(found.update.parent), found.update.genesis)
    lines = [
        f"{found.origin} is a log that the policy names; {when}",
        f"{both} are in it, the offer signed by key {found.signer[:16]}…",
        f"the receipt made the update {found.update.adapter[:16]}…, {trained}",
    ]
    if whole:
        size = byte_text(offer.adapter_bytes)
        lines.append(f"adapter ({size}) and settings are the bytes that were signed: a plain LoRA, finite")
    return lines


def _whose(view: CapsuleView, own: str = "this log") -> str:
    """Whose log offers it, and whether that one came by lottery."""
    return own if view.own else f"stranger {view.origin}" if view.stranger else view.origin


_HEADING = ("capsule", "from", "task", "Δ", "size", "offered", "committed", "here")
_RIGHT = (False, False, False, True, True, False, False, False)


@app.command("list")
def list_capsules(
    policy: PolicyOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what this state offers, and what was fetched of others."""
    from cryoflux.queries.capsules import capsules_here
    from cryoflux.report.version_words import byte_text
    from cryoflux.state import StateFolder

    settings, folder = settings_of(state)[0], reader_state(state)
    found = capsules_here(StateFolder(folder), policy_of(settings, policy), drawn_by_lottery(settings))
    if as_json:
        emit_json("capsule.list/1", {"capsules": [_document(one) for one in found]})
        return
    rows = [
        [
            one.capsule[:12],
            _whose(one),
            one.offer.task,
            _delta(one).removeprefix("Δ "),
            byte_text(one.offer.adapter_bytes),
            one.offer.offered_at[:10],
            one.committed_at or "–",
            "recalled" if one.taken_back else "yes" if one.here else "no",
        ]
        for one in found
    ]
    stdout.table([_HEADING, *rows], _RIGHT)
    for one in found:
        if one.recalled:
            whose = "offered by this log" if one.own else f"offered by {one.origin}"
            said = f"{one.capsule[:12]}, {whose}, was trained on top of what was recalled here"
            stdout.print(f"note: {said}: {_named(one.recalled)}")
    if not found:
        stdout.print("Nothing is offered here yet: cryoflux capsule offer ID offers an update.")
