"""Where ``run --dashboard`` is typed: in a folder that a stranger filled, or without the usual streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BESIDE = """
import json, os, sys
from pathlib import Path
import httpx2
from cryoflux.cli import run_pages
from waiting import until

seen = []
url_of = run_pages.url_of
run_pages.url_of = lambda listener: seen.append(url_of(listener)) or seen[0]
with run_pages.open_pages(Path("state"), open_browser=False) as pages:
    def asked():
        try:
            return httpx2.get(seen[0], trust_env=False, timeout=None).status_code
        except httpx2.TransportError:
            return pages.gone and -1
    answered = until(asked, "the pages answer, or are gone")
Path("answered").write_text(json.dumps([answered, pages.gone]))
"""


def begun_in(folder: Path, closed: str = "") -> list[object]:
    """What pages answered that were begun in a folder, by a process without some of its streams.

    Args:
        folder: it.
        closed: redirections of a shell.
    """
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-P", "-c", BESIDE]
    # The tests' own folder is named, since -P leaves out the one that is stood in.
    known = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": known}, check=True)
    found: list[object] = json.loads((folder / "answered").read_text())
    return found


def test_no_module_of_the_folder_that_somebody_stands_in_is_run(tmp_path: Path) -> None:
    for name in ("uvicorn", "jinja2", "h11", "json", "cryoflux"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    assert begun_in(tmp_path)[0] == 200
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("closed", ["", "<&-", "<&- >&-", "<&- >&- 2>&-", ">&- 2>&-"])
def test_pages_answer_whatever_streams_the_run_has(tmp_path: Path, closed: str) -> None:
    assert begun_in(tmp_path, closed)[0] == 200
