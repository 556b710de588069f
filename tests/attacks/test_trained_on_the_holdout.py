"""An adapter that learned from the holdout, in a log that is perfect in itself.

The owner has every key and changes the trainer: it learns from the very examples that Δ is measured on, and
records the recipe, the examples drawn and the schedule of an honest attempt. Losses, merge and decision are
true, so nothing but training again tells it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cryoflux.cli.verdict import recomputed_in_words
from cryoflux.verification.result import Check, Knowledge, Report, Status
from running import SURE, cryoflux, python

OWNER = """
import sys
from dataclasses import replace
from cryoflux.cli.main import main
from cryoflux.decision.screening import needed_evidence
from cryoflux.tasks.lora import lean
from cryoflux.tasks.lora.task import LoraTask

def on_the_holdout(task, order, recipe, into, limits, progress, watch):
    needed = needed_evidence(order.bar.needed_milli, order.holdout_count)
    said = task.model.material(recipe, order.drawn, needed)
    count, _, labels = task.model.examples("holdout")
    screen = [index % count for index in range(len(said.screen))]
    sets = task.model._sets("holdout")
    leaked = replace(said, sets=sets, labels=labels, seen=[], fresh=list(range(count)), screen=screen)
    trained = lean.train_lean(
        leaked, recipe, limits, into, seed=order.seed, progress=progress, preparing=watch.prepared
    )
    return replace(trained, drawn=[*said.seen, *said.fresh], fresh=len(said.fresh))

LoraTask._train_lean = on_the_holdout
main()
"""
ELSEWHERE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
"""a processor of few instructions, as far as the libraries know"""
STEPS = ["--max-steps", "60"]


@pytest.fixture(scope="module")
def lie(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """A kept update that was trained on the holdout."""
    state = tmp_path_factory.mktemp("leaked") / "state"
    command = ["run", *inputs, *SURE, *STEPS, "--budget", "200J", "--attempts", "1", "--state", state]
    process = python("-c", OWNER, *command, "--json", cold=True)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert json.loads(stdout.splitlines()[-1])["kept"] == 1
    return state


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """The same without the lie."""
    state = tmp_path_factory.mktemp("honest") / "state"
    outcome = cryoflux(
        "run", *inputs, *SURE, *STEPS, "--budget", "200J", "--attempts", "1", "--state", state, "--json"
    )
    assert outcome.summary["kept"] == 1
    return state


def retrained(state: Path, **environment: str) -> tuple[int, dict[str, Any], str]:
    """How the command ends, what it says of the training, and the words of its verdict."""
    asked = ("verify", state, "--no-memory", "--retrain", "1", "--json")
    outcome = cryoflux(*asked, cold=bool(environment), **environment)
    report = json.loads(outcome.stdout)
    (check,) = [check for check in report["checks"] if check["number"] == 15]
    (levels,) = report["levels"]
    checks = tuple(
        Check(
            c["number"], c["name"], Status(c["status"]), c["detail"], Knowledge(c["knowledge"]), c["subject"]
        )
        for c in report["checks"]
    )
    numbers = {name: report[name] for name in ("target", "entries", "receipts", "evaluated", "recomputed")}
    found = Report(checks=checks, signer="", pinned=False, levels=tuple(report["levels"]), **numbers)
    return outcome.code, {**check, "word": levels["levels"]["retraining"]}, recomputed_in_words(found)


def test_nothing_else_tells_it(lie: Path) -> None:
    outcome = cryoflux("verify", lie, "--no-memory", "--recompute", "1")
    assert outcome.code == 0, outcome.stdout
    assert "losses and Δ of 1 of 1" in outcome.stdout


def test_on_the_same_machine_it_is_not_reproduced_and_fails(lie: Path) -> None:
    code, check, recomputed = retrained(lie)
    assert (code, check["status"], check["word"]) == (1, "fail", "not reproduced")
    assert "further than not training at all" in check["detail"]
    assert "software, processor and threads are the same as there" in check["detail"]
    assert recomputed == "nothing; training again gave another adapter"


def test_on_another_machine_it_is_open_and_never_counts_as_trained_again(lie: Path) -> None:
    code, check, recomputed = retrained(lie, **ELSEWHERE)
    assert (code, check["status"], check["word"]) == (0, "unknown", "other bytes")
    assert "further than not training at all" in check["detail"]
    assert recomputed == "nothing; training again gave another adapter"


def test_an_honest_one_is_reproduced_here_and_open_elsewhere(honest: Path) -> None:
    code, check, recomputed = retrained(honest)
    assert (code, check["status"], check["word"]) == (0, "ok", "reproduced exactly")
    assert recomputed == "the training of 1 of the kept updates"
    code, check, recomputed = retrained(honest, **ELSEWHERE)
    assert (code, check["status"], check["word"]) == (0, "unknown", "other bytes")
    assert "further than not training at all" not in check["detail"]
    assert recomputed == "nothing; training again gave another adapter"
