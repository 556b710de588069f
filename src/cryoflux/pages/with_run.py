"""The pages of a run, as a process of their own: it ends with the run, once browsers were told that.

The run holds the other end of this process's input. When that closes the run is over, however it ended:
nothing has to be sent, and a run that is killed leaves nobody behind. What happens here never reaches the
run.
"""

from __future__ import annotations

__all__ = ["main"]

import asyncio
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from socket import socket

from cryoflux.config import load_settings
from cryoflux.energy.derived import rates_of
from cryoflux.pages.app import Site, create_app, site_of
from cryoflux.pages.opening import show
from cryoflux.queries.activity import read_activity
from cryoflux.serving import server
from cryoflux.state import StateFolder

_GONE_S = 3.0
"""a run that has let go of this process is gone so soon"""
_TOLD_S = 10.0
"""as long as that browsers are waited for"""
_LAST_LOOK_S = 2.0
"""so long a browser that was told has time to ask for the page once more"""
_LOOK_S = 0.1


def main(arguments: Sequence[str]) -> None:
    """Serve the pages of one state until the input ends.

    Args:
        arguments: the state directory, the number of a listening socket that is open here, and the address
            to show in a browser; that is empty where none is to be opened.
    """
    folder, listener, open_at = Path(arguments[0]), int(arguments[1]), arguments[2]
    site = site_of([folder], rates_of(load_settings({}).settings.energy), asyncio.Event(), writable=False)
    app = create_app(site)
    with closing(socket(fileno=listener)) as opened:
        threading.Thread(target=_end_with_run, args=(site, folder), daemon=True).start()
        if open_at:
            show(open_at)
        server.serve(app, opened, site.stopping)


def _end_with_run(site: Site, folder: Path) -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    _until(lambda: (found := read_activity(StateFolder(folder))) is None or not found.alive, _GONE_S)
    shown = f"cryoflux dashboard --state {shlex.quote(str(folder))}"
    site.closing = f"The run is over, and these pages end with it. To see them again: {shown}"
    if any(news.listeners for news in site.news):
        _until(lambda: all(news.all_told for news in site.news), _TOLD_S)
        time.sleep(_LAST_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _until(done: Callable[[], bool], most_s: float) -> None:
    end_s = time.monotonic() + most_s
    while not done() and time.monotonic() < end_s:
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    main(sys.argv[1:])
