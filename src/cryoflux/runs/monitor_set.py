"""What heads are held against after they were kept: a sealed slice of the data set, or a file that is fed.

A fed file is read again at each check. Only what is no copy of an example that was trained on or judged by,
and has a class of the model, counts; the rest is left out and counted. What counted is kept in the state by
its digest, so that anybody can hold the same head against the same examples.
"""

from __future__ import annotations

__all__ = ["LEAST", "MonitorSet", "file_signature", "monitor_set"]

from dataclasses import dataclass
from pathlib import Path

from cryoflux.attempt.context import Opened
from cryoflux.data.columns import Wishes
from cryoflux.data.examples import Example
from cryoflux.data.fold import fold
from cryoflux.data.formats import read_arrived
from cryoflux.data.prepared import MONITOR_SET, PreparedData, example_line
from cryoflux.files import storage_errors, write_atomic
from cryoflux.settings import MonitorSettings
from cryoflux.state import StateFolder

LEAST = 30
"""examples; fewer tell nothing of a head"""


@dataclass(frozen=True, slots=True)
class MonitorSet:
    """The examples of a check."""

    part: str
    """what the data set calls it"""
    sha256: str
    """of its file"""
    count: int
    known: int = 0
    """of a fed file: rows that are copies of what was trained on or judged by, and count for nothing"""
    strange: int = 0
    """of a fed file: rows of a class that the model has not"""
    lacking: int = 0
    """of a fed file: rows without a text or without one label"""


def file_signature(name: str) -> tuple[int, int, int] | None:
    """What tells that a file was changed: modified (ns), bytes, inode; none where there is no file."""
    try:
        found = Path(name).stat() if name else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else None


def monitor_set(
    opened: Opened, settings: MonitorSettings, state: StateFolder, wishes: Wishes
) -> MonitorSet | None:
    """The examples that the head of a task is held against now; none where there is no monitor.

    Fewer than `LEAST` tell nothing: whoever asks leaves them alone.

    Args:
        opened: the task.
        settings: which file is fed.
        state: where what counted of it is kept.
        wishes: how it is to be read.

    Raises:
        DataError: the file cannot be read.
        StorageError: the disk is full, read-only, or refuses.
    """
    data = opened.data
    if settings.monitor and data.labels:
        found = _fed(data, Path(settings.monitor), state, wishes)
    elif MONITOR_SET in data.sets:
        found = MonitorSet(MONITOR_SET, data.file_digests[MONITOR_SET], data.count(MONITOR_SET))
    else:
        return None
    return found


def _fed(data: PreparedData, path: Path, state: StateFolder, wishes: Wishes) -> MonitorSet:
    taken = {fold(e.text) for name in data.sets if not _is_fed(name) for e in data.examples(name)}
    classes, lines = set(data.labels), list[bytes]()
    known = strange = 0
    arrived = read_arrived(path, wishes)
    for _, example in arrived.numbered:
        copied = fold(example.text)
        if copied in taken:
            known += 1
        elif example.label not in classes:
            strange += 1
        else:
            taken.add(copied)
            lines.append(example_line(Example(example.text, example.label)) + b"\n")
    content = b"".join(lines)
    part = data.add_monitor(content)
    digest = data.file_digests[part]
    if len(lines) >= LEAST and not state.monitor(digest).exists():
        with storage_errors(state.monitors):
            state.monitors.mkdir(exist_ok=True)
            write_atomic(state.monitor(digest), content)
    return MonitorSet(part, digest, len(lines), known, strange, arrived.lacking[0])


def _is_fed(name: str) -> bool:
    return name.startswith(f"{MONITOR_SET}-")
