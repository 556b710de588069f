"""What a causal language model scores on documents: nats over the tokens that it has to say.

A document is one line of JSON, in one of the shapes that trainers read: ``text``, ``prompt`` with
``completion``, or ``messages``. Of a text every token after the first is a target; of the others, what
follows the prompt. Its loss is the **sum** over its targets: a mean gives a document of three tokens the
weight of one of three hundred, and loses most of the evidence. Read in float32, each document by itself; the
cross-entropy is summed in float64 and rounded once (``f32/v1``).
"""

from __future__ import annotations

__all__ = ["CausalScores", "TextDocument", "causal_losses", "read_documents"]

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoflux.digests import sha256_hex
from cryoflux.errors import DataError, ModelError
from cryoflux.evaluation.losses import EvaluationFailedError, Losses
from cryoflux.files import read_regular
from cryoflux.quantities import NANO
from cryoflux.registry.plain_json import read_object
from cryoflux.tasks.judged.sides import JudgedModel, loaded_side

_SHAPES: tuple[tuple[str, ...], ...] = (("messages",), ("prompt", "completion"), ("text",))
_MOST_BYTES = 1 << 30
_MOST_TOKENS = 2048
"""of a document that are read, where the model has positions for more"""
_MOST_TEMPLATE = 4_000_000
_AT_ONCE = 64
"""targets whose scores are in float64 at once: a vocabulary is long"""


@dataclass(frozen=True, slots=True)
class TextDocument:
    """A document, in the shape of its file."""

    said: Mapping[str, Any]
    line: int

    def written(self) -> bytes:
        """It as it is signed: the keys of its shape, sorted, as one line of JSON."""
        line = json.dumps(self.said, ensure_ascii=False, sort_keys=True)
        return line.encode("utf-8", "surrogatepass") + b"\n"


@dataclass(frozen=True, slots=True)
class CausalScores:
    """What a model scored."""

    losses: Losses
    targets: int
    """tokens that it had to say, over all documents"""
    cut: int
    """targets that were not read, since their document is longer than what is read of one"""
    read_as: str
    """digest of the tokens that were read, targets told apart: two models compare where it is the same"""


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
            found.append(TextDocument(_shaped(f"{path}, line {number}", line), number))
            if found[0].said.keys() != found[-1].said.keys():
                raise _no_documents(f"{path}, line {number} is of another shape than line {found[0].line}")
    if len(found) < 2:
        raise _no_documents(f"{path} holds {len(found)} documents")
    return found


def _no_documents(what: str) -> DataError:
    return DataError(
        f"{what}.",
        why="A holdout for a language model has one document a line, as JSON, all in one shape.",
        hint='Write lines such as {"prompt": "…", "completion": "…"}, {"messages": […]} or {"text": "…"}.',
    )


def _shaped(where: str, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _no_documents(f"{where} is not JSON") from error
    if isinstance(found, dict):
        for names in _SHAPES:
            if all(name in found for name in names):
                said = {name: found[name] for name in names}
                if _is_whole(said):
                    return said
    raise _no_documents(f"{where} has none of text, prompt with completion, or messages, that is not empty")


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


def causal_losses(
    model: JudgedModel, documents: Sequence[TextDocument], progress: Callable[[int, int], None]
) -> CausalScores:
    """The losses of a language model, in the order of the documents.

    Raises:
        ModelError: it cannot be loaded, or its tokenizer cannot render a conversation.
        EvaluationFailedError: a loss is not finite.
    """
    with loaded_side(model, "CausalLM") as (network, tokenizer, lacking):
        tied = {name for name in lacking if name.endswith("lm_head.weight")}
        if lacking - tied or (tied and not network.config.tie_word_embeddings):
            raise ModelError(
                f"The weights of {model.name!r} lack {', '.join(sorted(lacking)[:3])}.",
                why="What is missing would be random numbers, and Δ a matter of luck.",
                hint="Give the folder that was saved after fine-tuning (trainer.save_model(DIR)).",
            )
        _give_template(model, tokenizer)
        most = min(_MOST_TOKENS, getattr(network.config, "max_position_embeddings", None) or _MOST_TOKENS)
        losses, targets, cut, tokens = [], 0, 0, b""
        for done, document in enumerate(documents):
            progress(done, len(documents))
            ids, first = _encoded(tokenizer, document, model)
            cut += max(0, len(ids) - max(most, first))
            ids = ids[:most]
            targets += max(0, len(ids) - first)
            tokens += sha256_hex(json.dumps([ids, first]).encode()).encode()
            losses.append(_rounded(_nats(network, ids, first)))
    return CausalScores(Losses(tuple(losses), (False,) * len(losses)), targets, cut, sha256_hex(tokens))


def _rounded(nats: float) -> int:
    if not 0 <= nats <= 1e6:
        raise EvaluationFailedError(
            f"A document has a loss of {nats} nats.",
            why="A model with such a loss cannot be compared with another.",
            hint="Look at the model: its weights may be broken.",
        )
    return round(nats * NANO)


def _give_template(model: JudgedModel, tokenizer: Any) -> None:
    """The tokenizer's own template of conversations; it is text, rendered in jinja's sandbox."""
    if getattr(tokenizer, "chat_template", None):
        return
    alone = model.folder / "chat_template.jinja"
    if alone.is_file():
        tokenizer.chat_template = read_regular(alone, _MOST_TEMPLATE).decode("utf-8")
        return
    settings = model.folder / "tokenizer_config.json"
    if settings.is_file():
        found = read_object(settings, _MOST_TEMPLATE, lambda why: _no_template(model, why))
        if isinstance(found.get("chat_template"), str):
            tokenizer.chat_template = found["chat_template"]


def _no_template(model: JudgedModel, why: str) -> ModelError:
    return ModelError(
        f"The tokenizer of {model.name!r} has no template for conversations: {why}.",
        why="How turns are told apart is the model's own convention.",
        hint='Write the holdout as {"prompt": "…", "completion": "…"}.',
    )


def _encoded(tokenizer: Any, document: TextDocument, model: JudgedModel) -> tuple[list[int], int]:
    """The tokens of a document, and how many of them come before the first target."""
    said = document.said
    if "text" in said:
        return list(tokenizer(said["text"])["input_ids"]), 1
    if "messages" in said:
        return _conversation(tokenizer, said["messages"], model)
    prompt = list(tokenizer(said["prompt"])["input_ids"])
    rest = list(tokenizer(said["completion"], add_special_tokens=False)["input_ids"])
    ends = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    return [*prompt, *rest, *ends], max(1, len(prompt))


def _conversation(tokenizer: Any, turns: Any, model: JudgedModel) -> tuple[list[int], int]:
    if not getattr(tokenizer, "chat_template", None):
        raise _no_template(model, "none lies beside its weights")
    prompt = tokenizer.apply_chat_template(turns[:-1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    if not whole.startswith(prompt):
        raise ModelError(
            f"The template of {model.name!r} renders a prompt otherwise once the answer follows.",
            why="Where the answer begins could not be told.",
            hint='Write the holdout as {"prompt": "…", "completion": "…"}.',
        )
    before = list(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    answer = list(tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"])
    return [*before, *answer], max(1, len(before))


def _keeps_few(network: Any) -> bool:
    """Whether a kind of model can compute the scores of its last tokens alone."""
    return "logits_to_keep" in inspect.signature(network.forward).parameters


def _nats(network: Any, ids: list[int], first: int) -> float:
    """The sum of cross-entropies over the targets, nats; scores of these alone, where the model can."""
    import torch

    if len(ids) <= first:
        return 0.0
    wanted, total = torch.tensor(ids[first:]), 0.0
    few = {"logits_to_keep": len(wanted) + 1} if _keeps_few(network) else {}
    with torch.inference_mode():
        scores = network(input_ids=torch.tensor([ids]), use_cache=False, **few).logits[0]
        scores = scores[len(scores) - len(wanted) - 1 : -1]
        for start in range(0, len(wanted), _AT_ONCE):
            here = wanted[start : start + _AT_ONCE, None]
            found = torch.log_softmax(scores[start : start + _AT_ONCE].double(), -1)
            total += float(-found.gather(1, here).sum())
    return max(0.0, total)
