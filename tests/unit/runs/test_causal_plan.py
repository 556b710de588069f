"""What a run of ``causal-lm`` would do, said before anything is written: joules and memory, as modelled."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from causal_families import make_family
from cryoflux.cli.plan_view import show_plans
from cryoflux.config import load_settings
from cryoflux.errors import CryoFluxError
from cryoflux.quantities import MICRO
from cryoflux.runs.causal_plan import CausalPlan
from cryoflux.runs.dry_run import make_plans
from cryoflux.runs.needed import Needs
from json_rule import complaints, parsed

Given = dict[str, Any]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_family("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture
def given(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    monkeypatch.chdir(tmp_path)
    train = tmp_path / "train.jsonl"
    rows = ({"prompt": f"What is {n}? ", "completion": f"It is {n} and no other."} for n in range(300))
    train.write_text("".join(json.dumps(row) + "\n" for row in rows))
    state = str(tmp_path / "state")
    return {"task": "causal-lm", "model": str(base), "train": str(train), "state": state, "holdout_size": 40}


def planned(given: Given, budget_uj: int | None = 400_000_000) -> CausalPlan:
    (plan,) = make_plans(load_settings(given), budget_uj)
    assert isinstance(plan, CausalPlan)
    return plan


def test_joules_and_memory_of_each_recipe_are_expected_and_nothing_is_written(given: Given) -> None:
    plan = planned(given)
    assert plan.examples["holdout"] == 40
    assert plan.holdout_tokens > plan.holdout_target_tokens > 40 * 20
    assert [one.recipe for one in plan.attempts_expected] == ["lora-qv", "lora-all", "lora-all-16"]
    for one in plan.attempts_expected:
        parts = one.training_joules + one.screening_joules + one.evaluation_joules
        assert one.joules == pytest.approx(parts)
        assert one.joules <= plan.reserve_joules
        assert one.steps >= 1
        assert one.training_bytes > 4 * plan.parameters
    besides = plan.base_joules + plan.audit_joules
    assert plan.needed_joules == pytest.approx(plan.reserve_joules + 2 * besides, abs=1e-5)
    assert not Path(given["state"]).exists()


def test_what_needs_more_is_expected_to_need_more(given: Given) -> None:
    few, many, all_16 = planned(given).attempts_expected
    assert few.evaluating_bytes < many.evaluating_bytes == all_16.evaluating_bytes
    assert few.training_bytes < all_16.training_bytes
    assert few.step_joules < many.step_joules
    Path("cryoflux.toml").write_text("[recipe.lora-all]\ncheckpointing = 1\nprecision = 'bf16'\n")
    frugal = planned(given | {"recipes": "lora-all"}).attempts_expected[0]
    assert frugal.training_bytes < many.training_bytes
    assert frugal.precision == "bf16"


def test_it_is_said_to_people_and_to_programs(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(given)
    show_plans([plan], as_json=False)
    said = capsys.readouterr().out
    assert said.count("to merge and evaluate (modelled)") == 3
    assert "target tokens a document" in said
    show_plans([plan], as_json=True)
    (document,) = parsed(capsys.readouterr().out)
    assert complaints(document) == []
    assert document["schema"] == "cryoflux.plan.causal/1"
    assert document["attempts_expected"] == [asdict(one) for one in plan.attempts_expected]


def test_a_budget_is_needed_as_the_run_itself_reckons_it(given: Given) -> None:
    """Whether a reservation pays for a step or not, the plan says what the run would ask for."""
    for reserve in ("60J", "0.001J"):
        plan = planned(given | {"reserve": reserve})
        idle = [one.enough_joules for one in plan.attempts_expected if not one.steps]
        assert bool(idle) == (reserve != "60J")
        reserved, base, audit = (
            round(joules * MICRO)
            for joules in (max([plan.reserve_joules, *idle]), plan.base_joules, plan.audit_joules)
        )
        needs = Needs(begun_uj=0, reserve_uj=reserved, before_uj=base, foreseen_uj=0, end_uj=audit)
        assert math.ceil(plan.needed_joules) == needs.joules
        assert all(joules >= 4 * plan.base_joules for joules in idle)


def test_documents_that_end_a_run_end_its_plan(given: Given) -> None:
    Path(given["train"]).write_text('{"question": "none of the shapes"}\n')
    with pytest.raises(CryoFluxError, match="has none of text"):
        planned(given)
