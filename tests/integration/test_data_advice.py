"""What ``cryoflux data check`` advises can be typed: a run begins with it."""

from __future__ import annotations

import random
import re
import shlex
from pathlib import Path

import pytest

from running import exit_code_of


def skewed(path: Path, often: int, seldom: int) -> Path:
    draw = random.Random(1)
    words = [f"word{at}" for at in range(900)]
    labels = ["often"] * often + ["seldom"] * seldom
    rows = [f"{' '.join(draw.choices(words, k=12))},{label}" for label in labels]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.mark.parametrize(("often", "seldom"), [(1980, 20), (1485, 15), (600, 6), (300, 3)])
def test_a_balance_that_is_advised_is_one_that_a_run_begins_with(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    often: int,
    seldom: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = skewed(tmp_path / "mine.csv", often, seldom)
    assert exit_code_of(monkeypatch, "data", "check", path) == 0
    said = capsys.readouterr().out
    command = next(line for line in said.splitlines() if "cryoflux run" in line)
    advice = re.search(r"--balance (\d+) leaves (\d+) examples", said)
    more = ["--class-weights", "sqrt", *(["--balance", advice[1]] if advice else [])]
    words = [*shlex.split(command)[1:], *more, "--dry-run"]
    assert exit_code_of(monkeypatch, *words) == 0
    plan = capsys.readouterr().out
    if advice:
        left = [int(count) for count in re.findall(r"(\d+) (?:train|holdout|audit)", plan)]
        assert sum(left[:3]) == int(advice[2])
    assert (advice is None) == (seldom == 3)  # of these, no balance leaves a holdout
