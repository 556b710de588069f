"""``stdlib-docs``: the embedded data set, made from the running Python's own standard library.

A text is a docstring; its label is the subject area of the module that it stands in, after the
chapters of the library reference. Sources are parsed, never imported, so nothing is executed. The set
depends on the Python version; its digest is in every receipt.
"""

from __future__ import annotations

__all__ = ["NAME", "build"]

import ast
import os
import sysconfig
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from cryoflux.collector import uncollected
from cryoflux.data.examples import Example, normalise
from cryoflux.errors import DataError

NAME = "stdlib-docs"
_FEWEST_WORDS = 4
_FEWEST_A_CLASS = 100
_LONGEST = 600
"""characters kept of a docstring: more than any model here reads of it"""

_AREAS = {
    "concurrency": "_threading_local asyncio concurrent contextvars multiprocessing queue sched selectors "
    "signal socket subprocess threading",
    "data formats": "_markupbase base64 binascii configparser csv email html json mailbox mimetypes netrc "
    "plistlib quopri tomllib uu xml",
    "data types": "_collections_abc _pydatetime _strptime _weakrefset array bisect calendar collections copy "
    "datetime enum graphlib heapq pprint reprlib types weakref zoneinfo",
    "files": "_compression _pyio bz2 dbm filecmp fileinput fnmatch genericpath glob gzip hashlib hmac io "
    "linecache lzma ntpath pathlib pickle pickletools posixpath secrets shelve shutil sqlite3 stat tarfile "
    "tempfile zipfile zipimport",
    "gui": "idlelib tkinter turtle turtledemo",
    "internet": "asynchat asyncore cgi cgitb ftplib http imaplib ipaddress nntplib poplib smtpd smtplib "
    "socketserver ssl telnetlib urllib uuid webbrowser wsgiref xmlrpc",
    "language": "__future__ abc ast atexit code codeop compileall contextlib dataclasses dis functools "
    "importlib inspect keyword lib2to3 modulefinder opcode operator pkgutil py_compile pyclbr runpy site "
    "symtable sysconfig tabnanny token tokenize traceback typing warnings",
    "numbers": "_pydecimal _pylong cmath decimal fractions math numbers random statistics",
    "system": "argparse cmd ctypes curses distutils ensurepip getopt getpass logging optparse os platform "
    "pty shlex tty venv zipapp",
    "testing": "bdb cProfile doctest pdb profile pstats pydoc pydoc_data timeit trace tracemalloc unittest",
    "text": "_pyrepl codecs difflib encodings gettext locale re readline rlcompleter sre_compile "
    "sre_constants sre_parse string stringprep textwrap",
}
_AREA_OF = {module: area for area, modules in _AREAS.items() for module in modules.split()}
_KINDS: list[type[ast.AST]] = [*ast.stmt.__subclasses__(), ast.Module, ast.ExceptHandler, ast.match_case]
_BODIES = {
    kind: tuple(name for name in kind._fields if name in {"body", "orelse", "handlers", "finalbody", "cases"})
    for kind in _KINDS
}
"""kind of node → its fields that hold statements, in order"""
_SKIPPED = {"test", "tests", "idle_test", "site-packages", "dist-packages"}


def build(progress: Callable[[int, int], None] | None = None) -> list[Example]:
    """All examples, in the order of their files, each text once.

    Args:
        progress: called with (files read, files in all).

    Raises:
        DataError: the standard library's sources are not on this machine.
    """
    library = Path(sysconfig.get_path("stdlib"))
    sources = [(path, area) for path in sorted(_files(library)) if (area := _area(path, library))]
    examples: dict[str, Example] = {}
    with uncollected():  # a tree of syntax has many nodes, and no cycle
        for done, (path, area) in enumerate(sources, start=1):
            for text in _docstrings(path):
                examples.setdefault(normalise(text), Example(text, area))
            if progress and done % 25 == 0:
                progress(done, len(sources))
    counts: dict[str, int] = {}
    for example in examples.values():
        counts[example.label] = counts.get(example.label, 0) + 1
    kept = [example for example in examples.values() if counts[example.label] >= _FEWEST_A_CLASS]
    if len({example.label for example in kept}) < 2:
        raise DataError(
            f"{library} holds no library sources to build {NAME} from.",
            why="This Python came without its .py files.",
            hint="Give your own data with --train FILE.",
        )
    return kept


def _files(library: Path) -> Iterator[Path]:
    """Source files of the areas; what is installed beside them may be much more and is passed over."""
    for folder, inner, names in os.walk(library):
        here = Path(folder)
        inner[:] = [name for name in inner if name not in _SKIPPED and (here != library or name in _AREA_OF)]
        yield from (here / name for name in names if name.endswith(".py"))


def _area(path: Path, library: Path) -> str | None:
    parts = path.relative_to(library).with_suffix("").parts
    return None if _SKIPPED.intersection(parts) else _AREA_OF.get(parts[0])


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return  # lib2to3 and idlelib ship sources that are wrong on purpose
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # split() takes away all the white space that cleaning would change
            text = " ".join((ast.get_docstring(node, clean=False) or "").split())[:_LONGEST]
            if len(text.split()) >= _FEWEST_WORDS:
                yield text


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """What may hold a definition, in the order of `ast.walk`, which would visit each expression as well."""
    waiting = deque[ast.AST]([tree])
    while waiting:
        node = waiting.popleft()
        yield node
        for field in _BODIES.get(type(node), ()):
            waiting.extend(getattr(node, field))
