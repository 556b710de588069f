"""``cryoflux models promote|rollback|alias|prune|rebuild``: what a person does to the versions of a state."""

from __future__ import annotations

__all__ = ["TaskOption", "alias", "promote", "prune", "rebuild", "rollback"]

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.changing import changing
from cryoflux.cli.chosen import settings_of
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.signed_text import signed_text
from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from cryoflux.runs.by_hand import VersionsByHand
    from cryoflux.runs.catalogue import CataloguedVersion
    from cryoflux.runs.pruning import PrunePlan
    from cryoflux.runs.rebuilding import Rebuilt

TaskOption = Annotated[
    str | None,
    typer.Option("--task", metavar="NAME", help="The task whose head, champion or version is meant."),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
WhyOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the log.")]
NamedArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="First digits of a digest, '#3', champion, an alias, head~1.")
]


_CHOSEN = "somebody chose it."


def _agreed(question: str, what: str, command: str, *, yes: bool, as_json: bool) -> bool:
    """Whether somebody who is asked says yes.

    Args:
        question: to ask.
        what: would be done, where nobody can be asked.
        command: that does it without asking.
        yes: whether it was said beforehand.
        as_json: whether a program reads the answer.

    Raises:
        UsageError: nobody can be asked.
    """
    if yes:
        return True
    if as_json or not sys.stdin.isatty():
        raise UsageError(
            f"{what}, and nobody can be asked.",
            why="Nothing was changed.",
            hint=f"Say so beforehand: {command}.",
        )
    return typer.confirm(question, err=True)


def _words(version: CataloguedVersion) -> str:
    from cryoflux.quantities import format_nats

    made = f"#{version.attempt}" if version.attempt else version.origin
    return f"{version.digest[:16]}… ({made}, Σ Δ {format_nats(version.total_delta)})"


def _command(words: list[str], folder: Path, task: str | None, reason: str) -> str:
    """What moves the head without asking, with all that was typed."""
    of = ["--task", task] if task else []
    why = ["--reason", reason] if reason else []
    return shlex.join(["cryoflux", "models", *words, "--yes", *of, *why, "--state", str(folder)])


def _said(reason: str) -> str:
    """A reason that an entry can hold.

    Raises:
        UsageError: it is too long, or no Unicode.
    """
    return signed_text(reason, "--reason").strip() or _CHOSEN


def _move(
    opened: VersionsByHand,
    to: CataloguedVersion,
    why: tuple[str, str],
    command: str,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    base = opened.movable(to)
    before = opened.catalogue.tasks[to.task].versions[base.digest]
    what = f"{_words(to)} would become the head of {to.task}, in place of {_words(before)}"
    stderr.print(f"{what}.") if not (yes or as_json) else None
    if not _agreed("Move the head?", what, command, yes=yes, as_json=as_json):
        stdout.print("nothing was changed")
        return
    entry = opened.move(to, *why)
    if as_json:
        emit_json(
            "models.move/1",
            {
                "event": why[0],
                "task_name": to.task,
                "digest": to.digest,
                "base": base.digest,
                "entry": entry.index,
                "receipt_hash": entry.leaf_hash,
                "folder": str(opened.state.model(to.digest)),
            },
        )
        return
    stdout.print(f"{_words(to)} is the head of {to.task} now, by entry {entry.index} of the log")


def promote(
    version: NamedArgument,
    state: StateOption = None,
    task: TaskOption = None,
    reason: WhyOption = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a kept version the head, by a signed entry; runs go on from there."""
    from cryoflux.runs.version_names import find_version

    why = _said(reason)
    settings, folder = settings_of(state)
    with changing(folder, settings, "cryoflux models promote") as opened:
        to = find_version(opened.catalogue, version, task)
        command = _command(["promote", version], folder, task, reason)
        _move(opened, to, ("promoted", why), command, yes=yes, as_json=as_json)


def rollback(
    version: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="A version that the head rests on; the one before it.")
    ] = "",
    state: StateOption = None,
    task: TaskOption = None,
    reason: WhyOption = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take the head back to a version before it, by a signed entry; runs go on from there."""
    from cryoflux.runs.version_names import find_version, task_of

    why = _said(reason)
    settings, folder = settings_of(state)
    with changing(folder, settings, "cryoflux models rollback") as opened:
        to = find_version(opened.catalogue, version or "head~1", task)
        of = opened.catalogue.tasks[task_of(opened.catalogue, to.task or task)]
        if to.digest != of.head and to not in of.line(of.head):
            flag = opened.state.flag()
            raise UsageError(
                f"The head does not rest on {to.digest[:16]}….",
                why="Going back leads to a version that the head was made from.",
                hint=f"To make it the head all the same: cryoflux models promote {to.digest[:16]}{flag}.",
            )
        command = _command(["rollback", version] if version else ["rollback"], folder, task, reason)
        _move(opened, to, ("taken-back", why), command, yes=yes, as_json=as_json)


def alias(
    name: Annotated[str, typer.Argument(help="A name of your own, such as: production.")],
    version: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="First digits, '#3', head, champion, an alias, head~1.")
    ] = "",
    state: StateOption = None,
    task: TaskOption = None,
    remove: Annotated[bool, typer.Option("--remove", help="Forget the name; the version stays.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give a version a name of your own: state/aliases/NAME leads to it, and it is never pruned."""
    from cryoflux.registry.aliases import check_alias, remove_alias
    from cryoflux.runs.version_names import find_version

    if bool(version) == remove:
        raise UsageError(
            "An alias takes a version, or --remove.",
            why="Either the name leads to a version from now on, or it is forgotten.",
            hint="Type cryoflux models alias production head, or cryoflux models alias production --remove.",
        )
    settings, folder = settings_of(state)
    check_alias(name)
    with changing(folder, settings, "cryoflux models alias") as opened:
        if remove:
            digest = remove_alias(opened.state, name)
        else:
            found = find_version(opened.catalogue, version, task)
            opened.alias(name, found)
            digest = found.digest
        link = opened.state.aliases / name
    if as_json:
        event = "removed" if remove else "named"
        emit_json("models.alias/1", {"event": event, "alias": name, "digest": digest, "link": str(link)})
    elif remove:
        stdout.print(f"{name} is forgotten; {digest[:16]}… stays, and may be pruned")
    else:
        stdout.print(f"{link} leads to {digest[:16]}… now")


def prune(
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Newest versions of each task that stay.")
    ] = None,
    state: StateOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Free the files of old versions, by a signed entry; receipts and updates stay.

    Never freed: heads, champions, version 0, what has an alias, what others are made from, and what embedded
    an index that stays.
    """
    from cryoflux.report.version_words import byte_text
    from cryoflux.runs.pruning import plan_prune

    settings, folder = settings_of(state)
    most = settings.models.keep if keep is None else keep
    with changing(folder, settings, "cryoflux models prune") as opened:
        plan = plan_prune(opened.catalogue, most)
        count, size = len(plan.going), byte_text(plan.size)
        written: list[int] = []
        if count and not dry_run:
            what = f"{count} of {count + plan.staying} versions would be freed, {size}"
            stderr.print(f"{what}.") if not (yes or as_json) else None
            command = f"cryoflux models prune --keep {most} --yes --state {shlex.quote(str(folder))}"
            if not _agreed("Free their files?", what, command, yes=yes, as_json=as_json):
                stdout.print("nothing was freed")
                return
            written = [entry.index for entry in opened.prune(plan)]
    _tell_pruned(plan, written, dry_run=dry_run, as_json=as_json)


def _tell_pruned(plan: PrunePlan, written: list[int], *, dry_run: bool, as_json: bool) -> None:
    from cryoflux.report.version_words import byte_text

    count, size = len(plan.going), byte_text(plan.size)
    if as_json:
        emit_json(
            "models.prune/1",
            {
                "event": "planned" if dry_run else "pruned",
                "keep": plan.keep,
                "pruned": [one.digest for one in plan.going],
                "freed_bytes": plan.size,
                "kept": plan.staying,
                "embedders": [one.digest for one in plan.embedders],
                "by_entries": written,
            },
        )
        return
    for one in plan.embedders:
        stdout.print(f"{one.task} {_words(one)} stays: it embeds the queries of an index that stays")
    for one in plan.going if dry_run else ():
        stdout.print(f"  {one.task} {_words(one)}")
    if not count:
        stdout.print(f"nothing to free: {plan.staying} versions stay")
    elif dry_run:
        stdout.print(f"{count} versions would be freed, {size}; {plan.staying} stay")
    else:
        entries = ", ".join(map(str, written))
        by = f"by entry {entries} of the log" if written else "as an entry said before"
        what = "1 version" if count == 1 else f"{count} versions"
        stdout.print(f"freed {size} of {what}, {by}; {plan.staying} stay")


def rebuild(
    version: NamedArgument,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="A folder of its own; else where it was.")
    ] = None,
    state: StateOption = None,
    task: TaskOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a version again from its genesis and the kept updates: the same digest, or nothing."""
    from cryoflux.runs.catalogue import read_catalogue
    from cryoflux.runs.rebuilding import rebuild_into, rebuild_version
    from cryoflux.runs.version_names import find_version
    from cryoflux.state import StateFolder

    settings, folder = settings_of(state)
    if into is not None:
        catalogue = read_catalogue(StateFolder(folder))
        made = rebuild_into(catalogue, find_version(catalogue, version, task), into)
    else:
        with changing(folder, settings, "cryoflux models rebuild") as opened:
            wanted = find_version(opened.catalogue, version, task)
            made = rebuild_version(opened.catalogue, opened.versions, wanted)
    _tell_rebuilt(made, into is None, as_json=as_json)


def _tell_rebuilt(made: Rebuilt, in_place: bool, *, as_json: bool) -> None:
    if as_json:
        emit_json(
            "models.rebuild/1",
            {
                "event": "rebuilt",
                "digest": made.digest,
                "genesis": made.genesis,
                "updates": made.updates,
                "same_files": made.same_files,
                "was_here": made.was_here,
                "folder": str(made.folder),
            },
        )
        return
    of = f"{made.genesis[:16]}… and {made.updates} {'update' if made.updates == 1 else 'updates'}"
    stdout.print(f"{made.digest[:16]}… again, of {of}: same digest")
    if in_place and made.was_here:
        stdout.print("its files were here, and are the same to the byte")
    elif in_place:
        stdout.print(f"its files are in {made.folder}")
        stdout.print("they stay if it is promoted or gets an alias; else the next run or prune frees them")
    else:
        files = "every file is the one that was signed" if made.same_files else "its tensors are those signed"
        stdout.print(f"{files}: {made.folder}")
