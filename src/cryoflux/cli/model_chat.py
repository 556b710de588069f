"""``cryoflux models chat``: talks to a version of a language model."""

from __future__ import annotations

__all__ = ["chat"]

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr
from cryoflux.cli.model_moves import TaskOption
from cryoflux.errors import UsageError

_MOST_TOKENS = 256


def chat(
    version: Annotated[
        str,
        typer.Argument(
            help="First digits of a digest, what made it ('#3', round '#r2'), head, champion, an alias; "
            "head~1 for the one before."
        ),
    ] = "head",
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Say this, print the answer, and end.")
    ] = None,
    tokens: Annotated[
        int, typer.Option(min=1, max=8192, metavar="N", help="Most tokens of an answer.")
    ] = _MOST_TOKENS,
    state: StateOption = None,
    task: TaskOption = None,
    as_json: JsonOption = False,
) -> None:
    """Talk to a version of a language model: a line in, an answer out, always the most likely words."""
    from cryoflux.config import load_settings
    from cryoflux.registry.versions import Versions
    from cryoflux.runs.catalogue import read_catalogue
    from cryoflux.runs.version_names import find_version
    from cryoflux.state import StateFolder
    from cryoflux.tasks.lora.libraries import require_training
    from cryoflux.tasks.registry import CAUSAL

    folder = StateFolder(Path(load_settings({"state": state}).settings.run.state))
    catalogue = read_catalogue(folder)
    found = find_version(catalogue, version, task or (CAUSAL if CAUSAL in catalogue.tasks else None))
    if found.task != CAUSAL or found.digest not in catalogue.present:
        gone = found.task == CAUSAL
        raise UsageError(
            f"{found.digest[:16]}… {'is not here any more' if gone else 'is no language model'}.",
            why="Its files were freed." if gone else f"It is a version of {found.task or 'no task'}.",
            hint=f"Make it again: cryoflux models rebuild {found.digest[:16]}{folder.flag()}."
            if gone
            else f"Name another: cryoflux models list{folder.flag()}.",
        )
    require_training()
    from cryoflux.tasks.causal.talking import Conversation

    with Versions(folder.path).opened(found.digest) as whole:
        conversation = Conversation(whole, found.digest[:16])
    for said in [prompt] if prompt is not None else _lines():
        answer = conversation.ask(said, tokens)
        if as_json:
            document = {"digest": found.digest, "prompt": said, "answer": answer.text}
            emit_json("models.chat/1", {**document, "answer_tokens": answer.tokens})
        else:
            sys.stdout.write(f"{answer.text}\n")
            sys.stdout.flush()


def _lines() -> Iterator[str]:
    """What is typed, line by line, up to the end of the input."""
    while True:
        if stderr.is_terminal and sys.stdin.isatty():
            sys.stderr.write("> ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.rstrip("\n")
