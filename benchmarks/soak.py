"""A watched run that is killed, finds its disk full and gets new data, over and over, and what becomes of it.

    python benchmarks/soak.py --minutes 120

A tiny BERT learns from three topics, and embeds an index of docstrings; heads are held against versions
before them, and files of versions are freed. Every minute the process is killed with SIGKILL, or is started
where no file may grow beyond a few kilobytes more than the log has (a full disk, as far as a process can
tell), or new sentences or documents arrive, or documents go, or the file of events is rotated. Each start
grants a small budget, and where that is used up the run waits. At the end it is asked to stop, and the state
is verified: account and receipts have to agree to the microjoule, which is part of step 10. The table says,
for each part of the time, attempts, the median time from one to the next, the most memory, of its own and in
all, the most open files, and files and megabytes of the state; a second table the CPU time of an attempt.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import tiny
from cryoflux.data import stdlib_docs
from cryoflux.receipts.log import ReceiptLog

_PARTS = 6
_MORE_BYTES = 20_000
"""that a file may have more than the log has, on the full disk"""
_BUDGET = "150J"
_TASKS = ["--task", "lora_delta", "--task", "index_refresh"]
_OPTIONS = {
    "reserve": "6J",
    "recipes": "prefix-1",
    "policy": "uniform/v1",
    "holdout-size": "100",
    "monitor-size": "60",
    "query-count": "30",
    "index-reserve": "20J",
}
_SETTINGS = '[models]\nkeep = 10\nprune = "after-merge"\n'
_TOGETHER = 1000
_DOCUMENTS, _MORE_DOCUMENTS = 300, 5


@dataclass
class _Part:
    """One part of the time."""

    attempts: int = 0
    cycles_s: list[float] = field(default_factory=list)
    rss_mb: float = 0.0
    own_mb: float = 0.0
    """anonymous memory: what no file is read into"""
    open_files: int = 0
    files: int = 0
    megabytes: float = 0.0


@dataclass
class _Soak:
    """A state under stress."""

    place: Path
    process: subprocess.Popen[bytes] | None = None
    read: int = 0
    last: float | None = None
    sentences: Iterator[tuple[str, str]] = field(default_factory=lambda: iter(()))
    documents: Iterator[str] = field(default_factory=lambda: iter(()))
    attempts: int = 0
    rotated: int = 0
    happened: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.place / "in").mkdir()
        tiny.make_model(self.place / "model")
        rows = tiny.sentences(6_000, 1)
        tiny.write_csv(self.place / "train.csv", rows[:600])
        self.sentences = iter(rows[600:])
        (self.place / "documents").mkdir()
        self.documents = iter([example.text for example in stdlib_docs.build(lambda *_: None)])
        self.write_documents(_DOCUMENTS)
        (self.place / "cryoflux.toml").write_text(_SETTINGS)

    def write_documents(self, count: int) -> None:
        rows = [
            json.dumps({"text": text}) + "\n" for text, _ in zip(self.documents, range(count), strict=False)
        ]
        if rows:
            name = f"{time.time_ns()}.jsonl"
            (self.place / name).write_text("".join(rows))
            (self.place / name).rename(self.place / "documents" / name)

    @property
    def state(self) -> Path:
        return self.place / "state"

    def start(self, preexec: Callable[[], None] | None = None) -> None:
        where = ["--state", "state", "--watch", "in", "--log", "events.jsonl", "--index", "documents"]
        what = ["--model", "model", "--train", "train.csv", "--budget", _BUDGET]
        command = [sys.executable, "-m", "cryoflux", "run", *where, *what, *_TASKS]
        command += [part for name, value in _OPTIONS.items() for part in (f"--{name}", value)]
        with (self.place / "output").open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd=self.place,
                preexec_fn=preexec,  # noqa: PLW1509 - this process has no threads
            )
        self.last = None

    def note(self, what: str) -> None:
        self.happened[what] = self.happened.get(what, 0) + 1

    def arrive(self) -> None:
        rows = [row for row, _ in zip(self.sentences, range(30), strict=False)]
        if rows:
            name = f"{time.time_ns()}.csv"
            tiny.write_csv(self.place / name, rows).rename(self.place / "in" / name)
            self.note("new examples")

    def publish(self) -> None:
        self.write_documents(_MORE_DOCUMENTS)
        self.note("new documents")

    def withdraw(self) -> None:
        """The oldest file of documents but the first, which the queries are from, goes."""
        later = sorted((self.place / "documents").iterdir())[1:]
        if later:
            later[0].unlink()
            self.note("documents gone")

    def rotate(self) -> None:
        """What logrotate does."""
        log = self.place / "events.jsonl"
        if self.process is None or not log.exists():
            return
        self._attempts()
        log.replace(self.place / "events.jsonl.1")
        self.read = 0
        self.process.send_signal(signal.SIGHUP)
        self.note("rotations")

    def kill(self) -> None:
        self.end(signal.SIGKILL)
        self.note("kills")
        self.start()

    def fill(self) -> None:
        self.end(signal.SIGTERM)
        most = (self.state / "receipts.db").stat().st_size + _MORE_BYTES
        self.start(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
        self.note("full disks")

    def end(self, number: int) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        return self.process.wait()

    def watch(self, part: _Part) -> None:
        """Take note of the next moment; a process that ended is started again, as systemd would."""
        process = self.process
        if process is None or process.poll() is not None:
            self.note("starts after an end")
            self.start()
            return
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            part.open_files = max(part.open_files, len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
        except OSError:
            return
        part.rss_mb = max(part.rss_mb, _megabytes(status, "VmRSS:"))
        part.own_mb = max(part.own_mb, _megabytes(status, "RssAnon:"))
        for at in self._attempts():
            part.attempts += 1
            self.attempts += 1
            if self.last is not None:
                part.cycles_s.append(at - self.last)
            self.last = at

    def _attempts(self) -> list[float]:
        log = self.place / "events.jsonl"
        if not log.exists():
            return []
        with log.open("rb") as stream:
            stream.seek(self.read)
            lines = stream.read().splitlines(keepends=True)
        found = []
        for line in lines:
            if not line.endswith(b"\n"):
                break
            self.read += len(line)
            try:
                event = json.loads(line)
            except ValueError:
                continue  # a kill cut it short
            if event["event"] == "attempt":
                found.append(datetime.fromisoformat(event["at"]).timestamp())
            elif event["event"] == "waiting":
                self.last = None
        return found

    def measure(self, part: _Part) -> None:
        part.files, part.megabytes = 0, 0.0
        for folder, _, names in os.walk(self.state):  # what goes meanwhile is passed over
            for name in names:
                try:
                    status = (Path(folder) / name).lstat()
                except FileNotFoundError:
                    continue
                part.files += 1
                part.megabytes += status.st_size / 1e6


def _megabytes(status: str, what: str) -> float:
    found = status.partition(what)[2].split()[:1]
    return int(found[0]) / 1000 if found and found[0].isdigit() else 0.0


def _soak(place: Path, minutes: float, each_s: float) -> tuple[_Soak, list[_Part]]:
    soak, draw, parts = _Soak(place), random.Random(0), list[_Part]()  # noqa: S311 - which mishap is next
    mishaps = [soak.kill, soak.kill, soak.fill, soak.arrive, soak.publish, soak.withdraw, soak.rotate]
    soak.start()
    began, due = time.monotonic(), time.monotonic() + each_s
    for number in range(1, _PARTS + 1):
        part = _Part()
        while time.monotonic() < began + number * minutes * 60 / _PARTS:
            soak.watch(part)
            if time.monotonic() >= due and (soak.state / "receipts.db").exists():
                draw.choice(mishaps)()
                due = time.monotonic() + each_s
            time.sleep(0.05)
        soak.measure(part)
        parts.append(part)
        print(_row(number, part, soak.attempts), file=sys.stderr, flush=True)
    soak.end(signal.SIGTERM)
    # What the last kill or full disk left open is closed by one more run.
    soak.start()
    time.sleep(20)
    soak.end(signal.SIGTERM)
    return soak, parts


def _row(number: int, part: _Part, made: int) -> str:
    cycle = f"{statistics.median(part.cycles_s):.3f}" if part.cycles_s else "-"
    return (
        f"| {number} | {part.attempts} | {made} | {cycle} | {part.own_mb:.0f} | {part.rss_mb:.0f} "
        f"| {part.open_files} | {part.files} | {part.megabytes:.0f} |"
    )


def _cpu_of_attempts(state: Path) -> list[str]:
    """By thousands of attempts that trained, the CPU time of one, which other work beside does not change."""
    with closing(ReceiptLog.open(state)) as log:
        receipts = [entry.receipt for entry in log.entries() if entry.receipt is not None]
    spent_ms = [one.energy.cpu_microseconds / 1000 for one in receipts if one.training is not None]
    rows = ["| attempts that trained | median CPU time, ms |", "|---:|---:|"]
    for start in range(0, len(spent_ms), _TOGETHER):
        some = spent_ms[start : start + _TOGETHER]
        rows.append(f"| {start + 1} to {start + len(some)} | {statistics.median(some):.0f} |")
    return rows


def _verdict(state: Path) -> list[str]:
    command = [sys.executable, "-m", "cryoflux", "verify", str(state), "--no-memory", "--json"]
    checks = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)["checks"]
    wrong = [f"{c['number']} {c['subject']}: {c['detail']}" for c in checks if c["status"] != "ok"]
    return [*wrong, *(c["detail"] for c in checks if c["number"] == 10)]


def main() -> None:
    """Soak, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--each", type=float, default=60.0, help="seconds between two mishaps")
    parser.add_argument("--keep", type=Path, help="where the state is left; a temporary folder without")
    chosen = parser.parse_args()
    os.environ.setdefault("CRYOFLUX_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        place = chosen.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        soak, parts = _soak(place, chosen.minutes, chosen.each)
        print(f"{chosen.minutes:g} minutes: {soak.happened}")
        print(
            "| part | attempts | in all | median cycle, s | own memory, MB | memory, MB | open files "
            "| files | state, MB |"
        )
        print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
        made = 0
        for number, part in enumerate(parts, start=1):
            made += part.attempts
            print(_row(number, part, made))
        print("", *_cpu_of_attempts(soak.state), "", *_verdict(soak.state), sep="\n")


if __name__ == "__main__":
    main()
