"""A shell in which ``cryoflux`` is quick: it is forked from a process that has imported everything.

On its PATH lie small programs that hand arguments, folder, variables and streams to the test process. That
one starts the command (`running.python`), waits, and hands its exit code back. ``make`` is there too:
``make run`` is the run that it stands for, any other target is looked up and not made.
"""

from __future__ import annotations

__all__ = ["TypedShell"]

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Self

from running import environment, python

ROOT = Path(__file__).parents[1]
ADDRESS = "TYPED_COMMANDS"
_MOST = 1 << 17
_SHORT, _ATTEMPTS = "200J", "4"
_SHELLS_OWN = {ADDRESS, "PATH", "SHLVL", "_", "PWD", "OLDPWD"}
_CLIENT = f"""\
#!{sys.executable} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
    s.connect(os.environ["{ADDRESS}"])
    asked = {{"program": os.path.basename(sys.argv[0]), "words": sys.argv[1:], "folder": os.getcwd()}}
    socket.send_fds(s, [json.dumps({{**asked, "env": dict(os.environ)}}).encode()], [0, 1, 2])
    sys.exit(int(s.recv(32)))
"""


class TypedShell:
    """Runs scripts in which ``cryoflux`` and ``make`` are the programs of this repository.

    Args:
        extra: variables of the commands, beside those of every test.
    """

    def __init__(self, **extra: str) -> None:
        self._extra = extra
        self._folder = Path(tempfile.mkdtemp(prefix="typed-"))
        for program in ("cryoflux", "cryoflux-python", "make"):
            path = self._folder / program
            path.write_text(_CLIENT)
            path.chmod(0o755)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(str(self._folder / "socket"))
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._listening.close()
        shutil.rmtree(self._folder)

    def run(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """A script of bash, which ends at the first command that fails."""
        path = os.pathsep.join([str(self._folder), str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            ["bash", "-c", f"set -eu -o pipefail\n{script}"],
            cwd=folder,
            env=environment(**{"PATH": path, ADDRESS: str(self._folder / "socket"), **self._extra}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            content, streams, *_ = socket.recv_fds(connection, _MOST, 3)
            try:
                code = _done(json.loads(content), streams)
            except Exception as error:  # noqa: BLE001 - whoever typed has to be told
                os.write(streams[2], f"{type(error).__name__}: {error}\n".encode())
                code = 70
            for stream in streams:
                os.close(stream)
            connection.send(b"%d" % code)


def _done(asked: dict[str, Any], streams: list[int]) -> int:
    words = asked["words"]
    if asked["program"] == "make":
        if words != ["run"]:
            looked_up = ["make", "-n", "-C", str(ROOT), *words]
            return subprocess.run(
                looked_up, stdout=subprocess.DEVNULL, stderr=streams[2], check=False
            ).returncode
        words = ["run", "--budget", _SHORT]
    own = environment()
    kept = {name: value for name, value in asked["env"].items() if name not in _SHELLS_OWN}
    env = {**{name: own[name] for name in _SHELLS_OWN & set(own)}, **kept}
    options: dict[str, Any] = {
        "cwd": asked["folder"],
        "env": env,
        "stdin": streams[0],
        "stdout": streams[1],
        "stderr": streams[2],
    }
    inline = asked["program"] == "cryoflux-python"
    program = ["-c", *words] if inline else ["-m", "cryoflux", *shortened(words)]
    try:
        process = python(*program, **options)
    except ValueError:  # a variable that is read while libraries are imported
        process = python(*program, cold=True, **options)
    return process.wait()


def shortened(words: list[str]) -> list[str]:
    """The same command with a small budget, few attempts, and an end where nobody sits before it."""
    made = list(words)
    if "--budget" in made and re.fullmatch(r"[\d.]+kJ", made[made.index("--budget") + 1]):
        made[made.index("--budget") + 1] = _SHORT
    if made[:1] == ["run"] and "--attempts" not in made and "--dry-run" not in made:
        made += ["--attempts", "1" if "--watch" in made else _ATTEMPTS]
    if made[:2] == ["models", "rollback"] and "--yes" not in made:
        made += ["--yes"]
    return made
