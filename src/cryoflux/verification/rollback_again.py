"""The losses of the newest rollback, evaluated again: with step 11, and on the monitor that was kept.

Head and version gone back to are evaluated on the very examples that the entry names, and compared integer by
integer with what it signs. Both versions and the examples have to be here; what was freed leaves it open.
"""

from __future__ import annotations

__all__ = ["ROLLBACK_AGAIN", "check_rollback_again"]

import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import copy_listed, file_digest, find_listed
from cryoflux.errors import VerificationError
from cryoflux.files import copy_regular
from cryoflux.log_state import LogState
from cryoflux.receipts.profiles import PROFILE, TOLERANCES
from cryoflux.receipts.statement import Base, Data, HeadMove, Measurement
from cryoflux.registry.cuts import Cut, tokens_of
from cryoflux.state import StateFolder
from cryoflux.verification.folders import compare_folder
from cryoflux.verification.levels import Word
from cryoflux.verification.loss_comparison import Found, compare
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.pairing import MOST_EXAMPLES, Pairing, read_losses
from cryoflux.verification.read_sets import MONITOR
from cryoflux.verification.recompute import MOST_TOKENS, RECOMPUTED, broken
from cryoflux.verification.recomputer import Recomputer, RecomputerFactory
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.walk import follow, read_rows
from cryoflux.verification.walked import Walked
from cryoflux.verification.weights import version_digest

ROLLBACK_AGAIN = NumberedStep(RECOMPUTED.number, "losses of a rollback evaluated again", Knowledge.RECOMPUTED)


@dataclass(frozen=True, slots=True)
class _Rollback:
    """The newest rollback that shows losses, and what the log says of its task."""

    name: str
    """of its entry"""
    move: HeadMove
    said: Measurement
    cut: Cut
    """how much of a text its task reads, as the intent before it says"""
    data: Data
    """its task's data set, as it was first"""


def check_rollback_again(walked: Walked, factory: RecomputerFactory) -> list[Check]:
    """Evaluate the newest rollback again; nothing where no entry shows losses.

    Args:
        walked: the log and its state.
        factory: makes what evaluates.
    """
    if (found := _newest(walked)) is None:
        return []
    try:
        findings, summary = _evaluate(walked, found, factory)
    except OpenQuestion as reason:
        findings, summary = [unknown(found.name, f"cannot be evaluated again here: {reason}")], ""
    except Exception as error:  # noqa: BLE001 - a trainer's libraries raise whatever they like
        findings, summary = [failed(found.name, broken(error))], ""
    return conclude(ROLLBACK_AGAIN, findings, summary)


def _newest(walked: Walked) -> _Rollback | None:
    memory, cuts, found = LogState(), dict[str, Cut](), None
    for seen in read_rows(walked.material.rows, memory):
        entry = seen.entry
        if entry is not None and entry.intent is not None:
            cuts[entry.intent.task.name] = entry.intent.recipe.get("max_tokens", 0)
        move = entry.move if entry is not None else None
        known = memory.tasks.get(move.task) if move is not None else None
        if move is not None and move.evidence and known is not None:
            found = _Rollback(seen.name, move, move.evidence[0], cuts.get(move.task, 0), known.data)
        follow(seen, memory)  # what is wrong with it was said in the first pass
    return found


def _evaluate(walked: Walked, found: _Rollback, factory: RecomputerFactory) -> tuple[list[Finding], str]:
    """What differs, and the line where nothing does."""
    if walked.material.state is None:
        raise OpenQuestion("an exported file brings neither models nor data")
    state, said = StateFolder(walked.material.state), found.said
    _refuse_too_much(found)
    try:
        recorded = read_losses(state.losses(said.per_example), said.per_example, said.count)
    except ValueError as error:
        raise OpenQuestion(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as folder:
        examples = _examples(state, found, Path(folder))
        models = [
            _pinned(state, version, Path(folder) / which)
            for which, version in (("head", found.move.base), ("version", found.move.result))
        ]
        differences, word = _compared(factory(found.cut), models, examples, said, recorded)
    if differences:
        return [failed(found.name, f"refuted: {difference}") for difference in differences], ""
    return [], f"{found.name}: {word}, {2 * said.count} losses on {said.count} examples of the monitor"


def _refuse_too_much(found: _Rollback) -> None:
    try:
        tokens = tokens_of(found.cut)
    except ValueError as error:
        raise OpenQuestion(f"its {error}") from error
    if tokens > MOST_TOKENS or found.said.count > MOST_EXAMPLES:
        raise OpenQuestion("it is of more, or longer texts than are read here")
    if found.said.profile not in TOLERANCES:
        raise OpenQuestion(f"the profile {found.said.profile!r} is not known here")


def _examples(state: StateFolder, found: _Rollback, folder: Path) -> Path:
    """A copy of the examples: of a fed file as it was kept, or of the sealed slice."""
    digest, copy = found.said.sha256, folder / "monitor.jsonl"
    data = find_listed(state.path / "data", found.data.digest, "train.jsonl", found.data.train)
    for place in (state.monitor(digest), data / MONITOR):
        if place.is_file():
            copy_regular(place, copy)
            if file_digest(copy) == digest:
                return copy
    if state.monitor(digest).exists():
        raise VerificationError("the monitor here is another than the one recorded")
    raise OpenQuestion("its monitor is not kept here")


def _pinned(state: StateFolder, version: Base, copy: Path) -> Path:
    """A copy of a version, so that nobody changes it between check and use."""
    if not (kept := state.model(version.digest)).is_dir():
        raise OpenQuestion(f"models/{version.digest} is not kept here")
    copy_listed(kept, copy)
    if not compare_folder(copy, version.files).intact or version_digest(copy) != version.digest:
        raise VerificationError("one of its versions here is another than the one recorded")
    return copy


def _compared(
    recomputer: Recomputer, models: list[Path], examples: Path, said: Measurement, recorded: Pairing
) -> tuple[list[str], Word]:
    """What is too far from the signed, and the word for the rest; in float64 where float32 differs."""
    differences: list[str] = []
    for profile in dict.fromkeys((said.profile, PROFILE)):
        base, new = (_losses(recomputer, model, examples, profile, said.count) for model in models)
        if not (found := compare(base, new, recorded, profile)):
            exact = said.profile == PROFILE
            return [], Word.EXACT if exact else Word.ARBITRATED if profile == PROFILE else Word.TOLERATED
        differences = found
    return differences, Word.REFUTED


def _losses(recomputer: Recomputer, model: Path, examples: Path, profile: str, count: int) -> Found:
    losses, right = recomputer.evaluate_some(model, examples, None, profile)
    if {len(losses), len(right)} != {count}:
        raise VerificationError(f"the monitor here has not the {count} examples recorded")
    return losses, right
