"""Token ids of the embedded model's tokenizer, without loading transformers for it.

transformers reads ``tokenizer.json`` and ``tokenizer_config.json`` and hands the work to the ``tokenizers``
library. Where both files say exactly what is known here, the library is asked directly: the same ids for a
second less of CPU time. Any other tokenizer is transformers' business.
"""

from __future__ import annotations

__all__ = ["Tokeniser", "known_tokenizer"]

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from cryoflux.digests import sha256_hex
from cryoflux.files import read_regular

_MAX_BYTES = 4_000_000
"""of a file; the known one has a million"""
_DECIDES = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "model")
"""parts of ``tokenizer.json`` that ids follow from, besides the limit"""
_EMBEDDED = "67b5de988bf4e6164ed95e5c8aaa04c956cd7726ffda54f78ab4b01aa62055c5"
"""SHA-256 of those parts of the embedded model's, as canonical JSON"""
_PAD = 0
"""the id of ``[PAD]`` in them"""
_CONFIG = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    "do_basic_tokenize": True,
    "never_split": None,
    "strip_accents": None,
    "tokenize_chinese_chars": True,
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}
"""what ``tokenizer_config.json`` has to say"""
_CHARACTERS = 6
"""of a token, more than English takes"""
_SIDES = {"truncation_side": "right", "padding_side": "right"}
_BESIDE = ("added_tokens.json", "special_tokens_map.json", "vocab.txt")
"""files that could say something else"""

Tokeniser = Callable[[Sequence[str], int], list[list[int]]]
"""texts, and the most tokens of one → ids, special tokens included"""


def known_tokenizer(folder: Path, *, alone: bool = True) -> tuple[Tokeniser, int] | None:
    """The tokenizer of a model folder and its id for padding; none where it is not the known one.

    Args:
        folder: of the model.
        alone: whether no other file may stand beside it, as in a version; the model's authors left some.
    """
    try:
        config = json.loads(read_regular(folder / "tokenizer_config.json", _MAX_BYTES))
        parts = json.loads(read_regular(folder / "tokenizer.json", _MAX_BYTES))
        wanted = {**_CONFIG, **{name: side for name, side in _SIDES.items() if name in config}}
        plain = {name: config.get(name) for name in wanted} == wanted
        content = json.dumps({name: parts[name] for name in _DECIDES}, sort_keys=True).encode()
        known = plain and sha256_hex(content) == _EMBEDDED
        if not known or (alone and any((folder / name).exists() for name in _BESIDE)):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return _loaded(folder)


def _loaded(folder: Path) -> tuple[Tokeniser, int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [encoded.ids for encoded in tokenizer.encode_batch_fast(list(texts))]

    def tokenise(texts: Sequence[str], limit: int) -> list[list[int]]:
        tokenizer.enable_truncation(limit)
        begun = [_beginning(text, limit) for text in texts]
        rows = encode(begun)
        parts = enumerate(zip(texts, begun, rows, strict=True))
        short = [at for at, (text, part, row) in parts if len(part) < len(text) and len(row) < limit]
        for at, row in zip(short, encode([texts[at] for at in short]), strict=True):
            rows[at] = row
        return rows

    return tokenise, _PAD


def _beginning(text: str, limit: int) -> str:
    """As much of a text as mostly has so many tokens; no word is read across the space where it ends."""
    end = text.find(" ", limit * _CHARACTERS)
    return text if end < 0 else text[:end]
