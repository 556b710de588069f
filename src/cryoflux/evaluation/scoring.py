"""Scores some examples at a time: the same integers from two ways of computing them.

- `EncoderScorer` computes what CryoFlux knows the layout of, starts from kept activations, and in the
  last layer computes the first token alone.
- `TransformersScorer` lets transformers do it: any architecture, and whoever verifies.

Both compute in float64 and round each loss once (profile ``f64-nanonat/v1``), so they agree to the digit.
Where float64 is too dear, the second also computes in float32 (``f32/v1``), and agrees within a tolerance.
"""

from __future__ import annotations

__all__ = ["EncoderScorer", "LossesAndHits", "Scorer", "TransformersScorer", "score"]

from collections.abc import Callable, Sequence
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cryoflux.data.batching import bucketed, padded
from cryoflux.data.examples import Example
from cryoflux.evaluation.losses import LARGEST_NANO_NAT, EvaluationFailedError, to_nano_nats
from cryoflux.quantities import NANO
from cryoflux.receipts.profiles import F32, PROFILE
from cryoflux.registry.borne_out import load_classifier
from cryoflux.registry.cuts import Cut
from cryoflux.registry.plain_model import harmless
from cryoflux.registry.tokenizing import read_tokenizer, token_rows

if TYPE_CHECKING:
    import torch

    from cryoflux.encoder.activations import Activations
    from cryoflux.encoder.model import Encoder

_BATCH = 16
_TOKENS = 2048
"""of a batch: what attention needs grows with the square of a text's length"""

LossesAndHits = tuple[list[int], list[bool]]
"""losses in nano-nats and hits, in the order that was asked for"""


class Scorer(Protocol):
    """Knows a model and a set of examples."""

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> LossesAndHits:
        """Losses and hits of some examples.

        Args:
            indices: which examples.
            between: called with how many of them are done before each batch; may raise to stop.

        Raises:
            EvaluationFailedError: a loss is not finite.
        """


def score(
    scorer: Scorer,
    indices: Sequence[int],
    between: Callable[[int], None],
    largest: int = LARGEST_NANO_NAT,
) -> LossesAndHits:
    """Losses and hits of some examples, as whole numbers that can be signed, whatever a scorer counts in.

    Args:
        scorer: a task's.
        indices: which examples.
        between: called with how many of them are done before each batch; may raise to stop.
        largest: loss that is not absurd, billionths.

    Raises:
        EvaluationFailedError: a loss is not finite or not whole, or not every example has one.
    """
    losses, right = scorer.score(indices, between)
    try:
        found = [index(loss) for loss in losses], [bool(one) for one in right]
    except TypeError as error:
        raise EvaluationFailedError(
            f"A loss is no whole number: {error}.",
            why="Losses are compared, signed and computed again to the last digit.",
            hint="A scorer gives billionths of the metric's unit, each rounded once to an integer.",
        ) from error
    if not len(found[0]) == len(found[1]) == len(indices):
        raise EvaluationFailedError(
            f"{len(indices)} examples were to be scored; {len(found[0])} have a loss, {len(found[1])} a hit.",
            why="Examples are compared one by one.",
            hint="A scorer gives a loss and a hit for each index, in the order of the indices.",
        )
    if not all(0 <= loss <= largest for loss in found[0]):
        raise EvaluationFailedError(
            "A loss is negative or absurdly large.",
            why="A version with such a loss cannot be compared with another.",
            hint=f"Losses lie between 0 and {largest // NANO:,} units.",
        )
    return found


def _by_batch(
    lengths: Sequence[int],
    between: Callable[[int], None],
    losses_of: Callable[[list[int]], tuple[list[float], list[bool]]],
    batch_size: int = _BATCH,
) -> LossesAndHits:
    nano_nats, correct = [0] * len(lengths), [False] * len(lengths)
    done = 0
    for rows in bucketed(lengths, batch_size, _TOKENS):
        between(done)
        for row, loss, right in zip(rows, *losses_of(rows), strict=True):
            nano_nats[row], correct[row] = to_nano_nats(loss), right
        done += len(rows)
    return nano_nats, correct


def _losses(logits: torch.Tensor, labels: torch.Tensor) -> tuple[list[float], list[bool]]:
    from torch.nn.functional import cross_entropy

    losses = cross_entropy(logits.double(), labels.to(logits.device), reduction="none")
    return losses.tolist(), (logits.argmax(-1) == labels.to(logits.device)).tolist()


class EncoderScorer:
    """Computes with our own encoder in float64."""

    def __init__(
        self,
        encoder: Encoder,
        activations: Activations,
        labels: torch.Tensor,
        *,
        ahead: bool = True,
        batch_size: int = _BATCH,
    ) -> None:
        """Know a model and a set.

        Args:
            encoder: of backend ``f64``.
            activations: its activations of the set.
            labels: the set's classes.
            ahead: prepare the activations even where all texts score alike, because what is scored next
                will need them.
            batch_size: examples at once.
        """
        self._encoder = encoder
        self._batch_size = batch_size
        self._activations = activations
        self._labels = labels
        self._ahead = ahead

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> LossesAndHits:
        """Losses and hits of some examples."""
        import torch

        silent = self._encoder.silent_logits()
        if silent is None or self._ahead:
            self._activations.prepare(indices, lambda done, _: between(done))
        lengths = self._activations.lengths(indices)

        def losses_of(rows: list[int]) -> tuple[list[float], list[bool]]:
            batch = [indices[row] for row in rows]
            return _losses(self._logits(batch, silent), self._labels[batch])

        with torch.no_grad():
            return _by_batch(lengths, between, losses_of, self._batch_size)

    def logits(self, indices: Sequence[int]) -> Any:
        """Logits of some examples: (examples, classes), float64."""
        import torch

        silent = self._encoder.silent_logits()
        if silent is None:
            self._activations.prepare(indices, lambda *_: None)
        classes = len(self._encoder.tensor(f"{self._encoder.layout.classifier}.bias"))
        found = torch.zeros((len(indices), classes), dtype=torch.float64)
        with torch.no_grad():
            for rows in bucketed(self._activations.lengths(indices), self._batch_size, _TOKENS):
                found[list(rows)] = self._logits([indices[row] for row in rows], silent).double()
        return found.numpy()

    def _logits(self, batch: list[int], silent: torch.Tensor | None) -> torch.Tensor:
        from cryoflux.encoder.model import attention_bias

        if silent is not None:
            return silent.expand(len(batch), -1)
        encoder = self._encoder
        x, mask = self._activations.batch(batch)
        bias = attention_bias(mask, x.dtype)
        for at in range(self._activations.depth, encoder.layout.layers - 1):
            x = encoder.layer(x, bias, at)
        return encoder.logits(encoder.last_layer(x, bias, {}), {})


class TransformersScorer:
    """Computes with transformers, from the saved weights."""

    def __init__(
        self,
        folder: Path,
        examples: Sequence[Example],
        *,
        max_tokens: Cut,
        device: str = "cpu",
        profile: str = PROFILE,
        batch_size: int = _BATCH,
    ) -> None:
        """Load a model version.

        Args:
            folder: as ``from_pretrained`` reads it.
            examples: the set.
            max_tokens: how much of a text is read.
            device: ``cpu`` or ``cuda``.
            profile: in which arithmetic; in float64 unless it is ``f32/v1``.
            batch_size: examples at once.

        Raises:
            ModelError: it cannot be loaded whole, or its tokenizer cannot read the texts.
        """
        import torch

        with harmless(folder) as copy:
            model: Any = load_classifier(copy)
            tokenizer = read_tokenizer(copy)
        dtype = torch.float32 if profile == F32 else torch.float64
        self._model = model.to(device=device, dtype=dtype).eval()
        self._batch_size = batch_size
        self._pad = tokenizer.pad_token_id
        known = getattr(model.get_input_embeddings(), "num_embeddings", None)
        self._texts = token_rows(tokenizer, [e.text for e in examples], max_tokens, known)
        self._labels = [model.config.label2id[e.label] for e in examples]
        self._device = device

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> LossesAndHits:
        """Losses and hits of some examples."""
        import torch

        def losses_of(rows: list[int]) -> tuple[list[float], list[bool]]:
            batch = [indices[row] for row in rows]
            with torch.no_grad():
                return _losses(self._logits(batch), torch.tensor([self._labels[i] for i in batch]))

        lengths = [len(self._texts[i]) for i in indices]
        return _by_batch(lengths, between, losses_of, self._batch_size)

    def _logits(self, batch: Sequence[int]) -> Any:
        import torch

        inputs = padded([self._texts[i] for i in batch], self._pad)
        ids, mask = (torch.tensor(values, device=self._device) for values in inputs)
        return self._model(input_ids=ids, attention_mask=mask).logits

    def logits(self, indices: Sequence[int]) -> Any:
        """Logits of some examples: (examples, classes), float64."""
        return self.scores()[0][list(indices)]

    def scores(self) -> Any:
        """Scores of the classes of all examples, (examples, classes) in float64, and the right classes."""
        import numpy as np
        import torch

        found = np.empty((len(self._texts), int(self._model.config.num_labels)))
        for rows in bucketed([len(text) for text in self._texts], self._batch_size, _TOKENS):
            with torch.no_grad():
                found[rows] = self._logits(rows).double().cpu().numpy()
        return found, np.array(self._labels, dtype=np.int64)
