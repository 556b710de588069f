from __future__ import annotations

import hashlib
import json
import math
import shutil
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from cryoflux.digests import (
    CHECKSUMS,
    TensorEntry,
    file_digest,
    folder_digest,
    mismatched_files,
    read_tensor_entries,
    sha256_hex,
    tensors_digest,
    write_checksums,
)
from cryoflux.errors import ExitCode, ModelError

ODD_NAMES = [
    "plain.bin",
    "two words.txt",
    " before",
    "after ",
    "two  spaces  between",
    "*star",
    "ünïcödé 模型 🧊.bin",
    "e\u0301 and \u00e9",
    "next\u0085line",
    "line\u2028separator",
    "form\x0cfeed",
    "carriage\rreturn",
    "tab\there",
    "back\\slash",
    "quote'\".bin",
    "#%?&=+.json",
    ".hidden",
    "sub folder/inner file",
    "sub/SHA256SUMS",
    "SHA256SUMS.bak",
]
NOT_TEXT = b"not \xff utf-8"

names = st.text(min_size=1, max_size=12)
WIDTHS = {"F32": 4, "F64": 8, "BF16": 2, "I64": 8, "U8": 1}


def of_size(spec: tuple[str, list[int]]) -> st.SearchStrategy[tuple[str, list[int], bytes]]:
    """The bytes that a dtype and a shape ask for."""
    size = WIDTHS[spec[0]] * math.prod(spec[1])
    return st.tuples(st.just(spec[0]), st.just(spec[1]), st.binary(min_size=size, max_size=size))


tensors = st.dictionaries(
    names,
    st.tuples(st.sampled_from([*WIDTHS]), st.lists(st.integers(0, 3), max_size=3)).flatmap(of_size),
    min_size=1,
    max_size=5,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str = "F32"
    shape: tuple[int, ...] = (2,)
    content: bytes = struct.pack("<2f", 1.0, 2.0)


def as_file(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + body


def safetensors(
    listed: Iterable[Tensor],
    laid_out: Iterable[Tensor] | None = None,
    metadata: dict[str, str] | None = None,
    padding: int = 0,
) -> bytes:
    """A file whose header lists the tensors in one order and whose bytes lie in another."""
    listed = list(listed)
    offsets: dict[str, list[int]] = {}
    body = b""
    for tensor in listed if laid_out is None else laid_out:
        offsets[tensor.name] = [len(body), len(body) + len(tensor.content)]
        body += tensor.content
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    for tensor in listed:
        spec = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets[tensor.name]}
        header[tensor.name] = spec
    return as_file(json.dumps(header).encode() + b" " * padding, body)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file that every generated example is written to."""
    return tmp_path_factory.mktemp("weights") / "model.safetensors"


def entries_of(path: Path, content: bytes) -> list[TensorEntry]:
    path.write_bytes(content)
    return read_tensor_entries(path)


def digest_of(path: Path, content: bytes) -> str:
    return tensors_digest(entries_of(path, content))


# A model by its tensors


def test_the_digest_is_the_documented_one(weights: Path) -> None:
    b, a = Tensor("b", "I64", (), b"12345678"), Tensor("ä\n", "F32", (2, 1), b"abcdefgh")
    lines = [
        "cryoflux tensors/v1",
        f'["b","I64",[],"{hashlib.sha256(b"12345678").hexdigest()}"]',
        f'["\\u00e4\\n","F32",[2,1],"{hashlib.sha256(b"abcdefgh").hexdigest()}"]',
    ]
    expected = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    assert digest_of(weights, safetensors([a, b])) == expected
    assert tensors_digest([]) == hashlib.sha256(b"cryoflux tensors/v1\n").hexdigest()


def test_files_of_the_safetensors_library_are_read(weights: Path) -> None:
    arrays = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a.long name": np.array([1, 2], dtype=np.int64),
        "none": np.zeros((0, 4), dtype=np.float64),
        "scalar": np.array(3, dtype=np.uint8),
    }
    save_file(arrays, weights, metadata={"format": "pt"})
    words = {"float32": "F32", "int64": "I64", "float64": "F64", "uint8": "U8"}
    assert {entry.name: entry for entry in read_tensor_entries(weights)} == {
        name: TensorEntry(name, words[str(array.dtype)], array.shape, sha256_hex(array.tobytes()))
        for name, array in arrays.items()
    }


@given(tensors, st.data(), st.none() | st.dictionaries(names, st.text(max_size=9)), st.integers(0, 20))
def test_order_metadata_and_layout_do_not_matter(
    weights: Path,
    specs: dict[str, tuple[str, list[int], bytes]],
    data: st.DataObject,
    metadata: dict[str, str] | None,
    padding: int,
) -> None:
    model = [Tensor(name, dtype, tuple(shape), content) for name, (dtype, shape, content) in specs.items()]
    shuffled = st.permutations(model)
    other = safetensors(data.draw(shuffled), data.draw(shuffled), metadata, padding)
    digest = digest_of(weights, safetensors(model))
    assert digest_of(weights, other) == digest
    cut = data.draw(st.integers(0, len(model)))
    parts = [entries_of(weights, safetensors(part)) for part in (model[cut:], model[:cut])]
    assert tensors_digest(entry for part in parts for entry in part) == digest


@given(st.integers(0, 7), st.integers(1, 255), st.integers(0, 1))
def test_any_byte_matters(weights: Path, place: int, mask: int, which: int) -> None:
    model = [Tensor("a"), Tensor("b")]
    content = bytearray(model[which].content)
    content[place] ^= mask
    changed = list(model)
    changed[which] = replace(model[which], content=bytes(content))
    assert digest_of(weights, safetensors(changed)) != digest_of(weights, safetensors(model))


def test_any_name_dtype_shape_or_tensor_matters(weights: Path) -> None:
    model = [Tensor("a"), Tensor("b")]
    changes = [
        [replace(model[0], name="A"), model[1]],
        [replace(model[0], name="a "), model[1]],
        [replace(model[0], dtype="I32"), model[1]],
        [replace(model[0], shape=(2, 1)), model[1]],
        [replace(model[0], shape=(1, 2)), model[1]],
        [replace(model[0], dtype="I64", shape=()), model[1]],
        [replace(model[0], shape=(3,), content=model[0].content + bytes(4)), model[1]],
        [replace(model[0], name="b"), replace(model[1], name="a", content=bytes(8))],
        [*model, Tensor("c", shape=(0,), content=b"")],
        model[:1],
        [],
    ]
    digests = [digest_of(weights, safetensors(changed)) for changed in [model, *changes]]
    assert len(set(digests)) == len(digests)


def test_no_text_in_a_name_stands_for_another_tensor(weights: Path) -> None:
    sha256 = hashlib.sha256(b"").hexdigest()
    disguised = Tensor(f'a","F32",[0],"{sha256}"]\n["b', "F32", (0,), b"")
    honest = [Tensor("a", "F32", (0,), b""), Tensor("b", "F32", (0,), b"")]
    assert digest_of(weights, safetensors([disguised])) != digest_of(weights, safetensors(honest))


# A file that is no model


def model_or_model_error(path: Path, content: bytes) -> None:
    try:
        entries = entries_of(path, content)
    except ModelError as error:
        assert str(path) in error.what  # noqa: PT017 - either way is right
        assert error.exit_code is ExitCode.USAGE  # noqa: PT017
        return
    for entry in entries:
        assert isinstance(entry.name, str)
        assert isinstance(entry.dtype, str)
        assert all(type(n) is int and n >= 0 for n in entry.shape)
        assert len(entry.sha256) == 64
    assert len(tensors_digest(entries)) == 64


@given(st.data())
def test_flipped_cut_and_stretched_files(weights: Path, data: st.DataObject) -> None:
    content = bytearray(
        safetensors([Tensor("a"), Tensor("b", "U8", (3,), b"xyz")], metadata={"format": "pt"})
    )
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        content = content or bytearray(b"\0")
    model_or_model_error(weights, bytes(content))


@given(json_values)
@example(float("inf"))
@example([])
@example({})
@example({"w": {"dtype": "F32", "shape": [float("inf")], "data_offsets": [0, 0]}})
@example({"w": {"dtype": "F32", "shape": [0], "data_offsets": [10**400, 10**400]}})
@example({"\ud800": {"dtype": "F32", "shape": [10**400], "data_offsets": [0, 0]}})
def test_any_json_in_the_place_of_the_header(weights: Path, header: object) -> None:
    model_or_model_error(weights, as_file(json.dumps(header).encode(), bytes(8)))


@given(
    st.sampled_from(["dtype", "shape", "data_offsets"]),
    json_values | st.lists(json_values, min_size=2, max_size=2),
)
def test_any_json_in_the_place_of_a_field(weights: Path, field: str, value: object) -> None:
    spec = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], field: value}
    model_or_model_error(weights, as_file(json.dumps({"w": spec}).encode(), bytes(8)))


UNUSABLE = {
    "dtype": [None, 32, ["F32"]],
    "shape": ["2", ["2"], [2.0], [True, 2], [-2], {"2": 2}, 2, None],
    "data_offsets": [[0, 9], [8, 0], [-8, 0], [0.0, 8.0], [0], [0, 4, 8], ["0", "8"], "08", None],
}


@pytest.mark.parametrize(("field", "value"), [(field, v) for field, some in UNUSABLE.items() for v in some])
def test_a_tensor_that_is_not_described_is_refused(field: str, value: object, weights: Path) -> None:
    spec = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    assert len(entries_of(weights, as_file(json.dumps({"w": spec}).encode(), bytes(8)))) == 1
    lacking = {name: v for name, v in spec.items() if name != field}
    for wrong in ({**spec, field: value}, lacking, list(spec.values()), "F32", None):
        with pytest.raises(ModelError, match="not a well-formed safetensors file"):
            entries_of(weights, as_file(json.dumps({"w": wrong}).encode(), bytes(8)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x02",
        as_file(b"{}", length=1)[:9],
        as_file(b"{}", length=3),
        as_file(b"{}", length=2**64 - 1),
        as_file(b"{}", length=0),
        as_file(b"[]"),
        as_file(b"{]"),
        as_file(b"{}{}"),
        as_file(b'"text"'),
        as_file(b"12"),
        as_file(b"\xff\xff"),
        as_file(b"[" * 100_000),
        as_file(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        as_file(b'{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,0]}}'),
        as_file(b'{"w":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,0]}}'),
        b"\x80\x04pickle" * 20,
    ],
)
def test_what_is_no_safetensors_file_is_refused(content: bytes, weights: Path) -> None:
    with pytest.raises(ModelError, match="not a well-formed safetensors file"):
        entries_of(weights, content)


# A folder by its files


def fill(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
    return folder


def test_a_folder_is_named_by_its_checksum_file(tmp_path: Path) -> None:
    digest = write_checksums(fill(tmp_path, ["b", "a", "sub/c"]))
    text = "".join(f"{sha256_hex(name.encode())}  {name}\n" for name in ("a", "b", "sub/c"))
    assert (tmp_path / CHECKSUMS).read_text() == text
    assert digest == sha256_hex(text.encode()) == folder_digest(tmp_path) == file_digest(tmp_path / CHECKSUMS)
    assert write_checksums(tmp_path) == digest  # the checksum file does not list itself


def test_odd_names_are_listed_and_found_again(tmp_path: Path) -> None:
    fill(tmp_path, [*ODD_NAMES, NOT_TEXT.decode("utf-8", "surrogateescape")])
    write_checksums(tmp_path)
    assert mismatched_files(tmp_path) == []
    assert len((tmp_path / CHECKSUMS).read_bytes().split(b"\n")) == len(ODD_NAMES) + 2
    for name in ODD_NAMES:
        (tmp_path / name).write_bytes(b"changed")
        assert mismatched_files(tmp_path) == [name]
        fill(tmp_path, [name])


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
def test_sha256sum_checks_a_folder_without_us(tmp_path: Path) -> None:
    write_checksums(fill(tmp_path, ODD_NAMES))
    command = ["sha256sum", "--check", "--strict", "--quiet", CHECKSUMS]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    (tmp_path / ODD_NAMES[1]).write_bytes(b"changed")
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 1


@given(st.data())
def test_missing_changed_and_extra_files_are_named(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = fill(tmp_path_factory.mktemp("folder"), ODD_NAMES)
    write_checksums(folder)
    some = st.sets(st.sampled_from(ODD_NAMES))
    gone, changed = data.draw(some), data.draw(some)
    extra = {f"{name}.extra" for name in data.draw(some)} | data.draw(
        st.sampled_from([set(), {"x/SHA256SUMS"}])
    )
    for name in changed:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    for name in gone:
        (folder / name).unlink()
    fill(folder, extra)
    assert mismatched_files(folder) == sorted({*gone, *changed, *extra})
    shutil.rmtree(folder)


def test_an_empty_folder_has_a_name_too(tmp_path: Path) -> None:
    assert write_checksums(tmp_path) == sha256_hex(b"")
    assert mismatched_files(tmp_path) == []
    fill(tmp_path, ["late"])
    assert mismatched_files(tmp_path) == ["late"]


def test_names_that_lead_out_of_the_folder_are_reported_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    folder = fill(tmp_path / "folder", ["a"])
    write_checksums(folder)
    leading_out = ["../outside", "./a", "a/../a", "sub/../../outside", str(outside), "/dev/zero", "..", "/"]
    lines = "".join(f"{file_digest(outside)}  {name}\n" for name in leading_out)
    with (folder / CHECKSUMS).open("a") as stream:
        stream.write(lines)
    assert mismatched_files(folder) == sorted(leading_out)
    assert outside.read_bytes() == b"secret"


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
@example(b"\n\n")
@example(b"  \n")
@example(b"no digest at all")
@example(b"a" * 64 + b"  a\x00b\n")
def test_no_checksum_file_makes_a_changed_folder_look_whole(
    tmp_path_factory: pytest.TempPathFactory, sums: bytes
) -> None:
    folder = fill(tmp_path_factory.mktemp("folder"), ["a"])
    (folder / CHECKSUMS).write_bytes(sums)
    assert "a" in mismatched_files(folder)
    shutil.rmtree(folder)


def test_a_folder_without_checksums_cannot_be_named(tmp_path: Path) -> None:
    for name in (folder_digest, mismatched_files):
        with pytest.raises(FileNotFoundError):
            name(fill(tmp_path, ["a"]))
