"""What an error tells somebody to type can be typed: every option in a hint is one of its command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import cryoflux
from cryoflux.cli.judge import OTHER_HINTS
from cryoflux.cli.main import app

SOURCE = Path(cryoflux.__file__).parent
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
_COMMAND = re.compile(r"cryoflux ((?:[a-z-]+ ?)+)")
_OTHERS = {
    *("--force-reinstall", "--no-deps", "--to", "--output-dir", "--log", "--output"),
    "--reading",
}
"""of pip, inspect and lm_eval, which hints name too"""


def commands(command: Any, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every command with its options."""
    yield (
        name,
        {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)},
    )
    for below, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {below}".strip())


OPTIONS = dict(commands(typer.main.get_command(app)))
EVERY = set[str]().union(*OPTIONS.values()) | {"--help"}


def literal(node: ast.expr) -> str:
    """The words of an expression that makes a text; ``X`` stands for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return literal(node.left) + literal(node.right)
    if isinstance(node, ast.IfExp):
        return f"{literal(node.body)} {literal(node.orelse)}"
    return "X"


def hints(path: Path) -> Iterator[tuple[str, str]]:
    """The hints of a module, each with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            yield f"{path.relative_to(SOURCE)}:{node.value.lineno}", literal(node.value)


ALL = [found for path in sorted(SOURCE.rglob("*.py")) for found in hints(path)]


def named(hint: str) -> Iterator[tuple[str, str]]:
    """The options that a hint names, each with the command that it is typed after; none where it is bare."""
    for part in re.split(r"(?=cryoflux [a-z])", hint):
        command = ""
        if (found := _COMMAND.match(part)) is not None:
            words = found[1].split()
            command = next(
                (name for n in range(len(words), 0, -1) if (name := " ".join(words[:n])) in OPTIONS), ""
            )
        # What stands after a comma, a bracket or a full stop is not typed after the command.
        typed = re.split(r"[;,()`]|[.:](?:\s|$)", part)[0] if command else ""
        for option in _OPTION.findall(part):
            yield (command if option in typed else ""), option


def test_there_are_hints() -> None:
    assert len(ALL) > 300
    assert {"judge", "run", "receipts list"} <= OPTIONS.keys()


def test_an_option_in_a_hint_is_one_of_the_command_that_it_follows() -> None:
    wrong = [
        f"{where}: cryoflux {command} has no {option}"
        for where, hint in ALL
        for command, option in named(hint)
        if command and option not in OPTIONS[command] and option not in _OTHERS
    ]
    assert wrong == []


def test_an_option_in_a_hint_is_one_of_some_command() -> None:
    wrong = [f"{w}: {o}" for w, hint in ALL for _, o in named(hint) if o not in EVERY | _OTHERS]
    assert wrong == []


def reached(start: str) -> set[Path]:
    """The modules of a package that one imports, those that these import included."""
    open_ones, found = [start], set[Path]()
    while open_ones:
        path = SOURCE.joinpath(*open_ones.pop().split(".")[1:]).with_suffix(".py")
        if not path.is_file() or path in found:
            continue
        found.add(path)
        imports = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom))
        open_ones += [str(node.module) for node in imports if (node.module or "").startswith("cryoflux.")]
    return found


JUDGES_BY = (
    *("cryoflux.tasks.judged.sides", "cryoflux.tasks.judged.causal", "cryoflux.tasks.judged.classifying"),
    *("cryoflux.data.formats", "cryoflux.evaluation.eval_logs"),
)


@pytest.mark.parametrize("start", JUDGES_BY)
def test_judge_names_its_own_options(start: str) -> None:
    """What reads models and examples was written for ``run``: `judge` says what to do in its own words."""
    own = OPTIONS["judge"] | _OTHERS | {"--device"}  # of a GPU, where nothing is judged
    wrong = [
        f"{where}: {option}"
        for path in sorted(reached(start))
        for where, hint in hints(path)
        for command, option in named(hint)
        if not command and option not in own and not any(other in hint for other in OTHER_HINTS)
    ]
    assert wrong == []


def test_the_hints_of_judge_name_options_that_it_has() -> None:
    assert [o for hint in OTHER_HINTS.values() for _, o in named(hint) if o not in OPTIONS["judge"]] == []
