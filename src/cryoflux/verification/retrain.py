"""Step 15: train the last kept adapters again, and say how near one comes.

What joules decided is in the receipt: how many steps were planned, when, and how many were made. So no meter
is needed: the schedule is played back. What the scheduler and the pool decided follows from the log: how many
examples earlier attempts had drawn, and with which seed the pool was shuffled. An attempt of a chain is
trained again with all that came before it in its chain, from the version that the chain began with: what each
of them left is compared on the way, and the first that departs is named. No file that they left is needed.

Training is repeated to the byte by the same software on the same kind of processor with as many threads, and
only there. So only the same bytes count as trained again. Anything else leaves it open how the adapter came
about, and is said with its distance, ‖ours - theirs‖ / ‖theirs - base‖ over all tensors, the loss that ours
has on the holdout, and what differs between the machines:

- *other bytes*, where software or processor are others than recorded, or are not recorded. Rounding alone
  took honest machines up to 0.63 of that length apart (docs/reference/recomputing.md).
- *not reproduced*, where all of that is recorded and the same. There every honest training gave the same
  bytes. Further away than any honest other machine came (`apart`) it is a failure: an honest log would have
  to differ in something that is not recorded, and by more than was measured of another machine.

It shows what was done, never what it cost.
"""

from __future__ import annotations

__all__ = [
    "RETRAINED",
    "Plan",
    "Played",
    "Retrained",
    "Retrainer",
    "RetrainerFactory",
    "Trains",
    "check_retrained",
    "plan_of",
]

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from cryoflux.digests import copy_listed, digests_of_lines, file_digest, find_listed
from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.quantities import NANO
from cryoflux.receipts.profiles import F32, PROFILE
from cryoflux.receipts.statement import Base, Intent, Training
from cryoflux.registry.composition import Composition
from cryoflux.registry.cuts import Cut
from cryoflux.registry.kept_lists import can_compose, is_whole
from cryoflux.state import ADAPTER, StateFolder
from cryoflux.task_tallies import EVERYTHING, PoolParts
from cryoflux.verification.apart import FAR, Apart
from cryoflux.verification.artefacts import capsule_path
from cryoflux.verification.folders import compare_folder
from cryoflux.verification.levels import Level, Levels, Word
from cryoflux.verification.pairing import order_of
from cryoflux.verification.recompute import (
    Case,
    OpenQuestion,
    broken,
    pinned,
    pinned_update,
    prepare,
)
from cryoflux.verification.recomputer import OtherFactories, Recomputer, factory_for
from cryoflux.verification.remaking import version_kept_or_made
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.walk import Paired
from cryoflux.verification.walked import Walked
from cryoflux.verification.weights import version_digest

RETRAINED = NumberedStep(15, "adapters trained again", Knowledge.RECOMPUTED)
_COMPUTED = ("backend", "precision")
"""fields of a section that say how products were computed, each of a task's own"""
_NEEDED = ("cryoflux", "code", "torch", "cpu", "processor")
"""what has to be known of both machines before they are called the same"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an attempt learned from, as far as the log says it."""

    recipe: Mapping[str, str | int]
    before: int
    """examples that earlier attempts had drawn as fresh ones"""
    training: Training
    pool: PoolParts = EVERYTHING
    """training examples that it drew from"""


@dataclass(frozen=True, slots=True)
class Played:
    """One attempt of a chain, as its entries say it."""

    name: str
    """of its receipt"""
    recipe: Mapping[str, str | int]
    training: Training


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that training again takes."""

    state: Path
    base: str
    """digest of the version that the update is added to: the head then, or where its chain began"""
    data: str
    """digest of the data set"""
    intent: Intent
    drawn: Drawn
    earlier: tuple[Drawn, ...]
    """attempts before it that may have prepared its activations"""
    pool_seed: int
    first_step_ended: bool
    """whether the joules ended with the first step"""
    chain: tuple[Played, ...] = ()
    """attempts of its chain that trained, oldest first and itself the last; none where it is of no chain"""


@dataclass(frozen=True, slots=True)
class Retrained:
    """What training again came to."""

    folder: Path
    """of the adapter"""
    departed: str = ""
    """the attempt of its chain that first came to something else than recorded, and to what; empty if none"""


@runtime_checkable
class Trains(Protocol):
    """What can train an adapter, and hold it against another."""

    def retrain(self, plan: Plan, into: Path) -> Retrained:
        """Train as a plan says, below the folder ``into``.

        Raises:
            CannotRetrainError: the plan asks for what is not recorded, or not possible here.
        """

    def with_update(self, base: Path, update: Path, into: Path) -> Path:
        """A base model with an update that was trained here, below ``into``; to say what it loses."""

    def distances(self, base: Path, ours: Path, theirs: Path) -> dict[str, tuple[float, float]]:
        """Tensor → ‖ours - theirs‖ and ‖theirs - base‖ of two adapters merged into a base model."""

    def software(self) -> dict[str, str]:
        """Versions of what computes here, in the receipt's own terms."""


class Retrainer(Recomputer, Trains, Protocol):
    """What can evaluate, and train, too."""


RetrainerFactory = Callable[[Cut], Retrainer]
"""Makes a retrainer for texts of which so much is read (`cryoflux.registry.cuts`)."""


def check_retrained(
    walked: Walked,
    most: int,
    factory: RetrainerFactory,
    levels: Levels | None = None,
    others: OtherFactories = MappingProxyType({}),
) -> list[Check]:
    """Step 15: the newest accepted receipts.

    Args:
        walked: the log and its state.
        most: receipts to train again.
        factory: makes what trains and evaluates.
        levels: is told what came of it.
        others: make what trains and evaluates receipts of other kinds.
    """
    said = levels or Levels()
    kept = list(reversed(walked.recent.accepted))[:most]
    if not kept:
        return conclude(RETRAINED, [unknown("receipts", "no update was kept")], "")
    checks = []
    for paired in kept:
        try:
            case, plan = prepare(walked, paired), plan_of(walked, paired)
            own = factory_for(plan.drawn.training, factory, others, walked.material.state)(case.cut)
            if not isinstance(own, Trains):
                raise OpenQuestion("nothing of it was trained: --recompute makes it again")
            findings, note = _retrain(case, plan, own, said)
        except VerificationError as error:
            findings, note = [failed(paired.name, broken(error))], ""
            said.say(paired, Level.RETRAINING, Word.REFUTED)
        except (OpenQuestion, CryoFluxError) as reason:
            findings, note = [unknown(paired.name, f"cannot be trained again here: {reason}")], ""
            said.say(paired, Level.RETRAINING, Word.OPEN)
        except Exception as error:  # noqa: BLE001 - a trainer's libraries raise whatever they like
            what = f"training it again failed here: {type(error).__name__}: {error}"
            findings, note = [unknown(paired.name, what)], ""
            said.say(paired, Level.RETRAINING, Word.OPEN)
        checks += conclude(RETRAINED, findings, f"{paired.name}: {note}" if note else "")
    return checks


def plan_of(walked: Walked, paired: Paired) -> Plan:
    """How an attempt was trained.

    Raises:
        OpenQuestion: the log does not say it.
    """
    training, intent, state = paired.receipt.training, paired.intent, walked.material.state
    if training is None or intent is None or state is None:
        raise OpenQuestion("its training is not recorded")
    if not any(training.section.fields.get(name) for name in _COMPUTED):
        raise OpenQuestion("it does not say how products were computed")
    base = _added_to(intent)
    folder = StateFolder(state)
    if not is_whole(folder.model(base.digest)) and not can_compose(folder, _composed(paired)):
        raise OpenQuestion(
            "the version that its update is added to is not kept here, nor can it be made again"
        )
    earlier, chain = _before(walked, paired, intent)
    return Plan(
        state=state,
        base=base.digest,
        data=intent.data.digest,
        intent=intent,
        drawn=Drawn(intent.recipe, paired.drawn, training, paired.pool),
        earlier=tuple(earlier),
        pool_seed=paired.pool_seed,
        first_step_ended=training.steps == 1 and training.section.fields.get("plannedSteps") != 1,
        chain=(*chain, Played(paired.name, intent.recipe, training)) if intent.chain is not None else (),
    )


def _added_to(intent: Intent) -> Base:
    """The version that an update was trained on: where its chain began, or the head as it was announced.

    By its verdict the head may be another one, where attempts were open at once.
    """
    return intent.chain.start if intent.chain is not None else intent.base


def _composed(paired: Paired) -> Composition | None:
    """What that version is the sum of; none where it is not known."""
    if paired.chain is not None:
        return paired.chain.composed
    same = paired.intent is not None and paired.intent.base == paired.receipt.base
    return paired.composed if same else None


def _before(walked: Walked, paired: Paired, intent: Intent) -> tuple[list[Drawn], list[Played]]:
    """What earlier attempts of its task drew, and those of its chain that trained.

    Raises:
        OpenQuestion: its chain is not whole.
    """
    earlier: list[Drawn] = []
    chain: list[Played] = []
    for other in walked.pairs():
        if other.entry.index >= paired.entry.index:
            break
        done, theirs = other.receipt.training, other.intent
        if theirs is None or theirs.task.name != intent.task.name:
            continue
        if done is not None:
            earlier.append(Drawn(theirs.recipe, other.drawn, done, other.pool))
        if theirs.task.arm == intent.task.arm:
            chain = _gone_on(chain, other, theirs)
    if intent.chain is None or not intent.chain.working:
        return earlier, []
    if not chain or chain[-1].training.working != intent.chain.working:
        raise OpenQuestion("what it went on from is of no attempt before it")
    return earlier, chain


def _gone_on(chain: list[Played], other: Paired, intent: Intent) -> list[Played]:
    """A chain with one more attempt of its arm."""
    if intent.chain is None:
        return chain
    before, done = chain if intent.chain.working else [], other.receipt.training
    return before if done is None else [*before, Played(other.name, intent.recipe, done)]


def _retrain(case: Case, plan: Plan, retrainer: Retrainer, levels: Levels) -> tuple[list[Finding], str]:
    if not capsule_path(case.state, case.paired.statement).is_dir():
        raise OpenQuestion("its adapter is not kept here, so there is nothing to compare with")
    name = case.paired.name
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as place:
        folder = Path(place)
        case, plan = _held(case, plan, folder, retrainer)
        (into := folder / "trained").mkdir()
        theirs = pinned_update(case, folder / "update")
        done = retrainer.retrain(plan, into)
        if file_digest(done.folder / ADAPTER) == case.paired.statement.subject[0].digest.sha256:
            return _same(case, plan, done, levels)
        apart = _apart(case, plan, retrainer, (done.folder, theirs), folder / "merged")
    differs = _differs(case.paired.receipt.software, retrainer.software(), plan.drawn.training)
    word = Word.OTHER_BYTES if differs else Word.NOT_REPRODUCED
    levels.say(case.paired, Level.RETRAINING, word)
    levels.trained_again(case.paired, apart.to_json())
    why = "; ".join(differs) or "software, processor and threads are the same as there"
    first = f"; of its chain {done.departed}, first of all" if done.departed else ""
    said = f"{word}, {apart.in_short()}: {apart.in_words()}; {why}; {apart.each()}{first}"
    if word is Word.NOT_REPRODUCED and apart.distance >= FAR:
        return [failed(name, said)], ""
    return [unknown(name, said)], ""


def _same(case: Case, plan: Plan, done: Retrained, levels: Levels) -> tuple[list[Finding], str]:
    """The adapter came out as it was; whether all that its chain left on the way did, too."""
    levels.say(case.paired, Level.RETRAINING, Word.EXACT)
    said = f"{Word.EXACT}: training it again gives the same bytes"
    if done.departed:
        return [unknown(case.paired.name, f"{said}, but of its chain {done.departed}")], ""
    if len(plan.chain) > 1:
        said = f"{said}, and so did each of the {len(plan.chain)} attempts of its chain"
    return [], said


def _held(case: Case, plan: Plan, folder: Path, recomputer: Recomputer) -> tuple[Case, Plan]:
    """Both with copies of base, holdout and data set, so that nobody changes them between check and use.

    Raises:
        OpenQuestion: a version is not here, and nothing makes it again.
        VerificationError: one of the copies is not what the receipt names.
        OSError: one of them cannot be copied.
    """
    case, there = pinned(case, folder, recomputer), StateFolder(folder / "state")
    base = there.model(plan.base)
    base.parent.mkdir(parents=True)
    if plan.base == case.paired.receipt.base.digest:
        case.base.rename(base)
        case = replace(case, base=base)
    else:
        version_kept_or_made(StateFolder(plan.state), plan.base, _composed(case.paired), recomputer, base)
        start = _added_to(plan.intent)
        if not compare_folder(base, start.files).intact or version_digest(base) != start.digest:
            raise VerificationError("the version that its chain began with is another here than recorded")
    data = plan.intent.data
    kept = find_listed(StateFolder(plan.state).data(plan.data).parent, plan.data, "train.jsonl", data.train)
    copy_listed(kept, there.data(kept.name))
    train = there.part(kept.name, "train")
    if kept.name != plan.data and digests_of_lines(train, [data.train_count]) != {
        data.train_count: data.train
    }:
        raise VerificationError("what it was trained on was rewritten since, not added to")
    return case, replace(plan, state=folder / "state", data=kept.name)


def _apart(case: Case, plan: Plan, retrainer: Retrainer, both: tuple[Path, Path], into: Path) -> Apart:
    """How far apart two adapters are, ours and theirs."""
    start = StateFolder(plan.state).model(plan.base)
    model = retrainer.with_update(start, both[0], into)
    order = list(order_of(case.evaluation, case.paired.receipt.holdout))
    profile = PROFILE if case.evaluation.profile == F32 else case.evaluation.profile
    losses, _ = retrainer.evaluate_some(model, case.holdout, order, profile)
    read = len(losses) * NANO
    return Apart(
        tensors=retrainer.distances(start, *both),
        loss_here=sum(losses) / read,
        loss_recorded=sum(case.recorded.new) / read,
        delta=(sum(case.recorded.base) - sum(case.recorded.new)) / read,
    )


def _only(parts: str, others: str) -> str:
    """What one description of a machine has and the other has not."""
    have = others.split(", ")
    return ", ".join(part for part in parts.split(", ") if part not in have) or "nothing more"


def _differs(there: Mapping[str, str], here: Mapping[str, str], training: Training) -> list[str]:
    """Why training again may honestly give other bytes here; nothing where all that counts is the same."""
    both = there.keys() & here.keys()
    unequal = [name for name in here if name in both and there[name] != here[name]]
    other = [
        f"{name} {_only(there[name], here[name])} there, {_only(here[name], there[name])} here"
        for name in unequal
    ]
    if other:
        other[0] = f"where it was trained is its owner's word: {other[0]}"
    silent = [name for name in dict.fromkeys((*here, *_NEEDED)) if name not in both]
    if not training.threads:
        silent.append("number of threads")
    if training.device not in {"", "cpu"}:
        other.append(f"it was trained on a device whose kind is not recorded ({training.device})")
    return [*other, *(f"its {name} is not recorded" for name in silent)]
