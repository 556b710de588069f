"""What a run of ``index_refresh`` would do, said before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cryoflux.cli.plan_view import show_plans
from cryoflux.config import load_settings
from cryoflux.errors import CryoFluxError
from cryoflux.runs.dry_run import make_plans
from cryoflux.runs.index_plan import IndexPlan

Given = dict[str, Any]


@pytest.fixture
def given(inputs: list[str], tmp_path: Path) -> Given:
    (tmp_path / "notes").mkdir()
    for number in range(120):
        said = "A sentence of eight words about something else."
        (tmp_path / "notes" / f"{number}.txt").write_text(f"Note number {number} of many\n{said}")
    return {
        "task": "index_refresh",
        "index": str(tmp_path / "notes"),
        "encoder": inputs[1],
        "state": str(tmp_path / "state"),
    }


def planned(given: Given, budget_uj: int | None = 400_000_000) -> IndexPlan:
    (plan,) = make_plans(load_settings(given), budget_uj)
    assert isinstance(plan, IndexPlan)
    return plan


def test_a_new_index_is_planned_and_nothing_written(given: Given) -> None:
    plan = planned(given)
    assert (plan.documents, plan.new, plan.gone, plan.indexed) == (120, 120, 0, 0)
    assert sum(plan.queries.values()) == 120
    assert (plan.head, plan.attempts, plan.embeds_anew) == (None, 0, False)
    assert plan.embedding_joules == pytest.approx(240 * plan.document_joules)  # and as many queries
    assert plan.attempts_needed >= 1
    assert plan.index_bytes > 120 * 16
    assert not Path(given["state"]).exists()


def test_it_is_said_to_people(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    show_plans([planned(given)], as_json=False)
    said = capsys.readouterr().out
    assert "120 in " in said
    assert "0 in the index: 120 new, 0 gone" in said
    assert "of 400 J" in said
    show_plans([planned(given, None)], as_json=False)
    assert "take all of it (modelled)\n" in capsys.readouterr().out


def test_both_tasks_are_planned_beside_one_another(
    given: Given, inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    both = given | {"task": "lora_delta,index_refresh", "model": inputs[1], "train": inputs[3]}
    plans = make_plans(load_settings(both), 400_000_000)
    assert [isinstance(plan, IndexPlan) for plan in plans] == [False, True]
    show_plans(plans, as_json=False)
    assert "budget     one for all tasks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [("a.txt", b"\xff", "a.txt cannot be indexed"), ("a.csv", b"name\nx\n", "names no field called text")],
)
def test_what_ends_a_run_ends_its_plan(name: str, content: bytes, what: str, given: Given) -> None:
    Path(given["index"], name).write_bytes(content)
    with pytest.raises(CryoFluxError, match=what):
        planned(given)


def test_a_folder_without_documents_gives_no_plan(given: Given, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CryoFluxError, match="There are 0 queries"):
        planned(given | {"index": str(tmp_path / "empty")})
