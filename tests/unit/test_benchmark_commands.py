"""Benchmarks, which nothing else runs, still begin, and take the options that are written down."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("*.py") if "ArgumentParser" in path.read_text("utf-8"))
HELP = """
import contextlib, io, json, runpy, sys
folder, *names = sys.argv[1:]
found = {}
path = [folder, *sys.path[1:]]
for name in names:
    said, sys.path[:], sys.argv[:] = io.StringIO(), path, [name, "--help"]
    code = missing = None
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(f"{folder}/{name}", run_name="__main__")
    except SystemExit as end:
        code = end.code
    except ModuleNotFoundError as error:
        missing = error.name
    except Exception as error:
        said.write(repr(error))
    found[name] = {"said": said.getvalue(), "code": code, "missing": missing}
print(json.dumps(found))
"""
COMMAND = re.compile(r"\bbenchmarks/([a-z_0-9]+\.py)((?: [^\n`#]*)?)")


@pytest.fixture(scope="module")
def helped() -> dict[str, str]:
    """Script → what it says of itself; those whose libraries are not here are left out."""
    command = [sys.executable, "-c", HELP, str(BENCHMARKS), *SCRIPTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    ours = {path.stem for folder in (BENCHMARKS, ROOT / "tests", ROOT / "src") for path in folder.iterdir()}
    here = {n: one for n, one in found.items() if not one["missing"] or one["missing"].split(".")[0] in ours}
    assert {name: one for name, one in here.items() if one["code"] != 0} == {}
    return {name: one["said"] for name, one in here.items()}


def commands() -> Iterator[tuple[str, str, set[str]]]:
    """Where a command is written, its script, and its options."""
    pages = [ROOT / "Makefile", *ROOT.glob("docs/**/*.md"), *BENCHMARKS.glob("*.py")]
    for page in pages:
        for script, rest in COMMAND.findall(page.read_text("utf-8")):
            own = re.split(r"\[?-- |[)]", rest)[0]
            yield f"{page.name}: {script}{rest}", script, set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", own))


def test_every_benchmark_says_what_it_takes(helped: dict[str, str]) -> None:
    assert len(helped) > 15
    assert [name for name, said in helped.items() if not said.startswith("usage:")] == []


def test_every_command_that_is_written_down_has_its_script_and_options(helped: dict[str, str]) -> None:
    written = list(commands())
    assert len(written) > 50
    assert [where for where, script, _ in written if not (BENCHMARKS / script).is_file()] == []
    unknown = [
        (where, option)
        for where, script, options in written
        if script in helped
        for option in options
        if not re.search(rf"{option}(?![\w-])", helped[script].partition("\n\n")[0])
    ]
    assert unknown == []
