"""What stands beside a field of a class in the source: the literal after it, which Python itself drops."""

from __future__ import annotations

__all__ = ["said_beside", "summary_of"]

import ast
import inspect
from functools import cache
from itertools import pairwise


@cache
def _bodies(path: str) -> dict[str, list[ast.stmt]]:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        tree = ast.parse(file.read())
    return {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}


def said_beside(found: type) -> dict[str, str]:
    """Field → what the literal after it says."""
    body = _bodies(inspect.getfile(found))[found.__name__]
    said = {}
    for field, beside in pairwise(body):
        match field, beside:
            case (ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text)))):
                said[name] = " ".join(text.split())
    return said


def summary_of(found: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(found) or "").partition("\n\n")[0].split())
