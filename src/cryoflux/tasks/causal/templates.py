"""Rendering conversations by the template of a model, which can neither run for ever nor fill the memory.

The template is rendered as transformers does it, in a process of its own (`tasks.causal.template_worker`),
which is begun with the first conversation and goes on to the end of this one.
"""

from __future__ import annotations

__all__ = ["TemplateFailedError", "render_turns"]

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cryoflux.tasks.causal.template_worker import LONGEST_TEXT

_MOST_SECONDS = 10
"""of computing, of one conversation"""


class TemplateFailedError(ValueError):
    """A template does not render a conversation; says why."""


def render_turns(tokenizer: Any, turns: Sequence[dict[str, Any]], *, prompt: bool) -> str:
    """A conversation as text.

    Args:
        tokenizer: of transformers, with its template.
        turns: what was said, each with its role.
        prompt: whether what makes a model begin to speak comes after it.

    Raises:
        TemplateFailedError: it cannot be rendered, or not within what a conversation may cost.
    """
    values = {
        name: list(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in tokenizer.special_tokens_map.items()
    }
    asked = {
        "template": tokenizer.get_chat_template(),
        "turns": [{name: said for name, said in turn.items() if said is not None} for turn in turns],
        "prompt": prompt,
        "values": values,
    }
    said = _WORKERS.ask(json.dumps(asked).encode() + b"\n")
    if "text" not in said:
        raise TemplateFailedError(said.get("error", "it gave no text"))
    return said["text"]


class _Workers:
    """The process that renders, begun when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._turn = threading.Lock()

    def ask(self, line: bytes) -> dict[str, str]:
        """What the process answers.

        Raises:
            TemplateFailedError: it was ended, since this took too long or too much.
        """
        with self._turn:
            process = self._begun()
            answer = b""
            with suppress(OSError, ValueError):  # it died over what it was asked
                if process.stdin is not None and process.stdout is not None:
                    process.stdin.write(line)
                    process.stdin.flush()
                    # every character as an escape, at most
                    answer = process.stdout.readline(12 * LONGEST_TEXT + 100)
            if not answer.endswith(b"\n"):
                self.close()
                raise TemplateFailedError(
                    f"it takes more than {_MOST_SECONDS} s of computing, or more memory than a conversation"
                )
        said: dict[str, str] = json.loads(answer)
        return said

    def _begun(self) -> subprocess.Popen[bytes]:
        # A process that was forked from this one must not talk into the same pipe.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            # -P: the folder that somebody stands in may have modules of its own.
            command = [sys.executable, "-P", "-m", "cryoflux.tasks.causal.template_worker"]
            command.append(str(_MOST_SECONDS))
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with our words
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            self._owner = os.getpid()
        return self._process

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        process.kill()
        process.wait()


_WORKERS = _Workers()
atexit.register(_WORKERS.close)
