"""Step 11: evaluate again what receipts say was evaluated, and compare integers.

Under the profile ``f64-nanonat/v1`` a loss is computed in float64 and rounded once to a nano-nat, so
honest machines agree on the integer; only a value that sits on a rounding boundary may differ, by one
unit. Under ``f32/v1`` they agree within a tolerance (`cryoflux.receipts.profiles`); where they do not,
float64 decides. Where reading stopped early, only what was read is compared, in reading order.
The candidate is made again and has to get its recorded digest, because a folder that was kept says nothing of
where it came from. Only where its adapter is withheld is that folder evaluated.

A receipt that names a list (``compose/v1``) is made again from genesis and updates, the same bytes on every
machine. One that names none was merged in float32, whose last bits depend on the processor: where the bytes
made here are others, the kept candidate has to be within what float32 rounds away, and losses are of it.
Where it was not kept, they are of the one made here, and compared with the tolerance of ``f32/v1``. Where
ranks of an adapter cancel, so that rounding may have made anything of it, the question stays open; and where
other receipts of such a log name a list, why this one names none.
"""

from __future__ import annotations

__all__ = [
    "MOST_TOKENS",
    "RECOMPUTED",
    "Case",
    "OpenQuestion",
    "Remade",
    "broken",
    "check_recomputed",
    "choose",
    "make_candidate",
    "pinned",
    "pinned_update",
    "prepare",
]

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from cryoflux.digests import copy_listed, file_digest
from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.files import copy_regular
from cryoflux.quantities import NANO
from cryoflux.receipts.profiles import DOCUMENT_F32, DOCUMENT_F32_2, F32, PROFILE, REPEATABLE, TOLERANCES
from cryoflux.receipts.statement import Evaluation
from cryoflux.registry.composition import COMPOSE
from cryoflux.registry.cuts import Cut, tokens_of
from cryoflux.registry.kept_lists import can_compose, is_whole, missing_of
from cryoflux.registry.parent_lists import parent_lists
from cryoflux.state import StateFolder
from cryoflux.verification.artefacts import capsule_path
from cryoflux.verification.binding import Binding
from cryoflux.verification.composed import due_composition, merge_of
from cryoflux.verification.datasets import holdout_path
from cryoflux.verification.folders import compare_folder
from cryoflux.verification.levels import Level, Levels, Word
from cryoflux.verification.loss_comparison import Found, compare, flipped
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.pairing import MOST_EXAMPLES, Pairing, order_of, read_losses
from cryoflux.verification.recomputer import (
    Models,
    OtherFactories,
    Recomputer,
    RecomputerFactory,
    factory_for,
    target_tokens,
    tokens_apart,
)
from cryoflux.verification.remaking import version_kept_or_made
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.temperatures import temperature_findings
from cryoflux.verification.walk import Paired
from cryoflux.verification.walked import Walked
from cryoflux.verification.weights import version_digest

RECOMPUTED = NumberedStep(11, "losses evaluated again", Knowledge.RECOMPUTED)
MOST_TOKENS = 8192
"""of a text; no run can be told to read more, and what reading costs goes with the square"""


@dataclass(frozen=True, slots=True)
class Case:
    """One receipt and all that it takes to evaluate it again."""

    state: Path
    paired: Paired
    evaluation: Evaluation
    base: Path
    holdout: Path
    recorded: Pairing
    lists: bool = False
    """whether its log began when receipts named lists"""

    @property
    def cut(self) -> Cut:
        """How much of a text was read; 0 where nothing says so."""
        return _cut(self.paired)


def _cut(paired: Paired) -> Cut:
    return paired.intent.recipe.get("max_tokens", 0) if paired.intent is not None else 0


@dataclass(frozen=True, slots=True)
class Remade:
    """The model that the candidate's losses are of."""

    model: Path
    word: Word
    """what came of making it again"""
    question: str = ""
    """what stays open about it"""
    loose: bool = False
    """whether its weights are only known up to what float32 rounds away"""


def check_recomputed(
    walked: Walked,
    most: int,
    factory: RecomputerFactory,
    levels: Levels | None = None,
    others: OtherFactories = MappingProxyType({}),
) -> list[Check]:
    """Step 11: the last accepted receipt first, then the newest others that were evaluated.

    Args:
        walked: the log and its state.
        most: receipts to evaluate again.
        factory: makes what evaluates.
        levels: is told what came of it.
        others: make what evaluates receipts of other kinds.
    """
    chosen, said = choose(walked, most), levels or Levels()
    if not chosen:
        return conclude(RECOMPUTED, [unknown("receipts", "no receipt carries an evaluation")], "")
    checks: list[Check] = []
    for paired in chosen:
        own = factory_for(paired.receipt.training, factory, others, walked.material.state)
        checks += _recompute(walked, paired, own, said)
    return checks


def _recompute(walked: Walked, paired: Paired, factory: RecomputerFactory, levels: Levels) -> list[Check]:
    try:
        findings, summary = _evaluate(prepare(walked, paired), factory, levels)
    except OpenQuestion as reason:
        levels.say(paired, Level.LOSSES, Word.OPEN)
        findings, summary = [unknown(paired.name, f"cannot be evaluated again here: {reason}")], ""
    except Exception as error:  # noqa: BLE001 - a trainer's libraries raise whatever they like
        levels.say(paired, Level.LOSSES, Word.REFUTED)
        findings, summary = [failed(paired.name, broken(error))], ""
    return conclude(RECOMPUTED, findings, summary)


def broken(error: Exception) -> str:
    """What to say of an evaluation that did not come to its end."""
    what = str(error) if isinstance(error, CryoFluxError) else f"{type(error).__name__}: {error}"
    return f"{Word.REFUTED if isinstance(error, VerificationError) else 'evaluating it again failed'}: {what}"


def choose(walked: Walked, most: int) -> list[Paired]:
    """The receipts to look at: the last accepted, then the newest others that were evaluated."""
    recent = walked.recent
    accepted = [one for one in reversed(recent.accepted) if one.receipt.evaluation is not None][:1]
    others = [one for one in reversed(recent.evaluated) if one not in accepted]
    return [*accepted, *others][:most]


def prepare(walked: Walked, paired: Paired) -> Case:
    """What it takes to evaluate a receipt again.

    Raises:
        OpenQuestion: some of it is not here.
    """
    state, evaluation = walked.material.state, paired.receipt.evaluation
    if state is None or evaluation is None:
        raise OpenQuestion("an exported file brings neither models nor data")
    if paired.intent is None:
        raise OpenQuestion("it has no intent that names its data")
    if evaluation.profile not in TOLERANCES:
        raise OpenQuestion(f"the profile {evaluation.profile!r} is not known here")
    _refuse_too_much(paired, evaluation)
    try:
        path = StateFolder(state).losses(evaluation.per_example)
        recorded = read_losses(path, evaluation.per_example, evaluation.read)
    except ValueError as error:
        raise OpenQuestion(str(error)) from error
    holdout = holdout_path(state, paired.intent.data)
    if holdout is None:
        raise OpenQuestion(f"data/{paired.intent.data.digest} holds no file that is its holdout")
    base = StateFolder(state).model(paired.receipt.base.digest)
    if not is_whole(base) and not can_compose(StateFolder(state), paired.composed):
        raise OpenQuestion(f"{base.relative_to(state)} is not kept here, and cannot be made again")
    lists = walked.binding is Binding.ENTRY
    return Case(state, paired, evaluation, base, holdout, recorded, lists)


def _refuse_too_much(paired: Paired, evaluation: Evaluation) -> None:
    try:
        tokens = tokens_of(_cut(paired))
    except ValueError as error:
        raise OpenQuestion(f"its {error}") from error
    if tokens > MOST_TOKENS:
        raise OpenQuestion(f"its texts were cut to more than {MOST_TOKENS} tokens, which are not read here")
    if max(evaluation.read, paired.receipt.holdout.count) > MOST_EXAMPLES:
        raise OpenQuestion(f"it is of more than {MOST_EXAMPLES} examples, which are not read here")


def pinned(case: Case, folder: Path, recomputer: Recomputer | None = None) -> Case:
    """The same with base and holdout copied, so that nobody changes them between check and use.

    Args:
        case: the receipt.
        folder: where the copies go.
        recomputer: makes a base again whose files were freed.

    Raises:
        OpenQuestion: the base is not here, and nothing makes it again.
        VerificationError: one of the copies is not what the receipt names.
    """
    said = case.paired.receipt
    base, holdout = folder / "kept" / "base", folder / "kept" / case.holdout.name
    state, composed = StateFolder(case.state), case.paired.composed
    version_kept_or_made(state, said.base.digest, composed, recomputer, base)
    copy_regular(case.holdout, holdout)
    if not compare_folder(base, said.base.files).intact or version_digest(base) != said.base.digest:
        raise VerificationError("the base model here is another than the one recorded")
    if file_digest(holdout) != said.holdout.sha256:
        raise VerificationError("the holdout here is another than the one recorded")
    return replace(case, base=base, holdout=holdout)


def pinned_update(case: Case, folder: Path) -> Path:
    """The files of the update, copied into a new folder.

    Raises:
        VerificationError: one of the copies is not what the receipt names.
    """
    capsule = capsule_path(case.state, case.paired.statement)
    for subject in case.paired.statement.subject:
        if Path(subject.name).name != subject.name:
            raise VerificationError("a file of its adapter has a name that leads elsewhere")
        copy_regular(capsule / subject.name, folder / subject.name)
        if file_digest(folder / subject.name) != subject.digest.sha256:
            raise VerificationError("the adapter here is another than the one recorded")
    return folder


def _evaluate(case: Case, factory: RecomputerFactory, levels: Levels) -> tuple[list[Finding], str]:
    """What differs or stays open, and the line where nothing differs."""
    recomputer, name = factory(case.cut), case.paired.name
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as folder:
        case = pinned(case, Path(folder), recomputer)
        candidate = make_candidate(case, recomputer, Path(folder), levels)
        profile = case.evaluation.profile
        word = Word.TOLERATED if candidate.loose or profile in {DOCUMENT_F32, DOCUMENT_F32_2} else Word.EXACT
        base, new, differences = _compared(case, recomputer, candidate, profile)
        if profile == F32:
            word = Word.ARBITRATED if differences else Word.TOLERATED
            if differences:
                base, new, differences = _compared(case, recomputer, candidate, PROFILE)
        where = case.state, case.paired, recomputer, case.base, candidate.model, Path(folder)
        scaled = list(temperature_findings(*where))
    levels.say(case.paired, Level.LOSSES, Word.REFUTED if differences else word)
    if differences:
        return [failed(name, f"refuted: {difference}") for difference in differences], ""
    if scaled:
        return scaled, ""
    equal = " equal" if word is Word.EXACT else ""
    unit = case.evaluation.metric.unit
    numbers = f"{name}{equal}: {word}, {_numbers(base, new, case.recorded, unit)}"
    if candidate.question:
        return [unknown(name, candidate.question)], numbers
    how = "merged again from base and adapter"
    if merge_of(case.paired.receipt) == COMPOSE:
        how = "composed again from its list of updates"
    if candidate.word is Word.TOLERATED:
        how = f"{how}, as far as float32 repeats itself: losses are of the kept candidate"
    return [], f"{numbers}, {how}"


def _compared(
    case: Case, recomputer: Recomputer, candidate: Remade, profile: str
) -> tuple[Found, Found, list[str]]:
    """Losses and hits of base and candidate as far as they were read, and what is too far from the signed."""
    found, said = [], case.paired.receipt.holdout
    for model in (case.base, candidate.model):
        if profile == PROFILE:
            losses, right = recomputer.evaluate(model, case.holdout)
        else:
            losses, right = recomputer.evaluate_some(model, case.holdout, None, profile)
        if {len(losses), len(right)} != {said.count}:
            nothing: Found = ([], [])
            return nothing, nothing, [f"the holdout here has not the {said.count} examples recorded"]
        order = order_of(case.evaluation, said)
        found.append(([losses[i] for i in order], [right[i] for i in order]))
    base, new = found
    tokens = target_tokens(recomputer, profile, case.holdout, case.base)
    counts = [tokens[i] for i in order] if tokens else []
    signed, recorded = case.evaluation.profile, case.recorded
    differences = compare(base, new, recorded, signed, loose=candidate.loose, tokens=counts)
    return base, new, [*differences, *tokens_apart(recomputer, case.paired.receipt, case.holdout, case.base)]


def _numbers(base: Found, new: Found, recorded: Pairing, unit: str) -> str:
    delta = (sum(base[0]) - sum(new[0])) / len(recorded.base) / NANO
    same = sum(a == b for a, b in zip([*base[0], *new[0]], [*recorded.base, *recorded.new], strict=True))
    of, flips = 2 * len(recorded.base), flipped(base, new, recorded)
    losses = f"{'all' if same == of else f'{same} of'} {of} losses identical"
    predictions = (
        f", {flips} predictions differ" if flips > 1 else ", one prediction differs" if flips else ""
    )
    return f"Δ = {delta:+.6f} {unit}, {losses}{predictions}"


def make_candidate(case: Case, recomputer: Recomputer, folder: Path, levels: Levels) -> Remade:
    """The model to evaluate.

    Raises:
        OpenQuestion: neither candidate nor adapter is here.
        VerificationError: it is another model than the one recorded.
    """
    capsule = capsule_path(case.state, case.paired.statement)
    merge = merge_of(case.paired.receipt)
    if not capsule.is_dir():
        made = _kept(case, "its adapter is not kept here")
    elif merge == COMPOSE:
        made = _composed(case, recomputer, folder)
    elif merge is not None:
        made = _kept(case, f"its way of merging {merge!r} is not known here")
    else:
        made = _merged(case, recomputer, pinned_update(case, folder / "update"), folder)
    levels.say(case.paired, Level.MERGE, made.word)
    if made.word is Word.REFUTED:
        what = "the kept candidate is" if made.question else "base and adapter merge into"
        if merge == COMPOSE and not made.question:
            what = "genesis and updates merge into"
        raise VerificationError(f"{what} another model than the one recorded")
    return made


def _kept(case: Case, why: str) -> Remade:
    """The candidate that was kept, where it cannot be made again."""
    model, due = StateFolder(case.state).model(case.evaluation.candidate.digest), case.evaluation.candidate
    if not is_whole(model):
        raise OpenQuestion(f"{why}, and neither is the candidate")
    same = version_digest(model) == due.digest
    question = f"{why}: losses are of the kept candidate, which was not merged again"
    return Remade(model, Word.OPEN if same else Word.REFUTED, question)


def _composed(case: Case, recomputer: Recomputer, folder: Path) -> Remade:
    """The candidate as the sum of its list."""
    composed, state = due_composition(case.paired), StateFolder(case.state)
    if composed is None:
        raise VerificationError("its list of updates is not the one of the log")
    if missing := missing_of(state, composed):
        return _kept(case, missing)
    if not is_whole(there := state.model(composed.genesis)):
        return _kept(case, f"the genesis of its list, {composed.genesis[:16]}…, is not kept here")
    genesis, update = folder / "kept" / "genesis", pinned_update(case, folder / "update")
    copy_listed(there, genesis)
    if version_digest(genesis) != composed.genesis:
        raise VerificationError("the genesis of its list here is another model than the one recorded")
    (into := folder / "merged").mkdir()
    own, lists = case.paired.statement.subject[0].digest.sha256, parent_lists(case.state)
    models = Models(case.base, genesis, lambda one: update if one == own else state.capsule(one), lists)
    model = recomputer.compose(composed, models, into)
    same = version_digest(model) == case.evaluation.candidate.digest
    return Remade(model, Word.EXACT if same else Word.REFUTED)


def _merged(case: Case, recomputer: Recomputer, capsule: Path, folder: Path) -> Remade:
    """The candidate as base and adapter, merged in float32 as it was before receipts named a list."""
    due = case.evaluation.candidate
    (into := folder / "merged").mkdir()
    model = recomputer.merge(case.base, capsule, into)
    if version_digest(model) == due.digest:
        return Remade(model, Word.EXACT)
    if case.evaluation.profile == REPEATABLE:  # whole numbers, which no processor rounds
        return Remade(model, Word.REFUTED)
    if is_whole(kept := StateFolder(case.state).model(due.digest)):
        copy = folder / "kept" / "candidate"
        copy_listed(kept, copy)
        same = version_digest(copy) == due.digest
        found = recomputer.as_kept(case.base, capsule, copy, folder / "as-kept") if same else None
        if found is None:
            return Remade(copy, Word.REFUTED)
        asked = (
            "names no list of updates, and has other bytes than its merge here: losses are of the kept one"
        )
        return Remade(found, Word.TOLERATED, asked if case.lists else "")
    question = (
        "its candidate was not kept, and merged here in float32 it has other bytes, as on another processor: "
        "losses are of the one merged here, and compared with a tolerance"
    )
    return Remade(model, Word.OPEN, question, loose=True)
