"""Whatever bytes a file has, reading it ends in examples or in an error that says what to do."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from cryoflux.config import load_settings
from cryoflux.data.formats import open_examples, read_arrived
from cryoflux.errors import CryoFluxError
from cryoflux.runs.data_check import check_data
from cryoflux.runs.document_check import is_of_documents


def _parquet() -> bytes:
    into = io.BytesIO()
    parquet.write_table(pa.table({"text": [f"a {at}" for at in range(40)], "label": ["x", "y"] * 20}), into)
    return into.getvalue()


_CSV = "text,label\n" + "".join(f"some text {at},{'ab'[at % 2]}\n" for at in range(40))
_ROWS = [{"text": f"t {at}", "label": at % 3} for at in range(40)]
SEEDS = {
    "a.csv": _CSV.encode(),
    "b.csv": _CSV.encode("utf-16-le"),
    "c.csv": _CSV.encode("utf-32"),
    "d.csv": "text,label\ncafé,é\n".encode("cp1252") * 20,
    "e.tsv": _CSV.replace(",", "\t").encode(),
    "f.csv": b"sep=;\n" + _CSV.replace(",", ";").encode(),
    "g.jsonl": "".join(json.dumps(row) + "\n" for row in _ROWS).encode(),
    "h.json": json.dumps(_ROWS).encode(),
    "i.json": json.dumps({"data": _ROWS}).encode(),
    "j.txt": b"".join(b"__label__%d some text\n" % (at % 2) for at in range(40)),
    "k.parquet": _parquet(),
    "l.csv.gz": gzip.compress(_CSV.encode()),
    "m.parquet.gz": gzip.compress(_parquet()),
    "n.jsonl": b'{"text": "\\ud800", "label": "\\udfff"}\n' * 20,
    "o.csv": b",".join(b"c%d" % at for at in range(3000)) + b"\n",
}
PIECES = [
    *(
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b'"',
        b'""',
        b"\r",
        b"\n",
        b",",
        b";",
        b"\t",
        b"{",
        b"[",
        b"]",
        b"}",
    ),
    *(b"\\ud800", b"\x80", b"\xc3", b"1e999", b"NaN", b"null", b"9" * 5000, b"[" * 3000, b'{"a":' * 1500),
    *(b"__label__", b"sep=|\n", b"PAR1", b"\x1f\x8b", b"\xe2\x80\xa8", b"\x1a"),
]


def spoiled(content: bytes, draw: random.Random) -> bytes:
    """With some bytes changed, put in, taken out or moved."""
    found = bytearray(content)
    for _ in range(draw.randint(0, 6)):
        at, kind = draw.randrange(len(found) + 1), draw.randrange(5)
        if kind == 0 and found:
            found[at - 1] = draw.randrange(256)
        elif kind == 1:
            found[at:at] = draw.choice(PIECES) * draw.choice([1, 3])
        elif kind == 2:
            del found[at : at + draw.randint(1, 40)]
        elif kind == 3:
            del found[at:]
        else:
            found[at:at] = found[: draw.randint(0, 60)]
    return bytes(found)


def read_in_every_way(path: Path) -> None:
    settings = load_settings({"train": str(path)}).settings
    refused = []
    for read in (lambda: [*open_examples(path)], lambda: read_arrived(path), lambda: check_data(settings)):
        try:
            read()
        except CryoFluxError as error:
            refused.append(error)
    assert all(error.what and error.hint for error in refused)
    is_of_documents(path)


@pytest.mark.parametrize("name", SEEDS)
@given(draw=st.randoms(use_true_random=False))
def test_files_that_were_spoiled(name: str, draw: random.Random) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(spoiled(SEEDS[name], draw))
        read_in_every_way(path)


@given(st.sampled_from([*SEEDS]), st.binary(max_size=200))
def test_any_bytes_under_any_name(name: str, content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        read_in_every_way(path)
