"""Commands that only read start fast and run where nothing heavy is installed; pages need no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from synthetic_state import SyntheticState

HEAVY = ("torch", "transformers", "peft", "fastapi", "uvicorn", "sqlalchemy", "numpy", "httpx2")
BESIDE_A_BASE_INSTALL = (
    "torch",
    "transformers",
    "peft",
    "numpy",
    "safetensors",
    "matplotlib",
    "pyarrow",
    "faiss",
)
"""what an extra brings, and `pip install cryoflux` alone does not"""
PROGRAM = """
import sys
from cryoflux.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("heavy:", *(name for name in {heavy!r} if name in sys.modules))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["verify", "--state"], ["receipts", "list", "--state"]])
def test_reading_imports_nothing_heavy(pristine: SyntheticState, arguments: list[str]) -> None:
    place = [str(pristine.path)] if arguments[-1] == "--state" else []
    command = [sys.executable, "-c", PROGRAM.format(heavy=HEAVY), *arguments, *place]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:", done.stdout


def test_pages_and_reports_need_no_training_library() -> None:
    program = (
        "import sys\n"
        f"for name in {BESIDE_A_BASE_INSTALL!r}: sys.modules[name] = None\n"
        "import importlib, pkgutil\n"
        "for name in ('pages', 'queries', 'report'):\n"
        "    package = importlib.import_module('cryoflux.' + name)\n"
        "    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
