"""The steps of a ``tokenizer.json``: what each may say, so that a text neither grows nor is rewritten by it.

A step that makes a text twice as long does so to its own result when it is there twice; one that takes
letters for others lets two texts that nobody would call copies be the same to a model. So each kind of step
is there once, but for replacements, and those are the ones of widespread tokenizers.
"""

from __future__ import annotations

__all__ = ["step_complaints"]

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cryoflux.registry.plain_charsmap import charsmap_complaint

_Rule = Callable[[Any], bool]
_Kinds = Mapping[str, Mapping[str, _Rule]]

_MOST_STEPS = 16
_DEEPEST = 3
_MOST_PIECES = 16
_MOST_IDS = 4
_LONGEST = 64
_SEVERAL = frozenset({"Replace", "Split", "Digits"})
"""kinds that a tokenizer may have more than one of: what they do does not grow, however often"""
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_BLANKS_REPLACED = frozenset({" {2,}", r"\s+", r"\s{2,}", "\n", r"\n", r"[\r\n]", r"\s{2,}|[\n\r\t]"})
_PATTERNS = frozenset(
    {
        *_BLANKS_REPLACED,
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        _WORDS % r"\p{N}",
        _WORDS % r"\p{N}{1,3}",
    }
)
"""regular expressions of widespread tokenizers; another one may take for ever"""
_BLANKS = frozenset({" ", "▁", "\n"})
_REPLACED = frozenset({(" ", "▁"), ("▁", " "), ("``", '"'), ("''", '"'), ("\n", " ")})


def _bool(value: object) -> bool:
    return isinstance(value, bool)


def _switch(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _number(value: object) -> bool:
    return type(value) is int and 0 <= value <= 2**24


def _one_of(*values: object) -> _Rule:
    return lambda value: type(value) in {str, type(None)} and value in values


def _token(value: object) -> bool:
    """Whether something is a token with its id."""
    return isinstance(value, list) and len(value) == 2 and _text(value[0]) and _number(value[1])


def _pattern(value: object) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(kind, said)] = value.items()
    return isinstance(said, str) and said in {"Regex": _PATTERNS, "String": _BLANKS}.get(kind, ())


def _any_pattern(value: object) -> bool:
    """Whether something is a pattern that may stand where no text is read with it."""
    said = value.get("String") if isinstance(value, dict) and len(value) == 1 else None
    return (_text(said) and bool(said)) or _pattern(value)


def _charsmap(value: object) -> bool:
    return isinstance(value, str) and not charsmap_complaint(value)


def _template(value: object) -> bool:
    """Whether something is a template of a few tokens around one text."""
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_PIECES:
        return False
    texts = []
    for piece in value:
        if not isinstance(piece, dict) or len(piece) != 1:
            return False
        [(kind, said)] = piece.items()
        if not isinstance(said, dict) or said.keys() != {"id", "type_id"} or not _number(said["type_id"]):
            return False
        if kind == "Sequence":
            texts.append(said["id"])
        elif kind != "SpecialToken" or not _text(said["id"]):
            return False
    return texts == ["A"]


def _pair(value: object) -> bool:
    """Whether something is a template of two texts; nothing here is ever read as two."""
    return isinstance(value, list) and len(value) <= _MOST_PIECES


def _names_missing(step: Mapping[str, Any]) -> bool:
    """Whether a template has a token that is not among its tokens, at which the library gives up."""
    pieces = [*step.get("single", ()), *step.get("pair", ())]
    named = [piece.get("SpecialToken") for piece in pieces if isinstance(piece, dict)]
    asked = [said.get("id") for said in named if isinstance(said, dict)]
    return not all(isinstance(name, str) and name in step.get("special_tokens", {}) for name in asked)


def _template_tokens(value: object) -> bool:
    if not isinstance(value, dict) or len(value) > _MOST_PIECES:
        return False
    return all(
        isinstance(one, dict)
        and one.keys() == {"id", "ids", "tokens"}
        and _text(name)
        and one["id"] == name
        and all(isinstance(one[part], list) and 0 < len(one[part]) <= _MOST_IDS for part in ("ids", "tokens"))
        and all(map(_number, one["ids"]))
        and all(map(_text, one["tokens"]))
        and len(one["ids"]) == len(one["tokens"])
        for name, one in value.items()
    )


_BYTES: Mapping[str, _Rule] = {"add_prefix_space": _bool, "trim_offsets": _bool, "use_regex": _bool}
_KEEPING = ("Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
_BEHAVIOUR = _one_of("Removed", *_KEEPING)
_METASPACE: Mapping[str, _Rule] = {
    "replacement": _one_of("▁"),
    "str_rep": _one_of("▁"),
    "add_prefix_space": _bool,
    "prepend_scheme": _one_of("always", "first", "never"),
    "split": _bool,
}
_AROUND: Mapping[str, _Rule] = {"sep": _token, "cls": _token}
_KINDS: Mapping[str, _Kinds] = {
    "normalizer": {
        "BertNormalizer": {
            **dict.fromkeys(("clean_text", "handle_chinese_chars", "lowercase"), _bool),
            "strip_accents": _switch,
        },
        "Strip": {"strip_left": _bool, "strip_right": _bool},
        "Prepend": {"prepend": _one_of("▁", " ")},
        "Replace": {"pattern": lambda _: True, "content": _text},
        "Precompiled": {"precompiled_charsmap": _charsmap},
        **{
            kind: {}
            for kind in ("Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "StripAccents", "ByteLevel")
        },
    },
    "pre_tokenizer": {
        "ByteLevel": _BYTES,
        "Metaspace": _METASPACE,
        "Split": {"pattern": _pattern, "behavior": _BEHAVIOUR, "invert": _bool},
        "Punctuation": {
            "behavior": _one_of("Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
        },
        "Digits": {"individual_digits": _bool},
        "CharDelimiterSplit": {"delimiter": _one_of(" ", "▁")},
        **{kind: {} for kind in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "UnicodeScripts")},
    },
    "post_processor": {
        "TemplateProcessing": {"single": _template, "pair": _pair, "special_tokens": _template_tokens},
        "BertProcessing": _AROUND,
        "RobertaProcessing": {**_AROUND, "trim_offsets": _bool, "add_prefix_space": _bool},
        "ByteLevel": _BYTES,
    },
    "decoder": {
        "ByteLevel": _BYTES,
        "Metaspace": _METASPACE,
        "WordPiece": {"prefix": _text, "cleanup": _bool},
        "BPEDecoder": {"suffix": _text},
        "CTC": {"pad_token": _text, "word_delimiter_token": _text, "cleanup": _bool},
        "Strip": {
            "content": lambda value: _text(value) and len(value) == 1,
            "start": _number,
            "stop": _number,
        },
        "Replace": {"pattern": _any_pattern, "content": _text},
        "Fuse": {},
        "ByteFallback": {},
    },
}
_INNER = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}


def step_complaints(parts: Mapping[str, Any]) -> list[str]:
    """What is not known of the steps of a ``tokenizer.json`` before and behind its model."""
    complaints = []
    as_bytes = [_kinds(parts.get(part), part).count("ByteLevel") for part in ("normalizer", "pre_tokenizer")]
    model = parts.get("model")
    if isinstance(model, dict) and sum(as_bytes) + (model.get("byte_fallback") is True) > 1:
        complaints.append("bytes written as characters twice")
    for part in _KINDS:
        steps = list(_flat(parts.get(part), part, _DEEPEST))
        if len(steps) > _MOST_STEPS:
            complaints.append(f"a {part} of more than {_MOST_STEPS} steps, or of steps within steps")
            continue
        complaints += _of_steps(steps, part)
    return complaints


def _flat(found: object, part: str, depth: int) -> Iterator[object]:
    """The steps that a part consists of; one too many where they are too deep or too many."""
    if found is None:
        return
    if isinstance(found, dict) and found.get("type") == "Sequence" and found.keys() == {"type", _INNER[part]}:
        inner = found[_INNER[part]]
        if depth == 0 or not isinstance(inner, list) or len(inner) > _MOST_STEPS:
            yield from range(_MOST_STEPS + 1)
            return
        for one in inner:
            yield from _flat(one, part, depth - 1)
        return
    yield found


def _kinds(found: object, part: str) -> list[object]:
    return [step.get("type") for step in _flat(found, part, _DEEPEST) if isinstance(step, dict)]


def _of_steps(steps: list[object], part: str) -> Iterator[str]:
    seen: set[str] = set()
    for step in steps:
        kind = step.get("type") if isinstance(step, dict) else step
        if not isinstance(step, dict) or not isinstance(kind, str) or kind not in _KINDS[part]:
            yield f"a {part} {str(kind)[:60]!r}, which is not known here"
            continue
        if kind in seen and kind not in _SEVERAL and part != "decoder":
            yield f"a {part} with {kind} in it twice"
        seen.add(kind)
        rules = _KINDS[part][kind]
        strange = [
            name for name in step if name != "type" and not (name in rules and rules[name](step[name]))
        ]
        yield from (_unknown(part, kind, name, step[name]) for name in strange)
        if kind == "Precompiled" and "precompiled_charsmap" not in step:
            yield f"a {part} without its table of characters"
        if kind == "TemplateProcessing" and not strange and _names_missing(step):
            yield f"a {part} with a token that it does not know"
        if part == "normalizer" and kind == "Replace" and not _is_replaced(step):
            yield f"a {part} that replaces something by what is not known here"
        if kind == "Split" and step.get("behavior") == "Removed" and not _removes_blanks(step):
            yield f"a {part} that leaves out more than blanks"


def _unknown(part: str, kind: str, name: str, value: object) -> str:
    if isinstance(value, dict) and "Regex" in value:
        return f"a {part} by a regular expression that is not known here"
    if kind == "Precompiled" and isinstance(value, str):
        return f"a {part} whose table of characters {charsmap_complaint(value)}"
    return f"a {part} {kind} whose {name[:60]!r} is not known here"


def _said(step: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and text of a step's pattern; nothing where it has none."""
    pattern = step.get("pattern")
    if isinstance(pattern, dict) and len(pattern) == 1:
        [(kind, said)] = pattern.items()
        if isinstance(said, str):
            return kind, said
    return "", ""


def _removes_blanks(step: Mapping[str, Any]) -> bool:
    """Whether all that a split leaves out is blank: what matches, or what none of the long patterns takes."""
    blank = _said(step)[1] in _BLANKS | _BLANKS_REPLACED
    return step.get("invert") is not blank


def _is_replaced(step: Mapping[str, Any]) -> bool:
    """Whether a replacement is one of widespread tokenizers; none of them makes a text longer."""
    (kind, said), content = _said(step), step.get("content")
    if not isinstance(content, str):
        return False
    if kind == "String":
        return (said, content) in _REPLACED
    return kind == "Regex" and said in _BLANKS_REPLACED and content in {" ", "▁", ""}
