"""Exit codes, the classes of errors, and what each of them says with what it tells one to do next.

Everything is read from the source, so that no library has to be imported for it: a class is an error where
it descends from one of ours, a message is what it is made with.
"""

from __future__ import annotations

__all__ = ["ErrorClass", "Message", "error_classes", "exit_codes", "meaning_of", "messages", "messages_list"]

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryoflux.errors import ExitCode
from reference_from.markdown import table, worded

SOURCE = Path(__file__).parents[2] / "src/cryoflux"
ROOT_CLASS = "CryoFluxError"
_MEANINGS = {
    ExitCode.DONE: "what was asked for is done",
    ExitCode.NEGATIVE_VERDICT: "the verdict is negative: something is not what it claims, or does not help",
    ExitCode.USAGE: "what was typed or configured cannot be used; nothing was done",
    ExitCode.CANNOT_MEASURE: "this machine, or the agent, cannot measure",
    ExitCode.BUDGET_EXHAUSTED: "the budget was exhausted before one attempt finished",
    ExitCode.CANNOT_STORE: "the disk is full, read-only, or refuses",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C, SIGTERM); what was begun is recorded",
    ExitCode.OUTPUT_CLOSED: "whoever read the output has closed it (`| head`)",
}


@dataclass(frozen=True)
class ErrorClass:
    """A class of errors."""

    name: str
    bases: tuple[str, ...]
    said: str
    code: str
    """name of its own exit code; empty where it has that of its base"""
    module: str


@dataclass(frozen=True, order=True)
class Message:
    """What an error says; ``…`` stands where a value comes."""

    error: str
    what: str
    why: str
    hint: str


def exit_codes() -> str:
    """One row a code."""
    return table(("code", "meaning"), [(str(int(code)), _MEANINGS[code]) for code in ExitCode])


def meaning_of(code: ExitCode) -> str:
    """What an exit code says, in words."""
    return _MEANINGS[code]


@cache
def _trees() -> dict[str, ast.Module]:
    return {str(p.relative_to(SOURCE)): ast.parse(p.read_text("utf-8")) for p in sorted(SOURCE.rglob("*.py"))}


@cache
def _classes() -> dict[str, ErrorClass]:
    found = {}
    for module, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = tuple(base.id for base in node.bases if isinstance(base, ast.Name))
                said = (ast.get_docstring(node) or "").partition("\n\n")[0]
                found[node.name] = ErrorClass(node.name, bases, said, _code_of(node), module)
    known = {ROOT_CLASS}
    while more := {n for n, c in found.items() if known.intersection(c.bases)} - known:
        known |= more
    return {name: one for name, one in found.items() if name in known and not name.startswith("_")}


def _code_of(node: ast.ClassDef) -> str:
    for line in node.body:
        value = line.value if isinstance(line, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Attribute) and ast.unparse(value).startswith("ExitCode."):
            return value.attr
    return ""


def _exit_of(one: ErrorClass) -> ExitCode:
    if one.code:
        return ExitCode[one.code]
    return next(_exit_of(_classes()[base]) for base in one.bases if base in _classes())


def error_classes() -> str:
    """One row a class, below what it descends from."""
    rows = [
        (f"{'· ' * depth}`{one.name}`", str(int(_exit_of(one))), worded(one.said), f"`{one.module}`")
        for depth, one in _descent(ROOT_CLASS, 0)
    ]
    return table(("class", "exit code", "", "lives in"), rows)


def _descent(name: str, depth: int) -> Iterator[tuple[int, ErrorClass]]:
    yield depth, _classes()[name]
    for below in sorted(n for n, one in _classes().items() if one.bases[:1] == (name,)):
        yield from _descent(below, depth + 1)


@cache
def messages() -> tuple[Message, ...]:
    """Every message that says what to do next, once."""
    found = set()
    for tree in _trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _classes():
                said = {word.arg: _text(word.value) for word in node.keywords}
                what = _text(node.args[0]) if node.args else ""
                if said.get("hint") and what.strip("… ."):
                    found.add(Message(node.func.id, what, said.get("why", ""), said["hint"]))
    return tuple(sorted(found))


def _text(value: ast.expr) -> str:
    """The words of an expression; ``…`` where it is not known what they are."""
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in value.values)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return _text(value.left) + _text(value.right)
    if isinstance(value, ast.IfExp):
        either = [_text(value.body), _text(value.orelse)]
        return " / ".join(text for text in either if text) if all(e.strip("… ") for e in either) else "…"
    return "…"


def messages_list() -> str:
    """By class: what is said, why it matters, and what to do next."""
    parts = []
    for name in dict.fromkeys(message.error for message in messages()):
        rows = [
            (worded(one.what), worded(one.why), worded(one.hint)) for one in messages() if one.error == name
        ]
        parts.append(f"### {name}\n\n{table(('what it says', 'why', 'next'), rows)}")
    return "\n\n".join(parts)
