"""What a causal language model scores on documents: nats over the tokens that it has to say.

The loss of a document is the **sum** over its targets (`tasks.causal.tokens`): a mean gives a document of
three tokens the weight of one of three hundred, and loses most of the evidence. Read in float32, each
document by itself; the cross-entropy is summed in float64 and rounded once (``f32-document/v1``).
"""

from __future__ import annotations

__all__ = ["causal_losses"]

import json
from collections.abc import Callable, Sequence

from cryoflux.data.documents import TextDocument
from cryoflux.digests import sha256_hex
from cryoflux.errors import DataError
from cryoflux.evaluation.losses import EvaluationFailedError, Losses
from cryoflux.quantities import NANO
from cryoflux.tasks.causal.network import check_whole, document_nats
from cryoflux.tasks.causal.tokens import encoded, give_template, rendered
from cryoflux.tasks.judged.scores import SideScores
from cryoflux.tasks.judged.sides import JudgedModel, loaded_side

_MOST_TOKENS = 2048
"""of a document that are read, where the model has positions for more"""


def causal_losses(
    model: JudgedModel, documents: Sequence[TextDocument], progress: Callable[[int, int], None]
) -> SideScores:
    """The losses of a language model, in the order of the documents.

    Raises:
        ModelError: it cannot be loaded, or its tokenizer cannot render a conversation.
        EvaluationFailedError: a loss is not finite.
    """
    with loaded_side(model, "CausalLM") as (network, tokenizer, lacking):
        check_whole(network, lacking, model.name)
        give_template(model.folder, tokenizer)
        most = min(_MOST_TOKENS, getattr(network.config, "max_position_embeddings", None) or _MOST_TOKENS)
        losses, targets, cut, tokens = [], 0, [], b""
        for done, document in enumerate(documents):
            progress(done, len(documents))
            ids, first = encoded(tokenizer, rendered(tokenizer, document, model.name))
            cut.append(len(ids) > most)
            ids = ids[:most]
            if len(ids) <= first:
                raise DataError(
                    f"Line {document.line} has nothing to say within the {most:,} tokens that are read.",
                    why="Its loss would be none, for both, and would count as an example.",
                    hint="Shorten its prompt, or leave it out.",
                )
            targets += max(0, len(ids) - first)
            tokens += sha256_hex(json.dumps([ids, first]).encode()).encode()
            losses.append(_rounded(document_nats(network, ids, first)))
    found = Losses(tuple(losses), (False,) * len(losses))
    return SideScores(found, tuple(cut), most, targets, sha256_hex(tokens))


def _rounded(nats: float) -> int:
    if not 0 <= nats <= 1e6:
        raise EvaluationFailedError(
            f"A document has a loss of {nats} nats.",
            why="A model with such a loss cannot be compared with another.",
            hint="Look at the model: its weights may be broken.",
        )
    return round(nats * NANO)
