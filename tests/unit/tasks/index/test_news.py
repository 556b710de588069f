"""What has come and gone beside an index, and what a folder that is broken or away does to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cryoflux.errors import DataError
from cryoflux.tasks.index.documents import Folder, digest_of
from cryoflux.tasks.index.news import News
from cryoflux.tasks.index.shelf import Manifest, Shelf, save_empty
from cryoflux.tasks.index.updating import Adding, UpdateSaid, apply_update, write_update


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Place:
    """A folder of two documents, an index of them, and a clock."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "notes"
        self.path.mkdir()
        for text in ("one", "two"):
            (self.path / f"{text}.txt").write_text(text)
        self.shelf = _index(tmp_path, ["one", "two"])
        self.clock = Clock()
        self.folder = Folder(self.path)
        self.news = News(self.folder, self.clock)
        self.news.begin()

    def later(self) -> tuple[int, int]:
        self.clock.now += 10
        return self.news.count(self.shelf)


def _index(tmp_path: Path, texts: list[str]) -> Shelf:
    for name in ("empty", "update", "index"):
        (tmp_path / name).mkdir()
    save_empty(tmp_path / "empty")
    with Adding(tmp_path / "update") as adding:
        rows = [{"document": digest_of(text).hex(), "place": text, "title": text} for text in texts]
        adding.put(rows, [bytes(8)] * len(texts))
    said = UpdateSaid("", Manifest(dimensions=8, documents=len(texts)), fresh=False, removed=[])
    write_update(tmp_path / "update", said, None)
    apply_update(Shelf(tmp_path / "empty"), tmp_path / "update", tmp_path / "index")
    return Shelf(tmp_path / "index")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_new_and_gone_documents_are_counted(place: Place) -> None:
    assert place.later() == (0, 0)
    (place.path / "three.txt").write_text("three")
    (place.path / "two.txt").unlink()
    assert place.later() == (1, 1)
    (place.path / "below").mkdir()
    (place.path / "below" / "moved.md").write_text("two\n")
    assert place.later() == (1, 0)


def test_a_folder_is_looked_at_once_an_attempt(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(str(path)) or scan(path))
    for _ in range(5):
        place.news.count(place.shelf)
    assert looks == []  # it was looked at in the beginning
    place.later()
    for _ in range(5):
        place.news.count(place.shelf)
    assert len(looks) == 1
    place.news.over()
    place.news.count(place.shelf)
    assert len(looks) == 2


def test_news_are_looked_at_at_once(place: Place) -> None:
    assert not place.news.has_come()
    (place.path / "three.txt").write_text("three")
    assert place.news.has_come()
    assert place.news.count(place.shelf) == (1, 0)
    assert not place.news.has_come()


def test_a_broken_file_is_told_of_once_and_keeps_what_was_known_of_it(place: Place) -> None:
    (place.path / "two.txt").write_bytes(b"\xff\xfe")
    (place.path / "rows.csv").write_text("name,label\nx,y\n")
    (place.path / "three.txt").write_text("three")
    assert place.later() == (1, 0), "what is whole goes on, and two stays"
    files, problems = zip(*sorted(place.news.troubles()), strict=True)
    assert files == ("rows.csv", "two.txt")
    assert "names no field called text" in problems[0]
    assert "utf-8" in problems[1]
    assert not place.news.has_come()
    assert place.later() == (1, 0)
    assert place.news.troubles() == []
    (place.path / "rows.csv").write_text("name,label\nx,yz\n")
    assert place.news.has_come()
    place.later()
    assert [file for file, _ in place.news.troubles()] == ["rows.csv"]
    (place.path / "rows.csv").write_text("text,label\nfour,y\n")
    (place.path / "two.txt").unlink()
    assert place.later() == (2, 1)
    assert place.news.troubles() == []


def test_at_first_a_broken_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"two\.txt cannot be indexed"):
        News(Folder(tmp_path)).begin()


def test_a_folder_that_is_away_or_empty_takes_nothing_with_it(place: Place) -> None:
    elsewhere = place.path.rename(place.path.with_name("elsewhere"))
    assert not place.news.has_come()
    assert place.later() == (0, 0)
    assert place.folder.away
    assert place.later() == (0, 0)
    assert [what for _, what in place.news.troubles()] == [
        f"There is no folder {place.path}. What the index has of it stays."
    ]
    place.path.mkdir()  # where something was mounted
    assert place.news.has_come()
    assert place.later() == (0, 0)
    assert place.later() == (0, 0)
    (told,) = place.news.troubles()
    assert "holds no document any more, so the index stays as it is" in told[1]
    place.path.rmdir()
    elsewhere.rename(place.path)
    assert place.news.has_come()
    (place.path / "two.txt").unlink()
    assert place.later() == (0, 1)
    assert place.news.troubles() == []


def test_a_folder_below_that_may_not_be_read_keeps_its_documents(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = place.path / "below"
    below.mkdir()
    (place.path / "two.txt").rename(below / "two.txt")
    assert place.later() == (0, 0)
    scan = os.scandir

    def refused(path: Path) -> object:
        if path == below:
            raise PermissionError(13, "Permission denied")
        return scan(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refused)
        (place.path / "three.txt").write_text("three")
        assert place.later() == (1, 0)
        assert place.later() == (1, 0)
        ((file, what),) = place.news.troubles()
        assert file == "below/"
        assert "cannot be read: Permission denied" in what
        assert not place.news.has_come()
    assert place.news.has_come()
    (below / "two.txt").unlink()
    assert place.later() == (1, 1)


def test_a_document_that_changes_while_it_is_read_is_left_out_and_looked_at_again(place: Place) -> None:
    (place.path / "one.txt").unlink()
    content, status = (place.path / "two.txt").read_bytes(), (place.path / "two.txt").stat()
    (place.path / "two.txt").write_text("owt")
    assert list(place.folder.texts(place.folder.names)) == []
    (place.path / "two.txt").write_bytes(content)  # as if nothing had been
    os.utime(place.path / "two.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert place.news.has_come()
    assert place.later() == (0, 1)
    assert [text for _, _, text in place.folder.everything()] == ["two"]
