"""The data set as it lies in the state: JSONL files and the labels, named by their digest.

``data/<digest>/{train,holdout,audit}.jsonl``, spare holdouts as ``holdout-2.jsonl`` and so on,
``labels.json`` and ``SHA256SUMS``; the digest is that of ``SHA256SUMS``. It is written once, before the
first attempt, and every intent names it.
"""

from __future__ import annotations

__all__ = ["PreparedData", "load_examples", "open_prepared", "render", "store"]

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryoflux.data.examples import Example
from cryoflux.data.split import Splits
from cryoflux.digests import CHECKSUMS, folder_digest, mismatched_files, sha256_hex
from cryoflux.errors import StateTamperedError
from cryoflux.files import storage_errors, sync_folder, write_atomic

_SETS = ("audit", "holdout", "train")
_SPARE = "holdout-{}"


@dataclass(frozen=True, slots=True)
class PreparedData:
    """A data set on disk."""

    name: str
    """``stdlib-docs``, or the name of the training file"""
    folder: Path
    digest: str
    labels: tuple[str, ...]
    train: tuple[Example, ...]
    holdout: tuple[Example, ...]
    audit: tuple[Example, ...]
    file_digests: dict[str, str]
    """``train``, ``audit`` and each holdout → SHA-256 of that file"""
    spares: dict[str, tuple[Example, ...]] = field(default_factory=dict)
    """``holdout-2``, … → further holdouts"""

    @property
    def holdouts(self) -> tuple[str, ...]:
        """Names of the holdouts, in the order in which they are used."""
        return ("holdout", *self.spares)

    def part(self, name: str) -> tuple[Example, ...]:
        """The examples of a set by its name."""
        own = {"train": self.train, "holdout": self.holdout, "audit": self.audit}
        return own[name] if name in own else self.spares[name]


def _lines(examples: Iterable[Example]) -> bytes:
    rows = ({"label": e.label, "text": e.text} for e in examples)
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()


def _parse(content: bytes) -> tuple[Example, ...]:
    rows = (json.loads(line) for line in content.decode().split("\n") if line)
    return tuple(Example(row["text"], row["label"]) for row in rows)


def render(splits: Splits) -> tuple[dict[str, bytes], str]:
    """The files of a data set and its digest, before anything is written."""
    files = {
        "audit.jsonl": _lines(splits.audit),
        "holdout.jsonl": _lines(splits.holdout),
        "labels.json": (json.dumps(splits.labels, ensure_ascii=False) + "\n").encode(),
        "train.jsonl": _lines(splits.train),
    }
    files |= {f"{_SPARE.format(n)}.jsonl": _lines(spare) for n, spare in enumerate(splits.spares, 2)}
    files = dict(sorted(files.items()))
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    files[CHECKSUMS] = sums.encode()
    return files, sha256_hex(sums.encode())


def store(files: dict[str, bytes], digest: str, root: Path) -> Path:
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
    return _parse(path.read_bytes())


def open_prepared(folder: Path, name: str) -> PreparedData:
    """Read a data set back and check every file against its digest.

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
    contents = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}
    further = sorted(contents.keys() - set(_SETS), key=lambda name: int(name.partition("-")[2]))
    return PreparedData(
        name=name,
        folder=folder,
        digest=folder.name,
        labels=tuple(json.loads((folder / "labels.json").read_bytes())),
        train=_parse(contents["train"]),
        holdout=_parse(contents["holdout"]),
        audit=_parse(contents["audit"]),
        file_digests={key: sha256_hex(content) for key, content in contents.items()},
        spares={name: _parse(contents[name]) for name in further},
    )
