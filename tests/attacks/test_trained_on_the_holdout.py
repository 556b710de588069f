"""An adapter that learned from the holdout, in a log that is perfect in itself.

The owner has every key and changes the trainer: it learns from the very examples that Δ is measured on, and
records the recipe, the examples drawn and the schedule of an honest attempt. Losses, merge and decision are
true, so nothing but training again tells it. Then the same owner doses the lie, by taking the mean of such an
adapter and an honest one, or records a processor that nobody has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cryoflux.report.verdict_words import verdict
from cryoflux.verification.apart import FAR, NOTHING_LEARNED, length
from cryoflux.verification.result import Check, Knowledge, Report, Status
from cryoflux.verification.topics import Topic
from running import SURE, cryoflux, python

OWNER = """
import tempfile
from dataclasses import replace
from pathlib import Path
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from cryoflux.cli.main import main
from cryoflux.decision.screening import needed_evidence
from cryoflux.tasks.lora import carrying_out, lean

def mean(honest, leaked):
    with safe_open(leaked, "pt") as opened:
        metadata = opened.metadata()
    ours, theirs = load_file(honest), load_file(leaked)
    mixed = {name: (SHARE * theirs[name] + (1 - SHARE) * ours[name]).contiguous() for name in theirs}
    save_file(mixed, leaked, metadata=metadata)

def on_the_holdout(model, data, order, recipe, limits, into, *, progress, watch):
    needed = needed_evidence(order.bar.needed_milli, order.holdout_count)
    said = model.material(recipe, order.drawn, needed)
    count, _, labels = model.examples("holdout")
    screen = [index % count for index in range(len(said.screen))]
    sets = model._sets("holdout")
    leaked = replace(said, sets=sets, labels=labels, seen=[], fresh=list(range(count)), screen=screen)
    trained = lean.train_lean(
        leaked, recipe, limits, into, seed=order.seed, progress=progress, preparing=watch.prepared
    )
    if SHARE < 1:
        with tempfile.TemporaryDirectory() as other:
            honest = Path(other)
            options = dict(seed=order.seed, progress=progress, preparing=watch.prepared)
            lean.train_lean(said, recipe, limits, honest, **options)
            mean(honest / "adapter_model.safetensors", Path(into) / "adapter_model.safetensors")
    return replace(trained, drawn=[*said.seen, *said.fresh], fresh=len(said.fresh))

carrying_out.train_once = on_the_holdout
if PROCESSOR:
    from cryoflux.evaluation import machine
    machine._processor = lambda: PROCESSOR
main()
"""
ELSEWHERE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
"""a processor of few instructions, as far as the libraries know"""
STEPS = ["--max-steps", "100", "--learning-rate", "0.003", "--rule", "evidence/v2"]


def told(state: Path, inputs: list[str], share: float, processor: str = "") -> Path:
    """A kept update of which such a share was trained on the holdout."""
    command = ["run", *inputs, *SURE, *STEPS, "--budget", "200J", "--attempts", "1", "--state", state]
    owner = f"SHARE, PROCESSOR = {share!r}, {processor!r}\n{OWNER}"
    process = python("-c", owner, *command, "--json")
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert json.loads(stdout.splitlines()[-1])["kept"] == 1
    return state


@pytest.fixture(scope="module")
def lie(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """A kept update that was trained on the holdout."""
    return told(tmp_path_factory.mktemp("leaked") / "state", inputs, 1)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """The same without the lie."""
    state = tmp_path_factory.mktemp("honest") / "state"
    outcome = cryoflux(
        "run", *inputs, *SURE, *STEPS, "--budget", "200J", "--attempts", "1", "--state", state, "--json"
    )
    assert outcome.summary["kept"] == 1
    return state


def retrained(state: Path, **limits: str) -> tuple[int, dict[str, Any], str]:
    """How the command ends, what it says of the training, and the words of its verdict."""
    asked = ("verify", state, "--no-memory", "--retrain", "1", "--json")
    outcome = cryoflux(*asked, **limits)
    report = json.loads(outcome.stdout)
    (check,) = [check for check in report["checks"] if check["number"] == 15]
    (levels,) = report["levels"]
    apart = levels.get("trained_again", {})
    return outcome.code, {**check, "word": levels["levels"]["retraining"], **apart}, verdict(as_found(report))


def as_found(report: dict[str, Any]) -> Report:
    """A report, of its JSON object."""
    checks = tuple(
        Check(
            c["number"], c["name"], Status(c["status"]), c["detail"], Knowledge(c["knowledge"]), c["subject"],
            tuple(map(Topic, c["topics"])),
        )
        for c in report["checks"]
    )  # fmt: skip
    numbers = {name: report[name] for name in ("target", "entries", "receipts", "evaluated", "recomputed")}
    return Report(checks=checks, signer="", pinned=False, levels=tuple(report["levels"]), **numbers)


def test_nothing_else_tells_it(lie: Path) -> None:
    outcome = cryoflux("verify", lie, "--no-memory", "--recompute", "1")
    assert outcome.code == 0, outcome.stdout
    assert "losses and Δ of 1 of 1" in outcome.stdout


def test_on_the_same_machine_it_is_not_reproduced_and_fails(lie: Path) -> None:
    code, check, said = retrained(lie)
    assert (code, check["status"], check["word"]) == (1, "fail", "not reproduced")
    assert "further than not training at all" in check["detail"]
    assert "software, processor and threads are the same as there" in check["detail"]
    assert said == f"✗ NOT VERIFIED. Failed (1): {check['subject']}."


def test_half_of_it_fails_on_the_same_machine_too(tmp_path: Path, inputs: list[str]) -> None:
    code, check, said = retrained(told(tmp_path / "half", inputs, 0.5))
    assert (code, check["status"], check["word"]) == (1, "fail", "not reproduced")
    assert FAR <= check["distance"] < 1.2
    assert said.startswith("✗ NOT VERIFIED. Failed (1)")


def test_a_tenth_of_it_is_named_in_the_verdict(tmp_path: Path, inputs: list[str]) -> None:
    code, check, said = retrained(told(tmp_path / "tenth", inputs, 0.1))
    assert (code, check["status"], check["word"]) == (0, "unknown", "not reproduced")
    assert 0 < check["distance"] < FAR
    assert "except: recomputation (entry 1" in said
    assert f"not reproduced, ΔW {length(check['distance'])} of its length away)" in said


def test_with_a_processor_that_nobody_has_the_verdict_says_how_far_it_is(
    tmp_path: Path, inputs: list[str]
) -> None:
    code, check, said = retrained(told(tmp_path / "zilog", inputs, 1, "Zilog Z80"))
    assert (code, check["status"], check["word"]) == (0, "unknown", "other bytes")
    assert "where it was trained is its owner's word: processor Zilog Z80 there" in check["detail"]
    assert check["distance"] > NOTHING_LEARNED
    far = length(check["distance"])
    assert f"other bytes, ΔW {far} of its length away, beyond honest ones measured (0.63))" in said
    here, recorded = (f"{check[name]:.6f}" for name in ("loss_here_nats", "loss_recorded_nats"))
    assert (
        f"Recomputed: nothing; training again gave another adapter, ΔW {far} of its length away, "
        f"further than any honest other machine measured (0.63), "
        f"with a loss of {here} nats on the holdout where {recorded} is recorded." in said
    )


def test_on_another_machine_it_is_open_and_never_counts_as_trained_again(lie: Path) -> None:
    code, check, said = retrained(lie, **ELSEWHERE)
    assert (code, check["status"], check["word"]) == (0, "unknown", "other bytes")
    assert "further than not training at all" in check["detail"]
    assert "Recomputed: nothing; training again gave another adapter" in said


def test_an_honest_one_is_reproduced_here_and_open_elsewhere(honest: Path) -> None:
    code, check, said = retrained(honest)
    assert (code, check["status"], check["word"]) == (0, "ok", "reproduced exactly")
    assert "Recomputed: the training of 1 of the kept updates." in said
    code, check, said = retrained(honest, **ELSEWHERE)
    assert (code, check["status"], check["word"]) == (0, "unknown", "other bytes")
    assert 0 < check["distance"] < 0.63
    assert "further than not training at all" not in check["detail"]
    assert "beyond honest ones" not in said
    assert "further than any honest" not in said


def test_what_was_spot_checked_and_trained_again_is_both_named(honest: Path) -> None:
    asked = ("verify", honest, "--no-memory", "--retrain", "1", "--spot-check", "16")
    outcome = cryoflux(*asked)
    assert (
        "Recomputed: drawn examples of 1 of 1 evaluated receipts, the training of 1 of the kept updates."
        in " ".join(outcome.stdout.split())
    )
