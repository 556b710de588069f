"""One process as the kernel shows it in ``/proc/<pid>/stat``, its numbers in ticks."""

from __future__ import annotations

__all__ = ["WatchedProcess", "stat_fields", "waited_ticks"]

from pathlib import Path

from cryoflux.energy.counter_file import CounterFile

_STAT_BYTES = 1024


def stat_fields(file: CounterFile) -> list[bytes] | None:
    """All behind the command; none once the process is gone."""
    # The command's name is in brackets and may hold spaces; the last bracket ends it.
    fields = (file.read(_STAT_BYTES) or b"").rpartition(b")")[2].split()
    return fields if len(fields) > 19 else None


def waited_ticks(fields: list[bytes]) -> int:
    """Time of the children that it has waited for."""
    return int(fields[13]) + int(fields[14])


class WatchedProcess:
    """One process, by its number and start."""

    __slots__ = ("file", "kept", "parent", "pid", "start", "ticks", "waited")

    def __init__(self, proc_root: Path, pid: int, *, kept: bool) -> None:
        self.pid = pid
        self.file = CounterFile(f"{proc_root}/{pid}/stat")
        self.kept = kept
        self.start = b""
        self.parent = 0
        self.ticks = self.waited = 0

    def fields(self) -> list[bytes] | None:
        """What the kernel says of it now; none once it is gone."""
        fields = stat_fields(self.file)
        if not self.kept:
            self.file.close()
        return fields if fields and fields[19] == (self.start or fields[19]) else None

    def read(self) -> bool:
        """Whether it is still there; its state is kept either way."""
        if (fields := self.fields()) is None:
            return False
        self.start, self.parent = fields[19], int(fields[1])
        # user and system time, of the process itself and of the children that it has waited for
        self.ticks, self.waited = sum(map(int, fields[11:15])), waited_ticks(fields)
        return True
