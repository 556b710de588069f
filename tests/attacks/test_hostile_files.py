"""Files of examples that are made to cost their reader time or memory without end.

Each is met by the reader of files that the owner names, and by that of a watched folder; beside them an
honest file of the same kind is read.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bounded import bounded

pytestmark = pytest.mark.slow

READ = """
from cryoflux.data.formats import open_examples, read_arrived
from cryoflux.errors import CryoFluxError
path = Path(sys.argv[3])
for read in (lambda: sum(1 for _ in open_examples(path)), lambda: len(read_arrived(path).numbered)):
    try:
        print(read(), "examples")
    except CryoFluxError as error:
        print(error.what)
"""
MIB = 2**20


def one_line(path: Path) -> None:
    """A gigabyte without a line feed; the disk has none of it."""
    path.write_bytes(b"text,label\nx")
    os.truncate(path, 2**30)


def letters(path: Path) -> None:
    with path.open("wb") as out:
        out.write(b"text,label\n")
        for _ in range(300):
            out.write(b"x" * MIB)


def json_line(path: Path) -> None:
    with path.open("wb") as out:
        out.write(b'{"label": "x", "text": "')
        for _ in range(300):
            out.write(b"x" * MIB)


def json_array(path: Path) -> None:
    with path.open("wb") as out:
        out.write(b'[{"text": "')
        for _ in range(300):
            out.write(b"x" * MIB)


def packed(content: bytes, times: int) -> Callable[[Path], None]:
    """One stream of so many times the same, which is compressed once."""

    def write(path: Path) -> None:
        packing = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        begins = b"text,label\n"
        first, again = (
            packing.compress(part) + packing.flush(zlib.Z_FULL_FLUSH) for part in (begins, content)
        )
        crc = zlib.crc32(begins)
        for _ in range(times):
            crc = zlib.crc32(content, crc)
        size = len(begins) + times * len(content)
        head, tail = gzip.compress(b"")[:10], struct.pack("<II", crc, size % 2**32)
        path.write_bytes(head + first + again * times + packing.flush() + tail)

    return write


def packed_twice(path: Path) -> None:
    inside = io.BytesIO()
    with gzip.GzipFile(fileobj=inside, mode="wb") as out:
        for _ in range(64):
            out.write(b"0" * MIB)
    path.write_bytes(gzip.compress(inside.getvalue()))


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out, out.open("data.csv", "w") as inside:
        for _ in range(64):
            inside.write(b"0" * MIB)


def deep(opening: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(opening * 100_000) and None


def deep_row(path: Path) -> None:
    good = json.dumps({"text": "a", "label": "x"})
    path.write_text(
        good + "\n" + '{"text": "b", "label": "y", "more": ' + "[" * 100_000 + "]" * 100_000 + "}\n"
    )


def long_number(path: Path) -> None:
    path.write_text('{"text": "a", "label": ' + "9" * 5_000_000 + "}\n")


def many_columns(path: Path) -> None:
    path.write_text("text,label" + ",x" * 2_000_000 + "\n" + "a,b" + ",y" * 2_000_000 + "\n")


def many_names(path: Path) -> None:
    row = {f"name{at}": {"below": at} for at in range(200_000)}
    path.write_text(json.dumps(row | {"text": "a", "label": "x"}) + "\n")


ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "one line.csv": (one_line, "binary"),
    "letters.csv": (letters, "longer than 16777216 characters"),
    "json line.jsonl": (json_line, "longer than 16777216 characters"),
    "array.json": (json_array, "longer than 16777216 characters"),
    "bomb of zeros.csv.gz": (packed(b"\0" * MIB, 1024), "binary"),
    "bomb of rows.csv.gz": (packed(b"a,b\n" * (MIB // 4), 1024), "unpacks to more than"),
    "packed twice.csv.gz": (packed_twice, "binary"),
    "bomb.zip": (zipped, "zip archive"),
    "deep.json": (deep("["), "this is not a JSON object"),
    "deep.jsonl": (deep('{"a":'), "this is not a JSON object"),
    "deep row.jsonl": (deep_row, "line 2: this is not a JSON object"),
    "number.jsonl": (long_number, "line 1: this is not a JSON object"),
}
HARMLESS = {"columns.csv": many_columns, "names.jsonl": many_names}


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_refused_in_bounded_memory(tmp_path: Path, name: str) -> None:
    write, said = ATTACKS[name]
    path = tmp_path / name
    write(path)
    first, second = bounded(READ, path, mib=900, cpu_s=60).splitlines()
    assert said in first
    assert said in second or "more than" in second


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_merely_large_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    HARMLESS[name](path)
    assert bounded(READ, path, mib=1200, cpu_s=60).splitlines() == ["1 examples", "1 examples"]


def test_parquet_that_unpacks_to_gigabytes_is_met_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "repeated.parquet"
    text = "x" * (MIB * 9 // 10)
    row_group = pa.table({"text": [text] * 64, "label": ["a"] * 64})
    with parquet.ParquetWriter(path, row_group.schema) as out:
        for _ in range(45):
            out.write_table(row_group)
    assert path.stat().st_size < 64 * MIB
    first, second = bounded(READ, path, mib=2200, cpu_s=100).splitlines()  # of 2.7 GB
    assert first == "2880 examples"
    assert "unpacks to more than 67 MB" in second


def test_an_honest_packed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "honest.csv.gz"
    rows = "".join(f"text number {at},{at % 2}\n" for at in range(100_000))
    path.write_bytes(gzip.compress(f"text,label\n{rows}".encode()))
    assert bounded(READ, path, cpu_s=60).splitlines() == ["100000 examples", "100000 examples"]


def test_a_pipe_in_a_watched_folder_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    code = READ.replace("lambda: sum(1 for _ in open_examples(path)), ", "lambda: 0, ")
    assert "cannot be read" in bounded(code, path).splitlines()[1]
