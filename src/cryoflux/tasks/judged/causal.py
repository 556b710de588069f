"""What a causal language model scores on documents: nats over the tokens that it has to say.

The loss of a document is the **sum** over its targets (`tasks.causal.tokens`): a mean gives a document of
three tokens the weight of one of three hundred, and loses most of the evidence. Read in float32, each
document by itself; the cross-entropy is summed in float64 and rounded once (``f32/v1``).
"""

from __future__ import annotations

__all__ = ["CausalScores", "causal_losses"]

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cryoflux.digests import sha256_hex
from cryoflux.errors import ModelError
from cryoflux.evaluation.losses import EvaluationFailedError, Losses
from cryoflux.quantities import NANO
from cryoflux.tasks.causal.documents import Document
from cryoflux.tasks.causal.tokens import encoded, give_template, rendered
from cryoflux.tasks.judged.sides import JudgedModel, loaded_side

_MOST_TOKENS = 2048
"""of a document that are read, where the model has positions for more"""
_AT_ONCE = 64
"""targets whose scores are in float64 at once: a vocabulary is long"""


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


def causal_losses(
    model: JudgedModel, documents: Sequence[Document], progress: Callable[[int, int], None]
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
        give_template(model.folder, tokenizer)
        most = min(_MOST_TOKENS, getattr(network.config, "max_position_embeddings", None) or _MOST_TOKENS)
        losses, targets, cut, tokens = [], 0, 0, b""
        for done, document in enumerate(documents):
            progress(done, len(documents))
            ids, first = encoded(tokenizer, rendered(tokenizer, document, model.name))
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
