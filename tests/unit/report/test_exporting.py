"""CSV that no spreadsheet takes for a formula, read back as it was; exact texts in other formats."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryoflux.cli.console import as_json_line
from cryoflux.queries.rows import RowColumn
from cryoflux.report.exporting import csv_text, write_csv, write_jsonl, write_parquet
from cryoflux.report.layout import visible

COLUMNS = (
    RowColumn("text", "text", "", "any"),
    RowColumn("number", "number", "J", "any"),
    RowColumn("count", "integer", "", "any"),
    RowColumn("right", "boolean", "", "any"),
)
NASTY = "=+-@\t\r\n\"'＝＋－＠"


def read_back(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))


def without_prefix(cell: str) -> str:
    """What the reference says: one apostrophe in front goes."""
    return cell.removeprefix("'")


@given(st.lists(st.text() | st.text(NASTY, min_size=1, max_size=4), min_size=1, max_size=5))
@example(["=1+1", "'=1+1", '"=1+1', "", 'a,b"c', "\x1b[31m", " =1"])
def test_what_is_read_back_is_what_went_in(texts: list[str]) -> None:
    stream = io.BytesIO()
    rows = [{"text": text, "number": -1.5, "count": None, "right": True} for text in texts]
    write_csv(stream, COLUMNS, rows)
    heading, *found = read_back(stream.getvalue())
    assert heading == ["text", "number", "count", "right"]
    assert [without_prefix(row[0]) for row in found] == [visible(text) for text in texts]
    assert all(row[1:] == ["-1.5", "", "true"] for row in found)


@given(st.text(), st.sampled_from(NASTY))
def test_no_text_is_a_formula_or_an_order_to_a_terminal(text: str, first: str) -> None:
    for value in (text, first + text, f'"{first}{text}', f"'{first}{text}"):
        cell = csv_text(value)
        assert cell[:1] not in set('=+-@＝＋－＠"')
        assert cell.replace("\N{NO-BREAK SPACE}", "").isprintable()


def test_numbers_stay_numbers_to_the_last_digit() -> None:
    stream = io.BytesIO()
    values = [-0.1, 1e-300, 123456789.123456789, 5.0]
    write_csv(stream, COLUMNS, [{"text": "a", "number": v, "count": -3, "right": None} for v in values])
    found = read_back(stream.getvalue())[1:]
    assert [float(row[1]) for row in found] == values
    assert {row[2] for row in found} == {"-3"}


def test_lines_and_parquet_carry_the_exact_text() -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    texts = ["=cmd|' /C calc'!A0", "\x1b[2J", "<script>", "a\tb\r\n", "Δ"]
    rows = [{"text": text, "number": 1.0, "count": 2, "right": False} for text in texts]
    lines = io.BytesIO()
    write_jsonl(lines, lambda row: as_json_line("export.attempts/1", row), rows)
    assert [json.loads(line)["text"] for line in lines.getvalue().splitlines()] == texts
    assert b"\x1b" not in lines.getvalue()
    stream = io.BytesIO()
    write_parquet(stream, "export.attempts/1", COLUMNS, rows)
    table = pq.read_table(io.BytesIO(stream.getvalue()))
    assert table.column("text").to_pylist() == texts
    assert table.schema.metadata[b"schema"] == b"cryoflux.export.attempts/1"
    assert table.schema.field("number").metadata == {b"unit": b"J", b"description": b"any"}
