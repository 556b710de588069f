"""A difference is located by what holds against the signed digest, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.digests import TensorEntry, sha256_hex, tensors_digest
from cryoflux.errors import ModelError
from cryoflux.verification.locating import (
    damaged_tensor,
    example_of,
    flipped_bit,
    part_of,
    said_where,
    tensor_spans,
)
from synthetic_parts import losses_of, pair, tiny_safetensors

ENTRIES = [TensorEntry(name, "F32", (2,), sha256_hex(name.encode())) for name in "abc"]


@settings(max_examples=30)
@given(content=st.binary(min_size=1, max_size=200), dice=st.randoms())
def test_one_flipped_bit_is_found_and_two_are_not(content: bytes, dice) -> None:
    bits = dice.sample(range(8 * len(content)), 2)
    digest, changed = sha256_hex(content), bytearray(content)
    assert flipped_bit(content, digest) is None
    changed[bits[0] // 8] ^= 1 << bits[0] % 8
    assert flipped_bit(bytes(changed), digest) == bits[0]
    changed[bits[1] // 8] ^= 1 << bits[1] % 8
    assert flipped_bit(bytes(changed), digest) is None


def test_a_long_file_is_not_searched() -> None:
    content = bytes(20_000)
    assert flipped_bit(b"\x01" + content[1:], sha256_hex(content)) is None


def test_a_byte_of_the_losses_belongs_to_an_example() -> None:
    content, _ = pair(0.0, 0.05, range(64))
    base, _ = losses_of(0.0)
    for index in (0, 5, 63):
        place = content.index(base[index].to_bytes(8, "little"), 8 * index)
        assert example_of("x.bin", content, place + 3) == index
        assert example_of("x.bin", content, 8 * (64 + index)) == index
        assert example_of("x.bin", content, 16 * 64 + index) == index
        assert example_of("x.bin", content, 17 * 64 + index) == index


def test_a_byte_of_the_examples_belongs_to_a_line() -> None:
    content = b"one\ntwo\nthree\n"
    assert [example_of("holdout.jsonl", content, place) for place in (0, 3, 4, 8)] == [0, 0, 1, 2]
    assert example_of("config.json", content, 5) is None


def test_a_byte_of_the_weights_belongs_to_a_tensor_or_to_the_header(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny_safetensors([1.0, 2.0]))
    (span,) = tensor_spans(path)
    assert (span.name, span.elements, span.end - span.start) == ("w", 2, 8)
    assert part_of([span], span.start) == "w"
    assert part_of([span], span.start - 1) == "header"


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        b'{"w": {}}',
        b'{"w": {"shape": [-1], "data_offsets": [0, 4]}}',
        b'{"w": {"shape": [1], "data_offsets": ["0", "4"]}}',
        b'{"w": {"shape": [1], "data_offsets": [0, 1.5]}}',
        b'{"w": {"shape": [true], "data_offsets": [0, 4]}}',
        b'{"w": 3}',
    ],
)
def test_a_malformed_header_is_an_error_that_says_so(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ModelError, match="well-formed"):
        tensor_spans(path)
    path.write_bytes((2**62).to_bytes(8, "little") + header)
    with pytest.raises(ModelError, match="well-formed"):
        tensor_spans(path)


def test_a_damaged_tensor_is_named_where_another_version_has_it_whole() -> None:
    digest = tensors_digest(ENTRIES)
    wrong = TensorEntry("b", "F32", (2,), sha256_hex(b"damage"))
    damaged = [ENTRIES[0], wrong, ENTRIES[2]]
    assert damaged_tensor(damaged, digest, ENTRIES) == "b"
    assert damaged_tensor(damaged, digest, [ENTRIES[0], ENTRIES[2]]) is None
    both = [TensorEntry("a", "F32", (2,), sha256_hex(b"other")), wrong, ENTRIES[2]]
    assert damaged_tensor(both, digest, ENTRIES) is None, "two are damaged, so neither alone explains it"


def test_nothing_is_made_up_of_the_header_of_a_file_without_tensors(tmp_path: Path) -> None:
    path = tmp_path / "empty.safetensors"
    header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert tensor_spans(path) == []
    assert part_of([], 3) == "header"


def test_a_flipped_bit_is_said_with_its_example(tmp_path: Path) -> None:
    content, _ = pair(0.0, 0.05, range(64))
    changed = bytearray(content)
    changed[8 * (64 + 7) + 1] ^= 1 << 5
    path = tmp_path / "losses.bin"
    path.write_bytes(changed)
    words = said_where(path, sha256_hex(content))
    assert words == "; it would be with bit 5 of byte 569 flipped back, which belongs to example 7"
    path.write_bytes(bytes(len(content)))
    assert said_where(path, sha256_hex(content)) == ""
    assert said_where(tmp_path, sha256_hex(content)) == ""
    assert said_where(tmp_path / "gone", sha256_hex(content)) == ""
