"""Judging what others made: by the command, from Python, and what the log says of it afterwards."""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

import cryoflux
from cryoflux.config import load_settings
from cryoflux.errors import DataError, StateError, StateLockedError, UsageError
from cryoflux.evaluation.eval_logs import read_eval_log
from cryoflux.evaluation.given_losses import PairedLosses
from cryoflux.evaluation.losses import Losses
from cryoflux.files import lock_exclusively
from cryoflux.receipts.judgement_parts import JudgedSide
from cryoflux.receipts.reading import read_entries
from cryoflux.runs.judged_holdouts import refuse_judged
from cryoflux.runs.judgements import Terms
from cryoflux.runs.judging import judge_paired
from cryoflux.state import StateFolder
from judged_losses import COUNT, base_losses, better_by, write_losses
from running import Outcome, ended, environment, python
from shell_bundles import bare_tools, needs_tools, run_script
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def typed(folder: Path, *words: str) -> Outcome:
    return ended(python("-m", "cryoflux", *words, cwd=folder, env=environment()))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    base = base_losses()
    made = {"base": base, "better": better_by(base, 0.1), "worse": better_by(base, -0.1)}
    return {name: str(write_losses(tmp_path / f"{name}.jsonl", found, 0.7)) for name, found in made.items()}


def test_a_command_says_whether_it_helps_and_leaves_a_receipt(files: dict[str, str], tmp_path: Path) -> None:
    kept = typed(tmp_path, "judge", "--losses", files["base"], files["better"], "--joules", "12kJ")
    assert kept.code == 0, kept.stderr
    assert kept.stdout.startswith("✓ kept: shown to help")
    assert "12.00 kJ as stated" in kept.stdout
    worse = typed(tmp_path, "judge", "--losses", files["base"], files["worse"], "--json")
    assert worse.code == 1
    document = json.loads(worse.stdout)
    assert (document["outcome"], document["look"], document["joules_stated"]) == ("rejected", 2, None)
    listed = typed(tmp_path, "receipts", "list", "--json")
    found = json.loads(listed.stdout)["entries"]
    assert [(e["kind"], e["outcome"]) for e in found] == [("judgement", "kept"), ("judgement", "rejected")]
    verified = typed(tmp_path, "verify", "state")
    assert verified.code == 0
    assert "VERIFIED 2 receipts" in verified.stdout


def test_every_verdict_raises_the_bar_and_the_same_question_spends_nothing(tmp_path: Path) -> None:
    base, state = base_losses(), tmp_path / "state"
    needed = []
    for seed in range(5):
        judged = cryoflux.judge_losses(base, better_by(base, 0.0, seed), state=state)
        assert not judged.kept
        assert (judged.look, judged.entry, judged.again) == (seed + 1, seed, False)
        needed.append(read_entries(state)[-1].judgement.decision.bar.needed_milli)  # type: ignore[union-attr]
    assert needed == sorted(set(needed))
    again = cryoflux.judge_losses(base, better_by(base, 0.0, 3), state=state)
    assert (again.entry, again.look, again.again) == (3, 4, True)
    assert len(read_entries(state)) == 5
    assert verify_target(state).ok


def test_noise_that_asks_often_is_kept_no_more_often_than_the_error_budget_says(tmp_path: Path) -> None:
    """Eight holdouts, twelve useless candidates each, some of which pass a fixed 95 % interval."""
    kept, passed = 0, 0
    for life in range(8):
        base = base_losses(seed=100 + life)
        for seed in range(12):
            judged = cryoflux.judge_losses(
                base, better_by(base, 0.0, 1000 * life + seed), state=tmp_path / "s"
            )
            kept += judged.kept
            entry = read_entries(tmp_path / "s")[judged.entry].judgement
            assert entry is not None
            reason = entry.reason.numbers
            mean = int(reason["delta"]) / COUNT
            spread = math.sqrt(int(reason["squared"]) / COUNT - mean**2) / math.sqrt(COUNT)
            passed += mean > 1.96 * spread
    assert kept <= 2
    assert passed >= 1, "or this test would show nothing"


def test_joules_are_those_of_a_measurement_or_of_whoever_states_them(tmp_path: Path) -> None:
    base = base_losses()
    with cryoflux.measure_energy() as measurement:
        sum(range(10**6))
    assert measurement.result is not None
    judged = cryoflux.judge_losses(base, better_by(base, 0.1), state=tmp_path / "s", energy=measurement)
    said = read_entries(tmp_path / "s")[judged.entry].judgement
    assert said is not None
    assert said.energy is not None
    assert (said.energy.tier, said.energy.measurement) == (measurement.result.energy.tier, "")
    file = tmp_path / "m.json"
    file.write_text(json.dumps(measurement.result.to_dict()))
    other = cryoflux.judge_losses(base, better_by(base, 0.2), state=tmp_path / "s", energy=file)
    read = read_entries(tmp_path / "s")[other.entry].judgement
    assert read is not None
    assert read.energy is not None
    assert len(read.energy.measurement) == 64
    for wrong in (-1.0, float("nan"), "twelve", write_losses(tmp_path / "x.json", base)):
        with pytest.raises(UsageError):
            cryoflux.judge_losses(base, better_by(base, 0.3), state=tmp_path / "s", energy=wrong)
    assert len(read_entries(tmp_path / "s")) == 2, "a slip of the pen leaves nothing"


def test_sequences_and_hits_are_taken_from_python(tmp_path: Path) -> None:
    base = list(base_losses().values())
    new = list(better_by(base_losses(), 0.1).values())
    right = (
        {str(n): loss < 0.7 for n, loss in enumerate(base)},
        {str(n): loss < 0.7 for n, loss in enumerate(new)},
    )
    judged = cryoflux.judge_losses(base, new, state=tmp_path / "s", correct=right)
    assert judged.kept
    assert judged.accuracy is not None
    assert judged.accuracy[1] > judged.accuracy[0]
    assert judged.interval[0] > 0
    with pytest.raises(DataError, match="no loss for"):
        cryoflux.judge_losses(base, new[:-1], state=tmp_path / "s")


def copied(pristine: SyntheticState, tmp_path: Path) -> Path:
    state = tmp_path / "state"
    shutil.copytree(pristine.path, state, symlinks=True)
    return state


def test_a_holdout_that_decides_on_updates_judges_nothing_else(
    pristine: SyntheticState, tmp_path: Path
) -> None:
    state = copied(pristine, tmp_path)
    digest = next(e.intent for e in read_entries(state) if e.intent is not None).data.holdout.sha256
    files = [p.read_bytes() for p in (state / "data").rglob("holdout*.jsonl")]
    two, three = Losses((1, 2), (False,) * 2), Losses((1, 1), (False,) * 2)
    found = [PairedLosses(two, three, hits=False, holdout=content) for content in files]
    deciding = next(paired for paired in found if paired.sha256 == digest)
    side = JudgedSide(name="x", sha256="0" * 64)
    with pytest.raises(UsageError, match="decides on updates of"):
        judge_paired(deciding, Terms("x", side, side), load_settings({"state": str(state)}).settings)


def test_a_log_of_attempts_holds_judgements_too(pristine: SyntheticState, tmp_path: Path) -> None:
    state = copied(pristine, tmp_path)
    before = read_entries(state)
    cryoflux.judge_losses(base_losses(), better_by(base_losses(), 0.1), state=state)
    assert [e.leaf_hash for e in read_entries(state)][:-1] == [e.leaf_hash for e in before]
    checks = verify_target(state)
    assert checks.ok, [c for c in checks.checks if c.status.value == "fail"]
    assert len(cryoflux.open_log(state)) == len({e.intent.task.id for e in before if e.intent})
    page = typed(tmp_path, "report", "--json", "--state", str(state))
    assert page.code == 0, page.stderr


def test_nothing_is_written_beside_a_run_that_is_at_work(pristine: SyntheticState, tmp_path: Path) -> None:
    state = copied(pristine, tmp_path)
    with lock_exclusively(StateFolder(state).lock, holder="cryoflux run"), pytest.raises(StateLockedError):
        cryoflux.judge_losses(base_losses(), better_by(base_losses(), 0.1), state=state)


def test_an_attempt_that_a_dead_run_left_is_closed_first(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.announce()
    made.finish()
    with pytest.raises(StateError, match="has no receipt yet"):
        cryoflux.judge_losses(base_losses(), better_by(base_losses(), 0.1), state=made.path)
    assert all(entry.judgement is None for entry in read_entries(made.path))


def test_files_that_somebody_broke_are_mended_by_asking_again(tmp_path: Path) -> None:
    base, state = base_losses(), StateFolder(tmp_path / "s")
    first = cryoflux.judge_losses(base, better_by(base, 0.1), state=state.path)
    said = read_entries(state.path)[0].judgement
    assert said is not None
    losses, ids = state.losses(said.measured.per_example), state.judged(said.measured.sha256)
    whole = losses.read_bytes(), ids.read_bytes()
    losses.write_bytes(whole[0][:100])
    ids.write_bytes(bytes(len(whole[1])))
    again = cryoflux.judge_losses(base, better_by(base, 0.1), state=state.path)
    assert (again.entry, again.again) == (first.entry, True)
    assert (losses.read_bytes(), ids.read_bytes()) == whole
    losses.unlink()
    losses.symlink_to(tmp_path / "elsewhere")
    cryoflux.judge_losses(base, better_by(base, 0.1), state=state.path)
    assert (losses.is_symlink(), losses.read_bytes()) == (False, whole[0])
    assert verify_target(state.path).ok


def test_a_state_that_only_judged_says_so_everywhere(files: dict[str, str], tmp_path: Path) -> None:
    typed(tmp_path, "judge", "--losses", files["base"], files["better"], "--joules", "12kJ", "--state", "j")
    kept = typed(tmp_path, "judge", "--losses", files["base"], files["worse"], "--state", "j")
    assert "noise     kept at most 1 time in" in kept.stdout
    assert "no p-value" in kept.stdout
    lines = typed(tmp_path, "report", "--state", "j").stdout
    assert "2 judgements on 1 holdout, 1 kept; 12.00 kJ stated (nothing for 1 of them)" in lines
    assert "was rejected: Δ -0." in lines
    assert "0 attempts" not in lines
    total = json.loads(typed(tmp_path, "report", "--json", "--state", "j").stdout)["total"]["judged"]
    assert (total["judgements"], total["kept"], total["looks"], total["joules_stated"]) == (2, 1, 2, 12000.0)
    assert (total["last"]["outcome"], total["last"]["look"]) == ("rejected", 2)
    markdown = typed(tmp_path, "report", "--md", "--state", "j").stdout
    assert "2 judgements on 1 holdout" in markdown
    exported = typed(tmp_path, "export", "-o", "rows.csv", "--state", "j")
    assert "2 judgements on 1 holdout" in exported.stderr
    cryoflux.judge_losses(base_losses(), better_by(base_losses(), 0.0), state=tmp_path / "j")
    summary = cryoflux.open_log(tmp_path / "j").summary()
    assert summary.judged is not None
    assert (summary.attempts, summary.judged.count) == (0, 3)


def test_a_task_whose_holdout_has_judged_others_does_not_begin(tmp_path: Path) -> None:
    state, files = (
        StateFolder(tmp_path / "s"),
        {"holdout-2.jsonl": b'{"label":"a","text":"  The CAT  sat"}\n'},
    )
    refuse_judged(files, state)
    cryoflux.judge_losses(base_losses(), better_by(base_losses(), 0.1), state=state.path)
    refuse_judged(files, state)  # of losses only the ids are known
    state.judged("0" * 64).write_text('{"label": "b", "text": "the cat sat"}\n')
    with pytest.raises(UsageError, match="1 examples of the holdout have judged other models"):
        refuse_judged(files, state)
    refuse_judged({"train.jsonl": files["holdout-2.jsonl"]}, state)


STRANGE = [
    b'{"x": 1.0, "y": 2.0}',
    b'{"text": 3, "label": "a"}',
    b'{"messages": [{"role": "user"}, 7]}',
    b'{"messages": null}',
    b'{"prompt": "alone"}',
    b"[1, 2]",
    b"a,b: no JSON",
    b"[" * 100_000,
    b"1" * 10_000,
    b"\xff\xfe",
]
"""examples of a task of one's own: each is compared as its line, whatever it holds"""


@pytest.mark.parametrize("line", STRANGE, ids=range(len(STRANGE)))
def test_examples_without_a_text_are_compared_as_lines(line: bytes, tmp_path: Path) -> None:
    state, files = StateFolder(tmp_path / "s"), {"holdout.jsonl": b"\n" + line + b"\n"}
    refuse_judged(files, state)  # nothing was judged here
    judged = state.judged("0" * 64)
    judged.parent.mkdir(parents=True)
    judged.write_bytes(b'{"label": "b", "text": "the cat sat"}\n"4"\n')
    refuse_judged(files, state)
    refuse_judged({"holdout.jsonl": b'"4"\n'}, state)  # an id of losses is no text
    judged.write_bytes(line + b"\n")
    with pytest.raises(UsageError, match="1 examples of the holdout have judged other models"):
        refuse_judged(files, state)


# Logs of other evaluations


def sample(doc: int, **scores: Any) -> dict[str, Any]:
    return {
        "doc_id": doc,
        "doc": {"q": "?"},
        "target": "a",
        "resps": [[["-1.2", "False"]]],
        "filter": "none",
        **scores,
    }


def lm_eval(folder: Path, right: dict[int, float], task: str = "arc_easy") -> Path:
    """What ``lm_eval --log_samples --output_path DIR`` leaves."""
    inner = folder / "my__model"
    inner.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(sample(doc, acc=score, acc_norm=score)) + "\n" for doc, score in right.items()]
    (inner / f"samples_{task}_2026-11-28T10-00-00.123456.jsonl").write_text("".join(lines))
    (inner / "results_2026-11-28T10-00-00.123456.json").write_text("{}")
    return folder


def test_samples_of_lm_eval_are_the_two_sides(tmp_path: Path) -> None:
    base = lm_eval(tmp_path / "a", {doc: float(doc % 2) for doc in range(200)})
    new = lm_eval(tmp_path / "b", {doc: 1.0 if doc % 5 else float(doc % 2) for doc in range(200)})
    done = typed(tmp_path, "judge", "--lm-eval", str(base), str(new), "--json")
    assert done.code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["unit"], found["accuracy_before"], found["accuracy_after"]) == ("errors", 0.5, 0.9)
    assert found["delta"] == pytest.approx(0.4)
    lm_eval(tmp_path / "a", {1: 1.0, 2: 0.0}, "piqa")
    several = typed(tmp_path, "judge", "--lm-eval", str(base), str(new))
    assert (several.code, "samples of 2 tasks: arc_easy, piqa" in several.stderr) == (2, True)
    named = typed(tmp_path, "judge", "--lm-eval", str(base), str(new), "--task", "arc_easy", "--json")
    assert json.loads(named.stdout)["again"] is True


def test_samples_of_another_task_are_no_pair_and_the_newest_file_is_taken(tmp_path: Path) -> None:
    def written(folder: Path, at: str, hashed: str) -> Path:
        folder.mkdir(parents=True)
        lines = [json.dumps(sample(n, acc=float(n % 2), doc_hash=f"{hashed}{n}")) + "\n" for n in range(40)]
        (folder / f"samples_arc_{at}T10-00-00.000001.jsonl").write_text("".join(lines))
        return folder.parent

    base = written(tmp_path / "a" / "model", "2026-11-28", "one")
    other = written(tmp_path / "b" / "model", "2026-11-28", "two")
    done = typed(tmp_path, "judge", "--lm-eval", str(base), str(other))
    assert (done.code, "has no loss for" in done.stderr) == (2, True), done.stderr
    written(tmp_path / "b" / "a-newer", "2026-11-29", "one")
    assert read_eval_log(other)[0].nano.keys() == read_eval_log(base)[0].nano.keys()


def inspect_log(path: Path, grades: dict[str, str]) -> Path:
    samples = [
        {"id": key, "epoch": 1, "scores": {"match": {"value": grade}}} for key, grade in grades.items()
    ]
    if path.suffix == ".json":
        path.write_text(json.dumps({"version": 2, "status": "success", "samples": samples}))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("header.json", "{}")
            for one in samples:
                packed.writestr(f"samples/{one['id']}_epoch_1.json", json.dumps(one))
    return path


@pytest.mark.parametrize("suffix", [".json", ".eval"])
def test_logs_of_inspect_are_the_two_sides(suffix: str, tmp_path: Path) -> None:
    base = inspect_log(tmp_path / f"a{suffix}", {f"s{n}": "CI"[n % 2] for n in range(200)})
    new = inspect_log(tmp_path / f"b{suffix}", {f"s{n}": "C" if n % 5 else "CI"[n % 2] for n in range(200)})
    done = typed(tmp_path, "judge", "--inspect", str(base), str(new), "--json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["accuracy_after"] == 0.9


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no sample"),
        ('{"doc_id": 1}\n{"doc_id": 2}\n', "no score"),
        ('{"acc": 1}\n', "has no doc_id"),
        ('{"doc_id": 1, "acc": 1}\n{"doc_id": 1, "acc": 1}\n', "twice"),
        ('{"doc_id": 1, "acc": 3}\n{"doc_id": 2, "acc": 1}\n', "name one with --metric"),
    ],
)
def test_logs_without_scores_are_refused(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "samples_x_2026-11-28T10-00-00.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=words):
        read_eval_log(path)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--base", "x"],
        ["--losses", "a", "b", "--lm-eval", "a", "b"],
        ["--losses", "a", "b", "--train", "t"],
        ["--losses", "none-a", "none-b"],
        ["--losses", "base.jsonl", "better.jsonl", "--name", "x" * 501],
        ["--losses", "base.jsonl", "better.jsonl", "--unit", "x" * 501],
        ["--losses", "base.jsonl", "better.jsonl", "--min-delta", "nan"],
        ["--base", "no-model", "--new", "no-model", "--holdout", "h.csv"],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_what_cannot_be_judged_is_refused_without_a_trace(
    words: list[str], files: dict[str, str], tmp_path: Path
) -> None:
    assert files
    done = typed(tmp_path, "judge", *words)
    assert done.code == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert not StateFolder(tmp_path / "state").receipts.exists()


@needs_tools
def test_a_bundle_with_judgements_holds_without_cryoflux(tmp_path: Path) -> None:
    base = base_losses()
    for seed, gain in enumerate((0.1, 0.0, -0.1)):
        cryoflux.judge_losses(base, better_by(base, gain, seed), state=tmp_path / "s", energy="1kJ")
    bundle = typed(tmp_path, "receipts", "bundle", "-o", "b", "--with-holdout", "--state", "s")
    assert bundle.code == 0, bundle.stderr
    (tmp_path / "tools").mkdir()
    code, said = run_script(tmp_path / "b", bare_tools(tmp_path / "tools"))
    assert (code, "VERIFIED 3 entries, 3 receipts" in said) == (0, True), said
