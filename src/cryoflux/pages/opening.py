"""Shows an address in a browser, whatever that browser does.

What ``BROWSER`` names, or the desktop has, is somebody else's program: it may hang, print, want a terminal,
or not be there. So it is started by a process of its own without our terminal, and nobody waits for it.
"""

from __future__ import annotations

__all__ = ["show"]

import subprocess
import sys
import threading
from contextlib import suppress


def show(url: str) -> None:
    """Open a browser, and return at once; where that fails, the address was printed."""
    with suppress(RuntimeError):  # no thread can be started any more
        threading.Thread(target=_show, args=(url,), name="opening", daemon=True).start()


def _show(url: str) -> None:
    nowhere = subprocess.DEVNULL
    # Without -P, a webbrowser.py of the folder that somebody stands in would be run.
    command = [sys.executable, "-P", "-m", "webbrowser", url]
    with suppress(OSError):
        subprocess.run(  # noqa: S603 - this interpreter, with our words
            command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True, check=False
        )
