"""Real processes that need no seconds to start: forked from one that has imported everything already.

``cryoflux run`` spends five CPU-seconds on importing torch, transformers and PEFT, and the tests start it
more than a hundred times. So each test process has a zygote: this file, run as a program, imports the
libraries and cryoflux, computes nothing, and forks a process for each request. What needs no training
library is forked from a lighter one: a fork of half a gigabyte costs twenty times as much as one of a tenth.

What a fork has of its own, as if it had been executed: a pid, a start time and CPU times that begin at
zero, so that a meter charges it nothing of what the zygote spent; the streams, working directory,
environment, session and arguments that it was asked for; ``__main__``, ``sys.path[0]`` and the exit code,
traceback and cleanup of an interpreter that ends by itself; signals and limits, from any sender. It is a
child of the test process, not of the zygote (the test process is made a subreaper, and what stands
between is gone before its pid is told), so `subprocess.Popen` waits for it as for any other.

What is different, and what therefore stays cold (`subprocess.Popen`), each at least once:

- Everything is imported. That a command imports little, or warns while it imports, is not seen:
  ``test_imports`` starts its commands cold, and so do the tests of the daemon (``-W error``) and of
  ``e2e``. An import that is missing could be hidden by another module's: the same tests.
- The interpreter is configured already. Its options, ``PYTHON*`` variables and what the libraries read
  while they are imported are the zygote's; a request for others is refused.
- What is left at the end is not taken apart: threads are joined, `atexit` is done and streams are flushed,
  then the process exits without clearing its modules (a third of a second for nothing).
- Energy and time before the first line of ``main`` are nearly none: the e2e tests have them.
- Seeds: forks share the seed of `hash`; `random` is seeded anew in each, and torch and numpy have the
  state of a fresh import, for nothing was drawn from them.
- ``/proc/PID/cmdline`` names this file, and limits set in the test process after its zygote began are not
  inherited.
"""

from __future__ import annotations

__all__ = ["Forked", "Zygote"]

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LARGEST = 1 << 17
_FREE = ("CRYOFLUX_", "XDG_", "PYTEST_")
_FREE_NAMES = {
    *("PATH", "HOME", "TERM", "COLUMNS", "LINES", "OLDPWD", "PWD"),
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"),  # read at the first product
    "DEMO_NODE_SOURCE",  # read where an update is taken
    *("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"),  # scikit-learn sets them where it is imported
}
"""variables that nothing reads while it is imported"""
_TRAINING = (
    "cryoflux.decoder.",
    "cryoflux.encoder.",
    "cryoflux.integrations.trainer",
    "cryoflux.tasks.lora.",
)
_PR_SET_CHILD_SUBREAPER = 36


class Zygote:
    """The test process's side.

    Args:
        environment: gives the environment that everything is imported in, when it is first needed.
        trains: whether it has the training libraries.
    """

    def __init__(self, environment: Callable[[], dict[str, str]], *, trains: bool = True) -> None:
        self._environment = environment
        self._trains = trains
        self._lock = threading.Lock()
        self._fixed: dict[str, str] | None = None

    def _begin(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "this process cannot be made a subreaper")
        environment = self._environment()
        self._connection, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(its.fileno()), *(["trains"] if self._trains else [])],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=[its.fileno()],
            )
        self._fixed = _fixed(environment)
        atexit.register(self._end)

    def fork(self, streams: list[int], environment: dict[str, str], **request: object) -> int:
        """The pid of a new process."""
        with self._lock:
            if self._fixed is None:
                self._begin()
            if other := _fixed(environment).items() ^ self._fixed.items():
                names = sorted({name for name, _ in other})
                raise ValueError(f"{names} may be read while libraries are imported: start it cold")
            content = json.dumps({**request, "environment": environment}).encode()
            assert len(content) <= _LARGEST
            socket.send_fds(self._connection, [content], streams)
            answer = self._connection.recv(_LARGEST)
            if not answer:
                raise RuntimeError(f"the zygote ended with {self._process.wait()}")
            return int(answer)

    def _end(self) -> None:
        self._connection.close()
        self._process.wait()


def _fixed(environment: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name not in _FREE_NAMES and not name.startswith(_FREE)
    }


class Forked(subprocess.Popen[str]):
    """`subprocess.Popen` of a Python program, given as after ``python``: ``-m``, ``-c`` or a file."""

    def __init__(self, zygote: Zygote, args: list[str], **options: Any) -> None:
        self._zygote = zygote
        super().__init__(args, **options)

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest):
        *_, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite = rest[:9]
        new_session, group = rest[-2:]
        if args[0] != sys.executable or executable or preexec_fn or pass_fds or group not in {-1, None}:
            raise ValueError("only Python programs are forked, and into a group of their own by a session")
        self.pid = self._zygote.fork(
            [own if asked == -1 else asked for own, asked in enumerate((p2cread, c2pwrite, errwrite))],
            dict(os.environ if env is None else env),
            program=[os.fspath(argument) for argument in args[1:]],
            folder=str(Path(cwd or ".").absolute()),
            session=new_session,
        )
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)


# From here on: the zygote's side.


def _import_everything(*, trains: bool) -> None:
    for name in ("uvicorn", "httpx2", "rich.console", "rich.live", "rich.table"):
        importlib.import_module(name)
    if trains:
        for name in ("torch._dynamo", "peft.tuners.lora"):
            importlib.import_module(name)
        from transformers import BertForSequenceClassification, BertTokenizer, BertTokenizerFast  # noqa: F401

    import cryoflux

    for module in pkgutil.walk_packages(cryoflux.__path__, "cryoflux."):
        if not module.name.endswith("__main__") and (trains or not module.name.startswith(_TRAINING)):
            importlib.import_module(module.name)
    from cryoflux.cli.main import parser

    parser()


def _serve(connection: socket.socket) -> dict[str, object]:
    """Fork for each request; return the request in the process that is to do it."""
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the tests
    while True:
        content, streams, *_ = socket.recv_fds(connection, _LARGEST, 3)
        if not content:
            os._exit(0)
        request = json.loads(content)
        told, tell = os.pipe()
        if between := os.fork():
            os.close(tell)
            for stream in streams:
                os.close(stream)
            pid = os.read(told, 32)
            os.close(told)
            os.waitpid(between, 0)  # from here on the new process is the test process's
            connection.send(pid)
            continue
        if os.fork():
            os._exit(0)
        connection.close()
        os.close(told)
        for own, stream in enumerate(streams):
            os.dup2(stream, own)
            os.close(stream)
        if request["session"]:
            os.setsid()
        signal.signal(signal.SIGINT, on_interrupt)
        os.write(tell, b"%d" % os.getpid())
        os.close(tell)
        return request


def _open_streams() -> None:
    """Standard streams as an interpreter opens them, on what is there now."""
    for own, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        buffering = 1 if own == 2 or os.isatty(own) else -1
        stream = open(  # noqa: SIM115
            own,
            "w" if own else "r",
            buffering,
            encoding=before.encoding,
            errors=before.errors,
            newline="\n" if own else None,
            closefd=False,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _become(request: dict[str, object]) -> None:
    """Do what an interpreter does with the program of a request, and end as it does."""
    code = 1
    try:
        _run(request)
        code = 0
    except SystemExit as ended:
        code = 0 if ended.code is None else ended.code
        if not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException as error:  # noqa: BLE001 - whatever is left is shown, and the process ends
        sys.excepthook(type(error), error, error.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        code = 120
    os._exit(code & 0xFF)


def _run(request: dict[str, object]) -> None:
    """Run a program as ``__main__``."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _open_streams()
    first, *arguments = request["program"]
    if first not in {"-m", "-c"}:
        sys.argv = [first, *arguments]
        sys.path.insert(0, str(Path(first).resolve().parent))
        runpy.run_path(first, run_name="__main__")
        return
    named, *arguments = arguments
    sys.argv = [first, *arguments]
    sys.path.insert(0, "" if first == "-c" else str(Path.cwd()))
    if first == "-m":
        runpy.run_module(named, run_name="__main__", alter_sys=True)
    else:
        exec(compile(named, "<string>", "exec"), sys.modules["__main__"].__dict__)


if __name__ == "__main__":
    del sys.path[0]
    gc.disable()
    _import_everything(trains="trains" in sys.argv)
    gc.enable()
    gc.collect()
    gc.freeze()  # what is shared is not written to by a collection
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
