"""The diffs that the how-tos work out apply to the source as it is, and change what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
in_a_checkout = pytest.mark.skipif(
    not (ROOT / ".git").exists() or not shutil.which("git"), reason="needs a checkout and git"
)


def worked(page: str) -> str:
    (found,) = re.findall(r"```diff\n(diff --git .*?)```", (HOW_TO / page).read_text("utf-8"), re.DOTALL)
    return str(found)


def complaint(diff: str) -> str:
    """Why git would not apply a diff here; empty where it would."""
    command = ["git", "apply", "--check", "-C1", "-"]
    done = subprocess.run(command, cwd=ROOT, input=diff, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


@in_a_checkout
@pytest.mark.parametrize("page", ["add-a-meter.md", "add-a-rule.md", "add-a-page.md"])
def test_a_worked_diff_applies(page: str) -> None:
    assert complaint(worked(page)) == "", f"{page} has to follow the source"


@in_a_checkout
def test_a_diff_of_what_is_not_there_does_not_apply() -> None:
    assert "does not apply" in complaint(worked("add-a-rule.md").replace("BUDGETED", "NOBODY"))
