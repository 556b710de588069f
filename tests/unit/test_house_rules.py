"""The rules of docs and design that no linter knows."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from thorough import CASES, passed_over

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
MODULES = {path.relative_to(SOURCE): ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
LONG_FUNCTIONS = {
    ("cryoflux/cli/run.py", "run"),  # one line an option
    ("cryoflux/cli/verify.py", "verify"),  # likewise
}
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "core", "common", "misc"}
# In pieces, so that this file does not contain them.
NOTE_TO_SELF = re.compile(r"\b" + "TO" + r"DO\b", re.IGNORECASE)
OUR_MACHINE = re.compile(r"(?<![\w.~}-])/" + r"(?:work|tmp|root)(?![\w-])")
OWN_HOST = r"(?:local" + r"host|127\.0\.0\.1|0\.0\.0\.0|\[::1\]|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+)"
REGISTRY = r"(?:index-url|find-links|trusted-host|/simple\b|pypi|registry|_proxy|mirror)"
OWN_INDEX = re.compile(f"{OWN_HOST}.*{REGISTRY}|{REGISTRY}.*{OWN_HOST}", re.IGNORECASE)

in_a_checkout = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a git checkout"
)


def all_of(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def place(name: str) -> tuple[int, str]:
    """Where a name belongs, as ruff sorts: CONSTANTS, then Classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def imported_as(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def texts() -> dict[str, str]:
    """Every text file that git keeps, or would keep."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = {}
    for name in sorted(filter(None, listed.split("\0"))):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" not in content:
            found[name] = content.decode("utf-8")
    return found


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_the_rules_see_the_code() -> None:
    assert Path("cryoflux/errors.py") in MODULES
    assert len(MODULES) > 50


def test_public_names_are_sorted_and_exist() -> None:
    for path, tree in MODULES.items():
        names = all_of(tree)
        if names is not None:
            module = importlib.import_module(imported_as(path))
            assert names == sorted(set(names), key=place), f"{path}: __all__ is not sorted"
            assert not [name for name in names if not hasattr(module, name)], f"{path}: __all__ names nothing"


def test_every_module_with_public_names_lists_them() -> None:
    unlisted = []
    for path, tree in MODULES.items():
        defined = [n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
        if all_of(tree) is None and [name for name in defined if not name.startswith("_")]:
            unlisted.append(str(path))
    assert unlisted == []


def test_every_module_says_what_it_is_about() -> None:
    assert [str(path) for path, tree in MODULES.items() if not ast.get_docstring(tree)] == []


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    lengths = {str(path): len((SOURCE / path).read_text("utf-8").splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_no_function_is_too_long_to_be_seen_at_once() -> None:
    long = {
        (path.as_posix(), function.name): function.end_lineno - function.lineno + 1
        for path, tree in MODULES.items()
        for function in functions(tree)
        if (function.end_lineno or 0) - function.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert {where: length for where, length in long.items() if where not in LONG_FUNCTIONS} == {}
    assert set(long) == LONG_FUNCTIONS, "an exception that nothing needs any more"


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {part for path in MODULES for part in path.with_suffix("").parts}
    assert parts.isdisjoint(EMPTY_WORDS)


def kinds_of(tree: ast.Module) -> Iterator[str]:
    """The names of a module's own classes and types."""
    for node in tree.body:
        named = node.name if isinstance(node, ast.ClassDef) else ""
        if isinstance(node, ast.Assign):
            named = ast.unparse(node.targets[0])
        if re.fullmatch(r"[A-Z]\w*[a-z]\w*", named):
            yield named


def test_the_name_of_a_class_stands_for_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for path, tree in sorted(MODULES.items()):
        for name in kinds_of(tree):
            places.setdefault(name, []).append(path.as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_only_the_console_prints() -> None:
    printing = [
        f"{path}:{node.lineno}"
        for path, tree in MODULES.items()
        if path.as_posix() != "cryoflux/cli/console.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"print", "pprint"}
    ]
    assert printing == []


def test_a_test_that_is_passed_over_exists() -> None:
    for file, tests in CASES.items():
        written = (ROOT / "tests" / file).read_text("utf-8")
        assert [test for test in tests if f"def {test}(" not in written] == []


@dataclass(frozen=True)
class Collected:
    path: Path
    originalname: str
    name: str


@pytest.mark.parametrize(
    ("file", "test", "kept"),
    [
        ("attacks/test_hostile_documents.py", "test_pdf_says_what_it_is_about_and_no_more", {"1", "5", "9"}),
        ("integration/test_index.py", "test_a_worse_encoder_is_refused_and_the_old_index_serves_on", set()),
        ("integration/test_index.py", "test_another", {*map(str, range(11))}),
    ],
)
def test_what_is_run_of_a_matrix_lies_evenly_in_it(file: str, test: str, kept: set[str]) -> None:
    every = [Collected(ROOT / "tests" / file, test, str(number)) for number in range(11)]
    over = passed_over(every)  # type: ignore[arg-type]
    assert {one.name for one in every if one not in over} == kept


@in_a_checkout
def test_no_test_expects_to_fail() -> None:
    marks = re.compile(r"\bx" + r"fail\b(?!_strict)")
    assert [line for line in lines_with(marks) if line.startswith(("src/", "tests/"))] == []


@in_a_checkout
@pytest.mark.parametrize("pattern", [NOTE_TO_SELF, OUR_MACHINE, OWN_INDEX], ids=["note", "path", "index"])
def test_no_file_holds_what_is_only_ours(pattern: re.Pattern[str]) -> None:
    assert lines_with(pattern) == []


@pytest.mark.parametrize(
    ("pattern", "line", "found"),
    [
        (NOTE_TO_SELF, "# {}: mend", True),
        (NOTE_TO_SELF, "a {}-list", True),
        (NOTE_TO_SELF, "mas{}n", False),
        (OUR_MACHINE, "cd /{}work/main", True),
        (OUR_MACHINE, 'Path("/{}tmp")', True),
        (OUR_MACHINE, "/{}root/.cache", True),
        (OUR_MACHINE, "net/{}work", False),
        (OUR_MACHINE, "/{}roots", False),
        (OWN_INDEX, "--index-{}url http://127.0.0.1:3141/sim{}ple", True),
        (OWN_INDEX, "listens on {}127.0.0.1:8787", False),
        (OWN_INDEX, "https://index.example/simple{}", False),
    ],
)
def test_the_patterns_find_what_they_look_for(pattern: re.Pattern[str], line: str, found: bool) -> None:
    word = "TO" + "DO" if pattern is NOTE_TO_SELF else ""
    assert bool(pattern.search(line.format(word, ""))) == found
