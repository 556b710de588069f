"""The last word of a worker's meter: found again after a crash, and nothing of it where its file is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.errors import StorageError
from cryoflux.fleet.words import LastWord, LastWords

LENT = "attempt-1/lent/w1"


def test_a_word_is_there_for_the_next_process_until_it_is_forgotten(tmp_path: Path) -> None:
    words = LastWords(tmp_path / "words")
    assert words.all() == []
    words.put(LastWord(lent=LENT))
    words.put(LastWord(lent=LENT, word="so far"))
    words.put(LastWord(lent="session/lent/w1"))
    again = LastWords(tmp_path / "words")
    assert again.get(LENT) == LastWord(lent=LENT, word="so far")
    assert [word.lent for word in again.all()] == [LENT, "session/lent/w1"]
    again.forget(LENT)
    again.forget(LENT)
    assert again.get(LENT) == LastWord(lent=LENT)
    assert [word.lent for word in words.all()] == ["session/lent/w1"]


def test_what_was_forgotten_is_written_anew(tmp_path: Path) -> None:
    words = LastWords(tmp_path)
    for _ in range(2):
        words.put(LastWord(lent=LENT, word="so far"))
        assert words.get(LENT).word == "so far"
        words.forget(LENT)


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b'{"lent": "another/lent/w1"}', b"\xff" * 100])
def test_a_file_that_is_no_word_of_it_says_nothing(tmp_path: Path, content: bytes) -> None:
    words = LastWords(tmp_path)
    words.put(LastWord(lent=LENT, word="so far"))
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(content)
    assert words.get(LENT) == LastWord(lent=LENT)


def test_a_word_that_cannot_be_written_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("in the way")
    with pytest.raises(StorageError):
        LastWords(tmp_path / "words").put(LastWord(lent=LENT))
