"""Recall by class of a real run: its JSON, its screen and the report of its log say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from running import cryoflux


def uneven(tmp_path: Path) -> Path:
    """A training file in which one class has several times as many texts as each of the others."""
    rows = tiny.sentences(2400, 3)
    return tiny.write_csv(
        tmp_path / "uneven.csv",
        [row for number, row in enumerate(rows) if row[1] == "animals" or number % 4 == 0],
    )


def recall_part(shown: str) -> list[str]:
    lines = shown.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("recall "))
    rest = next(n for n, line in enumerate(lines[start + 1 :], start + 1) if not line.startswith(" "))
    return lines[start:rest]


def test_run_and_report_say_the_same_of_each_class_on_screen_and_in_json(
    tmp_path: Path, inputs: list[str]
) -> None:
    options = ["--model", inputs[1], "--train", uneven(tmp_path), "--budget", "200J", "--attempts", "1"]
    options += ["--recipes", "carry-1", "--learning-rate", "0.01", "--reserve", "90J"]
    states = [tmp_path / "first", tmp_path / "second"]
    done = cryoflux("run", *options, "--state", states[0], "--json").summary
    screen = cryoflux("run", *options, "--state", states[1])
    assert screen.code == 0, screen.stderr

    found = done["recalls"]
    assert done["kept"] == 1, "a report knows the losses that receipts name, and no others"
    assert sorted(one["label"] for one in found) == sorted(tiny.TOPICS)
    count = sum(one["examples"] for one in found)
    for share, accuracy in (("recall_before", "accuracy_before"), ("recall_after", "accuracy_after")):
        right = sum(one[share] * one["examples"] for one in found)
        assert right / count == pytest.approx(done["holdout"][accuracy])

    (report,) = cryoflux("report", "--state", states[0], "--json").events
    assert report["total"]["tasks"][0]["recalls"] == found
    for state in states:
        (told,) = cryoflux("report", "--state", state, "--json").events
        recalls = told["total"]["tasks"][0]["recalls"]
        lines = recall_part(cryoflux("report", "--state", state).stdout)
        assert len(lines) >= 1 + len(recalls)
        for line, one in zip(lines[1:], recalls, strict=False):
            assert line.split()[0] == one["label"]
            before, after = (100 * one[key] for key in ("recall_before", "recall_after"))
            assert line.endswith(f"{one['examples']} examples  {before:.1f} → {after:.1f} %")
    assert recall_part(screen.stdout) == recall_part(cryoflux("report", "--state", states[1]).stdout)
