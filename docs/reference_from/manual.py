"""The man page, from the same command tree as the page of commands."""

from __future__ import annotations

__all__ = ["man_page"]

import re

from cryoflux import __version__
from cryoflux.errors import ExitCode
from reference_from.commands import Described, described, told
from reference_from.failures import meaning_of

_FILES = (
    ("./cryoflux.toml", "Settings of this folder."),
    ("~/.config/cryoflux/cryoflux.toml", "Settings of this user."),
    ("./state", "Receipts, account, keys and models, where --state names no other folder."),
    ("~/.local/state/cryoflux", "Idle baseline, and heads of logs that were verified here."),
)


def man_page() -> str:
    """``cryoflux.1`` as roff, of the man macros."""
    program = described()[0]
    leaves = [one for one in described() if not one.is_group]
    lines = [
        '.\\" Written by docs/make_reference.py from the commands themselves.',
        f'.TH CRYOFLUX 1 "" "cryoflux {__version__}" "User Commands"',
        ".SH NAME",
        "cryoflux \\- fine\\-tune on an energy budget, with a receipt for every attempt",
        ".SH SYNOPSIS",
        f".B {_roff(program.usage)}",
        ".SH DESCRIPTION",
        _roff(program.help_text),
        ".PP",
        "Every command takes \\-\\-help, and all but export take \\-\\-json.",
        ".SH OPTIONS",
        *_options(program),
        ".SH COMMANDS",
    ]
    for one in leaves:
        lines += _command(one)
    lines += [".SH EXIT STATUS"]
    for code in ExitCode:
        lines += [".TP", f".B {int(code)}", _roff(meaning_of(code).replace("`", ""))]
    lines += [".SH FILES"]
    for path, said in _FILES:
        lines += [".TP", f".I {_roff(path)}", _roff(said)]
    lines += [
        ".SH ENVIRONMENT",
        ".TP",
        ".B CRYOFLUX_*",
        "Every setting, under its name in capitals;",
        "cryoflux config show lists them with their origin.",
        ".TP",
        ".B NO_COLOR",
        "Leaves colours out.",
    ]
    return "\n".join(lines) + "\n"


def _command(one: Described) -> list[str]:
    lines = [f".SS {_roff('cryoflux ' + one.name)}", f".B {_roff(one.usage)}", ".PP"]
    paragraphs = [_roff(" ".join(text.split())) for text in one.help_text.split("\n\n")]
    lines += "\n.PP\n".join(paragraphs).split("\n")
    lines += _options(one)
    if example := told().get(one.name, {}).get("example"):
        lines += [".PP", "Example:", ".PP", ".RS 4", ".nf"]
        lines += [_roff(line) for line in example.strip().splitlines()]
        lines += [".fi", ".RE"]
    return lines


def _options(one: Described) -> list[str]:
    lines = []
    for option in one.options:
        lines += [".TP", f".B {_roff(option.shown)}", _roff(option.said) or "\\&"]
    return lines


def _roff(text: str) -> str:
    """Text that no macro takes for a request, with hyphens that stay hyphens."""
    safe = text.replace("``", "").replace("`", "").replace("\\", "\\e").replace("-", "\\-")
    safe = "".join(c if ord(c) < 128 else f"\\[u{ord(c):04X}]" for c in safe)
    return re.sub(r"^([.'])", r"\\&\1", safe).replace('"', "\\(dq")
