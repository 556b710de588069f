"""A tokenizer that costs its reader without end, gives up in Rust, or lets different words be the same."""

from __future__ import annotations

import base64
import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from cryoflux.registry.plain_model import complaints_about
from cryoflux.verification.recompute import OpenQuestion
from tokenizer_families import FAMILIES, Parts, albert, bert, charsmap, gpt2, llama2, t5, write_tokenizer

pytestmark = pytest.mark.slow

LONG = "x" * 10**6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny classifier, and a holdout beside it."""
    return tiny.make_classifier(tmp_path_factory.mktemp("strange") / "model")


def with_tokenizer(model: Path, folder: Path, parts: Parts, **settings: object) -> Path:
    """The model with another tokenizer; its weights stay where they are."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        os.link(model / name, folder / name)
    return write_tokenizer(folder, parts, **settings)


def evaluate(folder: Path, holdout: Path) -> list[int]:
    from cryoflux.tasks.lora.again import TorchRecomputer

    return TorchRecomputer(max_tokens=16).evaluate(folder, holdout)[0]


def steps(part: str, inner: str, *found: Parts) -> Parts:
    return {part: {"type": "Sequence", inner: list(found)}}


def replace(pattern: str, content: str, kind: str = "String") -> Parts:
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def normal(*found: Parts) -> Parts:
    return steps("normalizer", "normalizers", *found)


def table(content: bytes) -> Parts:
    said = base64.b64encode(content).decode()
    return {"normalizer": {"type": "Precompiled", "precompiled_charsmap": said}}


def units(*found: int, texts: bytes = b"b\0") -> Parts:
    return table(struct.pack(f"<I{len(found)}I", 4 * len(found), *found) + texts)


def nested(depth: int) -> Parts:
    found: Parts = {"type": "Lowercase"}
    for _ in range(depth):
        found = {"type": "Sequence", "normalizers": [found]}
    return {"normalizer": found}


def template(*pieces: str, ids: int = 1) -> Parts:
    said = [{"Sequence" if piece == "A" else "SpecialToken": {"id": piece, "type_id": 0}} for piece in pieces]
    tokens = {"[CLS]": {"id": "[CLS]", "ids": [2] * ids, "tokens": ["[CLS]"] * ids}}
    return {
        "post_processor": {
            "type": "TemplateProcessing",
            "single": said,
            "pair": said,
            "special_tokens": tokens,
        }
    }


def added(**said: object) -> Parts:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": 100, "content": "zyx", **plain, **said}


GROWING = {
    "each step doubles": normal(*[replace("a", "aa")] * 15),
    "one step makes much of little": normal(replace(" ", LONG)),
    "a letter that Unicode writes with eighteen": normal(replace(" ", "\ufdfa"), {"type": "NFKD"}),
    "a table that makes much of little": {
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap({b"a": "a" * 1000})}
    },
    "bytes as characters, twice": normal({"type": "ByteLevel"}, {"type": "ByteLevel"}),
    "bytes as characters, before and after": {
        "normalizer": {"type": "ByteLevel"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
    },
    "a long beginning": normal({"type": "Prepend", "prepend": LONG}),
    "more than sixteen steps": normal(*[replace(" ", "▁")] * 17),
    "steps within steps": nested(60),
    "a text a thousand times": template(*["A"] * 1000),
    "a thousand tokens around a text": template("[CLS]", *["[CLS]"] * 1000, "A"),
    "a token of a thousand": template("[CLS]", "A", ids=1000),
    "filled up to a billion": {
        "padding": {
            "strategy": {"Fixed": 10**9},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        }
    },
    "cut with an overlap of all but one": {
        "truncation": {"direction": "Right", "max_length": 512, "strategy": "LongestFirst", "stride": 511}
    },
}
NOTHING = {
    "nothing is replaced": normal(replace("", "b")),
    "split at nothing": {
        "pre_tokenizer": {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": False}
    },
    "an expression in the decoder": {"decoder": replace("(a{1000}){1000}", "", "Regex")},
    "a token around a text that is none": template("zyx", "A"),
    "no table": {"normalizer": {"type": "Precompiled"}},
    "an empty table": table(b""),
    "a table of four bytes": table(b"\0\0\0"),
    "a table that claims four billion units": table(b"\xff" * 16),
    "a table that leads out of itself": units(0, 97 | 1 << 8 | 0xFFFF << 10, 0, 0),
    "a text that begins beyond the texts": {
        "normalizer": {
            "type": "Precompiled",
            "precompiled_charsmap": charsmap({b"a": "a"})[:-8],
        }
    },
    "a step of the wrong place": {"normalizer": {"type": "BertPreTokenizer"}},
    "a part that nobody knows": {"Custom": {"type": "Lowercase"}},
}
DISGUISES = {
    "a letter for another": normal(replace("q", "a")),
    "a table of letters for others": {
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap({b"q": "a", b"x": "b"})}
    },
    "letters are left out": {
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {
                "Regex": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
            },
            "behavior": "Removed",
            "invert": False,
        }
    },
    "marks are left out": {"pre_tokenizer": {"type": "Punctuation", "behavior": "Removed"}},
}


@pytest.mark.parametrize("change", [*GROWING.values(), *NOTHING.values(), *DISGUISES.values()],
                         ids=[*GROWING, *NOTHING, *DISGUISES])  # fmt: skip
def test_a_step_that_grows_gives_up_or_rewrites_is_asked_about(
    model: Path, tmp_path: Path, change: Parts
) -> None:
    assert complaints_about(with_tokenizer(model, tmp_path / "honest", bert())) == []
    began = time.process_time()
    assert complaints_about(with_tokenizer(model, tmp_path / "strange", {**bert(), **change}))
    assert time.process_time() - began < 2


def vocabulary(parts: Parts, **said: object) -> Parts:
    return {**parts, "model": {**parts["model"], **said}}


def tokens(parts: Parts, **ids: object) -> Parts:
    return vocabulary(parts, vocab={**parts["model"]["vocab"], **ids})


def pieces(*found: object) -> Parts:
    return vocabulary(t5(), vocab=[*t5()["model"]["vocab"], *found])


def beside(parts: Parts, *found: object) -> Parts:
    return {**parts, "added_tokens": [*parts["added_tokens"], *found]}


MODELS: dict[str, Callable[[], Parts]] = {
    "two words with one id": lambda: tokens(bert(), zyx=5),
    "a negative id": lambda: tokens(bert(), zyx=-1),
    "an id beyond every table": lambda: tokens(bert(), zyx=2**31),
    "an id that is no number": lambda: tokens(bert(), zyx="5"),
    "merges left out by chance": lambda: vocabulary(gpt2(), dropout=0.9),
    "a merge of what is no token": lambda: vocabulary(gpt2(), merges=["c a", "zy x"]),
    "a merge into what is no token": lambda: vocabulary(gpt2(), merges=["c t"]),
    "a prefix that cuts a letter in two": lambda: vocabulary(gpt2(), continuing_subword_prefix="é"),
    "no token for unknown words": lambda: vocabulary(bert(), unk_token="zyx"),
    "words of any length": lambda: vocabulary(bert(), max_input_chars_per_word=10**9),
    "a piece twice": lambda: pieces(["▁cat", -9.0]),
    "a piece without a text": lambda: pieces(["", -9.0]),
    "a piece of a thousand letters": lambda: pieces(["a" * 1000, -9.0]),
    "a score that is no number": lambda: pieces(["zyx", float("nan")]),
    "a score without end": lambda: pieces(["zyx", float("inf")]),
    "an unknown piece beyond the list": lambda: vocabulary(t5(), unk_id=10**6),
    "a model that nobody knows": lambda: {**bert(), "model": {"type": "Custom", "vocab": {}}},
    "a setting that nobody knows": lambda: vocabulary(bert(), alpha=0.1),
    "an added token with a word's id": lambda: beside(bert(), added(id=7)),
    "a word with another id, added": lambda: beside(bert(), added(content="cat")),
    "an added token twice": lambda: beside(bert(), added(), added(id=101)),
    "one id added twice": lambda: beside(bert(), added(), added(content="wvu")),
    "an added token of a million letters": lambda: beside(bert(), added(content=LONG)),
}


@pytest.mark.parametrize("made", MODELS.values(), ids=MODELS)
def test_a_vocabulary_that_costs_or_confuses_is_asked_about(
    model: Path, tmp_path: Path, made: Callable[[], Parts]
) -> None:
    assert complaints_about(with_tokenizer(model, tmp_path / "strange", made()))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("added_tokens.json", {"zyx": 7}),
        ("added_tokens.json", {"cat": 99}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"7": {"content": "zyx"}}}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"-1": {"content": "zyx"}}}),
        ("tokenizer_config.json", {"extra_ids": 10**9}),
        ("tokenizer_config.json", {"pad_to_multiple_of": 10**9}),
        ("tokenizer_config.json", {"tokenizer_class": "ByT5Tokenizer"}),
    ],
)
def test_other_files_add_nothing_that_is_not_known(
    model: Path, tmp_path: Path, file: str, said: dict[str, Any]
) -> None:
    folder = with_tokenizer(model, tmp_path / "strange", bert())
    path = folder / file
    before = json.loads(path.read_bytes()) if path.exists() else {}
    path.write_text(json.dumps({**before, **said}))
    assert complaints_about(folder)


def test_a_name_that_is_there_twice_means_two_things_to_two_readers(model: Path, tmp_path: Path) -> None:
    folder = with_tokenizer(model, tmp_path / "strange", bert())
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"vocab": {', '"vocab": {"cat": 90, ', 1))
    assert complaints_about(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokenizers_of_widespread_models_are_read(model: Path, tmp_path: Path, family: str) -> None:
    from transformers import AutoTokenizer

    from cryoflux.registry.plain_model import harmless

    folder = with_tokenizer(model, tmp_path / "honest", FAMILIES[family]())
    assert complaints_about(folder) == []
    with harmless(folder) as copy:
        tokenizer = AutoTokenizer.from_pretrained(copy, local_files_only=True)
    short, long = tokenizer(["the cat saw", "a red dog " * 100], truncation=True, max_length=16)["input_ids"]
    assert 0 < len(short) <= len(long) == 16


def test_what_would_never_end_is_not_begun(model: Path, tmp_path: Path) -> None:
    change = normal(*[replace("a", "aa")] * 64)
    folder = with_tokenizer(model, tmp_path / "strange", {**bert(), **change})
    began = time.process_time()
    with pytest.raises(OpenQuestion, match=r"tokenizer\.json has a normalizer"):
        evaluate(folder, model.parent / "holdout.jsonl")
    assert time.process_time() - began < 10


def test_an_id_without_an_embedding_leaves_the_question_open(model: Path, tmp_path: Path) -> None:
    folder = with_tokenizer(model, tmp_path / "strange", tokens(bert(), one=4000, old=4001, black=4002))
    with pytest.raises(OpenQuestion, match="no embedding"):
        evaluate(folder, model.parent / "holdout.jsonl")


def test_a_text_that_nobody_writes_leaves_the_question_open(model: Path, tmp_path: Path) -> None:
    row = {"text": "\ufdfa" * 300_000, "label": "tools"}
    (tmp_path / "holdout.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(OpenQuestion, match="characters"):
        evaluate(model, tmp_path / "holdout.jsonl")


def test_no_stack_of_a_library_reaches_the_reader(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    from tokenizers import Tokenizer

    from cryoflux.errors import ModelError
    from cryoflux.tasks.lora.libraries import shielded

    change = units(0, 97 | 1 << 8 | 0xFFFF << 10, 0, 0)
    parts = json.dumps({**albert(), **change})
    with pytest.raises(ModelError, match="could not read"), shielded():
        Tokenizer.from_str(parts).encode("a cat")
    said = capfd.readouterr().err
    assert "panicked" not in said
    assert "stack backtrace" not in said
    with shielded():
        os.write(2, b"a warning of a library\n")
    assert "a warning of a library" in capfd.readouterr().err


def test_a_byte_fallback_beside_bytes_as_characters_is_asked_about(model: Path, tmp_path: Path) -> None:
    parts = {**llama2(), "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}}
    assert complaints_about(with_tokenizer(model, tmp_path / "strange", parts))
