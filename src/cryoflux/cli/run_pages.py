"""``cryoflux run --dashboard``: the pages of a run, beside it and not of it.

They are nobody's child: a meter charges a run with the CPU time of its process and of all that it has started
(`cryoflux.energy.processes`), and who looks at a run is no part of what learning costs, as a browser is not.
So the process is handed over to the system before the run begins to meter, and is in a session of its own,
where Ctrl-C does not reach it. It ends when the pipe closes whose other end the run holds.
"""

from __future__ import annotations

__all__ = ["RunPages", "open_pages"]

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryoflux.cli.console import stderr
from cryoflux.errors import StorageError

_READY_S = 30.0
"""until the address is there; a loaded machine takes seconds to import"""


class RunPages:
    """Pages that run beside this process.

    Args:
        url: where they are.
        held: the end of the pipe whose closing ends them.
    """

    def __init__(self, url: str, held: int) -> None:
        self.url = url
        self._held = held

    @property
    def gone(self) -> bool:
        """Whether they have ended already."""
        poll = select.poll()
        poll.register(self._held, 0)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Let them end, once browsers were told that the run is over."""
        os.close(self._held)


@contextmanager
def open_pages(state: Path, *, open_browser: bool) -> Iterator[RunPages | None]:
    """Pages of a state for as long as the block lasts; none where they do not begin, which is said.

    Args:
        state: the state directory; it may not be there yet.
        open_browser: whether to show them.
    """
    pages = _begin(state, open_browser=open_browser)
    if pages is None:
        stderr.print(f"no pages: they did not begin. See them with cryoflux dashboard --state {state}")
        yield None
        return
    stderr.print(f"dashboard on {pages.url}")
    try:
        yield pages
    finally:
        if pages.gone:
            stderr.print(f"the pages had ended before the run: cryoflux dashboard --state {state} shows them")
        pages.close()


def _begin(state: Path, *, open_browser: bool) -> RunPages | None:
    command = [sys.executable, "-m", "cryoflux.pages.with_run", str(state)]
    command += ["--open"] if open_browser else []
    theirs_in, held = os.pipe()
    heard, theirs_out = os.pipe()
    try:
        _hand_over(command, theirs_in, theirs_out)
    except OSError as error:
        os.close(held)
        os.close(heard)
        raise StorageError(f"The pages cannot be begun: {error}.") from error
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    url = _line(heard)
    os.close(heard)
    if not url:
        os.close(held)
        return None
    return RunPages(url, held)


def _hand_over(command: list[str], its_in: int, its_out: int) -> None:
    """Start a command that is no child of this process, but of the system's first one."""
    between = os.fork()
    if between == 0:
        with suppress(BaseException):
            os.setsid()
            if os.fork() == 0:
                nowhere = os.open(os.devnull, os.O_RDWR)
                for made, place in ((its_in, 0), (its_out, 1), (nowhere, 2)):
                    os.dup2(made, place)
                os.execv(command[0], command)  # noqa: S606 - this interpreter, with our words
        os._exit(0)
    os.waitpid(between, 0)


def _line(source: int) -> str:
    """The first line; empty where it ends without one, or takes too long."""
    found = b""
    while b"\n" not in found:
        ready, _, _ = select.select([source], [], [], _READY_S)
        part = os.read(source, 4096) if ready else b""
        if not part:
            return ""
        found += part
    return found.split(b"\n")[0].decode("ascii", "replace")
