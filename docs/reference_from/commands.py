"""The commands, as the Typer app holds them: usage, options, exit codes and an example each.

What a command is for, its options, values and defaults are the app's own words. Examples and what an exit
code means of one command stand in ``commands.toml``.
"""

from __future__ import annotations

__all__ = ["Described", "OptionWords", "commands_page", "described", "told"]

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer

from cryoflux.cli.main import app
from reference_from.markdown import slug, table, worded

TOLD = Path(__file__).with_name("commands.toml")
_WIDE = 10_000
"""columns, so that no word of the help is broken"""


@dataclass(frozen=True)
class OptionWords:
    """An option or argument, as the help writes it."""

    name: str
    shown: str
    said: str


@dataclass(frozen=True)
class Described:
    """A command, or a group of commands."""

    words: tuple[str, ...]
    usage: str
    help_text: str
    heading: str
    options: tuple[OptionWords, ...]
    is_group: bool

    @property
    def name(self) -> str:
        """What one types, without the program's name."""
        return " ".join(self.words)


@cache
def described() -> tuple[Described, ...]:
    """Every command that is not hidden, groups before what is in them, in the order of the help."""
    program = typer.main.get_command(app)
    return tuple(_walk(program, _context(program, "cryoflux", None), (), ""))


@cache
def told() -> dict[str, dict[str, Any]]:
    """Command → its example, and its exit codes beside those that any command has."""
    return tomllib.loads(TOLD.read_text("utf-8"))


def _context(command: Any, name: str, parent: Any) -> Any:
    return command.context_class(
        command, info_name=name, parent=parent, terminal_width=_WIDE, max_content_width=_WIDE
    )


def _walk(command: Any, context: Any, words: tuple[str, ...], heading: str) -> Iterator[Described]:
    below = getattr(command, "commands", {})
    command.format_help(context, context.make_formatter())  # only then do settings tell their defaults
    yield Described(
        words,
        command.get_usage(context).removeprefix("Usage: "),
        command.help or "",
        heading,
        tuple(_options(command, context)),
        is_group=bool(below),
    )
    for name, one in below.items():
        if not one.hidden:
            where = getattr(one, "rich_help_panel", None)
            inner = where if isinstance(where, str) else heading
            yield from _walk(one, _context(one, name, context), (*words, name), inner)


def _options(command: Any, context: Any) -> Iterator[OptionWords]:
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is not None and option.name != "help":
            yield OptionWords(str(option.name), record[0], record[1])


def commands_page() -> str:
    """All of them, group by group."""
    return "\n\n".join([_overview(), *(_section(one) for one in described() if one.words)])


def _overview() -> str:
    rows = [
        (f"[`{one.name}`](#{slug('cryoflux ' + one.name)})", worded(one.help_text.partition("\n\n")[0]))
        for one in described()
        if one.words and not one.is_group
    ]
    return table(("command", "does"), rows)


def _section(one: Described) -> str:
    parts = [f"{'##' if len(one.words) == 1 else '###'} `cryoflux {one.name}`"]
    parts += [worded(paragraph) for paragraph in one.help_text.split("\n\n")]
    if not one.is_group:
        said = told().get(one.name, {})
        if "example" in said:
            lines = said["example"].strip().splitlines()
            reason = f"<!-- not run: {said['not-run']} -->\n" if "not-run" in said else ""
            parts.append("\n".join([f"{reason}```console", *(f"$ {line}" for line in lines), "```"]))
        parts.append(f"```text\n{one.usage}\n```")
    if one.options:
        parts.append(
            table(
                ("option or argument", "is"),
                [(f"`{option.shown}`", worded(option.said)) for option in one.options],
            )
        )
    if not one.is_group:
        parts.append(_exits(one))
    return "\n\n".join(parts)


def _exits(one: Described) -> str:
    said = [f"{code} {worded(text)}" for code, text in told().get(one.name, {}).get("exits", {}).items()]
    return f"Exit codes: {' · '.join(['0 done', *said])} · [any command's](errors.md#exit-codes)."
