"""``cryoflux run --dashboard``: the pages of a run, beside it and not of it.

They are nobody's child: a meter charges a run with the CPU time of its process and of all that it has started
(`cryoflux.energy.processes`), and who looks at a run is no part of what learning costs, as a browser is not.
So the process is handed over to the system before the run begins to meter, and is in a session of its own,
where Ctrl-C does not reach it. It ends when the pipe closes whose other end the run holds.
"""

from __future__ import annotations

__all__ = ["RunPages", "open_pages"]

import fcntl
import os
import select
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cryoflux.cli.console import stderr
from cryoflux.cli.dashboard import listen
from cryoflux.serving.listening import url_of

_BEYOND_STREAMS = 3
"""the first number that is neither input, output nor errors"""


class RunPages:
    """Pages that run beside this process.

    Args:
        held: the end of a pipe whose closing ends them.
    """

    def __init__(self, held: int) -> None:
        self._held = held

    @property
    def gone(self) -> bool:
        """Whether they have ended already, or have never begun."""
        poll = select.poll()
        poll.register(self._held, 0)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Let them end, once browsers were told that the run is over."""
        os.close(self._held)


@contextmanager
def open_pages(state: Path, *, open_browser: bool) -> Iterator[RunPages]:
    """Pages of a state for as long as the block lasts; it is said where they are, and where they failed.

    The run does not wait for them: the address is taken here, and who asks before they are ready is answered
    once they are.

    Args:
        state: the state directory; it may not be there yet.
        open_browser: whether to show them.
    """
    with closing(listen("127.0.0.1", None)) as listener:
        url = url_of(listener)
        pages = _begin(state, listener.fileno(), url if open_browser else "")
    stderr.print(f"dashboard on {url}")
    try:
        yield pages
    finally:
        if pages.gone:
            again = f"cryoflux dashboard --state {shlex.quote(str(state))}"
            stderr.print(f"the pages had ended before the run did: {again} shows them")
        pages.close()


def _begin(state: Path, listener: int, open_at: str) -> RunPages:
    # Where this process was started without its three streams, their numbers go to the first that are opened.
    kept_open = fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, _BEYOND_STREAMS)
    theirs, held = map(_lifted, os.pipe())
    # Without -P, files of the folder that somebody stands in would be run in place of modules.
    module = ["-P", "-m", "cryoflux.pages.with_run"]
    try:
        _hand_over([sys.executable, *module, str(state), str(kept_open), open_at], theirs, kept_open)
    finally:
        os.close(theirs)
        os.close(kept_open)
    return RunPages(held)


def _lifted(number: int) -> int:
    """The same open file under a number that is no stream's."""
    lifted = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _BEYOND_STREAMS)
    os.close(number)
    return lifted


def _hand_over(command: list[str], its_input: int, kept_open: int) -> None:
    """Start a command that is no child of this process, but of the system's first one."""
    between = os.fork()
    if between == 0:
        with suppress(BaseException):
            os.setsid()
            if os.fork() == 0:
                nowhere = _lifted(os.open(os.devnull, os.O_RDWR))
                for made, place in ((its_input, 0), (nowhere, 1), (nowhere, 2)):
                    os.dup2(made, place)
                os.set_inheritable(kept_open, True)
                os.execv(command[0], command)  # noqa: S606 - this interpreter, with our words
        os._exit(0)
    os.waitpid(between, 0)
