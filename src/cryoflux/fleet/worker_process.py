"""A worker in a process of its own: a line of JSON is asked, and a line of JSON is the answer.

Where nobody asks any more, because the coordinator is gone, it ends what it is at and settles it.
"""

from __future__ import annotations

__all__ = ["Desk", "WorkerAnswer", "WorkerQuestion", "main"]

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Raw, Struct, field

from cryoflux.config import Settings
from cryoflux.energy.started import Started
from cryoflux.errors import CryoFluxError
from cryoflux.fleet.documents import Lease, SessionTerms
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.store import FileStore
from cryoflux.fleet.worker import Worker

_CHUNK = 4 * 2**20


class WorkerQuestion(Struct, frozen=True):
    """What is asked."""

    call: str
    texts: list[str] = field(default_factory=list)
    """names, digests or paths"""
    document: Raw = Raw(b"null")


class WorkerAnswer(Struct, frozen=True):
    """What is answered; of an error its words."""

    document: Raw = Raw(b"null")
    failed: bool = False
    what: str = ""
    why: str = ""
    hint: str = ""


class Desk:
    """Answers questions to a worker.

    Args:
        worker: the worker.
        store: the files of its machine.
    """

    def __init__(self, worker: Worker, store: FileStore) -> None:
        self._store = store
        self._calls: dict[str, Callable[[WorkerQuestion], object]] = {
            "facts": lambda _: worker.facts(),
            "state": lambda _: worker.state(),
            "begin": lambda asked: worker.begin(msgspec.json.decode(asked.document, type=Lease)),
            "open session": lambda asked: worker.open_session(
                msgspec.json.decode(asked.document, type=SessionTerms)
            ),
            "warm up": lambda asked: worker.warm_up(asked.texts[0]),
            "close session": lambda asked: worker.close_session(asked.texts[0]),
            "settle": lambda asked: worker.settle(asked.texts[0]),
            "forget": lambda asked: worker.forget(asked.texts[0]),
            "stop": lambda _: worker.stop(),
            "lacks": lambda asked: store.lacks(asked.texts),
            "add": lambda asked: self._add(*asked.texts),
        }

    def _add(self, digest: str, path: str) -> None:
        with Path(path).open("rb") as stream:
            self._store.add(digest, iter(lambda: stream.read(_CHUNK), b""))

    def answer(self, line: bytes) -> WorkerAnswer:
        """The answer to a line."""
        try:
            asked = msgspec.json.decode(line, type=WorkerQuestion)
            if (call := self._calls.get(asked.call)) is None:
                raise FleetError(f"A worker is not asked {asked.call!r}.")
            return WorkerAnswer(Raw(msgspec.json.encode(call(asked))))
        except CryoFluxError as error:
            return _refusal(error)
        except (OSError, msgspec.MsgspecError) as error:
            return WorkerAnswer(failed=True, what=f"{type(error).__name__}: {error}")


def _refusal(error: CryoFluxError) -> WorkerAnswer:
    return WorkerAnswer(failed=True, what=error.what, why=error.why, hint=error.hint)


def _own_output() -> BinaryIO:
    """Where answers go; whatever libraries print goes to standard error instead."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def main() -> None:
    """Be the worker that the arguments name: its name, its folder, and that of its machine's files."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator says when to stop
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("stamina").setLevel(logging.ERROR)  # what is tried again is said once it has failed
    answers, questions = _own_output(), sys.stdin.buffer
    name, folder, files = sys.argv[1:]
    settings = Settings.model_validate_json(questions.readline())
    store = FileStore(Path(files))
    started = Started.with_process()
    try:
        worker = Worker(name, Path(folder), store, settings, started=started.earlier)
    except CryoFluxError as error:
        if questions.readline():  # whoever asks first hears why there is no worker
            answers.write(msgspec.json.encode(_refusal(error)) + b"\n")
            answers.flush()
        return
    desk = Desk(worker, store)
    try:
        for line in questions:
            answers.write(msgspec.json.encode(desk.answer(line)) + b"\n")
            answers.flush()
    except BrokenPipeError:
        pass  # nobody reads: the same as that nobody asks
    finally:
        worker.close()


if __name__ == "__main__":
    main()
