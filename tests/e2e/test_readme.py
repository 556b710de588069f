"""The README begins with two commands, and make does what it says of them; what else it shows is run by
tests/integration/test_doc_blocks.py."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MADE = {"make run": "cryoflux run --budget 2kJ", "make test": "pytest"}


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
