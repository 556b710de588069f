"""The losses of the newest rollback, evaluated again: with step 11, and on the monitor that was kept.

Head and version gone back to are evaluated on the very examples that the entry names, and compared integer by
integer with what it signs. Both versions and the examples have to be here; what was freed leaves it open.
"""

from __future__ import annotations

__all__ = ["ROLLBACK_AGAIN", "check_rollback_again"]

import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryoflux.log_state import LogState
from cryoflux.receipts.profiles import PROFILE
from cryoflux.receipts.statement import Data, HeadMove, Measurement
from cryoflux.registry.cuts import Cut
from cryoflux.state import StateFolder
from cryoflux.verification.kept_again import examples_again, losses_again, refuse_too_much, version_again
from cryoflux.verification.levels import Word
from cryoflux.verification.look_again import SignedLook, check_look_again, look_in
from cryoflux.verification.loss_comparison import compare
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.pairing import Pairing, read_losses
from cryoflux.verification.recompute import RECOMPUTED, broken
from cryoflux.verification.recomputer import Recomputer, RecomputerFactory
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.walk import follow, read_rows
from cryoflux.verification.walked import Walked

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
    """Evaluate the newest rollback and the newest look at a monitor again; nothing where the log has none.

    Args:
        walked: the log and its state.
        factory: makes what evaluates.
    """
    rollback, look = _newest(walked)
    looked = check_look_again(walked.material.state, look, factory)
    if rollback is None:
        return looked
    try:
        findings, summary = _evaluate(walked, rollback, factory)
    except OpenQuestion as reason:
        findings, summary = [unknown(rollback.name, f"cannot be evaluated again here: {reason}")], ""
    except Exception as error:  # noqa: BLE001 - a trainer's libraries raise whatever they like
        findings, summary = [failed(rollback.name, broken(error))], ""
    return [*conclude(ROLLBACK_AGAIN, findings, summary), *looked]


def _newest(walked: Walked) -> tuple[_Rollback | None, SignedLook | None]:
    memory, cuts, state = LogState(), dict[str, Cut](), walked.material.state
    rollback: _Rollback | None = None
    look: SignedLook | None = None
    for seen in read_rows(walked.material.rows, memory):
        entry = seen.entry
        if entry is not None and entry.intent is not None:
            cuts[entry.intent.task.name] = entry.intent.recipe.get("max_tokens", 0)
        move = entry.move if entry is not None else None
        known = memory.tasks.get(move.task) if move is not None else None
        if move is not None and move.evidence and known is not None:
            rollback = _Rollback(seen.name, move, move.evidence[0], cuts.get(move.task, 0), known.data)
        if entry is not None and state is not None:
            look = look_in(entry, memory, cuts, state) or look
        follow(seen, memory)  # what is wrong with it was said in the first pass
    return rollback, look


def _evaluate(walked: Walked, found: _Rollback, factory: RecomputerFactory) -> tuple[list[Finding], str]:
    """What differs, and the line where nothing does."""
    if walked.material.state is None:
        raise OpenQuestion("an exported file brings neither models nor data")
    state, said = StateFolder(walked.material.state), found.said
    refuse_too_much(found.cut, said.count, said.profile)
    try:
        recorded = read_losses(state.losses(said.per_example), said.per_example, said.count)
    except ValueError as error:
        raise OpenQuestion(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as folder:
        examples = examples_again(state, said.sha256, found.data, Path(folder))
        recomputer = factory(found.cut)
        models = [
            version_again(state, version, recomputer, Path(folder) / which)
            for which, version in (("head", found.move.base), ("version", found.move.result))
        ]
        differences, word = _compared(recomputer, models, examples, said, recorded)
    if differences:
        return [failed(found.name, f"refuted: {difference}") for difference in differences], ""
    return [], f"{found.name}: {word}, {2 * said.count} losses on {said.count} examples of the monitor"


def _compared(
    recomputer: Recomputer, models: list[Path], examples: Path, said: Measurement, recorded: Pairing
) -> tuple[list[str], Word]:
    """What is too far from the signed, and the word for the rest; in float64 where float32 differs."""
    differences: list[str] = []
    for profile in dict.fromkeys((said.profile, PROFILE)):
        base, new = (losses_again(recomputer, model, examples, profile, said.count) for model in models)
        if not (found := compare(base, new, recorded, profile)):
            exact = said.profile == PROFILE
            return [], Word.EXACT if exact else Word.ARBITRATED if profile == PROFILE else Word.TOLERATED
        differences = found
    return differences, Word.REFUTED
