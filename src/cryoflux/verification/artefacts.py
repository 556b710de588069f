"""Step 9: the versions, updates, losses and data on the disk are those that the receipts name.

What has to be there: the head of each task, the files of every accepted update, the per-example losses of
every evaluation, as far as it read. What may be withheld, and is then ``unknown``: older versions, updates
that were not kept, and the data (`datasets`). Whatever is there has to be exactly what was signed. A version
that an entry says was freed is no question (`freed`).
"""

from __future__ import annotations

__all__ = ["ARTEFACTS", "Artefacts", "capsule_path"]

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from msgspec import field

from cryoflux.decision.evidence import Evidence
from cryoflux.digests import Hashing, sha256_hex
from cryoflux.log_state import LogState
from cryoflux.receipts.lifting import SECTION
from cryoflux.receipts.log_key import other_subjects
from cryoflux.receipts.profiles import F32
from cryoflux.receipts.statement import (
    Base,
    Evaluation,
    Fork,
    Holdout,
    Intent,
    Outcome,
    ReceiptStatement,
    Subject,
)
from cryoflux.receipts.sums import evidence_of
from cryoflux.state import HEAD, StateFolder
from cryoflux.verification.beginning import beginnings
from cryoflux.verification.composed import merge_of
from cryoflux.verification.datasets import DataSets, holdout_path
from cryoflux.verification.disjoint import compared
from cryoflux.verification.exactness import needless_tolerance
from cryoflux.verification.facts import FactsOfUpdates
from cryoflux.verification.folders import FolderState, compare_folder, folder_findings, folders_in
from cryoflux.verification.freed import AbsentVersions
from cryoflux.verification.index import INDEX, index_complaint
from cryoflux.verification.judged import judged_and_deciding, judged_files
from cryoflux.verification.lists import VersionsAsLists
from cryoflux.verification.locating import Searching, said_where
from cryoflux.verification.material import Material
from cryoflux.verification.monitors import Monitored
from cryoflux.verification.pairing import MOST_EXAMPLES, order_of, read_losses
from cryoflux.verification.result import Check, Finding, NumberedStep, conclude, failed, unknown
from cryoflux.verification.rollbacks import LossesShown, evidence_findings
from cryoflux.verification.sections import Sections
from cryoflux.verification.settings import BesideWeights
from cryoflux.verification.topics import Topic
from cryoflux.verification.walk import Fold, Paired, Seen, Tally
from cryoflux.verification.weights import are_weights, version_digest

ARTEFACTS = NumberedStep(9, "artefacts on the disk")
_MOST_WHOLE = 64
_MOST_SUMS = 1024
_MOST_READ = 8
"""ways in which one file of losses is read: with hits or without, for one holdout or another"""


def capsule_path(state: Path, statement: ReceiptStatement) -> Path:
    """Where the update of a receipt lies; its first subject names the folder."""
    return StateFolder(state).capsule(statement.subject[0].digest.sha256)


class _ReadOftenError(Exception):
    """A file is not read for every receipt that names it."""


class _Named(Tally):
    absent: AbsentVersions = field(default_factory=AbsentVersions)
    accepted: dict[int, int] = field(default_factory=dict)
    """beginning of the digest of an accepted update → its entry"""
    data: DataSets = field(default_factory=DataSets)
    roots: int = 0
    """Merkle roots of losses that were compared"""
    losses: int = 0
    """receipts whose losses were added up"""
    updates: int = 0
    """receipts whose update is here"""
    settings: BesideWeights = field(default_factory=BesideWeights)
    needless: dict[str, None] = field(default_factory=dict)
    """tasks of which it was asked why they are read in float32"""
    monitored: Monitored = field(default_factory=Monitored)
    judged: int = 0
    """judgements on what others made"""
    behind: Base | None = None
    """base of the last entry, where that moved a head"""


class Artefacts(Fold):
    """Step 9.

    Args:
        material: what there is to verify.
        sections: what checks the sections of tasks, and knows the files of their updates.
    """

    step: ClassVar = ARTEFACTS
    tally: _Named

    def __init__(self, material: Material, sections: Sections) -> None:
        super().__init__()
        self._material, self._sections = material, sections
        self._state = StateFolder(material.state) if material.state is not None else None
        self._here = folders_in(self._state.models) if self._state is not None else set()
        self._searching, self._hashing, self._lists = Searching(), Hashing(), VersionsAsLists()
        self._checked: dict[str, tuple[str, FolderState]] = {}
        """digest of a version that is here → its signed files, and how its folder differs from them"""
        self.tally = _Named()
        self._sums: dict[tuple[str, int, bool, str, int], tuple[Evidence, str]] = {}
        """file of losses, examples read, hits or none, and of which holdout → its sums and its Merkle root"""
        self._times = Counter[str]()
        """file of losses → in how many ways it was read for them"""
        self._shown: dict[tuple[str, int, bool], LossesShown | str] = {}
        """file of losses of a rollback, its examples, hits or none → what it shows, or what is wrong"""
        self._facts = FactsOfUpdates()
        self._whole: dict[tuple[Subject, ...], None] = {}
        """subjects of the newest updates whose files are here, as they were signed"""

    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at the artefacts of the next entry."""
        if (state := self._state) is None or seen.entry is None:
            return
        self.tally.monitored.take(seen.entry, memory)
        if seen.entry.session is None:  # it says what a run cost, and moves no head
            moved = seen.entry.round or seen.entry.recall
            self.tally.behind = moved.base if moved is not None and moved.result != moved.base else None
        if (intent := seen.entry.intent) is not None:
            first = intent.task.name not in memory.tasks
            self._version(intent.base, needed=first)
            self._settings(intent.task.name, intent.base)
            self._subjects(seen, intent)
            self.tally.data.take(seen, intent.data, intent.task.name)
            self.tally.data.begins(intent, first=first)
        elif seen.paired is not None:
            self._receipt(state, seen.paired)
        elif (move := seen.entry.move) is not None:
            self._version(move.result, needed=True)
            self.tally.absent.move(seen.index, move)
            self.findings.extend(evidence_findings(state.path, move, self._shown))
            self.tally.behind = move.base
        elif (fork := seen.entry.fork) is not None:
            self._take_up(seen, fork)
        elif (judgement := seen.entry.judgement) is not None:
            self.tally.judged += 1
            self.findings.extend(judged_files(state.path, judgement))

    def _receipt(self, state: StateFolder, paired: Paired) -> None:
        receipt = paired.receipt
        accepted = receipt.outcome is Outcome.ACCEPTED
        self._version(receipt.base, needed=False)
        self._version(receipt.result, needed=accepted)
        if receipt.evaluation is not None:
            self._version(receipt.evaluation.candidate, needed=False)
            self._losses(state, paired, receipt.evaluation)
        self._same_settings(paired)
        self._exact_enough(state, paired)
        self._capsule(state, paired)
        self.tally.data.trained(paired)
        self.tally.behind = receipt.base if accepted else None
        if accepted:
            self.tally.absent.made(receipt.result.digest)

    def _take_up(self, seen: Seen, fork: Fork) -> None:
        for said in fork.tasks:
            self._version(said.head, needed=True)
            self._version(said.first, needed=False)
            if self._settings(said.task, said.head) or self._settings(said.task, said.first):
                detail = f"settings or tokenizer of {said.task}'s head are not those that it began with"
                self.findings.add(unknown(seen.name, detail))
            for used in said.holdouts:
                holdout = Holdout(sha256=used.sha256, count=used.count, use_index=1)
                for data in filter(None, (said.data, said.grown)):
                    self.tally.data.take(seen, data.but(holdout=holdout), said.task)

    def _version(self, said: Base, *, needed: bool) -> None:
        """Check a version once; ``needed`` says that it is the head from here on."""
        state = self._state
        if state is None:
            return
        if said.digest not in self._here:
            if needed:
                self.tally.absent.lack(said.digest)
            return
        known = self._checked.get(said.digest)
        if known is not None and known[0] == said.files:
            return
        folder, where = state.model(said.digest), f"models/{said.digest}"
        found = self._lists.apart(said, folder, compare_folder(folder, said.files, self._hashing))
        self._checked[said.digest] = (said.files, found)
        self.findings.extend(folder_findings(where, folder, found, self._searching))
        if self._lists.has(said.digest):
            return
        if found.intact and version_digest(folder, self._hashing) != said.digest:
            self.findings.add(failed(where, "its tensors do not have the digest that names it"))
        if found.intact and (complaint := index_complaint(folder, found.listed, self._hashing)):
            self.findings.add(failed(f"{where}/{INDEX}", complaint))

    def _settings(self, task: str, said: Base) -> bool:
        """Whether a version that is here has other settings than the first one of its task."""
        known = self._checked.get(said.digest)
        if known is None or known[0] != said.files:
            return False
        return self.tally.settings.differ(task, known[1].listed)

    def _same_settings(self, paired: Paired) -> None:
        receipt, task = paired.receipt, paired.receipt.task.name
        self._settings(task, receipt.base)
        made = receipt.evaluation.candidate if receipt.evaluation is not None else receipt.result
        # Of what another kind of task keeps beside its weights, nothing is known.
        training = receipt.training
        known = training is not None and (training.section.kind == SECTION or merge_of(receipt) is not None)
        if self._settings(task, made) and known:
            detail = f"its settings or tokenizer are not those of its base ({paired.name})"
            self.findings.add(failed(f"models/{made.digest}", detail))

    def _exact_enough(self, state: StateFolder, paired: Paired) -> None:
        receipt, intent = paired.receipt, paired.intent
        task, said = receipt.task.name, receipt.evaluation
        if intent is None or said is None or said.profile != F32 or task in self.tally.needless:
            return
        holdout = holdout_path(state.path, intent.data)
        if holdout is None or receipt.base.digest not in self._checked:
            return
        why = needless_tolerance(
            state.model(receipt.base.digest),
            holdout,
            count=receipt.holdout.count,
            cut=intent.recipe.get("max_tokens", 0),
        )
        if why:
            self.tally.needless[task] = None
            self.findings.add(unknown(paired.name, why, Topic.RULE))

    def _subjects(self, seen: Seen, intent: Intent) -> None:
        known = self._checked.get(intent.base.digest)
        listed = known[1].listed if known is not None else {}
        for subject in other_subjects(seen.entry) if seen.entry is not None else ():
            if subject.name == HEAD:
                if subject.digest.sha256 != intent.base.files:
                    self.findings.add(failed(seen.name, "its subject is not its base model"))
            elif listed and listed.get(subject.name) != subject.digest.sha256:
                detail = f"its subject {subject.name!r} is no file of its base model"
                self.findings.add(failed(seen.name, detail))

    def _capsule(self, state: StateFolder, paired: Paired) -> None:
        receipt = paired.receipt
        digests = {subject.name: subject.digest.sha256 for subject in paired.statement.subject}
        if receipt.training is None or HEAD in digests:
            # An attempt may end after training and before there is an update.
            if receipt.outcome is not Outcome.ABORTED:
                self.findings.add(failed(paired.name, "names no update"))
            elif digests != {HEAD: receipt.base.files}:
                detail = "its subject is neither an adapter nor its base model"
                self.findings.add(failed(paired.name, detail))
            return
        check = self._sections.get(receipt.training.section.kind)
        wanted = set(check.files) if check is not None else set(digests)
        if set(digests) != wanted or len(paired.statement.subject) != len(digests):
            self.findings.add(failed(paired.name, f"its subjects are not {' and '.join(sorted(wanted))}"))
            return
        self._merged_twice(paired, paired.statement.subject[0].digest.sha256)
        self.tally.updates += state.capsule(paired.statement.subject[0].digest.sha256).is_dir()
        if tuple(paired.statement.subject) not in self._whole:
            self._files(state, paired, digests)
        if (kept := tuple(paired.statement.subject)) in self._whole:
            folder, section = state.capsule(kept[0].digest.sha256), receipt.training.section
            self.findings.fail(paired, self._facts.complaints(check, folder, kept, section))

    def _files(self, state: StateFolder, paired: Paired, digests: dict[str, str]) -> None:
        first = paired.statement.subject[0].digest.sha256
        where, folder = f"capsules/{first}", state.capsule(first)
        if not folder.is_dir():
            missing = f"the adapter of {paired.name} is missing"
            kept = paired.receipt.outcome is Outcome.ACCEPTED
            self.findings.add(
                failed(where, missing) if kept else unknown(where, f"{missing}; it was not kept")
            )
            return
        # The receipt signs the files, so their checksum file has exactly one right content.
        lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
        found = compare_folder(folder, sha256_hex(lines.encode()), self._hashing)
        self.findings.extend(folder_findings(where, folder, found, self._searching))
        if found.intact:
            self._remember(tuple(paired.statement.subject))
        for name in digests:
            if found.intact and name.endswith(".safetensors") and not are_weights(folder / name):
                detail = "is no safetensors file, and nothing else is an adapter"
                self.findings.add(failed(f"{where}/{name}", detail))

    def _remember(self, subjects: tuple[Subject, ...]) -> None:
        if len(self._whole) >= _MOST_WHOLE:
            self._whole.clear()
        self._whole[subjects] = None

    def _merged_twice(self, paired: Paired, first: str) -> None:
        if paired.receipt.outcome is Outcome.ACCEPTED:
            index = self.tally.accepted.setdefault(int(first[:16], 16), paired.entry.index)
            if index != paired.entry.index:
                self.findings.add(failed(paired.name, f"merges the adapter of entry {index} again"))

    def _losses(self, state: StateFolder, paired: Paired, said: Evaluation) -> None:
        where = f"evidence/{said.per_example}.bin"
        if max(said.read, paired.receipt.holdout.count) > MOST_EXAMPLES:
            detail = f"is of more than {MOST_EXAMPLES} examples, which are not read here ({paired.name})"
            self.findings.add(unknown(where, detail))
            return
        try:
            evidence, root = self._read(state, said, paired.receipt.holdout)
        except _ReadOftenError as reason:
            self.findings.add(unknown(where, f"{reason} ({paired.name})"))
            return
        except ValueError as error:
            place = said_where(state.losses(said.per_example), said.per_example, self._searching)
            self.findings.add(failed(where, f"{error} ({paired.name}){place}"))
            return
        self.tally.losses += 1
        if evidence != evidence_of(said):
            detail = f"its losses do not add up to the sums of {paired.name}"
            self.findings.add(failed(where, detail))
        if said.losses_root and root != said.losses_root:
            detail = "its Merkle root is not that of its per-example losses"
            self.findings.add(failed(paired.name, detail))
        self.tally.roots += bool(said.losses_root)

    def _read(self, state: StateFolder, said: Evaluation, holdout: Holdout) -> tuple[Evidence, str]:
        hits = said.hits is not None
        # The same file may be read in the order of another holdout, and its root is then another.
        asked = (said.per_example, said.read, hits, holdout.sha256, holdout.count)
        if asked in self._sums:
            return self._sums[asked]
        if len(self._sums) >= _MOST_SUMS:
            self._sums.clear()
            self._times.clear()
        self._times[said.per_example] += 1
        if self._times[said.per_example] > _MOST_READ:
            raise _ReadOftenError(f"is read in {_MOST_READ} other ways already, and not once more")
        losses = read_losses(state.losses(said.per_example), said.per_example, said.read)
        evidence = losses.evidence(hits=hits)
        root = losses.root(order_of(said, holdout)) if said.losses_root else ""
        self._sums[asked] = evidence, root
        return evidence, root

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        if self._state is None:
            return conclude(ARTEFACTS, [unknown("artefacts", "an exported file does not bring them")], "")
        judged = f"losses and holdouts of {self.tally.judged} judgements" if self.tally.judged else ""
        if not memory.tasks:
            nothing = "" if judged else "no entry names an artefact"
            return self.findings.conclude(ARTEFACTS, f"{judged} have the signed digests", nothing=nothing)
        heads = {known.head.digest for known in memory.tasks.values()}
        for known in memory.tasks.values():
            self._version(known.head, needed=False)  # of an entry that was not read again, it may be
        self.findings.extend(self.tally.absent.findings(heads, self._here))
        self.findings.extend(self._lists.findings(self._state, memory))
        for name, known in memory.tasks.items():
            self.findings.extend(self._link(self._state, name, known.head))
        read_sets = self.tally.data.read(self._state.path, self._sections, self.findings, self._hashing)
        self.findings.extend(judged_and_deciding(self._state, memory, read_sets))
        self.findings.extend(self.tally.monitored.findings(self._state, memory, read_sets, self._hashing))
        roots = f"; {self.tally.roots} Merkle roots of losses are the signed ones" if self.tally.roots else ""
        freed = self.tally.absent.words(self._here) + self._lists.words()
        here = f"{self._here_in_words(memory)}, and {judged}" if judged else self._here_in_words(memory)
        said = f"{here} have the signed digests{roots}{freed}"
        return [*self.findings.conclude(ARTEFACTS, said), *compared(read_sets), *beginnings(read_sets)]

    def _here_in_words(self, memory: LogState) -> str:
        """What is here and was looked at; what the log names and is not here is a question of its own."""
        assert self._state is not None  # noqa: S101 - asked for before
        folders = [self._state.data(known.latest.digest) for known in memory.tasks.values()]
        parts = [
            self._lists.heads_in_words(memory),
            "adapters" if self.tally.updates else "",
            "losses" if self.tally.losses else "",
            "data" if any(folder.is_dir() for folder in folders) else "",
        ]
        *most, last = [part for part in parts if part]
        return f"{', '.join(most)} and {last}" if most else last

    def _link(self, state: StateFolder, task: str, head: Base) -> Iterator[Finding]:
        link = state.head(task)
        where = link.relative_to(state.path).as_posix()
        if (target := self._material.links.get(where)) == head.digest:
            return
        # The link is moved after the entry is written, so a crash in between leaves it one version behind.
        if self.tally.behind is not None and target == self.tally.behind.digest:
            detail = f"still points at the version before; the next run moves it to models/{head.digest}"
            yield unknown(where, detail)
        else:
            yield failed(where, f"does not point at the head model models/{head.digest}")
