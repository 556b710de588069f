"""Every command that the README shows is run, on the tiny model so that it is quick."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import tiny
from cryoflux.data import stdlib_docs
from running import ended, environment, python

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MADE = {"make run": "cryoflux run --budget 2kJ", "make test": "pytest"}
ELSEWHERE = ("git clone", "pip install", "pip wheel", "make demo-rollback")
"""commands that need a network, and are what the reader has just done; and a demonstration of minutes"""
ENDS = {"--watch in": "--attempts 1", "models rollback": "--yes"}
"""part of a command → what ends it where nobody sits before it"""


def commands() -> list[str]:
    fences = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    return [
        line[2:].partition("  #")[0].strip()
        for f in fences
        for line in f.splitlines()
        if line.startswith("$ ")
    ]


def test_the_readme_has_its_two_commands_first() -> None:
    assert [c for c in commands() if c.startswith("make")][:2] == ["make run", "make test"]


def test_make_does_what_the_readme_says() -> None:
    for command, does in MADE.items():
        shown = subprocess.run(
            ["make", "-n", "-C", str(ROOT), command.split()[1]], capture_output=True, text=True, check=True
        )
        assert does in shown.stdout


def test_every_other_command_runs(tmp_path: Path, inputs: list[str]) -> None:
    tiny.write_csv(tmp_path / "mine.csv", tiny.sentences(400, 3))
    tiny.write_csv(tmp_path / "fresh.csv", tiny.sentences(90, 5))
    (tmp_path / "in").mkdir()
    (tmp_path / "notes").mkdir()
    documents = [example.text for example in stdlib_docs.build(lambda *_: None)][:250]
    (tmp_path / "notes" / "notes.jsonl").write_text(
        "".join(json.dumps({"text": t}) + "\n" for t in documents)
    )
    env = environment(
        CRYOFLUX_MODEL=inputs[1],
        CRYOFLUX_RESERVE="40J",
        CRYOFLUX_RECIPES="prefix-1",
        CRYOFLUX_LEARNING_RATE="0.01",
    )
    script = shutil.which("cryoflux") or Path(sys.executable).with_name("cryoflux")
    first = ["run", "--budget", "80J", "--train", "mine.csv", "--attempts", "2"]
    begun = ended(python(script, *first, cwd=tmp_path, env=env))
    assert begun.code == 0, begun.stderr
    for command in commands():
        if command in MADE or command.startswith(ELSEWHERE):
            continue
        shorter = command.replace("2kJ", "80J").replace("1kJ", "80J")
        more = "".join(f" {end}" for part, end in ENDS.items() if part in command)
        program, *arguments = shlex.split(shorter + more)
        assert program == "cryoflux"
        done = ended(python(script, *arguments, cwd=tmp_path, env=env))
        assert done.code == 0, f"{shorter}\n{done.stdout}\n{done.stderr}"
