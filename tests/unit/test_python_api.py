"""The examples of the reference and of the how-to, run as they stand; and what a run leaves alone."""

from __future__ import annotations

import doctest
import logging
import os
import re
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import pytest

import cryoflux
import tiny
from cryoflux.errors import ConfigError, UsageError

DOCS = Path(__file__).parents[2] / "docs"
QUICK = {"CRYOFLUX_RESERVE": "40J", "CRYOFLUX_RECIPES": "prefix-1", "CRYOFLUX_LEARNING_RATE": "0.01"}
LINE = "line_task:LineTask"


@pytest.fixture
def folder(tmp_path: Path, inputs: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a tiny model in its settings, and a training file."""
    tiny.write_csv(tmp_path / "mine.csv", tiny.sentences(500, 1))
    monkeypatch.chdir(tmp_path)
    for name, value in {**QUICK, "CRYOFLUX_MODEL": inputs[1]}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def line_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory where the task of the how-to can be imported."""
    page = (DOCS / "how-to/add-a-task.md").read_text()
    (tmp_path / "line_task.py").write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return tmp_path


@pytest.fixture
def whole_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some versions of doctest (of Python 3.11.2) hold an error to the last of its notes alone."""
    of_parts = traceback.format_exception_only

    def joined(*named: object) -> list[str]:
        return ["".join(of_parts(*named))]  # type: ignore[call-overload]

    monkeypatch.setattr(traceback, "format_exception_only", joined)


@pytest.mark.usefixtures("folder", "whole_messages")
def test_the_examples_of_the_reference_do_what_they_show() -> None:
    page = (DOCS / "reference/python-api.md").read_text()
    examples = doctest.DocTestParser().get_doctest(page, {}, "python-api.md", None, 0)
    assert len(examples.examples) > 20
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    runner.run(examples, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_the_reference_names_everything_that_is_exported() -> None:
    page = (DOCS / "reference/python-api.md").read_text()
    table = page.partition("The examples below")[0]
    assert [name for name in cryoflux.__all__ if name != "__version__" and f"`{name}`" not in table] == []


def run_python(program: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_task_of_the_how_to_runs_and_verifies_without_a_training_library(line_task: Path) -> None:
    program = f"""
import sys, cryoflux
summary = cryoflux.run("500J", task={LINE!r}, state="line")
assert summary.kept and summary.tasks[0].name == "line", summary
report = cryoflux.verify("line", tasks=[{LINE!r}])
assert report.ok, report
assert all(attempt.accuracy_gain is None and attempt.unit == "m²" for attempt in cryoflux.open_log("line"))
print(*(name for name in ("torch", "transformers", "numpy") if name in sys.modules))
"""
    assert run_python(program) == "\n"


def test_reading_a_log_imports_nothing_heavy(line_task: Path, pristine) -> None:
    program = f"""
import sys, cryoflux
log = cryoflux.open_log({str(pristine.path)!r})
assert len(log) == 4 and log.verify().ok
heavy = ("torch", "transformers", "numpy", "pandas", "rich", "typer")
print(*(name for name in heavy if name in sys.modules))
"""
    assert run_python(program) == "\n"


def state_of_the_process() -> dict[str, object]:
    import torch
    from transformers.utils import logging as theirs

    loggers = {
        name: logging.getLogger(name) for name in ("", "transformers", "torch", "peft", "huggingface_hub")
    }
    return {
        "filters": list(warnings.filters),
        "show": warnings.showwarning,
        "levels": {name: (logger.level, logger.disabled) for name, logger in loggers.items()},
        "handlers": {name: list(logger.handlers) for name, logger in loggers.items()},
        "bars": theirs.is_progress_bar_enabled(),
        "threads": torch.get_num_threads(),
        "random": torch.get_rng_state().tolist(),
        "environment": dict(os.environ),
    }


@pytest.mark.parametrize("ends", ["well", "in an error"])
def test_a_run_leaves_the_process_as_it_was(folder: Path, ends: str) -> None:
    import torch
    from transformers.utils import logging as theirs

    threads, loud, bars = torch.get_num_threads(), theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    torch.set_num_threads(3)
    theirs.set_verbosity_info()
    theirs.enable_progress_bar()
    try:
        before = state_of_the_process()
        if ends == "well":
            cryoflux.run("160J", train="mine.csv", attempts=1)
            cryoflux.verify("state", recompute=1)
        else:
            with pytest.raises(ZeroDivisionError):
                cryoflux.run("80J", train="mine.csv", observers=[Broken()])
        assert state_of_the_process() == before
    finally:
        torch.set_num_threads(threads)
        theirs.set_verbosity(loud)
        if not bars:
            theirs.disable_progress_bar()


class Broken(cryoflux.RunObserver):
    def finished(self, record) -> None:
        raise ZeroDivisionError


def test_a_run_that_imports_the_libraries_leaves_them_as_they_come(folder: Path) -> None:
    program = """
import os, warnings, cryoflux
before = list(warnings.filters), dict(os.environ)
cryoflux.run("160J", train="mine.csv", attempts=1)
assert (warnings.filters, dict(os.environ)) == before
import torch
from transformers.utils import logging
print(torch.get_num_threads(), logging.get_verbosity() == logging.WARNING, logging.is_progress_bar_enabled())
"""
    env = {**os.environ, "OMP_NUM_THREADS": "2", "CRYOFLUX_THREADS": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (0, "2 True True\n"), done.stderr


def test_an_unknown_setting_and_a_useless_one_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="there is no setting 'sed'"):
        cryoflux.run("500J", sed=1)
    with pytest.raises(ConfigError, match="seed"):
        cryoflux.run("500J", seed=-1)
    with pytest.raises(UsageError, match="not an amount of energy"):
        cryoflux.run("500")
    with pytest.raises(UsageError, match="0 attempts"):
        cryoflux.run("500J", attempts=0)
    assert list(tmp_path.iterdir()) == []
