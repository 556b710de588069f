"""The model of a ``tokenizer.json`` and the tokens beside it: one id a token, and no work beyond the text's.

Two tokens with one id would let texts of different words be the same to a model, and a token that is drawn
by chance (``dropout``) gives other ids each time.
"""

from __future__ import annotations

__all__ = ["vocabulary_complaints"]

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_MOST_TOKENS = 2**22
_LARGEST_ID = 2**24
_LONGEST_TOKEN = 1000
_LONGEST_PIECE = 256
"""characters of a token that is looked for at each place of a text"""
_LARGEST_SCORE = 1e9
_MOST_ADDED = 20_000
_LONGEST_WORD = 200
"""characters of a word that WordPiece looks for all parts of"""
_LONGEST_PREFIX = 16
_SUFFIXES = (None, "", "</w>")
_NOTES = ("single_word", "lstrip", "rstrip", "normalized", "special")
_FLAGS = ("fuse_unk", "byte_fallback", "ignore_merges")
_KEYS: Mapping[str, frozenset[str]] = {
    "WordLevel": frozenset({"type", "vocab", "unk_token"}),
    "WordPiece": frozenset(
        {"type", "vocab", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word"}
    ),
    "BPE": frozenset(
        {
            *("type", "vocab", "merges", "dropout", "unk_token", "continuing_subword_prefix"),
            *("end_of_word_suffix", *_FLAGS),
        }
    ),
    "Unigram": frozenset({"type", "vocab", "unk_id", "byte_fallback"}),
}


def vocabulary_complaints(parts: Mapping[str, Any], others: Iterable[tuple[Any, Any]]) -> list[str]:
    """What is not known of a tokenizer's model and of its added tokens; the first of it.

    Args:
        parts: of the ``tokenizer.json``.
        others: id and text of tokens that other files add.
    """
    model = parts.get("model")
    if not isinstance(model, dict):
        return ["no model"]
    kind = model.get("type") or _kind(model)
    if not isinstance(kind, str) or kind not in _KEYS:
        return [f"a model {str(kind)[:60]!r}, which is not known here"]
    if strange := model.keys() - _KEYS[kind]:
        return [f"a model {kind} with {min(strange)[:60]!r}, which is not known here"]
    checks = {"WordLevel": _words, "WordPiece": _word_pieces, "BPE": _merged, "Unigram": _scored}
    found = next(checks[kind](model), "")
    if found:
        return [found]
    vocabulary = _ids(model)
    return [found for found in [next(_added(parts, others, vocabulary), "")] if found]


def _kind(model: Mapping[str, Any]) -> str:
    """The kind of a model that does not name it, as in older files."""
    if "merges" in model:
        return "BPE"
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    return "WordPiece" if "continuing_subword_prefix" in model else "WordLevel"


def _ids(model: Mapping[str, Any]) -> dict[str, int]:
    tokens = model["vocab"]
    return {entry[0]: place for place, entry in enumerate(tokens)} if isinstance(tokens, list) else tokens


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST_ID


def _words(model: Mapping[str, Any]) -> Iterator[str]:
    """The same, and whether unknown words have a token; whoever asks takes the first complaint alone."""
    yield from _numbered(model)
    unknown = model.get("unk_token")
    if not isinstance(unknown, str) or unknown not in model["vocab"]:
        yield "a model whose token for unknown words has no id"


def _numbered(model: Mapping[str, Any]) -> Iterator[str]:
    """What is strange in tokens with their ids."""
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not 0 < len(vocabulary) <= _MOST_TOKENS:
        yield "a model without tokens, or with too many"
        return
    if not all(map(_is_id, vocabulary.values())):
        yield "a token whose id is no number, or a very large one"
    if len(set(vocabulary.values())) < len(vocabulary):
        yield "two tokens with one id"
    if max(map(len, vocabulary)) > _LONGEST_TOKEN:
        yield f"a token of more than {_LONGEST_TOKEN} characters"


def _word_pieces(model: Mapping[str, Any]) -> Iterator[str]:
    yield from _words(model)
    longest, prefix = model.get("max_input_chars_per_word"), model.get("continuing_subword_prefix")
    if type(longest) is not int or not 0 < longest <= _LONGEST_WORD:
        yield f"words of more than {_LONGEST_WORD} characters, which are searched for all their parts"
    if not isinstance(prefix, str) or len(prefix) > _LONGEST_PREFIX:
        yield "a model whose prefix within words is not known here"


def _merged(model: Mapping[str, Any]) -> Iterator[str]:
    yield from _numbered(model)
    if model.get("dropout") not in (None, 0):
        yield "merges that are left out by chance"
    if model.get("unk_token") is not None:
        yield from _words(model)
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix") not in _SUFFIXES:
        yield "merges with a prefix or suffix that is not known here"
    if not all(isinstance(model.get(name, False), bool) for name in _FLAGS):
        yield "a model with a setting that is neither yes nor no"
    merges = model.get("merges")
    if not isinstance(merges, list):
        yield "a model without merges"
    elif not all(_merges(one, model["vocab"]) for one in merges):
        yield "a merge of what are no tokens"


def _merges(found: object, vocabulary: Mapping[str, int]) -> bool:
    pair = found.split(" ") if isinstance(found, str) else found
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
        return False
    return pair[0] in vocabulary and pair[1] in vocabulary and pair[0] + pair[1] in vocabulary


def _scored(model: Mapping[str, Any]) -> Iterator[str]:
    tokens, unknown = model.get("vocab"), model.get("unk_id")
    if not isinstance(tokens, list) or not 0 < len(tokens) <= _MOST_TOKENS:
        yield "a model without tokens, or with too many"
        return
    if not all(map(_is_scored, tokens)):
        yield "a token without text or score, or a very long one"
        return
    if len({entry[0] for entry in tokens}) < len(tokens):
        yield "a token with two ids"
    if not isinstance(unknown, int) or not _is_id(unknown) or unknown >= len(tokens):
        yield "a model whose token for unknown words has no id"
    if not isinstance(model.get("byte_fallback", False), bool):
        yield "a model with a setting that is neither yes nor no"


def _is_scored(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) != 2:
        return False
    text, score = entry
    known = isinstance(text, str) and 0 < len(text) <= _LONGEST_PIECE
    return known and type(score) in {int, float} and abs(score) <= _LARGEST_SCORE


def _added(
    parts: Mapping[str, Any], others: Iterable[tuple[Any, Any]], vocabulary: Mapping[str, int]
) -> Iterator[str]:
    """What is strange in the tokens beside a model's own."""
    added = parts.get("added_tokens") or []
    if not isinstance(added, list) or len(added) > _MOST_ADDED or not all(map(_is_added, added)):
        yield "added tokens that are not known here, or very many"
        return
    if len({one["content"] for one in added}) < len(added):
        yield "an added token that is there twice"
    texts = {number: text for text, number in vocabulary.items()}
    known = dict(vocabulary)
    for number, text in [*((one["id"], one["content"]) for one in added), *others]:
        if not _is_id(number) or not isinstance(text, str) or not text:
            yield "an added token without text or id"
            return
        if known.setdefault(text, number) != number or texts.setdefault(number, text) != text:
            yield f"an added token {text[:60]!r} whose id is another's, or has another"


def _is_added(one: object) -> bool:
    return (
        isinstance(one, dict)
        and one.keys() <= {"id", "content", *_NOTES}
        and _is_id(one.get("id"))
        and isinstance(one.get("content"), str)
        and 0 < len(one["content"]) <= _LONGEST_TOKEN
        and all(isinstance(one.get(name, False), bool) for name in _NOTES)
    )
