"""What embeds: a text as a vector of small whole numbers.

Mean over the tokens of the last layer, of length 1, times 512, each component rounded into -127…127. A
product of two such vectors is a whole number below 2²⁴, so that float32 sums it exactly in whatever order:
numpy, FAISS and another machine find the same scores (Cauchy–Schwarz bounds every partial sum).

What embeds is called by what decides: the tensors that are read, the tokenizer, the cut, and this arithmetic.
So a head whose classifier alone has changed embeds as before.
"""

from __future__ import annotations

__all__ = ["SCALE", "EncoderName", "TextEncoder", "dimensions_of", "encoder_digest", "open_encoder"]

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cryoflux.data.batching import bucketed
from cryoflux.digests import TensorEntry, read_tensor_entries, sha256_hex
from cryoflux.encoder.layout import Layout, read_encoder
from cryoflux.errors import ModelError

SCALE = 512
"""length of a vector before its components are rounded"""
_MOST = 127
_ARITHMETIC = "mean/v1 int8/512"
_BATCH_TOKENS = 2048
_BATCH = 64
_KNOWN = "wordpiece of all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class EncoderName:
    """Where an encoder lies, and what it is called."""

    digest: str
    name: str
    """of the model, for people"""
    version: str
    """digest of the version of ``lora_delta`` whose weights they are; empty where it is none"""
    folder: Path


def encoder_digest(folder: Path, tokens: int, entries: Iterable[TensorEntry] = ()) -> str:
    """What the encoder in a model folder is called.

    Args:
        folder: of the model.
        tokens: of a text that are read.
        entries: its tensors, where they were hashed before.

    Raises:
        ModelError: its layout is not known here.
    """
    layout = _layout(folder)
    known = list(entries) or [
        e for path in sorted(folder.glob("*.safetensors")) for e in read_tensor_entries(path)
    ]
    prefix = _prefix(layout)
    read = sorted(
        f"{entry.name.removeprefix(prefix)} {entry.dtype} {list(entry.shape)} {entry.sha256}\n"
        for entry in known
        if entry.name.startswith((f"{layout.embeddings}.", layout.layer.partition("{")[0]))
        and not entry.name.endswith("position_ids")
    )
    said = "".join(read) + f"{_tokenizer_name(folder)}\n{tokens}\n{_ARITHMETIC}\n"
    return sha256_hex(said.encode())


def _tokenizer_name(folder: Path) -> str:
    from cryoflux.encoder.tokens import tokenizer_digest
    from cryoflux.encoder.wordpiece import known_tokenizer

    return _KNOWN if known_tokenizer(folder, alone=False) is not None else tokenizer_digest(folder)


def _layout(folder: Path) -> Layout:
    try:
        layout = read_encoder(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unknown(folder, str(error)) from error
    if layout is None:
        raise _unknown(folder, "it is neither a BERT nor a DistilBERT")
    return layout


def dimensions_of(folder: Path) -> int:
    """Of the vectors of the encoder in a model folder.

    Raises:
        ModelError: its layout is not known here.
    """
    return _layout(folder).hidden


def _unknown(folder: Path, why: str) -> ModelError:
    return ModelError(
        f"{folder} cannot embed documents: {why}.",
        why="Vectors are computed by our own encoder, which knows these two layouts.",
        hint="Leave --encoder out for the embedded model, or name a BERT or DistilBERT model.",
    )


def _prefix(layout: Layout) -> str:
    return layout.embeddings.removesuffix("embeddings")


class TextEncoder:
    """Embeds texts."""

    def __init__(self, folder: Path, tokens: int) -> None:
        """Load a model folder.

        Raises:
            ModelError: its layout is not known here, or its files cannot be read.
        """
        from cryoflux.encoder.linear import Backend
        from cryoflux.encoder.model import Encoder
        from cryoflux.registry.shards import read_tensors

        self._layout = _layout(folder)
        self._encoder = Encoder(self._layout, read_tensors(folder), Backend.F32)
        self._tokenise, self._pad = _tokeniser(folder)
        self._tokens = min(tokens, self._encoder.positions)
        self.dimensions = self._layout.hidden

    def flops(self, texts: Sequence[str]) -> int:
        """What embedding texts costs at most, floating-point operations."""
        return sum(
            self._layout.layers * self._layout.layer_flops(min(self._tokens, 2 + len(text) // 3))
            for text in texts
        )

    def embed(self, texts: Sequence[str]) -> Iterator[tuple[list[int], np.ndarray[Any, np.dtype[np.int8]]]]:
        """Which texts a batch has, and their vectors, (batch, dimensions); texts of like length together."""
        rows = self._tokenise(list(texts), self._tokens)
        for batch in bucketed([len(row) for row in rows], _BATCH, _BATCH_TOKENS):
            yield batch, self._vectors([rows[i] for i in batch])

    def _vectors(self, rows: list[list[int]]) -> np.ndarray[Any, np.dtype[np.int8]]:
        import torch

        from cryoflux.encoder.model import attention_bias

        longest = max(map(len, rows))
        ids = torch.tensor([row + [self._pad] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            x = self._encoder.embed(ids)
            bias = attention_bias(mask, x.dtype)
            for index in range(self._layout.layers):
                x = self._encoder.layer(x, bias, index)
            weights = mask[:, :, None].to(x.dtype)
            mean = (x * weights).sum(1) / weights.sum(1)
            unit = torch.nn.functional.normalize(mean.double(), dim=1)
            found = (unit * SCALE).round().clamp(-_MOST, _MOST).to(torch.int8)
        vectors: np.ndarray[Any, np.dtype[np.int8]] = found.numpy()
        return vectors


def _tokeniser(folder: Path) -> tuple[Any, int]:
    from cryoflux.encoder.wordpiece import known_tokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if (known := known_tokenizer(folder, alone=False)) is not None:
            return known
        from cryoflux.registry.plain_model import harmless
        from cryoflux.registry.tokenizing import read_tokenizer, token_rows

        with harmless(folder) as copy:
            tokenizer = read_tokenizer(copy)
    return partial(token_rows, tokenizer), int(tokenizer.pad_token_id or 0)


def open_encoder(name: EncoderName, tokens: int) -> TextEncoder:
    """Load an encoder that was found by its name, and make sure that it is the one.

    Raises:
        ModelError: it is another one by now.
    """
    if encoder_digest(name.folder, tokens) != name.digest:
        raise ModelError(
            f"{name.folder} is another model than the one that embeds.",
            why="Vectors of two models cannot be compared.",
            hint="Run again; the index is then embedded anew by what is there.",
        )
    return TextEncoder(name.folder, tokens)
