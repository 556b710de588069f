from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import cryoflux

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "numpy",
    "fastapi",
    "uvicorn",
    "pydantic",
    "rich",
    "typer",
    "httpx2",
)


def test_every_public_name_is_there_and_the_list_is_sorted() -> None:
    assert list(cryoflux.__all__) == sorted(set(cryoflux.__all__))
    assert all(hasattr(cryoflux, name) for name in cryoflux.__all__)
    found: dict[str, object] = {}
    exec("from cryoflux import *", found)
    assert set(found) - {"__builtins__"} == set(cryoflux.__all__)


def test_the_version_is_a_version_and_that_of_the_package() -> None:
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+(?:(?:a|b|rc)[0-9]+|\.dev[0-9]+)?", cryoflux.__version__)
    assert importlib.metadata.version("cryoflux") == cryoflux.__version__


def test_importing_it_imports_no_library() -> None:
    program = "import sys, cryoflux; print(*(n for n in sys.argv[1:] if n in sys.modules))"
    command = [sys.executable, "-W", "error", "-c", program, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_it_says_that_it_is_typed() -> None:
    assert (Path(cryoflux.__file__).parent / "py.typed").is_file()


def test_python_m_is_the_command() -> None:
    command = [sys.executable, "-m", "cryoflux", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    for name in ("run", "verify", "receipts", "models", "config", "energy", "agent", "doctor"):
        assert re.search(rf"^\W*{name}\b", done.stdout, re.MULTILINE), done.stdout
