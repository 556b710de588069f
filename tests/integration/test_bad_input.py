"""Whatever is wrong with what a user typed: three lines, an exit code, and nothing written."""

from pathlib import Path

import pytest

import tiny
from running import QUICK, cryoflux

GOOD = tiny.sentences(300, 1)


def bad_files(folder: Path) -> dict[str, list[str]]:
    """Options that name data which must be refused."""
    files = {
        "empty.csv": b"",
        "binary.csv": b"\0\1\2",
        "latin.csv": "text,label\ncafé,x\n".encode("latin-1"),
        "ragged.csv": b"text,label\na b c,x\nd,e,f\n",
        "nolabel.csv": b"text,label\nhello there,\n",
        "broken.jsonl": b'{"text": "a", "label": "b"}\nnot json\n',
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    options = {name: ["--train", str(folder / name)] for name in files}
    one_class = tiny.write_csv(folder / "one.csv", [(text, "same") for text, _ in GOOD])
    good = tiny.write_csv(folder / "good.csv", GOOD)
    few = tiny.write_csv(folder / "few.csv", tiny.sentences(29, 77))
    return {
        **options,
        "one class": ["--train", str(one_class)],
        "missing": ["--train", str(folder / "missing.csv")],
        "few": ["--train", str(good), "--holdout", str(few)],
        "leak": ["--train", str(good), "--holdout", str(good)],
        "holdout only": ["--holdout", str(good)],
    }


WRONG = [
    ("--budget", "-5J"), ("--budget", "nan"), ("--budget", "NaNJ"), ("--budget", "banana"),
    ("--budget", "5"), ("--budget", "5 furlongs"), ("--budget", "0J"), ("--budget", "1J"),
    ("--budget", "1e300J"), ("--for", "soon"), ("--rank", "0"), ("--learning-rate", "nan"),
    ("--rule", "mine/v1"), ("--reserve", "lots"), ("--device", "tpu"), ("--min-delta", "-1"),
    ("--recipes", "haed-first"), ("--max-tokens", "65"),
]  # fmt: skip


def assert_refused(outcome, folder: Path, *, code: int = 2) -> None:
    assert outcome.code == code, outcome.stdout + outcome.stderr
    assert "Traceback" not in outcome.stderr
    lines = [
        line
        for line in outcome.stderr.strip().splitlines()
        if line.startswith(("error:", "  why:", " next:"))
    ]
    assert len(lines) == 3, outcome.stderr
    assert not (folder / "s").exists(), "nothing is written"


@pytest.mark.parametrize(("flag", "value"), WRONG)
def test_a_wrong_value_is_refused(tmp_path: Path, inputs: list[str], flag: str, value: str) -> None:
    budget = [] if flag == "--budget" else ["--budget", "2kJ"]
    outcome = cryoflux("run", *inputs, *budget, flag, value, "--state", tmp_path / "s")
    assert_refused(outcome, tmp_path)


def test_bad_data_is_refused(tmp_path: Path, inputs: list[str]) -> None:
    for name, options in bad_files(tmp_path).items():
        outcome = cryoflux("run", *inputs[:2], *options, *QUICK, "--budget", "24J", "--state", tmp_path / "s")
        assert_refused(outcome, tmp_path)
        assert "error:" in outcome.stderr, name


def test_a_bad_model_is_refused(tmp_path: Path, inputs: list[str]) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    for model in (pickled, "no-such-owner/no-such-model", tmp_path / "nowhere"):
        outcome = cryoflux("run", *inputs[2:], "--model", model, "--budget", "2kJ", "--state", tmp_path / "s")
        assert_refused(outcome, tmp_path)


def test_no_budget_at_all_is_refused_with_the_line_to_type(tmp_path: Path, inputs: list[str]) -> None:
    outcome = cryoflux("run", *inputs, "--state", tmp_path / "s")
    assert_refused(outcome, tmp_path)
    assert "--budget 2kJ" in outcome.stderr


def test_unknown_settings_are_refused_with_the_nearest_name(tmp_path: Path, inputs: list[str]) -> None:
    (tmp_path / "cryoflux.toml").write_text("[attempt]\nlearning_rat = 0.1\n")
    outcome = cryoflux("run", *inputs, "--budget", "2kJ", "--state", tmp_path / "s", cwd=tmp_path)
    assert_refused(outcome, tmp_path)
    assert "learning_rate" in outcome.stderr
    (tmp_path / "cryoflux.toml").unlink()
    outcome = cryoflux("run", *inputs, "--budget", "2kJ", "--state", tmp_path / "s", CRYOFLUX_RNAK="3")
    assert_refused(outcome, tmp_path)
    assert "CRYOFLUX_RANK" in outcome.stderr


def test_a_reservation_that_is_too_small_is_raised_or_the_run_says_how_much_would_do(
    tmp_path: Path, inputs: list[str]
) -> None:
    """What evaluating costs is known before the first attempt where the head's losses told it."""
    train = tiny.write_csv(tmp_path / "many.csv", tiny.sentences(4000, 1))
    small = [*("--train", train, "--holdout-size", "500", "--recipes", "lean"), "--reserve", "0.02J"]
    outcome = cryoflux("run", *inputs[:2], *small, "--budget", "20J", "--state", tmp_path / "s", "--json")
    attempts = outcome.of("attempt")
    aborted = [attempt for attempt in attempts if attempt["decision"] == "aborted"]
    assert all(attempt["cause"] == "exhausted" for attempt in aborted)
    assert outcome.code == (4 if len(aborted) == len(attempts) else 0), outcome.stderr
    assert ("--reserve" in outcome.stderr) == (outcome.code == 4)
    assert cryoflux("verify", tmp_path / "s").code == 0


def test_errors_are_json_where_json_was_asked_for(tmp_path: Path) -> None:
    outcome = cryoflux("run", "--budget", "banana", "--json", "--state", tmp_path / "s")
    (event,) = outcome.events
    assert event["event"] == "error"
    assert event["exit_code"] == outcome.code == 2
    assert event["what"]
    assert event["why"]
    assert event["hint"]


@pytest.mark.parametrize(
    "command",
    [["verify"], ["receipts", "list"], ["models", "list"], ["energy", "ledger"], ["receipts", "show", "0"]],
)
def test_reading_a_state_that_is_not_there_says_so_and_makes_nothing(
    tmp_path: Path, command: list[str]
) -> None:
    outcome = cryoflux(*command, "--state", tmp_path / "nothing")
    assert outcome.code == 2, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "nothing").exists()
