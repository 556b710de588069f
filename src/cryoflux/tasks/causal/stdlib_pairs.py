"""``stdlib-signatures``: conversations made from the running Python's own standard library.

Asked is a signature, answered its docstring. Sources are parsed, never imported, so nothing is executed. Of
docstrings that are the same, the first one is taken: a class and the one derived from it would put the same
answer into training and holdout.
"""

from __future__ import annotations

__all__ = ["PAIRS", "signature_pairs"]

import ast
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from cryoflux.collector import uncollected
from cryoflux.data.documents import TextDocument
from cryoflux.data.fold import fold
from cryoflux.errors import DataError

PAIRS = "stdlib-signatures"
_FEWEST = 1000
_SHORTEST = 40
"""characters of a docstring that says something"""
_SKIPPED = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages"}
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def signature_pairs(progress: Callable[[int, int], None] = lambda _done, _count: None) -> list[TextDocument]:
    """All conversations, in the order of their files.

    Args:
        progress: called with (files read, files in all).

    Raises:
        DataError: the standard library's sources are not on this machine.
    """
    library = Path(sysconfig.get_path("stdlib"))
    files = [
        path
        for path in sorted(library.rglob("*.py"))
        if not _SKIPPED.intersection(path.relative_to(library).parts)
    ]
    found: dict[str, TextDocument] = {}
    with uncollected():  # a tree of syntax has many nodes, and no cycle
        for done, path in enumerate(files, start=1):
            module = ".".join(path.relative_to(library).with_suffix("").parts).removesuffix(".__init__")
            for name, signature, said in _definitions(path):
                asked = f"Write the docstring of `{name}` in Python's module {module}:\n{signature}"
                turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
                found.setdefault(fold(said), TextDocument({"messages": turns}, len(found) + 1))
            if done % 100 == 0:
                progress(done, len(files))
    if len(found) < _FEWEST:
        raise DataError(
            f"{library} holds no library sources to build {PAIRS} from.",
            why="This Python came without its .py files.",
            hint="Give documents of your own with --train FILE.jsonl.",
        )
    return list(found.values())


def _definitions(path: Path) -> Iterator[tuple[str, str, str]]:
    """Name, signature and docstring of everything that a file defines."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        above, node = waiting.pop(0)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _Definition):
                name = f"{above}{child.name}"
                said = (ast.get_docstring(child) or "").strip()
                if len(said) >= _SHORTEST:
                    yield name, _signature(child), said
                waiting.append((f"{name}.", child))


def _signature(node: _Definition) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}({', '.join(map(ast.unparse, node.bases))})"
    return f"def {node.name}({ast.unparse(node.args)})"
