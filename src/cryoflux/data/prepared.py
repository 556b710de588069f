"""A data set as it lies in the state: sets of one example a line, and the labels, named by their digest.

``data/<digest>/{train,holdout,audit}.jsonl``, spare holdouts as ``holdout-2.jsonl`` and so on,
``labels.json`` and ``SHA256SUMS``; training examples that a leak guard left out as ``similar.jsonl``. The
digest is that of ``SHA256SUMS``. It is written once, before the first attempt, and every intent names it. A
line is what its task makes of an example; a text with its class is ``{"label": …, "text": …}``.
"""

from __future__ import annotations

__all__ = [
    "GUEST_SET",
    "LABELS_FILE",
    "MONITOR_SET",
    "SEARCH_SET",
    "SIMILAR_FILE",
    "PreparedData",
    "example_line",
    "load_examples",
    "open_prepared",
    "prepared_of",
    "render",
    "render_sets",
    "store",
]

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryoflux.data.examples import Example
from cryoflux.data.split import Splits
from cryoflux.digests import CHECKSUMS, folder_digest, mismatched_files, sha256_hex
from cryoflux.errors import StateTamperedError
from cryoflux.files import (
    MOST_FILE_BYTES,
    read_lines,
    read_regular,
    storage_errors,
    sync_folder,
    write_atomic,
)

_SETS = ("audit", "holdout", "train")
MONITOR_SET = "monitor"
"""the set that heads are held against after they were kept, and the first word of any that came later"""
GUEST_SET = "guest"
"""first word of the set that judges what other nodes offer"""
SEARCH_SET = "search"
"""first word of the set that offers are composed with before that"""
SIMILAR_FILE = "similar.jsonl"
"""training examples that were left out; no set, but without them nobody could draw the sets again"""
LABELS_FILE = "labels.json"
_LONGEST_LINE = 8_000_000


@dataclass(frozen=True, slots=True)
class PreparedData:
    """A data set on disk."""

    name: str
    """``stdlib-docs``, or the name of the training file"""
    folder: Path
    digest: str
    labels: tuple[str, ...]
    """none where examples have no classes"""
    sets: dict[str, tuple[bytes, ...]]
    """``train``, ``audit``, each holdout and what `add_monitor` added → one example a line"""
    file_digests: dict[str, str]
    """the same names → SHA-256 of that file"""
    rules: Mapping[str, Any] = field(default_factory=dict)
    """``holdout``, ``audit``, ``copies`` → the rule that made it so; empty where none is known. ``similar`` →
    by what training texts were left out, and how many; not there where they are not held to it"""
    _parsed: dict[str, tuple[Example, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def holdouts(self) -> tuple[str, ...]:
        """Names of the holdouts, in the order in which they are used."""
        spares = {name for name in self.sets if name.startswith("holdout-")}
        return ("holdout", *sorted(spares, key=lambda name: int(name.partition("-")[2])))

    def count(self, name: str) -> int:
        """How many examples a set has."""
        return len(self.sets[name])

    def add_monitor(self, content: bytes) -> str:
        """The same for one that heads are held against."""
        return self.add_set(MONITOR_SET, content)

    def add_set(self, kind: str, content: bytes) -> str:
        """Let a set be evaluated that is no part of the data set, because it came later; its name.

        It takes the place of one of its kind that came before.

        Args:
            kind: first word of its name.
            content: one example a line.
        """
        digest = sha256_hex(content)
        name = f"{kind}-{digest}"
        for other in [one for one in self.sets if one.startswith(f"{kind}-") and one != name]:
            del self.sets[other], self.file_digests[other]
            self._parsed.pop(other, None)
        self.sets[name], self.file_digests[name] = _split_lines(content), digest
        return name

    def examples(self, name: str) -> tuple[Example, ...]:
        """The examples of a set, where they are texts with classes."""
        if name not in self._parsed:
            self._parsed[name] = _examples(self.sets[name])
        return self._parsed[name]


def example_line(example: Example) -> bytes:
    """A text with its class, as a data set has it."""
    row = {"label": example.label, "text": example.text}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def _example(line: bytes) -> Example:
    row = json.loads(line)
    return Example(row["text"], row["label"])


def _examples(lines: Sequence[bytes]) -> tuple[Example, ...]:
    # one document is read several times faster than as many as there are lines
    rows = json.loads(b"[" + b",".join(lines) + b"]")
    if len(rows) != len(lines):  # a line holds more than one
        return tuple(map(_example, lines))
    return tuple(Example(row["text"], row["label"]) for row in rows)


def _split_lines(content: bytes) -> tuple[bytes, ...]:
    return tuple(line for line in content.split(b"\n") if line)


def render(splits: Splits) -> tuple[dict[str, bytes], str]:
    """The files of a data set of texts and its digest, before anything is written."""
    named = {**splits.judging, "train": splits.train}
    if splits.similar:
        named[Path(SIMILAR_FILE).stem] = splits.similar
    labels = (json.dumps(splits.labels, ensure_ascii=False) + "\n").encode()
    sets = {name: [example_line(example) for example in examples] for name, examples in named.items()}
    return render_sets(sets, {LABELS_FILE: labels})


def render_sets(
    sets: Mapping[str, Sequence[bytes]], beside: Mapping[str, bytes] | None = None
) -> tuple[dict[str, bytes], str]:
    """The files of a data set and its digest, before anything is written.

    Args:
        sets: ``train``, ``holdout``, ``audit`` and spares ``holdout-2``, … → examples, one line each.
        beside: further files by name.

    Raises:
        ValueError: a set is missing, or an example is empty or more than a line.
    """
    if missing := set(_SETS) - sets.keys():
        raise ValueError(f"a data set needs {', '.join(sorted(missing))}")
    if any(not line or b"\n" in line for lines in sets.values() for line in lines):
        raise ValueError("an example is one line that is not empty")
    files = {f"{name}.jsonl": b"".join(line + b"\n" for line in lines) for name, lines in sets.items()}
    files = dict(sorted({**files, **(beside or {})}.items()))
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    files[CHECKSUMS] = sums.encode()
    return files, sha256_hex(sums.encode())


def store(files: Mapping[str, bytes], digest: str, root: Path) -> Path:
    """Write a rendered data set below ``root`` and return its folder; what is there already stays."""
    folder = root / digest
    if folder.exists():
        return folder
    draft = root / f".{digest}"
    with storage_errors(draft):
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name, content in files.items():
            write_atomic(draft / name, content)
        draft.rename(folder)
        sync_folder(root)
    return folder


def load_examples(path: Path) -> tuple[Example, ...]:
    """The examples of one prepared JSONL file."""
    return tuple(_example(line) for line, _ in read_lines(path, _LONGEST_LINE) if line)


def open_prepared(folder: Path, name: str, rules: Mapping[str, Any] | None = None) -> PreparedData:
    """Read a data set back and check every file against its digest.

    Args:
        folder: where it lies.
        name: what it is called.
        rules: by which rules its sets were made, where that is known.

    Raises:
        StateTamperedError: a file is not what it was when the first attempt was announced.
    """
    try:
        wrong = mismatched_files(folder) or ([CHECKSUMS] if folder_digest(folder) != folder.name else [])
    except (OSError, UnicodeDecodeError):
        wrong = [CHECKSUMS]
    if wrong:
        raise StateTamperedError(
            f"{folder / wrong[0]} is not the file that the receipts name.",
            why="Δ measured on changed data could not be compared with what was recorded.",
            hint="Restore the file, or start afresh with --state DIR.",
        )
    paths = sorted(path for path in folder.glob("*.jsonl") if path.name != SIMILAR_FILE)
    files = {path.name: read_regular(path, MOST_FILE_BYTES) for path in paths}
    if (labels := folder / LABELS_FILE).is_file():
        files[LABELS_FILE] = read_regular(labels, _LONGEST_LINE)
    return prepared_of(files, folder, name, rules)


def prepared_of(
    files: Mapping[str, bytes], folder: Path, name: str, rules: Mapping[str, Any] | None = None
) -> PreparedData:
    """A data set of the bytes of its files, which need not be on the disk yet.

    Args:
        files: as `render` makes them.
        folder: where they lie, or are going to; its name is their digest.
        name: what it is called.
        rules: by which rules its sets were made, where that is known.
    """
    contents = {
        Path(file).stem: content
        for file, content in files.items()
        if file.endswith(".jsonl") and file != SIMILAR_FILE
    }
    return PreparedData(
        name=name,
        folder=folder,
        digest=folder.name,
        labels=tuple(json.loads(files[LABELS_FILE])) if LABELS_FILE in files else (),
        sets={key: _split_lines(content) for key, content in contents.items()},
        file_digests={key: sha256_hex(content) for key, content in contents.items()},
        rules=rules or {},
    )
