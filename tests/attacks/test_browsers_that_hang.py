"""What ``BROWSER`` names hangs, prints, wants the terminal or is not there, and is to show pages."""

from __future__ import annotations

import os
import pty
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from browser import dashboard
from running import environment, python
from synthetic_state import make_state
from waiting import PLAINLY, until

OURS = Path(__file__).parents[2] / "src"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("pages") / "state").path


class Terminal:
    """The command on a terminal with a screen, and all that it has written there."""

    def __init__(self, *arguments: object, cwd: Path, **extra: str) -> None:
        self._ours, theirs = pty.openpty()
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        words = ("-m", "cryoflux", *arguments)
        env = {**environment(DISPLAY=":99", PYTHONPATH=str(OURS), COLUMNS="300"), **extra}
        self.process = python(*words, cold=True, cwd=cwd, env=env, **streams)
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._said = b""

    def said(self) -> str:
        """All of it up to now."""
        with suppress(OSError):  # nothing more now, or the process has ended
            self._said += os.read(self._ours, 65_536)
        return self._said.decode()

    def end(self) -> str:
        self.process.terminate()
        self.process.wait()
        said = self.said()
        os.close(self._ours)
        return said


@pytest.mark.parametrize("kind", ["hangs", "wants the terminal", "fails", "is not there", "is no command"])
def test_no_browser_holds_the_pages_up_or_writes_to_the_terminal(
    state: Path, tmp_path: Path, kind: str
) -> None:
    begun = tmp_path / "begun"
    script = tmp_path / "browser.py"
    script.write_text(
        "import os, sys, time\n"
        f"open({str(begun)!r}, 'w').write(f'{{os.getpid()}} {{sys.argv[1]}} {{os.isatty(0)}}')\n"
        "print('LOUD'); print('LOUD', file=sys.stderr)\n"
        + ("raise SystemExit('LOUD')\n" if kind == "fails" else "time.sleep(1e6)\n")
    )
    named = f"{shlex.quote(sys.executable)} {script} %s"
    browsers = {"is not there": str(tmp_path / "none"), "is no command": "'\" %s %s %d ; :"}
    shown = Terminal(
        *("dashboard", "--port", "0", "--state", state), cwd=tmp_path, BROWSER=browsers.get(kind, named)
    )
    until(lambda: "dashboard on http" in shown.said(), "the address")
    url = re.search(r"dashboard on (http://[^/]+)/\?token=(\S+)", shown.said())
    assert url is not None
    assert httpx2.get(url[1], **PLAINLY).status_code == 200
    if kind not in browsers:
        number, address, terminal = until(lambda: begun.exists() and begun.read_text(), "a browser").split()
        assert address == f"{url[1]}/", "what moves heads is not among arguments that all users can read"
        assert terminal == "False"
        if kind != "fails":
            os.kill(int(number), 9)
    said = shown.end()
    assert "LOUD" not in said
    assert "Traceback" not in said


def test_a_module_of_the_folder_that_one_stands_in_opens_nothing(state: Path, tmp_path: Path) -> None:
    (tmp_path / "webbrowser.py").write_text("open('ran', 'w')\n")
    begun = tmp_path / "begun"
    named = f"touch {begun} %s"
    shown = Terminal("dashboard", "--port", "0", "--state", state, cwd=tmp_path, BROWSER=named)
    until(begun.exists, "a browser")
    shown.end()
    assert not (tmp_path / "ran").exists()


def test_without_a_screen_or_where_nobody_looks_none_is_opened(state: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    for extra, options in (({"DISPLAY": "", "WAYLAND_DISPLAY": ""}, ()), ({}, ("--no-open",))):
        words = ("dashboard", "--port", "0", "--state", state, *options)
        shown = Terminal(*words, cwd=tmp_path, **{"BROWSER": f"touch {begun} %s", **extra})
        until(lambda shown=shown: "dashboard on http" in shown.said(), "the address")  # type: ignore[misc]
        assert "Traceback" not in shown.end()
    with dashboard(state) as running:
        assert running.get("/").status_code == 200
    assert not begun.exists()
