"""The data part of step 9: the sets of examples are those that were signed, and as many.

Whether they share texts is compared in `disjoint`. Holdouts are used in the order of their names:
``holdout.jsonl``, ``holdout-2.jsonl``, and so on.
"""

from __future__ import annotations

__all__ = ["DataSets", "holdout_path"]

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryoflux.digests import Hashing
from cryoflux.files import read_lines
from cryoflux.receipts.statement import CROSS_ENTROPY, Data, Holdout, Intent
from cryoflux.state import StateFolder
from cryoflux.verification.beginning import FirstReading
from cryoflux.verification.folders import FolderState, compare_folder
from cryoflux.verification.read_sets import MONITOR, ReadSets, TextLine
from cryoflux.verification.result import Finding, Findings, Named, failed, unknown
from cryoflux.verification.sections import ExampleCheck, Sections
from cryoflux.verification.walk import Paired

_MOST_SETS = 64
"""data sets, and holdouts of one, that are looked at; no honest log has as many"""
_MOST_READ = 4
"""times that the same examples are read and compared; two tasks may share them"""
_LONGEST_LINE = 8_000_000
"""bytes; of a longer one nothing after them is read, so that it is no example"""
_HOLDOUT = re.compile(r"holdout(?:-([1-9][0-9]{0,5}))?\.jsonl")


@dataclass(slots=True)
class _Used:
    """A data set as the log uses it."""

    name: str
    """the entry that named it first"""
    data: Data
    holdouts: dict[str, tuple[str, Holdout]] = field(default_factory=dict)
    """digest → the entry that named it first, and what it says; in the order of their use"""
    kinds: list[str] = field(default_factory=list)
    """of the sections of what was trained on it"""
    firsts: dict[str, str] = field(default_factory=dict)
    """task → digest of the version that it began with"""
    begun: dict[str, FirstReading] = field(default_factory=dict)
    """task → the first evaluation of that version"""


def _holdout_files(names: Iterable[str]) -> list[str]:
    """Those that are holdouts, in the order of their use."""
    found = [match for name in names if (match := _HOLDOUT.fullmatch(name))]
    return [match[0] for match in sorted(found, key=lambda match: int(match[1] or 1))]


def holdout_path(state: Path, data: Data) -> Path | None:
    """Where the holdout that an intent names lies, found by its digest; none where no file has it."""
    folder = StateFolder(state).data(data.digest)
    hashing = Hashing()
    for name in _holdout_files(path.name for path in folder.glob("holdout*.jsonl") if path.is_file()):
        try:
            if hashing.digest(folder / name) == data.holdout.sha256:
                return folder / name
        except OSError:
            continue
    return None


@dataclass(slots=True)
class DataSets:
    """The data sets that intents name, in the order in which they are met."""

    _used: dict[str, _Used] = field(default_factory=dict)

    def take(self, about: Named, data: Data) -> None:
        """Take note of the data of an entry, which findings call by the name of ``about``."""
        used = self._used.get(data.digest)
        if used is None:
            if len(self._used) >= _MOST_SETS:
                return  # step 8 has said so many times that this is another data set
            used = self._used[data.digest] = _Used(about.name, data)
        if data.holdout.sha256 not in used.holdouts and len(used.holdouts) < _MOST_SETS:
            used.holdouts[data.holdout.sha256] = (about.name, data.holdout)

    def begins(self, intent: Intent, *, first: bool) -> None:
        """Take note of the version that a task began with, if it is the first intent of the task."""
        used = self._used.get(intent.data.digest)
        if first and used is not None and len(used.firsts) < _MOST_SETS:
            used.firsts.setdefault(intent.task.name, intent.base.digest)

    def trained(self, paired: Paired) -> None:
        """Take note of what kind of task a receipt tells to have trained on its data set."""
        intent, training = paired.intent, paired.receipt.training
        used = self._used.get(intent.data.digest) if intent is not None else None
        if used is None:
            return
        _note_beginning(used, paired)
        if training is None or len(used.kinds) >= _MOST_SETS:
            return
        if training.section.kind not in used.kinds:
            used.kinds.append(training.section.kind)

    def read(self, state: Path, sections: Sections, findings: Findings, hashing: Hashing) -> list[ReadSets]:
        """The sets that are here as they were signed, for `disjoint.compared`.

        Args:
            state: where they lie.
            sections: by kind, what may know which lines are examples.
            findings: takes what is wrong or open about them.
            hashing: what was hashed of other files before.
        """
        read_sets: list[ReadSets] = []
        times = Counter[str]()
        for used in self._used.values():
            folder = StateFolder(state).data(used.data.digest)
            where = folder.relative_to(state).as_posix()
            if not folder.is_dir():
                findings.add(unknown(where, "the data set is not kept here"))
                continue
            found = compare_folder(folder, used.data.digest, hashing)
            findings.extend(
                failed(f"{where}/{file}", "is not the file that was signed") for file in found.different
            )
            findings.extend(unknown(f"{where}/{file}", "is not kept here") for file in found.missing)
            if found.listed:
                findings.extend(_other_files(used, found.listed))
                checks = [check for kind in used.kinds if (check := sections.get(kind)) is not None]
                reads = [check for check in checks if isinstance(check, ExampleCheck)]
                findings.extend(_examples(folder, used, found, reads, times, read_sets))
        return read_sets


def _note_beginning(used: _Used, paired: Paired) -> None:
    receipt, said, task = paired.receipt, paired.receipt.evaluation, paired.receipt.task.name
    if said is None or task in used.begun or used.firsts.get(task) != receipt.base.digest:
        return
    if said.metric == CROSS_ENTROPY:
        holdout = receipt.holdout
        used.begun[task] = FirstReading(
            paired.name, holdout.sha256, holdout.count, said.read, said.base_loss_sum
        )


def _other_files(used: _Used, listed: Mapping[str, str]) -> Iterator[Finding]:
    signed = {"train.jsonl": used.data.train, "audit.jsonl": used.data.audit}
    for file, digest in signed.items():
        if listed.get(file) != digest:
            yield failed(used.name, f"its {file} is not the one of its data set")
    files = _holdout_files(listed)
    known = {listed[file] for file in files}
    for place, (digest, (name, _)) in enumerate(used.holdouts.items()):
        if digest not in known:
            yield failed(name, "its holdout is none of its data set")
        elif listed[files[min(place, len(files) - 1)]] != digest:
            yield failed(name, "its holdout is not the next one of its data set")


def _examples(
    folder: Path,
    used: _Used,
    found: FolderState,
    checks: Sequence[ExampleCheck],
    times: Counter[str],
    read_sets: list[ReadSets],
) -> Iterator[Finding]:
    where = f"{folder.parent.name}/{folder.name}"
    counts: dict[str, int | None] = {"train.jsonl": used.data.train_count}
    holdouts = _holdout_files(found.listed)
    if len(holdouts) > _MOST_SETS:
        yield unknown(where, f"has {len(holdouts)} holdouts: only the first {_MOST_SETS} are compared")
    for file in holdouts[:_MOST_SETS]:
        _, holdout = used.holdouts.get(found.listed[file], ("", None))
        counts[file] = holdout.count if holdout else None  # nobody has said how long a spare is
    counts["audit.jsonl"] = used.data.audit_count
    counts[MONITOR] = None
    lines: dict[str, list[TextLine]] = {}
    for file, count in counts.items():
        if file not in found.listed or file in {*found.missing, *found.different}:
            continue
        times[found.listed[file]] += 1
        if times[found.listed[file]] > _MOST_READ:
            yield unknown(f"{where}/{file}", f"is the same as {_MOST_READ} others, and not compared again")
            continue
        try:
            read = _texts(folder / file, checks)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            yield failed(f"{where}/{file}", "holds a line that is no example")
            continue
        lines[file] = read
        if count is not None and len(read) != count:
            yield failed(f"{where}/{file}", f"holds {len(read)} examples, not {count} as was signed")
    digests = {file: found.listed[file] for file in counts if file in found.listed}
    read_sets.append(ReadSets(where, used.data.rules, lines, digests, used.begun))


def _texts(path: Path, checks: Sequence[ExampleCheck]) -> list[TextLine]:
    return [_text(line.decode(), checks) for line, _ in read_lines(path, _LONGEST_LINE) if line]


def _text(line: str, checks: Sequence[ExampleCheck]) -> TextLine:
    row = json.loads(line)
    if not all(check.is_example(row) for check in checks):
        raise ValueError("not what was trained on")
    text, label = (row.get(name) if isinstance(row, dict) else None for name in ("text", "label"))
    if not isinstance(text, str):
        return TextLine(line, False)
    return TextLine(text, True, label if isinstance(label, str) else "")
