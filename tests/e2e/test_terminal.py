"""What a person sees on a terminal: a live view while it runs, lines that stay, no leftovers."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from running import SURE, environment


def test_a_terminal_shows_budget_watts_step_and_one_line_an_attempt(
    tmp_path: Path, inputs: list[str]
) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cryoflux", "run", *inputs, *SURE, "--budget", "200J", "--attempts", "2",
         "--state", str(tmp_path / "s")],
        stdin=slave, stdout=slave, stderr=slave, env=environment(TERM="xterm-256color", COLUMNS="140"),
    )  # fmt: skip
    os.close(slave)
    seen = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    assert process.wait() == 0
    text = seen.decode()
    for words in ("W net (", "of 200.0 J", "5/10 train · step", "6/10 evaluate", "#1 ", "#2 ", "next "):
        assert words in text, words
