"""Slips in a task of somebody's own: one message that names the method and the line, and no traceback."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from cryoflux.errors import ExitCode
from cryoflux.tasks.registry import find_task
from running import exit_code_of

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs/how-to/add-a-task.md").read_text("utf-8")
(WHOLE,) = re.findall(r"<!-- file: line_task.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)

RAISES = {
    "beginning": "        found = list(points(400))",
    "arms": "        return [\n            Offer(",
    "train": "        data = [json",
    "apply": "        return self.place.versions.draft",
    "scorer": "        return LineScorer(",
    "score": "        between(0)\n",
}
GIVES = {
    "beginning": ("        return Beginning(", "a Beginning"),
    "arms": ("        return [\n            Offer(", "a list of Offer"),
    "train": ("        return Update(", "an Update"),
    "apply": ("        return self.place.versions.draft", "a Version"),
    "scorer": ("        return LineScorer(", "something with score(indices, between)"),
}


@pytest.fixture
def spend(tmp_path, monkeypatch):
    """Run a task that was written, under a name of its own each time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"slipping_{tmp_path.name}"

    def run(source, *words):
        (tmp_path / f"{name}.py").write_text(source)
        words = ("run", "--task", f"{name}:LineTask", "--budget", "2kJ", "--attempts", "1", *words)
        return exit_code_of(monkeypatch, *words)

    yield run
    sys.modules.pop(name, None)


def changed(before, after):
    assert before in WHOLE, "the page has changed"
    return WHOLE.replace(before, after, 1)


def test_the_task_of_the_page_runs_as_it_stands(spend, capsys):
    assert spend(WHOLE) == 0, capsys.readouterr().err


@pytest.mark.parametrize("method", RAISES)
def test_what_a_method_raises_is_one_message_with_its_place(spend, method, capsys):
    place = RAISES[method]
    source = changed(place, f"        raise KeyError('a slip')\n{place}")
    line = source[: source.index("raise KeyError")].count("\n") + 1
    assert spend(source) == ExitCode.NEGATIVE_VERDICT
    told = capsys.readouterr().err
    said = " ".join(told.split())
    assert f"error: {method} of the task line raised KeyError: 'a slip'" in said
    assert f", line {line})" in said
    assert "--debug" in said
    assert "Traceback" not in told


def test_its_own_traceback_is_shown_where_it_is_asked_for(spend, capsys):
    source = changed(RAISES["train"], f"        raise KeyError('a slip')\n{RAISES['train']}")
    assert spend(source, "--debug") == ExitCode.NEGATIVE_VERDICT
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "raise KeyError('a slip')" in told
    assert "orchestrator.py" not in told, "only its own code"


@pytest.mark.parametrize("method", GIVES)
def test_a_method_that_gives_nothing_is_named(spend, method, capsys):
    place, wanted = GIVES[method]
    assert spend(changed(place, place.replace("return ", "", 1))) == ExitCode.NEGATIVE_VERDICT
    said = " ".join(capsys.readouterr().err.split())
    assert f"{method} of the task line gave NoneType, not {wanted}." in said


def test_an_update_whose_files_were_not_written_is_named(spend, capsys):
    assert spend(changed("        save(into, slope, offset)\n", "")) == ExitCode.NEGATIVE_VERDICT
    assert "an Update of line.json, which it did not write" in " ".join(capsys.readouterr().err.split())


def test_after_it_was_mended_the_same_state_goes_on(spend, capsys):
    assert spend(changed(RAISES["train"], f"        raise KeyError('a slip')\n{RAISES['train']}")) == 1
    sys.modules.pop(next(name for name in sys.modules if name.startswith("slipping_")))
    assert spend(WHOLE) == 0, capsys.readouterr().err
    import cryoflux

    assert cryoflux.verify("state").ok
    first, *_ = cryoflux.open_log("state")
    assert first.outcome == "aborted"


def test_a_method_that_is_missing_and_a_module_that_breaks_are_said_before_anything_is_written(
    spend, tmp_path, capsys
):
    assert spend(changed("    def scorer(", "    def scores(")) == ExitCode.USAGE
    assert "The task LineTask has no scorer." in capsys.readouterr().err
    for name in [name for name in sys.modules if name.startswith("slipping_")]:
        sys.modules.pop(name)
    assert spend(changed("def save(", "def save((")) == ExitCode.USAGE
    assert "SyntaxError" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_errors_that_are_raised_on_purpose_go_through_as_they_are(spend, capsys):
    source = changed(
        RAISES["beginning"],
        "        from cryoflux import CryoFluxError\n"
        f"        raise CryoFluxError('No points.', hint='Get some.')\n{RAISES['beginning']}",
    )
    assert spend(source) == ExitCode.NEGATIVE_VERDICT
    said = capsys.readouterr().err
    assert "error: No points." in said
    assert "next: Get some." in said


def test_a_guarded_task_is_still_the_class_that_was_written(tmp_path, monkeypatch):
    from digits import DigitsTask

    found = find_task("digits:DigitsTask")
    assert issubclass(found, DigitsTask)
    assert found is find_task("digits:DigitsTask")
    assert (found.__name__, found.__module__) == ("DigitsTask", "digits")
    assert find_task("lora_delta").__mro__[0].__module__ == "cryoflux.tasks.lora.task", "ours is as it is"
