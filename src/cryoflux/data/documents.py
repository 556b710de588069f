"""Documents of a causal language model, in the shapes that trainers read.

A document is one line of JSON: ``text``, ``prompt`` with ``completion``, or ``messages``. All of a file have
the same shape. ``group`` may say what a document is a chunk of.
"""

from __future__ import annotations

__all__ = ["TextDocument", "plain_text", "read_documents", "shape_of"]

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.errors import DataError
from cryoflux.files import read_regular

_SHAPES: tuple[tuple[str, ...], ...] = (("messages",), ("prompt", "completion"), ("text",))
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class TextDocument:
    """A document, in the shape of its file."""

    said: Mapping[str, Any]
    line: int
    group: str = ""
    """what it is a chunk of; empty where it is whole"""

    def written(self) -> bytes:
        """It as it is signed: the keys of its shape, sorted, as one line of JSON."""
        line = json.dumps(self.said, ensure_ascii=False, sort_keys=True)
        return line.encode("utf-8", "surrogatepass") + b"\n"

    @property
    def plain(self) -> str:
        """All that it says, without a template: what makes it a copy of another one."""
        return plain_text(self.said)

    @property
    def target(self) -> str:
        """What of it a model learns to say, without a template."""
        if "messages" in self.said:
            return str(self.said["messages"][-1]["content"])
        return str(self.said.get("text", self.said.get("completion")))


def plain_text(row: Mapping[str, Any]) -> str:
    """All that a row says in one of the shapes, or what there is of it; empty where it has none of them."""
    turns = row.get("messages")
    if isinstance(turns, list):
        return "\n".join(str(turn.get("content")) for turn in turns if isinstance(turn, dict))
    return str(row["text"]) if "text" in row else f"{row.get('prompt', '')}{row.get('completion', '')}"


def shape_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that make a row a document; none where it has not all of any shape."""
    return next((names for names in _SHAPES if all(name in row for name in names)), ())


def read_documents(path: Path) -> list[TextDocument]:
    """The documents of a JSONL file, all in one shape.

    Raises:
        DataError: a line is no document, or of another shape than the first.
    """
    try:
        content = read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise _no_documents(f"{path} cannot be read: {error.strerror or error}") from error
    found: list[TextDocument] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            said, group = _shaped(where, line)
            found.append(TextDocument(said, number, group))
            if found[0].said.keys() != said.keys():
                raise _no_documents(f"{where} is of another shape than line {found[0].line}")
    if len(found) < 2:
        raise _no_documents(f"{path} holds {len(found)} documents")
    return found


def _no_documents(what: str) -> DataError:
    return DataError(
        f"{what}.",
        why="A file for a language model has one document a line, as JSON, all in one shape.",
        hint='Write lines such as {"prompt": "…", "completion": "…"}, {"messages": […]} or {"text": "…"}.',
    )


def _shaped(where: str, line: bytes) -> tuple[dict[str, Any], str]:
    """A document in its shape, and its group."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _no_documents(f"{where} is not JSON") from error
    if isinstance(found, dict):
        for names in _SHAPES:
            if all(name in found for name in names):
                said = {name: found[name] for name in names}
                if _is_whole(said):
                    if "messages" in said:  # what else a turn has is read by nobody
                        turns = [
                            {"content": turn["content"], "role": turn["role"]} for turn in said["messages"]
                        ]
                        said = {"messages": turns}
                    return said, _group(where, found.get("group"))
    raise _no_documents(f"{where} has none of text, prompt with completion, or messages, that is not empty")


def _group(where: str, said: Any) -> str:
    if said is None or (isinstance(said, str | int) and not isinstance(said, bool)):
        return "" if said is None else str(said)
    raise _no_documents(f"{where} has a group that is no text and no number")


def _is_whole(said: Mapping[str, Any]) -> bool:
    """Whether nothing of a document is missing: it has something to say, and turns say who speaks."""
    if "messages" not in said:
        texts = all(isinstance(value, str) for value in said.values())
        return texts and bool(said.get("text", said.get("completion")))
    turns = said["messages"]
    if not isinstance(turns, list) or len(turns) < 2:
        return False
    return all(_is_turn(turn) for turn in turns) and turns[-1]["role"] == "assistant"


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and all(isinstance(turn.get(name), str) for name in ("role", "content"))
