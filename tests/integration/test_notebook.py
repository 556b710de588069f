"""The notebook in `examples/` runs from its first cell to its last.

With nbclient and ipykernel it runs as Jupyter runs it, else its cells are run by what stands below: one after
the other in one process, the last expression of each shown as a notebook shows it. The test's id says which.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "first_look.ipynb"
AS_JUPYTER = """
import json, sys
import nbformat
from nbclient import NotebookClient
found = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(found)
NotebookClient(found, timeout=None, kernel_name="python3").execute()
cells = [cell for cell in found.cells if cell.cell_type == "code"]
shown = [[part["data"] for part in cell.outputs if "data" in part] for cell in cells]
print(json.dumps([parts[-1] if parts else {} for parts in shown]))
"""
PLAIN = """
import ast, contextlib, json, sys
space, shown = {"__name__": "__main__"}, []
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] != "code":
        continue
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(sys.stderr):
        exec(compile(tree, "cell", "exec"), space)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), space) if last is not None else None
    html = getattr(value, "_repr_html_", None)
    shown.append({"text/plain": repr(value), **({"text/html": html()} if html else {})})
print(json.dumps(shown))
"""
RUNNERS = {"jupyter": (AS_JUPYTER, ("nbclient", "ipykernel")), "plain": (PLAIN, ())}

pytestmark = [pytest.mark.slow, pytest.mark.process]


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_notebook_runs_and_shows_tables(tmp_path, runner):
    program, packages = RUNNERS[runner]
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{missing[0]} is not installed; the plain runner has run it")
    less = {"CRYOFLUX_HOLDOUT_SIZE": "400"}  # of 1024: scoring it takes longer than the two attempts
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": "", **less}
    command = [sys.executable, "-c", program, str(NOTEBOOK)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured, summary, log, attempt, entry, verified, table = json.loads(done.stdout.splitlines()[-1])
    assert "this work, net" in measured["text/html"]
    assert summary["text/plain"] == "(2, 'attempts')"
    assert "first-look: 2 attempts" in log["text/html"]
    assert "Attempt 1" in attempt["text/html"]
    assert "leaf hash" in entry["text/html"]
    assert verified["text/plain"] == "True"
    assert "joules" in table["text/plain"] or "pip install pandas" in table["text/plain"]


def test_it_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")
