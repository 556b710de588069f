"""The tokens of a document, and which of them a model has to say.

Of a text every token after the first is a target; of a prompt with its completion, and of a conversation,
what follows the prompt. A conversation is rendered by the tokenizer's own template, once, into what comes
before the answer and the answer: from there on it is text, and no template is run again.
"""

from __future__ import annotations

__all__ = ["FORMS", "Rendered", "TokenRow", "encoded", "give_template", "rendered", "turns_rendered"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.data.documents import TextDocument
from cryoflux.errors import ModelError
from cryoflux.files import read_regular
from cryoflux.registry.own_files import refuse_foreign_files
from cryoflux.registry.plain_json import read_object
from cryoflux.tasks.causal.templates import TemplateFailedError, render_turns

_MOST_TEMPLATE = 4_000_000
TEXT, COMPLETION, CONVERSATION = "text", "completion", "conversation"
FORMS = frozenset({TEXT, COMPLETION, CONVERSATION})
TokenRow = tuple[list[int], int]
"""token ids, and the place of the first that is a target"""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A document as text, split where a model has to begin to speak."""

    form: str
    """one of `FORMS`: which special tokens go with it"""
    before: str
    answer: str


def give_template(folder: Path, tokenizer: Any) -> None:
    """The tokenizer's own template of conversations; it is text, rendered in a sandbox and within bounds."""
    if getattr(tokenizer, "chat_template", None):
        return
    refuse_foreign_files(folder)
    alone = folder / "chat_template.jinja"
    if alone.is_file():
        try:
            tokenizer.chat_template = read_regular(alone, _MOST_TEMPLATE).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _no_template(folder.name, "its chat_template.jinja is no text") from error
        return
    settings = folder / "tokenizer_config.json"
    if settings.is_file():
        found = read_object(settings, _MOST_TEMPLATE, lambda why: _no_template(folder.name, why))
        if isinstance(found.get("chat_template"), str):
            tokenizer.chat_template = found["chat_template"]


def rendered(tokenizer: Any, document: TextDocument, name: str) -> Rendered:
    """A document as text.

    Args:
        tokenizer: of transformers, with its template.
        document: which one.
        name: of the model, for messages.

    Raises:
        ModelError: a conversation cannot be rendered so that it is known where the answer begins.
    """
    said = document.said
    if "text" in said:
        return Rendered(TEXT, "", said["text"])
    if "messages" not in said:
        return Rendered(COMPLETION, said["prompt"], said["completion"])
    turns = said["messages"]
    if not getattr(tokenizer, "chat_template", None):
        raise _no_template(name, "none lies beside its weights")
    where = f"{name!r} does not render line {document.line}"
    before = turns_rendered(tokenizer, turns[:-1], where, prompt=True)
    whole = turns_rendered(tokenizer, turns, where, prompt=False)
    if not whole.startswith(before):
        raise _not_rendered(
            f"The template of {name!r} renders a prompt otherwise once the answer follows.",
            "Where the answer begins could not be told.",
        )
    return Rendered(CONVERSATION, before, whole[len(before) :])


def turns_rendered(tokenizer: Any, turns: Sequence[dict[str, Any]], where: str, *, prompt: bool) -> str:
    """A conversation as text, by the tokenizer's template.

    Args:
        tokenizer: of transformers, with its template.
        turns: what was said.
        where: whose template does not render what, for messages.
        prompt: whether what makes a model begin to speak comes after it.

    Raises:
        ModelError: it cannot be rendered.
    """
    try:
        return render_turns(tokenizer, turns, prompt=prompt)
    except TemplateFailedError as error:
        raise _not_rendered(
            f"The template of {where}: {str(error)[:200]}",
            "How turns are told apart is the model's own convention.",
        ) from error


def _no_template(name: str, why: str) -> ModelError:
    return _not_rendered(
        f"The tokenizer of {name!r} has no template for conversations: {why}.",
        "How turns are told apart is the model's own convention.",
    )


def _not_rendered(what: str, why: str) -> ModelError:
    return ModelError(what, why=why, hint='Write the documents as {"prompt": "…", "completion": "…"}.')


def encoded(tokenizer: Any, document: Rendered) -> TokenRow:
    """The tokens of a document, and how many of them come before the first target."""
    if document.form == TEXT:
        return list(tokenizer(document.answer)["input_ids"]), 1
    special = document.form == COMPLETION
    before = list(tokenizer(document.before, add_special_tokens=special)["input_ids"])
    answer = list(tokenizer(document.answer, add_special_tokens=False)["input_ids"])
    ends = [tokenizer.eos_token_id] if special and tokenizer.eos_token_id is not None else []
    return [*before, *answer, *ends], max(1, len(before))
