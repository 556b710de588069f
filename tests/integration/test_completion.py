"""A shell completes commands and options of ``cryoflux``, by the script that it prints itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from running import environment

BIN = Path(sys.executable).parent
needs_script = pytest.mark.skipif(
    not (BIN / "cryoflux").exists(), reason="completion is of the installed command, which is not here"
)
NO_DETECTION = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
"""whatever started the tests is no shell; so the shell is named"""


def said(*command: str, **extra: str) -> str:
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    env = environment(PATH=path, **extra)
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def complete(instruction: str, asked: dict[str, str]) -> str:
    """What the command answers to its own script."""
    env = {**environment(), "_CRYOFLUX_COMPLETE": instruction, **asked}
    done = subprocess.run([BIN / "cryoflux"], env=env, capture_output=True, text=True, check=False)
    return done.stdout


@needs_script
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("cryoflux ver", {"verify"}),
        ("cryoflux models pro", {"promote"}),
        ("cryoflux verify --reco", {"--recompute"}),
        ("cryoflux energy m", {"measure"}),
    ],
)
def test_bash_completes_what_is_typed(words: str, completed: set[str]) -> None:
    program = """
        eval "$(cryoflux --show-completion bash)"
        COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        [ "$(complete -p cryoflux)" ] && _cryoflux_completion cryoflux
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert set(said("bash", "-c", program, "bash", words, **NO_DETECTION).split()) == completed


@needs_script
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_of_its_own(shell: str) -> None:
    script = said("cryoflux", "--show-completion", shell, **NO_DETECTION)
    assert f"_CRYOFLUX_COMPLETE=complete_{shell}" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, check=True, capture_output=True)


@needs_script
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_are_told_the_command_and_what_it_does(shell: str) -> None:
    asked = {"_TYPER_COMPLETE_ARGS": "cryoflux ver", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    told = complete(f"complete_{shell}", asked)
    assert "verify" in told
    assert "Check every receipt" in told
