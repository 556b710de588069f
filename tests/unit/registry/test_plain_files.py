"""What is read of somebody else's settings, table of characters and tokenizer."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from cryoflux.errors import ModelError
from cryoflux.registry.plain_charsmap import charsmap_complaint
from cryoflux.registry.plain_json import read_object
from cryoflux.registry.tokenizing import token_rows
from tokenizer_families import NMT_NFKC, charsmap


def refused(why: str) -> ModelError:
    return ModelError(f"it {why}", why="-", hint="-")


def test_an_object_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": {"b": [1, null, "c"]}}')
    assert read_object(tmp_path / "a.json", 100, refused) == {"a": {"b": [1, None, "c"]}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('{"b": {"a": 1, "a": 1}}', "twice"),
        ('{"a": NaN}', "no number"),
        ("[]", "is no object"),
        ("{", "cannot be read"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", "cannot be read"),
        ('{"a": "' + "x" * 20_000 + '"}', "cannot be read"),
    ],
)
def test_what_two_readers_may_read_differently_is_refused(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ModelError, match=why):
        read_object(tmp_path / "a.json", 15_000, refused)


def test_the_compatibility_forms_of_unicode_are_known() -> None:
    assert charsmap_complaint(NMT_NFKC) == ""
    assert charsmap_complaint(charsmap({"Ａ".encode(): "a", "ß".encode(): "ss"})) == ""


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ({b"q": "a"}, "not what Unicode makes"),
        ({b"a": ""}, "not what Unicode makes"),
        ({b"ab": " "}, "not what Unicode makes"),
        ({b"a": "a" * 100}, "not what Unicode makes"),
        ({"ﬁ".encode()[:2]: "f"}, "malformed"),
        ({b"a" * 60: "a" * 60}, "malformed"),
    ],
)
def test_any_other_table_of_characters_is_not(texts: dict[bytes, str], why: str) -> None:
    assert why in charsmap_complaint(charsmap(texts))


def test_a_tree_whose_branches_meet_again_and_again_ends() -> None:
    """Each place leads on to the next by two bytes: 2^20 keys in a few kilobytes."""
    import struct

    units = [0] * (256 * 22)
    units[0] = 256 << 10
    for level in range(1, 21):
        for byte in (97, 98):
            place = 256 * level ^ byte
            units[place] = byte | (place ^ 256 * (level + 1)) << 10
    packed = struct.pack(f"<{len(units)}I", *units)
    found = base64.b64encode(struct.pack("<I", len(packed)) + packed + b"a\0").decode()
    assert "more keys" in charsmap_complaint(found)


class Strange:
    """A tokenizer that gives what it is told, whatever the text."""

    def __init__(self, *rows: list[int]) -> None:
        self.rows = rows
        self.asked: list[int] = []

    def __call__(self, texts: list[str], **_said: Any) -> dict[str, list[list[int]]]:
        self.asked.append(len(texts))
        if not self.rows:
            raise RuntimeError("no entry found")
        return {"input_ids": [list(self.rows[0]) for _ in texts]}


@pytest.mark.parametrize(
    ("tokenizer", "why"),
    [
        (Strange(), "cannot read a text: no entry found"),
        (Strange([1] * 9), "more than 8 tokens"),
        (Strange([1, 50]), "no embedding"),
    ],
)
def test_ids_that_a_model_does_not_take_are_an_error_of_ours(tokenizer: Strange, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        token_rows(tokenizer, ["a"], 8, 50)


def test_long_texts_are_read_one_at_a_time() -> None:
    tokenizer = Strange([1])
    texts = ["a", "b", "x" * 200_000, "y" * 200_000, "c", *["d"] * 300]
    assert token_rows(tokenizer, texts, 8, 50) == [[1]] * len(texts)
    assert tokenizer.asked == [3, 256, 46]
