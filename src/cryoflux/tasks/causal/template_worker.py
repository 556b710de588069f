"""A process that renders conversations: ``python -m cryoflux.tasks.causal.template_worker SECONDS``.

A template of conversations comes with a model, and can ask for anything that jinja's sandbox allows: loops
within loops, texts of any length. Here it can cost no more than SECONDS of this process (in user and system
mode, a conversation) and some memory; beyond that the system ends it. A line of JSON in, one out:
``{"template", "turns", "prompt", "values"}``, and ``{"text"}`` or ``{"error"}``.
"""

from __future__ import annotations

__all__ = ["LONGEST_TEXT", "main"]

import json
import signal
import sys
from importlib import import_module
from typing import Any

LONGEST_TEXT = 1 << 22
"""characters of one conversation, rendered"""
_MOST_MEMORY = 4 << 30
"""address space, bytes; the libraries map some of it"""


def _rendered(asked: dict[str, Any]) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    found, _ = render_jinja_template(
        [asked["turns"]],
        chat_template=asked["template"],
        add_generation_prompt=asked["prompt"],
        **asked["values"],
    )
    text = str(found[0])
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"it makes a text of {len(text):,} characters")
    return text


def _answer(line: bytes) -> dict[str, str]:
    try:
        return {"text": _rendered(json.loads(line))}
    except Exception as error:  # whatever a template can raise  # noqa: BLE001
        return {"error": str(error)[:500] or type(error).__name__}


def main() -> None:
    """Answer until the input ends."""
    import resource  # Unix alone has it, and who verifies a log elsewhere reads this module too

    import_module("transformers.utils.chat_template_utils")  # that is no template's time
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process, in the middle of whatever it computes
    seconds = int(sys.argv[1])
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while line := stdin.readline():
        signal.setitimer(signal.ITIMER_PROF, seconds)
        said = json.dumps(_answer(line)).encode()
        signal.setitimer(signal.ITIMER_PROF, 0)
        stdout.write(said + b"\n")
        stdout.flush()


if __name__ == "__main__":
    main()
