"""What a text classifier scores on labelled texts: cross-entropy in nats, and whether it was right.

Each text is read by itself, in float32; the cross-entropy of the scores is computed in float64 and rounded
once (``f32/v1``): batches cannot show in it.
"""

from __future__ import annotations

__all__ = ["classifier_losses"]

from collections.abc import Callable, Sequence
from typing import Any

from cryoflux.data.examples import Example
from cryoflux.errors import ModelError
from cryoflux.evaluation.losses import Losses, to_nano_nats
from cryoflux.tasks.judged.scores import SideScores
from cryoflux.tasks.judged.sides import JudgedModel, loaded_side
from cryoflux.tasks.lora.base_model import most_tokens

_MOST_TOKENS = 512
"""of a text that are read, where the model does not say"""
_SHOWN = 3


def classifier_losses(
    model: JudgedModel, examples: Sequence[Example], progress: Callable[[int, int], None]
) -> SideScores:
    """The losses of a classifier, in the order of the examples.

    Args:
        model: which one.
        examples: texts and labels.
        progress: is told how many examples of how many are done.

    Raises:
        ModelError: it cannot be loaded, has no head of its own, or does not know a label.
        EvaluationFailedError: a loss is not finite.
    """
    import torch

    with loaded_side(model, "SequenceClassification") as (network, tokenizer, lacking):
        if lacking:
            raise ModelError(
                f"The weights of {model.name!r} lack {', '.join(sorted(lacking)[:_SHOWN])}.",
                why="Its head would be random numbers, and Δ a matter of luck.",
                hint="Give the folder that was saved after fine-tuning (trainer.save_model(DIR)).",
            )
        wanted = _classes(model, network.config, examples)
        most = min(_MOST_TOKENS, most_tokens(network.config.to_dict()) or _MOST_TOKENS)
        losses, right, cut = [], [], []
        with torch.inference_mode():
            for done, (example, label) in enumerate(zip(examples, wanted, strict=True)):
                progress(done, len(examples))
                found = tokenizer(example.text, return_tensors="pt")
                cut.append(found["input_ids"].shape[1] > most)
                if cut[-1]:
                    found = tokenizer(example.text, truncation=True, max_length=most, return_tensors="pt")
                scores = network(**found).logits[0].double()
                losses.append(to_nano_nats(max(0.0, float(-torch.log_softmax(scores, -1)[label]))))
                right.append(int(scores.argmax()) == label)
    return SideScores(Losses(tuple(losses), tuple(right)), tuple(cut), most)


def _classes(model: JudgedModel, config: Any, examples: Sequence[Example]) -> list[int]:
    """The class of each example, as the model counts them: by its names, or by their numbers."""
    named = {str(name): int(number) for number, name in (config.id2label or {}).items()}
    numbered = {str(number): number for number in range(config.num_labels)}
    labels = sorted({example.label for example in examples})
    known = named if all(label in named for label in labels) else numbered
    if unknown := [label for label in labels if label not in known]:
        raise ModelError(
            f"The model {model.name!r} knows no class {', '.join(map(repr, unknown[:_SHOWN]))}.",
            why=f"Its classes are {', '.join(sorted(named)[:8])}{', …' if len(named) > 8 else ''}.",
            hint="Write the labels of the holdout as the model's id2label does, or as its numbers.",
        )
    return [known[example.label] for example in examples]
