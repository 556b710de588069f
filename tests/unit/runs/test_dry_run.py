"""What refuses a run at its start refuses its plan alike, and neither changes anything."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config, GPT2ForSequenceClassification

from cryoflux.config import load_settings
from cryoflux.errors import CryoFluxError, ExitCode
from cryoflux.runs.dry_run import make_plans
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.session import run
from cryoflux.tasks.lora import libraries

Given = dict[str, Any]


@pytest.fixture
def given(inputs: list[str], tmp_path: Path) -> Given:
    return {"model": inputs[1], "train": inputs[3], "state": str(tmp_path / "state"), "reserve": "12J"}


def no_targets(given: Given) -> None:
    folder = shutil.copytree(given["model"], Path(given["state"]).with_name("model"))
    small = GPT2Config(vocab_size=60, pad_token_id=0, n_layer=1, n_head=2, n_embd=16, n_positions=64)
    GPT2ForSequenceClassification(small).save_pretrained(folder)
    given["model"] = str(folder)


def not_loadable(given: Given) -> None:
    folder = shutil.copytree(given["model"], Path(given["state"]).with_name("model"))
    (folder / "config.json").write_text('{"model_type": "no such thing"}')
    given["model"] = str(folder)


def strange_folder(given: Given) -> None:
    folder = Path(given["state"])
    folder.mkdir()
    (folder / "letters.txt").write_text("dear")


REFUSALS: dict[str, tuple[Callable[[Given], object], ExitCode, str]] = {
    "no targets": (no_targets, ExitCode.USAGE, "no attention projections that LoRA could go on"),
    "not loadable": (not_loadable, ExitCode.USAGE, "no kind of model that is known here"),
    "no such task": (lambda g: g.update(task="no_such"), ExitCode.USAGE, "There is no task 'no_such'"),
    "no task": (lambda g: g.update(task=" , "), ExitCode.USAGE, "No task is named"),
    "no such recipe": (lambda g: g.update(recipes="carry-9"), ExitCode.USAGE, "There is no recipe 'carry-9'"),
    "too many tokens": (lambda g: g.update(max_tokens=65), ExitCode.USAGE, "reads at most 64 tokens"),
    "too small a budget": (lambda g: g.update(reserve="100J"), ExitCode.USAGE, "is smaller than what a run"),
    "no policy file": (lambda g: g.update(trust="nowhere.txt"), ExitCode.USAGE, "nowhere.txt"),
    "no GPU": (lambda g: g.update(device="cuda"), ExitCode.USAGE, "No CUDA device"),
    "no daemon": (
        lambda g: g.update(agent="unix:///nowhere.sock"),
        ExitCode.CANNOT_MEASURE,
        "cannot be reached",
    ),
    "others' files": (strange_folder, ExitCode.USAGE, "holds other files, such as letters.txt"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_run_and_its_plan_are_refused_alike_and_write_nothing(
    kind: str, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, code, words = REFUSALS[kind]
    spoil(given)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = sorted(tmp_path.rglob("*"))
    sourced, budget_uj = load_settings(given), 90 * 10**6
    refusals = []
    for start in (lambda: make_plans(sourced, budget_uj), lambda: run(sourced, RunLimits(budget_uj))):
        with pytest.raises(CryoFluxError) as caught:
            start()
        refusals.append((type(caught.value), *caught.value.args, caught.value.why, caught.value.hint))
        assert caught.value.exit_code is code
        assert words in caught.value.what
        assert sorted(tmp_path.rglob("*")) == before
    assert refusals[0] == refusals[1]


@pytest.mark.parametrize("more", [{"credit": "net"}, {"agent": "unix:///nowhere.sock"}])
def test_what_others_count_on_is_carried_neither_by_a_run_nor_by_its_plan(more: Given, given: Given) -> None:
    sourced = load_settings(given | more)
    for start in (
        lambda: make_plans(sourced, 90 * 10**6, carry=True),
        lambda: run(sourced, RunLimits(90 * 10**6, carry=True)),
    ):
        with pytest.raises(CryoFluxError, match="--carry is for the account of a state"):
            start()
    assert not Path(given["state"]).exists()


def test_no_plan_without_the_libraries_that_the_run_needs(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "LIBRARIES", ("no_such_library",))
    with pytest.raises(CryoFluxError, match="missing: no_such_library"):
        make_plans(load_settings(given), 90 * 10**6)


def test_a_plan_may_be_asked_for_before_there_is_a_budget(given: Given) -> None:
    (plan,) = make_plans(load_settings(given), None)
    assert (plan.budget_joules, plan.most_attempts) == (None, None)
    assert not Path(given["state"]).exists()
