"""Rows of columns with types: parquet by pyarrow; a folder or a hub id of `datasets` by that.

Both come with the extra ``data``. Labels that are stored as numbers have names where the file gives them
(``ClassLabel``). Nothing of what is loaded is run.
"""

from __future__ import annotations

__all__ = ["Hub", "hub_of", "is_dataset_folder", "read_dataset", "read_parquet"]

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from cryoflux.data.bytes_in import BytesIn
from cryoflux.data.columns import TakenColumns, Wishes, columns_of
from cryoflux.data.tables import Table, looked_up
from cryoflux.errors import DataError, UsageError

_BATCH = 128
"""rows that are unpacked together: a hostile one may have a megabyte each"""
_BUFFER_BYTES = 2**16
"""of a column that is read a page at a time"""
_MARKS = ("state.json", "dataset_dict.json")
"""one of them lies in a folder that `datasets` saved"""
_HUB = re.compile(r"(?P<name>[\w./~-]+?)(?:@(?P<part>[\w.-]+))?\[(?P<split>[\w.%:+-]+)\]\Z")


class Hub(NamedTuple):
    """A data set by name: of the hub, or a folder."""

    name: str
    part: str
    """its configuration; empty for the only one"""
    split: str


def hub_of(name: str) -> Hub | None:
    """What ``imdb[train]`` or ``glue@mrpc[train]`` names; nothing where a text names a file."""
    found = _HUB.match(name)
    return Hub(found["name"], found["part"] or "", found["split"]) if found else None


def is_dataset_folder(path: Path) -> bool:
    """Whether `datasets` saved a folder."""
    return any((path / mark).is_file() for mark in _MARKS)


def _require(library: str, where: str) -> None:
    try:
        found = find_spec(library) is not None
    except ValueError:  # it was imported by hand
        found = True
    if not found:
        raise UsageError(
            f"{where} cannot be read without {library}.",
            why="It is no text file; the library that reads it is not installed.",
            hint="Install it: pip install 'cryoflux[data]'; or give CSV or JSONL.",
        )


@contextmanager
def _arrow_errors(where: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{where} is no parquet file that can be read: {str(error).splitlines()[0][:200]}.",
            why="What is left of a broken file would be another data set.",
            hint="Copy or download it again, or write it anew.",
        ) from error


def read_parquet(source: BytesIn, wishes: Wishes) -> Table:
    """The table of a parquet file.

    Raises:
        UsageError: pyarrow is not installed.
        DataError: it is broken, or which columns are text and label is not known.
    """
    _require("pyarrow", source.where)
    from pyarrow import parquet

    with _arrow_errors(source.where), source.opened() as stream, parquet.ParquetFile(stream) as file:
        schema = file.schema_arrow
        paths = [*dict.fromkeys(file.schema.column(at).path for at in range(len(file.schema)))]
    names = [name for name in schema.names if not _is_struct(schema, name)]
    names += [path for path in paths if path.partition(".")[0] not in names and ".list." not in path]
    columns = columns_of(source.where, names, wishes, tabular=False)
    wanted = [*dict.fromkeys([*columns.texts, columns.label])]
    given = [name if name in schema.names else name.partition(".")[0] for name in wanted]

    def rows() -> Iterator[tuple[int, Any, Any]]:
        with (
            _arrow_errors(source.where),
            source.opened() as stream,
            parquet.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file,
        ):
            number = 0
            for batch in file.iter_batches(_BATCH, columns=[*dict.fromkeys(given)]):
                names = batch.schema.names
                for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield number, *_values(dict(zip(names, cells, strict=True)), columns)

    return Table("parquet", columns, rows, "row", class_names=_names_of(schema, columns.label))


def _is_struct(schema: Any, name: str) -> bool:
    return str(schema.field(name).type).startswith("struct")


def _values(row: Mapping[str, Any], columns: TakenColumns) -> tuple[Any, Any]:
    texts = tuple(looked_up(row, name) for name in columns.texts)
    return texts[0] if len(texts) == 1 else texts, looked_up(row, columns.label)


def _names_of(schema: Any, label: str) -> tuple[str, ...]:
    """The names of classes that `datasets` writes into a parquet file."""
    try:
        said = json.loads((schema.metadata or {})[b"huggingface"])
        names = said["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(n, str) for n in names) else ()


def read_dataset(hub: Hub | None, name: str, wishes: Wishes) -> Table:
    """The table of a folder that `datasets` saved, or of a data set of the hub.

    Args:
        hub: what is named, with its split; none for a folder of one set.
        name: as it was typed.
        wishes: which columns to take.

    Raises:
        UsageError: `datasets` is not installed.
        DataError: it cannot be loaded, or which columns are text and label is not known.
    """
    _require("datasets", name)
    found = _loaded(hub, name)
    columns = columns_of(name, _field_names(found.features), wishes, tabular=False)

    def rows() -> Iterator[tuple[int, Any, Any]]:
        number = 0
        for batch in found.iter(batch_size=_BATCH):
            fields = [*batch]
            for values in zip(*batch.values(), strict=True):
                number += 1
                yield number, *_values(dict(zip(fields, values, strict=True)), columns)

    kind = "a folder of datasets" if hub is None or Path(hub.name).is_dir() else "the hub, by datasets"
    return Table(kind, columns, rows, "row", class_names=_class_names(found.features, columns.label))


def _loaded(hub: Hub | None, name: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    folder = Path(hub.name if hub is not None else name)
    try:
        if folder.is_dir() and is_dataset_folder(folder):
            found = datasets.load_from_disk(str(folder))
            return _split_of(found, hub, name)
        if hub is None:
            raise DataError(f"{name} names no split.", hint=f"Say which: {name}[train].")
        return datasets.load_dataset(hub.name, hub.part or None, split=hub.split)
    except DataError:
        raise
    except Exception as error:  # what a library of so many formats raises is anything
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"{name} cannot be loaded: {said}.",
            why="A data set of the hub is fetched from there, unless it is in the cache of `datasets`."
            if hub is not None and not folder.is_dir()
            else "Without its examples there is nothing to train or judge on.",
            hint="Check the name, the split and the network; or save it once where there is one, "
            "load_dataset(…).save_to_disk(DIR), and give that folder.",
        ) from error


def _split_of(found: Any, hub: Hub | None, name: str) -> Any:
    if not isinstance(found, Mapping):
        return found
    if hub is None or hub.split not in found:
        sets = ", ".join(map(str, found))
        raise DataError(
            f"{name} has several sets: {sets}."
            if hub is None
            else f"{hub.name} has no set {hub.split!r}; it has {sets}.",
            why="Which of them is meant is not known.",
            hint=f"Say which: {hub.name if hub is not None else name}[{next(iter(found))}].",
        )
    return found[hub.split]


def _field_names(features: Mapping[str, Any], above: str = "") -> list[str]:
    names = list[str]()
    for name, kind in features.items():
        below = isinstance(kind, Mapping) and kind
        names += _field_names(kind, f"{above}{name}.") if below else [f"{above}{name}"]
    return names


def _class_names(features: Mapping[str, Any], label: str) -> tuple[str, ...]:
    names: Sequence[str] = getattr(looked_up(dict(features), label), "names", None) or ()
    return tuple(names)
