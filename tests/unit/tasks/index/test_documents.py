"""Which documents a folder holds, and what refuses one."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryoflux.errors import DataError
from cryoflux.tasks.index import documents, formats
from cryoflux.tasks.index.documents import Folder, digest_of, tidy


def texts_of(folder: Path) -> dict[str, str]:
    found = Folder(folder)
    found.look()
    return {place: text for _, place, text in found.everything()}


def test_every_format_gives_its_documents_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "one.md").write_bytes("\ufeff# One  \r\n\r\nof them \n\n".encode())
    (tmp_path / "two.txt").write_text("two")
    (tmp_path / "rows.csv").write_text("title,text,other\nThree,is a row,x\n,four,y\n")
    (tmp_path / "lines.jsonl").write_text(
        f"{json.dumps({'text': 'five'})}\n\n{json.dumps({'text': 'six'})}\n"
    )
    pq.write_table(pa.table({"text": ["seven", "eight"], "n": [1, 2]}), tmp_path / "table.parquet")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("nobody is asked")
    assert texts_of(tmp_path) == {
        "below/one.md": "# One\n\nof them",
        "two.txt": "two",
        "rows.csv#1": "Three\nis a row",
        "rows.csv#2": "four",
        "lines.jsonl#1": "five",
        "lines.jsonl#2": "six",
        "table.parquet#1": "seven",
        "table.parquet#2": "eight",
    }


def test_a_document_is_what_it_says_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the same \n")
    (tmp_path / "b.md").write_text("\nthe same")
    folder = Folder(tmp_path)
    assert folder.look()
    assert list(folder.names) == [digest_of("the same")]
    (tmp_path / "a.txt").unlink()
    assert folder.look()
    assert digest_of("the same") in folder
    (tmp_path / "b.md").write_text("another")
    assert folder.look()
    assert list(folder.names) == [digest_of("another")]
    assert not folder.look()


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("one")
    folder = Folder(tmp_path)
    folder.look()
    (tmp_path / "b.txt").write_text("two")
    read: list[str] = []
    texts = formats.read_texts
    monkeypatch.setattr(documents, "read_texts", lambda path: read.append(path.name) or texts(path))
    folder.look()
    assert read == ["b.txt"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.txt", b"\xff\xfe\x00", "utf-8"),
        ("a.csv", b"name,label\nx,y\n", "no field called text"),
        ("a.jsonl", b'{"text": "fine"}\n{"words": 1}\n', "line 2 has no field called text"),
        ("a.jsonl", b"not json\n", "Expecting value"),
        ("a.parquet", b"PAR1", "a.parquet"),
        ("a.jsonl", b"[" * 100_000, "recursion"),
    ],
)
def test_what_cannot_be_read_is_named_and_not_left_out(
    name: str, content: bytes, what: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as refused:
        Folder(tmp_path).look()
    assert what in refused.value.what
    assert name in refused.value.what


def test_a_parquet_file_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    with pytest.raises(DataError) as refused:
        Folder(tmp_path).look()
    assert "pip install 'cryoflux[index]'" in refused.value.hint


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        Folder(tmp_path / "gone").look()


def test_blanks_at_the_ends_of_lines_say_nothing() -> None:
    assert tidy("\ufeffa \t\r\n b\n\n") == "a\n b"
