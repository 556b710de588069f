"""The examples of a run that watches: commands that exist, a unit that systemd takes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from running import cryoflux

EXAMPLES = Path(__file__).parents[2] / "examples"


def of_the_unit() -> list[str]:
    unit = (EXAMPLES / "cryoflux-watch.service").read_text()
    found = re.search(r"^ExecStart=/usr/bin/env cryoflux (.+)$", unit, re.MULTILINE)
    assert found
    return found[1].split()


def of_the_container() -> list[str]:
    found = re.search(r"^CMD (\[.+\])$", (EXAMPLES / "Containerfile").read_text(), re.MULTILINE)
    assert found
    words: list[str] = json.loads(found[1])
    return words


@pytest.mark.process
@pytest.mark.parametrize("words", [of_the_unit(), of_the_container()], ids=["unit", "container"])
def test_the_command_is_one_that_exists(words: list[str]) -> None:
    assert words[0] == "run"
    said = cryoflux("run", "--help", COLUMNS="200")
    assert said.code == 0
    for word in words:
        assert not word.startswith("--") or word in said.stdout


@pytest.mark.process
@pytest.mark.parametrize("words", [of_the_unit(), of_the_container()], ids=["unit", "container"])
def test_the_command_is_understood_up_to_the_folder_that_is_not_here(
    words: list[str], tmp_path: Path
) -> None:
    absent = [str(tmp_path / "nothing") if word.endswith("/in") else word for word in words]
    log = [str(tmp_path / "events") if word.endswith(".jsonl") else word for word in absent]
    outcome = cryoflux(*log, cwd=tmp_path)
    assert outcome.code == 2
    assert "is no folder" in outcome.stdout + outcome.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_is_one_that_systemd_takes_and_finds_safe() -> None:
    unit = EXAMPLES / "cryoflux-watch.service"
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    others = [line for line in checked.stderr.splitlines() if "cryoflux-agent.service" not in line]
    assert (checked.returncode, others) == (0, [])
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=40", unit]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout


def test_what_the_container_file_copies_is_in_the_repository() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (EXAMPLES / "Containerfile").read_text(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    assert "src" in sources
    assert "." not in sources, "a state that lies there, keys and all, would be in every image"
    assert all((EXAMPLES.parent / source).exists() for source in sources)
