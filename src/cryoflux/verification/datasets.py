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
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryoflux.data.near_answers import NEAR_ANSWERS
from cryoflux.digests import Hashing, checksum_lines, digests_of_lines, find_listed, sha256_hex
from cryoflux.files import read_lines
from cryoflux.receipts.statement import CROSS_ENTROPY, Data, Holdout, Intent
from cryoflux.state import StateFolder
from cryoflux.verification.beginning import FirstReading
from cryoflux.verification.folders import FolderState, compare_folder
from cryoflux.verification.read_sets import MONITOR, SIMILAR, ReadSets, TextLine
from cryoflux.verification.result import Finding, Findings, Named, failed, unknown
from cryoflux.verification.sections import ExampleCheck, Sections
from cryoflux.verification.walk import Paired

_MOST_SETS = 64
"""data sets, and holdouts of one, that are looked at; no honest log has as many"""
_MOST_GROWN = 100_000
"""times that training examples joined"""
_MOST_READ = 4
"""times that the same examples are read and compared; two tasks may share them"""
_LONGEST_LINE = 8_000_000
"""bytes; of a longer one nothing after them is read, so that it is no example"""
_HOLDOUT = re.compile(r"holdout(?:-([1-9][0-9]{0,5}))?\.jsonl")


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A data set before training examples joined."""

    name: str
    """the entry that named it first"""
    digest: str
    train: str
    count: int


@dataclass(slots=True)
class _Used:
    """A data set as the log uses it."""

    name: str
    """the entry that named it first"""
    data: Data
    """as it was named last: with all training examples that have joined"""
    holdouts: dict[str, tuple[str, Holdout]] = field(default_factory=dict)
    """digest → the entry that named it first, and what it says; in the order of their use"""
    kinds: list[str] = field(default_factory=list)
    """of the sections of what was trained on it"""
    firsts: dict[str, str] = field(default_factory=dict)
    """task → digest of the version that it began with"""
    begun: dict[str, FirstReading] = field(default_factory=dict)
    """task → the first evaluation of that version"""
    earlier: list[_Earlier] = field(default_factory=list)
    """what it was before training examples joined, oldest first"""

    def is_grown_to(self, data: Data) -> bool:
        """Whether another data set says of itself that it is this one with more training examples."""
        mine = self.data
        rest = data.but(
            holdout=mine.holdout, digest=mine.digest, train=mine.train, train_count=mine.train_count
        )
        return rest == mine and data.train_count > mine.train_count

    @property
    def now(self) -> _Earlier:
        """What it is, for when more have joined."""
        return _Earlier(self.name, self.data.digest, self.data.train, self.data.train_count)


def _holdout_files(names: Iterable[str]) -> list[str]:
    """Those that are holdouts, in the order of their use."""
    found = [match for name in names if (match := _HOLDOUT.fullmatch(name))]
    return [match[0] for match in sorted(found, key=lambda match: int(match[1] or 1))]


def holdout_path(state: Path, data: Data) -> Path | None:
    """Where the holdout that an intent names lies, found by its digest; none where no file has it."""
    folder = find_listed(StateFolder(state).data("_").parent, data.digest, "train.jsonl", data.train)
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
    _of_task: dict[str, str] = field(default_factory=dict)
    """task → digest of the data set that it named last"""

    def take(self, about: Named, data: Data, task: str) -> None:
        """Take note of the data of a task, which findings call by the name of ``about``."""
        used = self._used.get(data.digest)
        if used is None:
            used = self._grown(about, data, task)
        if used is None:
            if len(self._used) >= _MOST_SETS:
                return  # step 8 has said so many times that this is another data set
            used = self._used[data.digest] = _Used(about.name, data)
        if data.holdout.sha256 not in used.holdouts and len(used.holdouts) < _MOST_SETS:
            used.holdouts[data.holdout.sha256] = (about.name, data.holdout)
        if task in self._of_task or len(self._of_task) < _MOST_SETS:
            self._of_task[task] = data.digest

    def _grown(self, about: Named, data: Data, task: str) -> _Used | None:
        """The data set of a task with more training examples; none where it is another one."""
        before = self._of_task.get(task, "")
        used = self._used.get(before)
        if used is None or not used.is_grown_to(data) or len(used.earlier) >= _MOST_GROWN:
            return None
        shared = any(digest == before for other, digest in self._of_task.items() if other != task)
        if shared:  # the other task goes on with what it was
            used = replace(
                used,
                holdouts=dict(used.holdouts),
                kinds=list(used.kinds),
                firsts={},
                begun={},
                earlier=list(used.earlier),
            )
        else:
            del self._used[before]
        used.earlier.append(used.now)
        used.name, used.data = about.name, data
        self._used[data.digest] = used
        return used

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
                findings.extend(_rewritten(folder, used, found))
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


def _rewritten(folder: Path, used: _Used, found: FolderState) -> Iterator[Finding]:
    """Whether what is trained on still begins with all that it was before examples joined."""
    train = "train.jsonl"
    if not used.earlier or train in {*found.missing, *found.different}:
        return
    try:
        begins = digests_of_lines(folder / train, (one.count for one in used.earlier))
    except OSError:
        return  # said by whoever hashes it
    for one in used.earlier:
        if begins.get(one.count) != one.train:
            yield failed(
                one.name,
                f"its {one.count} training examples are not the first ones of {folder.parent.name}/"
                f"{folder.name}/{train}, which came after: it was rewritten, not added to",
            )
        elif sha256_hex(checksum_lines({**found.listed, train: one.train})) != one.digest:
            yield failed(one.name, "its data set differs from the one that came after in more than that")


def _examples(
    folder: Path,
    used: _Used,
    found: FolderState,
    checks: Sequence[ExampleCheck],
    times: Counter[str],
    read_sets: list[ReadSets],
) -> Iterator[Finding]:
    where = f"{folder.parent.name}/{folder.name}"
    if len(holdouts := _holdout_files(found.listed)) > _MOST_SETS:
        yield unknown(where, f"has {len(holdouts)} holdouts: only the first {_MOST_SETS} are compared")
    counts = _counts(used, found.listed, holdouts[:_MOST_SETS])
    if counts.get(SIMILAR) and SIMILAR not in found.listed:
        yield failed(where, f"lacks the {counts[SIMILAR]} texts that its leak guard left out, by the log")
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
    first = used.earlier[0].count if used.earlier else 0
    left_out = lines.pop(SIMILAR, [])
    read_sets.append(
        ReadSets(where, used.data.rules, lines, digests, used.begun, first=first, left_out=left_out)
    )


def _counts(used: _Used, listed: Mapping[str, str], holdouts: Sequence[str]) -> dict[str, int | None]:
    """Files that are read → examples of each, as they were signed; none where nobody has said it."""
    counts: dict[str, int | None] = {"train.jsonl": used.data.train_count}
    for file in holdouts:
        _, holdout = used.holdouts.get(listed[file], ("", None))
        counts[file] = holdout.count if holdout else None  # nobody has said how long a spare is
    counts["audit.jsonl"] = used.data.audit_count
    counts[MONITOR] = None
    if (rules := used.data.rules) is not None and rules.similar is not None and rules.similar.dropped:
        counts[SIMILAR] = rules.similar.dropped
    elif rules is not None and rules.copies == NEAR_ANSWERS and SIMILAR in listed:
        counts[SIMILAR] = None
    return counts


def _texts(path: Path, checks: Sequence[ExampleCheck]) -> list[TextLine]:
    return [_text(line.decode(), checks) for line, _ in read_lines(path, _LONGEST_LINE) if line]


def _text(line: str, checks: Sequence[ExampleCheck]) -> TextLine:
    row = json.loads(line)
    if not all(check.is_example(row) for check in checks):
        raise ValueError("not what was trained on")
    said = row if isinstance(row, dict) else {}
    text = said.get("text")
    if not isinstance(text, str):
        return TextLine(line, False)
    named = (said.get(name) for name in ("label", "answer", "group"))
    return TextLine(text, True, *(one if isinstance(one, str) else "" for one in named))
