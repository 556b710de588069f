"""The decoder's arithmetic, written down once: every number between tokens and losses is a float64.

transformers' own classes compute norms and rotary positions in float32, whatever the weights are, so their
losses depend on batch and kernels beyond the tenth digit. Here float64 noise is far below a nano-nat, so the
loss of a document is the same integer beside any other documents, in any order, with any number of threads.

- Weights stay as they are stored (float32, bfloat16, float16), and are widened, which is exact, one layer at
  a time for a *wave* of documents: memory holds the stored weights and one layer in float64.
- Documents stand one after another without padding. Attention is computed document by document, in math
  form: scores, softmax, weighted sum.
- What all documents begin with (the turn of the system, say) is computed once for a wave.
- The head is computed where a token has to be said, and in blocks of the vocabulary.
"""

from __future__ import annotations

__all__ = ["Decoder", "TokenDocument"]

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch.nn.functional import embedding, linear

from cryoflux.decoder.families import layout_of, read_settings
from cryoflux.decoder.layers import Weights, block, norm
from cryoflux.decoder.layout import DecoderLayout, not_its_weights
from cryoflux.errors import DataError, EvaluationFailedError
from cryoflux.quantities import NANO
from cryoflux.registry.shards import INDEX, TensorFolder

TokenDocument = tuple[Sequence[int], int]
"""token ids, and the place of the first that is a target: all after it are, too"""

_ROWS = 1024
"""tokens whose products are computed at once"""
_WAVE = 4096
"""tokens that one widening of a layer serves; a longer document is a wave of its own"""
_BLOCK = 8192
"""words of the vocabulary that are scored at once"""
_TARGETS = 512
"""targets that are scored at once"""
_LARGEST_NATS = 1e6
"""of a document: beyond it a model is broken rather than wrong"""
_KNOWN = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


class Decoder:
    """A decoder's stored weights, ready to score documents."""

    def __init__(self, layout: DecoderLayout, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take stored tensors by their full name.

        Raises:
            ModelError: they are not those that the layout asks for.
        """
        self.layout = layout
        self._tensors = _named(layout, tensors)
        layout.check({name: tuple(tensor.shape) for name, tensor in self._tensors.items()})
        for name, tensor in self._tensors.items():
            if tensor.dtype not in _KNOWN:
                raise not_its_weights(f"{name} is stored as {tensor.dtype}")
        own = self._tensors.get(f"{layout.head}.weight") if layout.tied else None
        if own is not None and not torch.equal(own, self._tensors[layout.head_weight]):
            raise not_its_weights("its head is said to be its embedding, and is another matrix")

    @classmethod
    def open(cls, folder: Path) -> Decoder:
        """The decoder of a model folder; nothing of it is run, weights are read when they are used.

        Raises:
            ModelError: its layout is not known here, or its weights are not those that it asks for.
        """
        layout = layout_of(read_settings(folder))
        files = {path.name for path in folder.glob("*.safetensors")}
        if (folder / INDEX).exists() == ("model.safetensors" in files):
            raise not_its_weights("it is not clear which files hold them")
        try:
            stored = TensorFolder(folder, "pt")
            return cls(layout, {name: stored[name] for name in stored})
        except OSError as error:
            raise not_its_weights(f"a file cannot be read ({error})") from error

    @classmethod
    def of(cls, config: Mapping[str, object], tensors: Mapping[str, torch.Tensor]) -> Decoder:
        """The decoder of some settings and tensors that lie in no folder.

        Raises:
            ModelError: as `open` does.
        """
        return cls(layout_of(config), tensors)

    def updated(self, changed: Mapping[str, torch.Tensor]) -> Decoder:
        """The decoder with some tensors exchanged, by their full name; the others are shared.

        Raises:
            ModelError: one is none of the decoder's, or has another shape.
        """
        return Decoder(self.layout, {**self._tensors, **_named(self.layout, changed)})

    @property
    def parameters(self) -> int:
        """Parameters outside embeddings."""
        return self.layout.parameters

    def losses(
        self,
        documents: Sequence[TokenDocument],
        *,
        between: Callable[[int], None] = lambda _: None,
        rows: int = _ROWS,
    ) -> list[int]:
        """The loss of each document, in order: nano-nats, summed over its targets and rounded once.

        Args:
            documents: token ids, and the place of the first target.
            between: called with how many of them are done, several times a second; may raise to stop.
            rows: tokens whose products are computed at once.

        Raises:
            DataError: a document has a token that the model does not know, or too many.
            EvaluationFailedError: a loss is not finite, or absurdly large.
        """
        for number, document in enumerate(documents):
            self._check(number, document)
        found = [0] * len(documents)
        asked = [number for number, (ids, first) in enumerate(documents) if len(ids) > first]
        shared = _shared([documents[number] for number in asked])
        lengths = {number: len(documents[number][0]) - 1 - len(shared) for number in asked}
        done = 0
        with torch.inference_mode():
            for wave in _groups(asked, lengths, max(rows, _WAVE)):
                own = [_without(documents[number], len(shared)) for number in wave]
                nats = self._nats(own, shared, rows, partial(between, done))
                for number, loss in zip(wave, nats, strict=True):
                    found[number] = _rounded(number, loss)
                done = wave[-1] + 1
        between(len(documents))
        return found

    def _check(self, number: int, document: TokenDocument) -> None:
        ids, first = document
        wrong = ""
        if first < 1:
            wrong = "has a first target that nothing comes before"
        elif len(ids) > self.layout.most_tokens:
            wrong = f"has {len(ids)} tokens, and the model reads {self.layout.most_tokens}"
        elif ids and not 0 <= min(ids) <= max(ids) < self.layout.vocabulary:
            wrong = f"has a token that is none of the model's {self.layout.vocabulary}"
        if wrong:
            raise DataError(
                f"Document {number} {wrong}.",
                why="A loss is counted over tokens that the model has, in documents that it reads whole.",
                hint="Cut documents to what the model reads, with its own tokenizer.",
            )

    def _nats(
        self, wave: Sequence[TokenDocument], shared: Sequence[int], rows: int, between: Callable[[], None]
    ) -> Iterator[float]:
        """Losses of the documents of a wave, nats; each is what comes after what all of them share."""
        tokens = [torch.as_tensor(ids, dtype=torch.int64) for ids, _ in wave]
        places = [torch.arange(len(one) - 1) for one in tokens]
        said = torch.cat([at >= first - 1 for at, (_, first) in zip(places, wave, strict=True)])
        x = self._embedded(torch.cat([one[:-1] for one in tokens]), torch.cat(places) + len(shared))
        x = self._through_layers(x, [len(at) for at in places], shared, rows, between)
        targets = torch.cat([one[1:] for one in tokens])[said]
        nats = self._head(x[said], targets, between).tolist()
        for ids, first in wave:
            count = len(ids) - first
            yield math.fsum(nats[:count])
            del nats[:count]

    def _through_layers(
        self,
        x: torch.Tensor,
        lengths: Sequence[int],
        shared: Sequence[int],
        rows: int,
        between: Callable[[], None],
    ) -> torch.Tensor:
        packs = [[lengths[at] for at in pack] for pack in _groups(range(len(lengths)), lengths, rows)]
        parts = list(x.split([sum(pack) for pack in packs]))
        begun = self._embedded(torch.as_tensor(shared, dtype=torch.int64), torch.arange(len(shared)))
        before = None
        for index in range(self.layout.layers):
            weights = self._layer(index)
            if shared:
                begun, before = block(self.layout, weights, begun, [len(shared)])
            for at, pack in enumerate(packs):
                between()
                parts[at], _ = block(self.layout, weights, parts[at], pack, before)
        return torch.cat(parts)

    def _wide(self, name: str) -> torch.Tensor:
        return self._tensors[name].to(torch.float64)

    def _layer(self, index: int) -> Weights:
        part = self.layout
        return {name: self._wide(part.in_layer(index, name)) for name, _ in part.of_layer()}

    def _embedded(self, tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x = embedding(tokens, self._tensors[f"{self.layout.embedding}.weight"]).double()
        if self.layout.positions:
            x = x + embedding(places, self._tensors[f"{self.layout.positions}.weight"]).double()
        return x

    def _head(self, x: torch.Tensor, targets: torch.Tensor, between: Callable[[], None]) -> torch.Tensor:
        """−log softmax of each target, nats: (targets, hidden) → (targets)."""
        last = self.layout.last_norm
        outside = {name: self._wide(name) for name, _ in self.layout.outside() if name.startswith(f"{last}.")}
        x = norm(self.layout, outside, x, last)
        matrix = self._tensors[self.layout.head_weight]
        scored, sums = torch.empty(len(x), dtype=torch.float64), list[torch.Tensor]()
        for start in range(0, self.layout.vocabulary, _BLOCK):
            between()
            words = matrix[start : start + _BLOCK].to(torch.float64)
            over = []
            for at in range(0, len(x), _TARGETS):
                scores = linear(x[at : at + _TARGETS], words)
                over.append(scores.logsumexp(-1))
                here = targets[at : at + _TARGETS] - start
                inside = ((here >= 0) & (here < len(words))).nonzero()[:, 0]
                scored[at + inside] = scores[inside, here[inside]]
            sums.append(torch.cat(over))
        return (torch.stack(sums).logsumexp(0) - scored).clamp_min(0)


def _named(layout: DecoderLayout, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by their full name: some models were saved without the name of what lies below the head."""
    prefix = layout.embedding.partition(".")[0] + "."
    if any(name.startswith(prefix) for name in tensors):
        return dict(tensors)
    head = f"{layout.head}."
    return {name if name.startswith(head) else prefix + name: tensor for name, tensor in tensors.items()}


def _shared(documents: Sequence[TokenDocument]) -> Sequence[int]:
    """Tokens that all documents begin with and none has to say: computed once, as nothing looks ahead."""
    if len(documents) < 2:
        return []
    most = min(min(first, len(ids)) - 1 for ids, first in documents)
    beginnings = [tuple(ids[:most]) for ids, _ in documents]
    least, last = min(beginnings), max(beginnings)
    return least[
        : next((at for at, pair in enumerate(zip(least, last, strict=True)) if pair[0] != pair[1]), most)
    ]


def _without(document: TokenDocument, shared: int) -> TokenDocument:
    ids, first = document
    return ids[shared:], first - shared


def _groups(
    numbers: Sequence[int], lengths: Mapping[int, int] | Sequence[int], most: int
) -> Iterator[list[int]]:
    """Documents in a row, as many as have no more tokens together; one may have more."""
    group: list[int] = []
    tokens = 0
    for number in numbers:
        if group and tokens + lengths[number] > most:
            yield group
            group, tokens = [], 0
        group.append(number)
        tokens += lengths[number]
    if group:
        yield group


def _rounded(number: int, nats: float) -> int:
    if not 0 <= nats <= _LARGEST_NATS:
        raise EvaluationFailedError(
            f"Document {number} has a loss of {nats} nats.",
            why="A model with such a loss cannot be compared with another.",
            hint="Look at the model: its weights may be broken.",
        )
    return round(nats * NANO)
