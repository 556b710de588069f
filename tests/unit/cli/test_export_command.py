"""``cryoflux export``: what the reference says of each column, and never half a file."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path

import pytest

from cryoflux.log_view import open_log
from cryoflux.queries import rows
from cryoflux.queries.rows import ATTEMPT_COLUMNS, JUDGEMENT_COLUMNS, VERSION_COLUMNS, attempt_rows
from cryoflux.report.exporting import write_csv
from running import exit_code_of
from synthetic_state import SyntheticState, open_state

pytestmark = pytest.mark.usefixtures("elsewhere")

PAGE = (Path(__file__).parents[3] / "docs/reference/export.md").read_text("utf-8")


def test_the_page_has_every_column_with_its_unit() -> None:
    for columns in (ATTEMPT_COLUMNS, VERSION_COLUMNS, JUDGEMENT_COLUMNS):
        lines = "\n".join(f"| `{one.name}` | {one.kind} | {one.unit} | {one.says} |" for one in columns)
        assert lines in PAGE


def test_rows_are_what_the_log_says(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert exit_code_of(monkeypatch, "export", "--state", pristine.path) == 0
    lines = capsysbinary.readouterr().out.decode().splitlines()
    found, log = list(csv.DictReader(lines)), open_log(pristine.path)
    assert [int(row["number"]) for row in found] == [attempt.number for attempt in log]
    for row, attempt in zip(found, log, strict=True):
        assert float(row["joules"]) == attempt.joules
        assert (float(row["delta"]) if row["delta"] else None) == attempt.delta
        assert (row["receipt_hash"], row["outcome"]) == (attempt.receipt_hash, attempt.outcome)
        assert row["finished_at"] == f"{attempt.finished:%Y-%m-%dT%H:%M:%SZ}"


def test_a_state_that_only_judged_says_so_and_has_its_judgements_as_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, loss in (("a", 2.0), ("b", 1.5)):
        rows_of = (json.dumps({"id": str(n), "loss": loss + n % 7 / 50}) for n in range(200))
        Path(f"{name}.jsonl").write_text("\n".join(rows_of) + "\n")
    words = ("judge", "--losses", "a.jsonl", "b.jsonl", "--joules", "100J", "--state", "judged")
    assert exit_code_of(monkeypatch, *words) == 0
    capsys.readouterr()
    assert exit_code_of(monkeypatch, "export", "--state", "judged") == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 1, "the heading"
    assert "There are no attempts in judged." in told.err
    assert "cryoflux export --what judgements --state judged" in told.err
    words = ("export", "--what", "judgements", "--format", "jsonl", "--state", "judged")
    assert exit_code_of(monkeypatch, *words) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert set(row) == {"schema", *(column.name for column in JUDGEMENT_COLUMNS)}
    assert (row["outcome"], row["delta"], row["joules_stated"]) == ("kept", pytest.approx(0.5), 100.0)
    assert row["base_loss"] - row["new_loss"] == pytest.approx(row["delta"])
    assert exit_code_of(monkeypatch, "export", "--to", "codecarbon", "--state", "judged") == 0
    assert "Nothing was sent." in capsys.readouterr().err
    assert not Path("emissions.csv").exists()


def test_several_states_are_told_apart(
    pristine: SyntheticState,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = open_state(tmp_path / "other")
    other.attempt(0.05)
    other.finish()
    words = ("export", "--format", "jsonl", "--state", pristine.path, "--state", "other", "-o", "all.jsonl")
    assert exit_code_of(monkeypatch, *words) == 0
    assert capsys.readouterr().err == "written: all.jsonl, 5 rows\n"
    found = [json.loads(line) for line in Path("all.jsonl").read_text("utf-8").splitlines()]
    assert [row["state"] for row in found] == [*[str(pristine.path)] * 4, "other"]


def test_a_file_that_cannot_be_finished_is_none(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rows.csv").write_text("as it was")
    words = ("export", "--state", pristine.path, "--state", "nowhere", "-o", "rows.csv")
    assert exit_code_of(monkeypatch, *words) == 2
    assert Path("rows.csv").read_text() == "as it was"
    assert [path.name for path in Path().iterdir() if "rows" in path.name] == ["rows.csv"]


def test_without_pyarrow_the_error_says_what_to_install(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    words = ("export", "--format", "parquet", "--state", pristine.path, "-o", "rows.parquet")
    assert exit_code_of(monkeypatch, *words) == 2
    assert "pip install 'cryoflux[index]'" in capsys.readouterr().err
    assert not list(Path().glob("*rows*"))


def test_ten_thousand_attempts_take_no_more_memory_than_a_few(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entries = list(rows.each_entry(pristine.path))
    receipt = next(entry for entry in entries if entry.receipt is not None)

    def peak(count: int) -> int:
        def many(_: Path, _start: int) -> object:
            yield from entries
            for _n in range(count):
                yield receipt

        monkeypatch.setattr(rows, "each_entry", many)
        monkeypatch.setattr(rows.LogState, "take", lambda *_: None)
        monkeypatch.setattr(rows.LogState, "paid", lambda *_: None)
        tracemalloc.start()
        with (tmp_path / "out.csv").open("wb") as stream:
            write_csv(stream, ATTEMPT_COLUMNS, attempt_rows([pristine.path]))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, lots = peak(100), peak(10_000)
    assert lots < few + 500_000
    assert len((tmp_path / "out.csv").read_bytes().splitlines()) > 10_000
