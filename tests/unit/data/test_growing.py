"""Which examples join a training set, and how it grows on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.data.examples import Example
from cryoflux.data.growing import Joining, Refusal, drop_others, grow
from cryoflux.data.prepared import PreparedData, open_prepared, render, store
from cryoflux.data.split import Splits
from cryoflux.digests import digests_of_lines, find_listed
from cryoflux.errors import StorageError

LONG = "the quick brown fox jumps over the lazy dog while seven grey cats watch from a red brick wall nearby"
TRAIN = tuple(
    Example(f"text {word} of training", "ab"[n % 2]) for n, word in enumerate(["one", "two", "six", "ten"])
)
HOLDOUT = (Example(LONG, "a"), Example("Judged by this", "b"))
AUDIT = (Example("audited by that", "a"), Example("and by those words", "b"))


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    return made(tmp_path)


def made(root: Path) -> PreparedData:
    files, digest = render(Splits(TRAIN, HOLDOUT, AUDIT, ("a", "b"), {}, ()))
    return open_prepared(store(files, digest, root / "data"), "toy", {})


def offered(data: PreparedData, *examples: Example) -> tuple[int, list[tuple[int, Refusal]]]:
    joined, refused = Joining(data).offer("new.csv", enumerate(examples, start=2))
    return joined, [(one.line, one.why) for one in refused]


def test_a_quarantined_text_comes_again_only_with_another_label(data: PreparedData) -> None:
    joining = Joining(data, quarantined={0, 1})
    first, second, third = TRAIN[:3]
    near = Example(second.text.replace("text", "Text,"), second.label)
    rows = [first, Example(second.text, "a"), near, Example(third.text, "b"), Example(second.text, "a")]
    joined, refused = joining.offer("mended.csv", enumerate(rows, start=2))
    assert (joined, joining.joined) == (1, [Example(second.text, "a")])
    assert {one.line for one in refused} == {2, 4, 5, 6}
    assert {one.why for one in refused} == {Refusal.KNOWN}


def test_what_may_join_and_what_may_not(data: PreparedData) -> None:
    near = LONG.replace("lazy dog", "sleepy hound")
    assert offered(
        data,
        Example("something that nobody has seen", "a"),
        Example("  judged BY this", "b"),
        Example(near, "a"),
        Example("audited by that", "b"),
        Example("text one of training", "a"),
        Example("something that nobody has seen", "a"),
        Example("another word", "c"),
    ) == (
        1,
        [
            (3, Refusal.JUDGED),
            (4, Refusal.JUDGED),
            (5, Refusal.JUDGED),
            (6, Refusal.KNOWN),
            (7, Refusal.KNOWN),
            (8, Refusal.CLASS),
        ],
    )


def test_what_the_leak_guard_finds_does_not_join_and_is_asked_about_nothing_else(data: PreparedData) -> None:
    asked: list[list[str]] = []

    def similar(texts, judging):
        asked.append(list(texts))
        assert {name: list(those) for name, those in judging.items()} == {
            "holdout": [e.text for e in HOLDOUT],
            "audit": [e.text for e in AUDIT],
        }
        return {place: "audit" for place, text in enumerate(texts) if "reworded" in text}

    rows = [Example("  judged BY this", "b"), Example("reworded", "a"), Example("new words", "b")]
    joined, refused = Joining(data, similar=similar).offer("new.csv", enumerate(rows, start=2))
    assert (joined, [(one.line, one.why) for one in refused]) == (
        1,
        [(2, Refusal.JUDGED), (3, Refusal.SIMILAR)],
    )
    assert asked == [["reworded", "new words"]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([*HOLDOUT, *AUDIT, *TRAIN, Example("fresh words here", "a")]), max_size=8))
def test_no_text_that_judges_ever_joins(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Example]
) -> None:
    joining = Joining(made(tmp_path_factory.mktemp("data")))
    joining.offer("new.csv", enumerate(rows))
    assert not {e.text for e in joining.joined} & {e.text for e in (*HOLDOUT, *AUDIT, *TRAIN)}
    assert len(joining.joined) <= 1


def test_a_grown_set_begins_with_what_it_was(data: PreparedData) -> None:
    more = grow(data, [Example("a new one", "a"), Example("and another", "b")])
    assert more.examples("train") == (*TRAIN, Example("a new one", "a"), Example("and another", "b"))
    assert {n: more.file_digests[n] for n in ("holdout", "audit")} == {
        n: data.file_digests[n] for n in ("holdout", "audit")
    }
    again = digests_of_lines(more.folder / "train.jsonl", [4, 6, 7])
    assert again == {4: data.file_digests["train"], 6: more.file_digests["train"]}


def test_one_folder_serves_all_digests(data: PreparedData) -> None:
    more = grow(grow(data, [Example("a new one", "a")]), [Example("and another", "b")])
    drop_others(more.folder)
    root = more.folder.parent
    assert list(root.iterdir()) == [more.folder]
    assert find_listed(root, data.digest, "train.jsonl", data.file_digests["train"]) == more.folder
    assert find_listed(root, data.digest, "train.jsonl", "0" * 64) == root / data.digest


def test_data_of_another_task_stay(data: PreparedData, tmp_path: Path) -> None:
    files, digest = render(Splits(TRAIN, HOLDOUT[:1], AUDIT, ("a", "b"), {}, ()))
    other = store(files, digest, tmp_path / "data")
    drop_others(grow(data, [Example("a new one", "a")]).folder)
    assert other.is_dir()
    assert not data.folder.exists()


def test_a_full_disk_leaves_what_was_there(data: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cryoflux.data.growing.write_atomic", full)
    with pytest.raises(StorageError):
        grow(data, [Example("a new one", "a")])
    assert [path.name for path in data.folder.parent.iterdir()] == [data.digest]
