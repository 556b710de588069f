"""The files of a tokenizer, without what could be run, or could take for ever.

A tokenizer is data: ``tokenizer.json`` and vocabularies, which a library reads. ``tokenizer_config.json`` can
ask for code, name files elsewhere and carry templates, so only what is named here is handed on.
"""

from __future__ import annotations

__all__ = ["copy_tokenizer", "is_tokenizer", "tokenizer_complaints"]

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryoflux.errors import ModelError
from cryoflux.files import copy_regular, read_regular

_SETTINGS = "tokenizer_config.json"
_SPECIAL = "special_tokens_map.json"
_PARTS = "tokenizer.json"
_DATA = (
    *(_PARTS, "vocab.txt", "vocab.json", "merges.txt", "added_tokens.json"),
    *("spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model", "unigram.json"),
)
_MAX_SETTINGS_BYTES = 4_000_000
_MAX_DATA_BYTES = 64_000_000
_KEPT = frozenset(
    {
        *("tokenizer_class", "do_lower_case", "do_basic_tokenize", "never_split", "strip_accents"),
        *("tokenize_chinese_chars", "model_max_length", "padding_side", "truncation_side"),
        *("clean_up_tokenization_spaces", "add_prefix_space", "trim_offsets", "add_bos_token"),
        *("add_eos_token", "split_by_punct", "vocab_type", "keep_accents", "remove_space", "errors"),
        *("added_tokens_decoder", "additional_special_tokens", "extra_special_tokens"),
        *("model_input_names", "backend", "pad_token_type_id", "bos_token", "eos_token", "unk_token"),
        *("sep_token", "pad_token", "cls_token", "mask_token", "legacy", "max_length", "stride"),
        *("truncation_strategy", "pad_to_multiple_of", "padding", "do_lowercase", "split_special_tokens"),
    }
)
_DROPPED = frozenset(
    {
        *("auto_map", "chat_template", "response_schema", "processor_class", "name_or_path"),
        *("_name_or_path", "_commit_hash", "tokenizer_file", "vocab_file", "merges_file", "local_files_only"),
        *("special_tokens_map_file", "use_fast", "is_local", "transformers_version", "device_map"),
    }
)
_EMPTY = frozenset({"sp_model_kwargs", "mecab_kwargs", "sudachi_kwargs", "jumanpp_kwargs"})
"""settings that say nothing while they are empty"""
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]{0,60}(Tokenizer|TokenizerFast|TokenizersBackend)|TokenizersBackend")
_COMPONENTS = frozenset(
    {
        *("Sequence", "BertNormalizer", "BertPreTokenizer", "BertProcessing", "WordPiece", "WordLevel"),
        *("BPE", "Unigram", "ByteLevel", "ByteFallback", "Metaspace", "Precompiled", "RobertaProcessing"),
        *("TemplateProcessing", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Prepend", "Append"),
        *("Replace", "Split", "Strip", "StripAccents", "Fuse", "Punctuation", "Whitespace", "Digits"),
        *("WhitespaceSplit", "CharDelimiterSplit", "UnicodeScripts", "CTC", "BPEDecoder", "FixedLength"),
    }
)
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_PATTERNS = frozenset(
    {
        *(" {2,}", r"\s+", r"\s{2,}", "\n", r"[\r\n]"),
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        _WORDS % r"\p{N}",
        _WORDS % r"\p{N}{1,3}",
    }
)
"""regular expressions of widespread tokenizers; another one may take for ever"""


def _object(folder: Path, name: str, most: int) -> dict[str, Any]:
    path = folder / name
    if not path.exists():
        return {}
    try:
        found = json.loads(read_regular(path, most))
    except (OSError, ValueError, RecursionError) as error:
        raise _unusable(folder, f"its {name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise _unusable(folder, f"its {name} is no object")
    return found


def _unusable(folder: Path, why: str) -> ModelError:
    return ModelError(
        f"The tokenizer in {folder} cannot be loaded: {why}.",
        why="Without it no text can be read.",
        hint="Restore it from where it came, or name another model with --model.",
    )


def _is_text(value: object) -> bool:
    """Whether something is a text, or one with notes on how it is cut out."""
    if isinstance(value, dict):
        return all(one is None or isinstance(one, str | bool | int) for one in value.values())
    return value is None or isinstance(value, str)


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_text, value))
    if isinstance(value, dict):
        return all(map(_is_text, value.values())) or _is_text(value)
    return value is None or isinstance(value, str | int | float)


def _kept(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in _KEPT and _is_plain(value)}


def is_tokenizer(name: object) -> bool:
    """Whether something is the name of a class of tokenizers, and of nothing else."""
    return isinstance(name, str) and _CLASS.fullmatch(name) is not None


def _check_class(folder: Path, settings: dict[str, Any]) -> None:
    name = settings.get("tokenizer_class")
    if name is not None and not is_tokenizer(name):
        raise _unusable(folder, f"it asks for {str(name)[:80]!r}, which is no tokenizer")


def copy_tokenizer(folder: Path, target: Path) -> None:
    """Copy the files of a tokenizer that are data, and settings that only say how texts are cut.

    Raises:
        ModelError: it cannot be loaded.
        OSError: a file cannot be read or written.
    """
    settings = _object(folder, _SETTINGS, _MAX_SETTINGS_BYTES)
    _check_class(folder, settings)
    if settings:
        (target / _SETTINGS).write_text(json.dumps(_kept(settings), indent=2) + "\n")
    if special := _object(folder, _SPECIAL, _MAX_SETTINGS_BYTES):
        (target / _SPECIAL).write_text(json.dumps(_kept(special), indent=2) + "\n")
    for name in _DATA:
        if (folder / name).exists():
            if (folder / name).stat().st_size > _MAX_DATA_BYTES:
                raise _unusable(folder, f"its {name} has more than {_MAX_DATA_BYTES} bytes")
            copy_regular(folder / name, target / name)


def tokenizer_complaints(folder: Path) -> list[str]:
    """Why a tokenizer may do something else than what is known here; empty where nothing is unknown.

    Raises:
        ModelError: it cannot be loaded at all.
    """
    settings = _object(folder, _SETTINGS, _MAX_SETTINGS_BYTES)
    _check_class(folder, settings)
    complaints = [
        f"its {_SETTINGS} says {name[:60]!r}, which is not known here"
        for name, value in settings.items()
        if not (name in _DROPPED or (name in _KEPT and _is_plain(value)) or (name in _EMPTY and not value))
    ]
    parts = _object(folder, _PARTS, _MAX_DATA_BYTES)
    if not parts:
        return [*complaints, f"its tokenizer is in no {_PARTS}"]
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        complaints += _components(parts.get(part), part)
    return complaints


def _components(found: object, part: str) -> Iterator[str]:
    """What is not known of a part of ``tokenizer.json``."""
    if isinstance(found, list):
        for one in found:
            yield from _components(one, part)
    if not isinstance(found, dict):
        return
    kind, pattern = found.get("type"), found.get("pattern")
    if kind is not None and kind not in _COMPONENTS:
        yield f"its {_PARTS} has a {part} {str(kind)[:60]!r}, which is not known here"
    if isinstance(pattern, dict) and "Regex" in pattern and pattern["Regex"] not in _PATTERNS:
        yield f"its {_PARTS} has a {part} by a regular expression that is not known here"
    for name in ("normalizers", "pretokenizers", "processors", "decoders"):
        yield from _components(found.get(name), part)
