"""Texts as token ids: computed once for a set and a tokenizer, then read back.

Stored flat, without padding: ids of all texts one after another, and where each begins.
"""

from __future__ import annotations

__all__ = ["TokenCache", "Tokens", "tokenizer_digest"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryoflux.data.examples import Example
from cryoflux.digests import file_digest, sha256_hex
from cryoflux.encoder.wordpiece import Tokeniser, known_tokenizer
from cryoflux.files import MOST_FILE_BYTES, read_regular, write_atomic
from cryoflux.registry.cuts import HEAD, Cut, reading_of, shortened, tokens_of
from cryoflux.registry.plain_model import harmless
from cryoflux.registry.tokenizing import read_tokenizer, some_at_once, token_rows

_WHOLE = 2**30
"""tokens that no text has"""
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token ids of a set, in the set's order."""

    flat: torch.Tensor
    """ids of all texts, (tokens,) int64"""
    starts: torch.Tensor
    """where each text begins in ``flat``, and where the last ends, (texts + 1,) int64"""
    pad: int
    """id that fills a batch up"""
    digest: str
    """names texts, tokenizer and cut"""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self, indices: Sequence[int]) -> torch.Tensor:
        """Tokens of each text, (batch,)."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return self.starts[chosen + 1] - self.starts[chosen]

    def rows(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Where each token of a batch lies in ``flat``, and which are padding.

        Returns:
            positions and mask, both (batch, longest); padding points at a text's last token.
        """
        lengths = self.lengths(indices)
        steps = torch.arange(int(lengths.max()))
        mask = steps < lengths[:, None]
        within = torch.minimum(steps, lengths[:, None] - 1)
        return self.starts[torch.as_tensor(indices)][:, None] + within, mask

    def batch(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Padded ids and mask of some texts, both (batch, longest)."""
        positions, mask = self.rows(indices)
        return torch.where(mask, self.flat[positions], self.pad), mask


def tokenizer_digest(folder: Path) -> str:
    """Digest of the files that make a tokenizer."""
    found = [name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    return sha256_hex("".join(f"{name} {file_digest(folder / name)}\n" for name in found).encode())


class TokenCache:
    """Token ids below ``state/cache/tokens/``."""

    def __init__(self, folder: Path, before_loading: Callable[[], None] = lambda: None) -> None:
        """Keep files in ``folder``; ``before_loading`` is called before transformers has to tokenise."""
        self._folder = folder
        self._before_loading = before_loading
        self._read: tuple[str, _Known] | None = None
        """digest of a tokenizer's files, and the tokenizer where it is the known one"""

    def get(self, model: Path, examples: Sequence[Example], examples_digest: str, cut: Cut) -> Tokens:
        """Token ids of a set, as much of each text as a cut says.

        Args:
            model: folder with the tokenizer.
            examples: the set.
            examples_digest: of the file that it was read from.
            cut: how much of a text is read, special tokens included.
        """
        tokenizer = tokenizer_digest(model)
        digest = sha256_hex(f"{tokenizer}\n{examples_digest}\n{cut}".encode())
        path = self._folder / f"{digest}.bin"
        known = _read(path, len(examples))
        if known is None:
            if self._read is None or self._read[0] != tokenizer:
                self._read = tokenizer, known_tokenizer(model)
            known = _tokenise(model, examples, cut, self._read[1], self._before_loading)
            write_atomic(path, _content(*known))
        flat, lengths, pad = known
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return Tokens(torch.from_numpy(flat.astype(np.int64)), torch.from_numpy(starts), pad, digest)


_Known = tuple[Tokeniser, int] | None
_Stored = tuple[np.ndarray, np.ndarray, int]


def _tokenise(
    model: Path,
    examples: Sequence[Example],
    cut: Cut,
    known: _Known,
    before_loading: Callable[[], None],
) -> _Stored:
    texts = [e.text for e in examples]
    if known is not None:
        tokenise, pad = known
        first = reading_of(cut) == HEAD
        rows = tokenise(texts, tokens_of(cut)) if first else _read_whole(tokenise, texts, cut)
    else:
        before_loading()
        with harmless(model) as copy:
            tokenizer = read_tokenizer(copy)
        rows, pad = token_rows(tokenizer, texts, cut), tokenizer.pad_token_id
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    flat = np.concatenate([np.array(row, dtype=np.int32) for row in rows])
    return flat, lengths, int(pad)


def _read_whole(tokenise: Tokeniser, texts: Sequence[str], cut: Cut) -> list[list[int]]:
    """Cut what was tokenised to its end, a few texts at a time, because they may be long."""
    return [shortened(row, cut) for some in some_at_once(texts) for row in tokenise(some, _WHOLE)]


def _content(flat: np.ndarray, lengths: np.ndarray, pad: int) -> bytes:
    head = np.array([len(lengths), pad], dtype="<i4").tobytes()
    body = head + lengths.astype("<i4").tobytes() + flat.astype("<i4").tobytes()
    return body + bytes.fromhex(sha256_hex(body))


def _read(path: Path, count: int) -> _Stored | None:
    # A cache is no evidence: what is damaged is as good as missing.
    try:
        content = read_regular(path, MOST_FILE_BYTES)
    except OSError:
        return None
    body, digest = content[:-32], content[-32:]
    if bytes.fromhex(sha256_hex(body)) != digest or len(body) < 8:
        return None
    numbers = np.frombuffer(body, dtype="<i4")
    if numbers[0] != count:
        return None
    lengths = numbers[2 : 2 + count]
    return numbers[2 + count :].astype(np.int32), lengths.astype(np.int32), int(numbers[1])
