"""The tokenizers of widespread families as their authors write them, with a handful of words each."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

Parts = dict[str, Any]

_WORDS = ("the", "a", "cat", "dog", "red", "green", "saw")
_GPT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def charsmap(texts: dict[bytes, str]) -> str:
    """A table of characters as SentencePiece packs it: a double array, then the texts."""
    pool, starts = b"", {}
    for key, text in texts.items():
        starts[key] = len(pool)
        pool += text.encode() + b"\0"
    units, base = {0: 256 << 10}, 256
    waiting = [(b"", 0)]
    while waiting:
        prefix, place = waiting.pop(0)
        following = sorted({key[len(prefix)] for key in texts if key.startswith(prefix) and key != prefix})
        own = base
        base += 256
        units[place] = units[place] & 0x1FF | (place ^ own) << 10
        if prefix in texts:
            units[own] = 1 << 31 | starts[prefix]
        for byte in following:
            leaf = 256 if prefix + bytes([byte]) in texts else 0
            units[own ^ byte] = byte | leaf
            waiting.append((prefix + bytes([byte]), own ^ byte))
    table = [units.get(place, 0) for place in range(base)]
    packed = struct.pack(f"<{len(table)}I", *table)
    return base64.b64encode(struct.pack("<I", len(packed)) + packed + pool).decode()


NMT_NFKC = charsmap(
    {
        "Ａ".encode(): "A",
        "ﬁ".encode(): "fi",
        b"\t": " ",
        "\u200b".encode(): " ",
        b"\x01": "",
        "か゛".encode(): "か゛",
    }
)


def _added(vocabulary: dict[str, int], *tokens: str, **said: object) -> list[Parts]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [{"id": vocabulary[token], "content": token, **flags, **said} for token in tokens]


def _template(vocabulary: dict[str, int], before: str, after: str) -> Parts:
    def special(token: str, kind: int = 0) -> Parts:
        return {"SpecialToken": {"id": token, "type_id": kind}}

    first = {"Sequence": {"id": "A", "type_id": 0}}
    begins, ends = [special(before)] if before else [], [special(after)] if after else []
    used = [token for token in (before, after) if token]
    return {
        "type": "TemplateProcessing",
        "single": [*begins, first, *ends],
        "pair": [*begins, first, *ends, {"Sequence": {"id": "B", "type_id": 1}}, *ends],
        "special_tokens": {one: {"id": one, "ids": [vocabulary[one]], "tokens": [one]} for one in used},
    }


def _whole(**parts: object) -> Parts:
    none = dict.fromkeys(
        ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    )
    return {"version": "1.0", **none, "added_tokens": [], **parts}


def bert() -> Parts:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_WORDS, "##s"]
    vocabulary = {token: number for number, token in enumerate(names)}
    return _whole(
        truncation={"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0},
        padding={
            "strategy": {"Fixed": 128},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        added_tokens=_added(vocabulary, *names[:5]),
        normalizer={
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor=_template(vocabulary, "[CLS]", "[SEP]"),
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
        model={
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    )


def _bpe(names: list[str], merges: list[Any], **said: object) -> Parts:
    plain = {
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
    }
    vocabulary = {token: number for number, token in enumerate(names)}
    return {"type": "BPE", **plain, "fuse_unk": False, **said, "vocab": vocabulary, "merges": merges}


_LETTERS = [*"abcdefghijklmnopqrstuvwxyz", "Ġ", "Ġc", "ca", "cat", "Ġcat"]
_MERGES = ["Ġ c", "c a", "ca t", "Ġ cat"]


def gpt2() -> Parts:
    model = _bpe([*_LETTERS, "<|endoftext|>"], _MERGES, continuing_subword_prefix="", end_of_word_suffix="")
    bytes_of = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return _whole(
        added_tokens=_added(model["vocab"], "<|endoftext|>", normalized=True),
        pre_tokenizer=bytes_of,
        post_processor={**bytes_of, "trim_offsets": False},
        decoder=bytes_of,
        model=model,
    )


def roberta() -> Parts:
    names = ["<s>", "<pad>", "</s>", "<unk>", *_LETTERS, "<mask>"]
    model = _bpe(names, _MERGES, continuing_subword_prefix="", end_of_word_suffix="")
    bytes_of = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = _added(model["vocab"], *names[:4], normalized=True) + _added(
        model["vocab"], "<mask>", lstrip=True
    )
    return _whole(
        added_tokens=added,
        pre_tokenizer=bytes_of,
        post_processor={
            "type": "RobertaProcessing",
            "sep": ["</s>", 2],
            "cls": ["<s>", 0],
            "trim_offsets": True,
            "add_prefix_space": False,
        },
        decoder=bytes_of,
        model=model,
    )


def llama2() -> Parts:
    names = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        "c",
        "a",
        "t",
        "ca",
        "▁ca",
    ]
    model = _bpe(names, ["c a", "▁ ca"], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    blank = {"String": " "}
    return _whole(
        added_tokens=_added(model["vocab"], *names[:3]),
        normalizer={
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": blank, "content": "▁"},
            ],
        },
        post_processor=_template(model["vocab"], "<s>", ""),
        decoder={
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        model=model,
    )


def llama3() -> Parts:
    merges = [merge.split(" ") for merge in _MERGES]
    names = [*_LETTERS, "<|begin_of_text|>"]
    model = _bpe(names, merges, byte_fallback=False, ignore_merges=True)
    bytes_of = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    return _whole(
        added_tokens=_added(model["vocab"], "<|begin_of_text|>"),
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": _LLAMA_3}, "behavior": "Isolated", "invert": False},
                {**bytes_of, "add_prefix_space": False, "use_regex": False},
            ],
        },
        post_processor={
            "type": "Sequence",
            "processors": [bytes_of, _template(model["vocab"], "<|begin_of_text|>", "")],
        },
        decoder=bytes_of,
        model=model,
    )


def _unigram(names: list[str], unknown: int) -> Parts:
    scored = [[token, 0.0 if token[0] in "<[" else -2.0 - number] for number, token in enumerate(names)]
    return {"type": "Unigram", "unk_id": unknown, "vocab": scored}


def t5() -> Parts:
    names = ["<pad>", "</s>", "<unk>", "▁", *(f"▁{word}" for word in _WORDS), "s", "<extra_id_0>"]
    spaces = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True, "prepend_scheme": "always"}
    ids = {token: number for number, token in enumerate(names)}
    return _whole(
        added_tokens=_added(ids, *names[:3], "<extra_id_0>"),
        normalizer={"type": "Precompiled", "precompiled_charsmap": NMT_NFKC},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, spaces]},
        post_processor=_template(ids, "", "</s>"),
        decoder=spaces,
        model=_unigram(names, 2),
    )


def albert() -> Parts:
    names = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "▁", *(f"▁{word}" for word in _WORDS), "s"]
    ids = {token: number for number, token in enumerate(names)}
    spaces = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    quotes = [{"type": "Replace", "pattern": {"String": two}, "content": '"'} for two in ("``", "''")]
    return _whole(
        added_tokens=_added(ids, *names[:4]) + _added(ids, "[MASK]", lstrip=True),
        normalizer={
            "type": "Sequence",
            "normalizers": [
                *quotes,
                {"type": "NFKD"},
                {"type": "StripAccents"},
                {"type": "Lowercase"},
                {"type": "Precompiled", "precompiled_charsmap": NMT_NFKC},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, spaces]},
        post_processor=_template(ids, "[CLS]", "[SEP]"),
        decoder=spaces,
        model=_unigram(names, 1),
    )


FAMILIES = {made.__name__: made for made in (bert, gpt2, roberta, llama2, llama3, t5, albert)}


def write_tokenizer(folder: Path, parts: Parts, **settings: object) -> Path:
    """Put a tokenizer into a folder, to be read from its ``tokenizer.json`` alone."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **settings}
    (folder / "tokenizer.json").write_text(json.dumps(parts, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder
