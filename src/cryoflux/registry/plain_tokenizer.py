"""The files of a tokenizer, without what could be run, or could take for ever.

A tokenizer is data: ``tokenizer.json`` and vocabularies, which a library reads. ``tokenizer_config.json`` can
ask for code, name files elsewhere and carry templates, so only what is named here is handed on.
"""

from __future__ import annotations

__all__ = ["PARTS", "copy_tokenizer", "is_tokenizer", "tokenizer_complaints"]

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryoflux.errors import ModelError
from cryoflux.files import copy_regular
from cryoflux.registry.plain_json import read_object
from cryoflux.registry.plain_parts import step_complaints
from cryoflux.registry.plain_vocabulary import vocabulary_complaints

_SETTINGS = "tokenizer_config.json"
_SPECIAL = "special_tokens_map.json"
PARTS = "tokenizer.json"
_ADDED = "added_tokens.json"
_DATA = (
    *(PARTS, "vocab.txt", "vocab.json", "merges.txt", _ADDED),
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
        *("clean_text", "wordpieces_prefix", "mask_token_sent", "extra_ids", "offset", "unk_id"),
    }
)
_DROPPED = frozenset(
    {
        *("auto_map", "chat_template", "response_schema", "processor_class", "name_or_path"),
        *("_name_or_path", "_commit_hash", "tokenizer_file", "vocab_file", "merges_file", "local_files_only"),
        *("special_tokens_map_file", "use_fast", "is_local", "transformers_version", "device_map"),
        *("use_default_system_prompt",),
    }
)
_EMPTY = frozenset({"sp_model_kwargs", "mecab_kwargs", "sudachi_kwargs", "jumanpp_kwargs"})
"""settings that say nothing while they are empty"""
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]{0,60}(Tokenizer|TokenizerFast|TokenizersBackend)|TokenizersBackend")
_SIZES = ("max_length", "stride", "pad_to_multiple_of")
_FEW = ("extra_ids", "offset", "unk_id")
"""settings that a tokenizer makes so many tokens by, or that name one of its first"""
_MOST_FEW = 1000
_DIGITS = 10
_LONGEST = 2**20
"""tokens to which settings of a tokenizer cut a text, or fill it up; whoever reads texts says it anew"""
_TOP = frozenset(
    {
        *("version", "truncation", "padding", "added_tokens", "model"),
        *("normalizer", "pre_tokenizer", "post_processor", "decoder"),
    }
)


def _object(folder: Path, name: str, most: int) -> dict[str, Any]:
    if not (folder / name).exists():
        return {}
    return read_object(folder / name, most, lambda why: _unusable(folder, f"its {name} {why}"))


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
    return {name: value for name, value in settings.items() if _is_kept(name, value)}


def _is_kept(name: str, value: Any) -> bool:
    if name in _FEW and not (_is_size(value) and (value or 0) <= _MOST_FEW):
        return False
    return name in _KEPT and _is_plain(value) and (name not in _SIZES or _is_size(value))


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


def tokenizer_complaints(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Why a tokenizer may do something else than what is known here; empty where nothing is unknown.

    Args:
        folder: of the model.
        config: settings of the model, which may name the class that reads the tokenizer.

    Raises:
        ModelError: it cannot be loaded at all.
    """
    settings = _object(folder, _SETTINGS, _MAX_SETTINGS_BYTES)
    _check_class(folder, settings)
    complaints = [
        f"its {_SETTINGS} says {name[:60]!r}, which is not known here"
        for name, value in settings.items()
        if not (name in _DROPPED or _is_kept(name, value) or (name in _EMPTY and not value))
    ]
    parts = _object(folder, PARTS, _MAX_DATA_BYTES)
    if not parts:
        return [*complaints, f"its tokenizer is in no {PARTS}"]
    if not _reads_parts(settings, config):
        complaints.append(f"its tokenizer is of a class that does not read {PARTS}")
    beside = [*_decoded(settings), *_object(folder, _ADDED, _MAX_SETTINGS_BYTES).items()]
    found = [*_frame_complaints(parts), *step_complaints(parts)]
    found += vocabulary_complaints(parts, ((number, text) for text, number in beside))
    return [*complaints, *(f"its {PARTS} has {complaint}" for complaint in found)]


def _decoded(settings: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The tokens that ``tokenizer_config.json`` adds, with the ids that it says."""
    said = settings.get("added_tokens_decoder") or {}
    for number, token in said.items() if isinstance(said, dict) else ():
        plain = number.isascii() and number.isdigit() and len(number) < _DIGITS
        yield token.get("content") if isinstance(token, dict) else token, int(number) if plain else None


def _reads_parts(settings: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether the classes that transformers may take read ``tokenizer.json``."""
    from transformers import PreTrainedTokenizerFast
    from transformers.models.auto import tokenization_auto

    registered = tokenization_auto.TOKENIZER_MAPPING_NAMES.get(str(config.get("model_type")))
    for name in (settings.get("tokenizer_class"), config.get("tokenizer_class"), registered):
        try:
            made = tokenization_auto.tokenizer_class_from_name(name) if isinstance(name, str) else None
        except (ImportError, AttributeError, RuntimeError, ValueError):  # it needs what is not installed
            return False
        if made is not None and not issubclass(made, PreTrainedTokenizerFast):
            return False
    return True


def _is_size(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= _LONGEST)


def _frame_complaints(parts: Mapping[str, Any]) -> Iterator[str]:
    """What is not known of how a ``tokenizer.json`` says that texts are cut and filled up."""
    if strange := parts.keys() - _TOP:
        yield f"{min(strange)[:60]!r}, which is not known here"
    cut, filled = parts.get("truncation"), parts.get("padding")
    if cut is not None and not (isinstance(cut, dict) and _is_cut(cut)):
        yield "a truncation that is not known here"
    if filled is not None and not (isinstance(filled, dict) and _is_filled(filled)):
        yield "a padding that is not known here"


def _is_cut(cut: Mapping[str, Any]) -> bool:
    longest, stride = cut.get("max_length"), cut.get("stride", 0)
    return (
        cut.keys() <= {"direction", "max_length", "strategy", "stride"}
        and isinstance(longest, int)
        and isinstance(stride, int)
        and 0 <= 2 * stride < longest <= _LONGEST
        and all(isinstance(cut.get(name, ""), str) for name in ("direction", "strategy"))
    )


def _is_filled(filled: Mapping[str, Any]) -> bool:
    strategy = filled.get("strategy")
    fixed = isinstance(strategy, dict) and strategy.keys() == {"Fixed"} and _is_size(strategy["Fixed"])
    return (
        (strategy == "BatchLongest" or fixed)
        and filled.keys() <= {"strategy", "direction", "pad_id", "pad_type_id", "pad_token", *_SIZES}
        and all(_is_size(filled.get(name)) for name in ("pad_to_multiple_of", "pad_id", "pad_type_id"))
        and all(isinstance(filled.get(name, ""), str) for name in ("direction", "pad_token"))
    )
