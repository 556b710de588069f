"""What cannot be read is refused with the file and the line; what can is read exactly."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.data.formats import read_examples
from cryoflux.errors import DataError, ExitCode

REFUSED = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\n", "is empty"),
    "binary": (b"text,label\nabc\0,x\n", "binary"),
    "ragged": (b"text,label\na,x\nb,x,y\n", "line 3: 3 columns instead of 2"),
    "one column": (b"text\nhello\n", "line 1: 1 columns instead of 2"),
    "three columns without a header": (b"a,b,c\n", "3 columns instead of 2"),
    "header only": (b"text,label\n", "holds no example"),
    "missing label": (b"text,label\nhello,\n", "line 2: the label is missing"),
    "missing text": (b"text,label\n ,x\n", "line 2: the text is empty"),
    "twice": (b"text,label,label\na,x,y\n", "names a column twice"),
    "unknown header": (
        b"satz,klasse\na b,x\nc d,y\ne f,x\n",
        "line 1: the class 'klasse' occurs only",
    ),
    "open quote": (b'text,label\n"never closed,x\n', "this is not CSV"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_csv_is_refused_by_file_and_line(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_examples(path)
    assert str(path) in caught.value.what
    assert caught.value.why
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    "line",
    [
        "[1]",
        '["a"]',
        r'{"text": "\ud800", "label": "x"}',
        "{",
        '{"text": "a"}',
        '{"text": "a", "label": null}',
        '{"text": 1, "label": "x"}',
    ],
)
def test_a_bad_jsonl_line_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "fine", "label": "x"}\n' + line + "\n")
    with pytest.raises(DataError, match="line 2"):
        read_examples(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_examples(path)


def test_a_header_may_order_the_columns_and_add_others(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("\ufeffid,Label,Text\n7,x,hello there\n")
    assert [(e.text, e.label) for e in read_examples(path)] == [("hello there", "x")]


def test_labels_may_be_numbers_in_jsonl_and_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text('{"text": "hello", "label": 3}\n')
    assert [(e.text, e.label) for e in read_examples(path)] == [("hello", "3")]


def test_other_separators_of_unicode_do_not_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "one\u2028two\u0085three", "label": "x"}\n')
    assert [e.text for e in read_examples(path)] == ["one\u2028two\u0085three"]


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1))
def test_jsonl_reads_back_what_json_wrote(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    rows = [(t, label) for t, label in rows if t.strip() and label.strip() and t.isprintable()]
    if not rows:
        return
    path = tmp_path_factory.getbasetemp() / "written.jsonl"
    path.write_text("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows))
    assert [(e.text, e.label) for e in read_examples(path)] == [(t, label.strip()) for t, label in rows]
