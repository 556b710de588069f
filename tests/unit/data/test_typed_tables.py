"""Parquet by pyarrow, and data sets by `datasets`: by the library where it is installed, by a stand-in."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from cryoflux.data import rows_arrow
from cryoflux.data.columns import Wishes
from cryoflux.data.formats import open_examples, read_arrived
from cryoflux.errors import DataError, UsageError

TEXTS = [f"a text about {at} things" for at in range(1500)]
LABELS = [at % 2 for at in range(1500)]
NAMES = ["ham", "spam"]


def rows_of(path: Path | str, wishes: Wishes | None = None) -> tuple[list[tuple[str, str]], str]:
    opened = open_examples(path, wishes or Wishes())
    return [(one.text, one.label) for _, one in opened], "\n".join(opened.found.lines())


def write(path: Path, columns: Mapping[str, Any], **metadata: Any) -> Path:
    table = pa.table(columns)
    said = {key.encode(): json.dumps(value).encode() for key, value in metadata.items()}
    parquet.write_table(table.replace_schema_metadata(said or None), path, row_group_size=500)
    return path


def test_parquet_is_read_row_by_row(tmp_path: Path) -> None:
    path = write(tmp_path / "data.parquet", {"id": range(1500), "review": TEXTS, "label": LABELS})
    rows, said = rows_of(path)
    assert rows == [(text, str(label)) for text, label in zip(TEXTS, LABELS, strict=True)]
    assert "parquet" in said
    assert "text is review, label is label (by name)" in said
    arrived = read_arrived(path).numbered
    assert [(number, one.text) for number, one in arrived] == list(enumerate(TEXTS, start=1))


def test_numbers_are_the_names_that_the_file_gives_them(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}}
    path = write(tmp_path / "data.parquet", {"text": TEXTS, "label": LABELS}, huggingface=features)
    rows, said = rows_of(path)
    assert [label for _, label in rows[:3]] == ["ham", "spam", "ham"]
    assert "classes by their names in the file" in said


def test_fields_below_others_are_named_by_path(tmp_path: Path) -> None:
    nested = [{"text": text, "lang": "en"} for text in TEXTS]
    path = write(tmp_path / "data.parquet", {"data": nested, "label": LABELS})
    assert rows_of(path, Wishes("data.text"))[0][0] == (TEXTS[0], "0")


def test_missing_cells_are_counted(tmp_path: Path) -> None:
    texts: list[str | None] = [*TEXTS[:-2], None, None]
    rows, said = rows_of(write(tmp_path / "data.parquet", {"text": texts, "label": LABELS}))
    assert len(rows) == 1498
    assert "2 of 1500 rows without a text left out: row 1499, 1500" in said


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "data.parquet", {"text": TEXTS, "label": LABELS})
    content = path.read_bytes()
    path.write_bytes(content[:2000] + b"\xff" * (len(content) - 2008) + content[-8:])
    with pytest.raises(DataError, match="no parquet file that can be read"):
        rows_of(path)


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "data.parquet", {"text": TEXTS, "label": LABELS})
    monkeypatch.setattr(rows_arrow, "find_spec", lambda _name: None)
    for name in (path, "imdb[train]"):
        with pytest.raises(UsageError, match="cannot be read without") as caught:
            rows_of(name)
        assert "pip install 'cryoflux[data]'" in caught.value.hint


class Rows:
    """As much of a `datasets.Dataset` as is read."""

    def __init__(self, columns: dict[str, list[Any]], names: list[str] | None) -> None:
        self._columns = columns
        self.features = {name: SimpleNamespace() for name in columns}
        if names is not None:
            self.features["label"] = SimpleNamespace(names=names)

    def iter(self, batch_size: int) -> Iterator[dict[str, list[Any]]]:
        count = len(self._columns["text"])
        for start in range(0, count, batch_size):
            yield {name: column[start : start + batch_size] for name, column in self._columns.items()}


class StandIn(ModuleType):
    """As much of `datasets` as is called, without a network."""

    def __init__(self) -> None:
        super().__init__("datasets")
        self.asked: list[tuple[Any, ...]] = []

    def disable_progress_bars(self) -> None:
        pass

    def load_from_disk(self, folder: str) -> Any:
        rows = Rows({"text": TEXTS, "label": LABELS}, NAMES)
        several = (Path(folder) / "dataset_dict.json").is_file()
        return (
            {"train": rows, "test": Rows({"text": TEXTS[:9], "label": LABELS[:9]}, NAMES)}
            if several
            else rows
        )

    def load_dataset(self, name: str, part: str | None, *, split: str) -> Rows:
        self.asked.append((name, part, split))
        if name == "nowhere":
            raise ConnectionError("Couldn't reach the Hub")
        return Rows({"text": TEXTS, "label": LABELS}, None)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn()
    monkeypatch.setitem(sys.modules, "datasets", found)
    monkeypatch.setattr(rows_arrow, "find_spec", lambda name: name)
    return found


def test_a_saved_folder_is_read(tmp_path: Path, stand_in: StandIn) -> None:
    (tmp_path / "state.json").write_text("{}")
    rows, said = rows_of(tmp_path)
    assert rows[:2] == [(TEXTS[0], "ham"), (TEXTS[1], "spam")]
    assert "a folder of datasets" in said


def test_of_a_folder_of_several_sets_one_is_named(tmp_path: Path, stand_in: StandIn) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert len(rows_of(f"{tmp_path}[test]")[0]) == 9
    with pytest.raises(DataError, match="has several sets: train, test") as caught:
        rows_of(tmp_path)
    assert f"{tmp_path}[train]" in caught.value.hint
    with pytest.raises(DataError, match="has no set 'valid'; it has train, test"):
        rows_of(f"{tmp_path}[valid]")


def test_a_data_set_of_the_hub_is_named_with_its_split(stand_in: StandIn) -> None:
    rows, said = rows_of("someone/imdb[train]")
    assert (len(rows), rows[0]) == (1500, (TEXTS[0], "0"))
    assert "the hub, by datasets" in said
    rows_of("glue@mrpc[validation]")
    assert stand_in.asked == [("someone/imdb", None, "train"), ("glue", "mrpc", "validation")]


def test_without_a_network_it_says_so(stand_in: StandIn) -> None:
    with pytest.raises(DataError, match="cannot be loaded: Couldn't reach the Hub") as caught:
        rows_of("nowhere[train]")
    assert "fetched from there" in caught.value.why
    assert "save_to_disk" in caught.value.hint


def test_a_file_may_have_brackets_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine[train]"
    path.write_text("text,label\nhello,x\nyou,y\n")
    assert rows_of(path)[0] == [("hello", "x"), ("you", "y")]


@pytest.mark.skipif(find_spec("datasets") is None, reason="needs the extra data")
def test_the_library_itself_reads_what_it_saved(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=NAMES)}
    )
    made = datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS}, features=features)
    made.select(range(7, 1000)).save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict(train=made, test=made.select(range(9))).save_to_disk(str(tmp_path / "several"))
    made.to_parquet(str(tmp_path / "made.parquet"))
    assert rows_of(tmp_path / "one")[0][0] == (TEXTS[7], "spam")
    assert len(rows_of(f"{tmp_path / 'several'}[test]")[0]) == 9
    assert rows_of(tmp_path / "made.parquet")[0][:2] == [(TEXTS[0], "ham"), (TEXTS[1], "spam")]
