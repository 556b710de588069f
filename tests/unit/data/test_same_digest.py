"""What was read before other formats were, is read in the same way: states find their data by its digest."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.data.formats import read_examples
from cryoflux.data.prepared import render
from cryoflux.data.split import split
from cryoflux.errors import DataError
from exact_reader import exactly_read

PIECES = st.sampled_from(
    [
        *("good film", "bad, film", 'he said "hi"', "x\ny", "tab\there", "semi;colon", "bar|x", "é", "  sp "),
        *(
            "{q}",
            "[z]",
            "[{",
            "text",
            "1",
            "2.5",
            "\u2028z",
            "\r",
            "=SUM(1)",
            "sep=;",
            "\ufeff",
            "[\n",
            "# x",
        ),
    ]
)
TEXTS = st.builds(
    lambda pieces, number: f"{' '.join(pieces)} {number}", st.lists(PIECES, max_size=4), st.integers(0, 99)
)
LABELS = st.sampled_from(["pos", "neg", "1", "0", "x;y", "a|b", " pos ", "1.0", "nan"])
ROWS = st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=12)
HEADS = st.sampled_from(
    [
        (),
        ("text", "label"),
        ("Label", " Text"),
        ("sentence1", "sentence2", "TEXT", "label"),
        ("review", "text", "label"),
    ]
)
SUFFIXES = st.sampled_from([".csv", ".txt", ".tsv", ".jsonl", ".json", ""])


def written(rows: list[tuple[str, str]], head: tuple[str, ...], end: str, quoting: int) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=quoting)
    if head:
        writer.writerow(head)
    for text, label in rows:
        by_name = {"text": text, "label": label}
        writer.writerow([by_name.get(name.strip().casefold(), "z") for name in head] or [text, label])
    return out.getvalue()


def same(path: Path) -> None:
    before = exactly_read(path)
    if before is not None:
        assert [(one.text, one.label) for one in read_examples(path)] == before


@given(ROWS, HEADS, st.sampled_from(["\n", "\r\n"]), st.sampled_from([0, 1]), SUFFIXES, st.booleans())
@settings(deadline=None)
def test_a_csv_that_was_read_is_read_in_the_same_way(
    tmp_path_factory: pytest.TempPathFactory, rows, head, end, quoting, suffix, mark
) -> None:
    path = tmp_path_factory.getbasetemp() / f"before{suffix}"
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + written(rows, head, end, quoting).encode())
    same(path)


@given(ROWS, SUFFIXES, st.booleans(), st.sampled_from([{}, {"id": 3}, {"meta": {"text": 1, "label": 2}}]))
@settings(deadline=None)
def test_jsonl_that_was_read_is_read_in_the_same_way(
    tmp_path_factory: pytest.TempPathFactory, rows, suffix, ascii_only, beside
) -> None:
    path = tmp_path_factory.getbasetemp() / f"before{suffix}"
    lines = [json.dumps(beside | {"text": t, "label": k}, ensure_ascii=ascii_only) for t, k in rows]
    path.write_text("\n".join(lines), "utf-8")
    same(path)


def test_the_reader_of_before_still_reads_something(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,label\nhello,x\nyou,y\n")
    assert exactly_read(path) == [("hello", "x"), ("you", "y")]
    path.write_text("text,label\nhello,\n")
    assert exactly_read(path) is None
    with pytest.raises(DataError):
        read_examples(path)


def test_the_digest_of_a_file_is_one_for_good(tmp_path: Path) -> None:
    rows = [
        (f"This is text number {at}, about {at % 7} things", "even" if at % 2 else "odd") for at in range(240)
    ]
    plain, packed = tmp_path / "plain.csv", tmp_path / "other.tsv"
    plain.write_text(written(rows, ("text", "label"), "\n", 0))
    packed.write_text("label\tsentence\n" + "".join(f"{label}\t{text}\n" for text, label in rows))
    digests = {render(split(read_examples(p), None, None, holdout_size=30))[1] for p in (plain, packed)}
    assert digests == {"41d1a24dcfefbb47a15302a68fa6b256f5593643477b1e030479b17be0832dd8"}
