"""The newest look at a monitor, evaluated again: with step 11, on the examples that were kept.

Head and versions are evaluated on the very examples that the session names, and what each version has shown
against the head is computed from that. So neither can a head that is worse be said to be none, nor another
version to be the best. What is kept as its list of updates is added up, and
leaves it open where it cannot be. What is not here any more is left out; a look of which nothing is left has
no line.
"""

from __future__ import annotations

__all__ = ["LOOK_AGAIN", "SignedLook", "check_look_again", "look_in", "looks_of"]

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryoflux.decision.monitor import cap_of, cut_mean_nano, evidence_milli
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.profiles import PROFILE, TOLERANCES
from cryoflux.receipts.session import MonitorCheck
from cryoflux.receipts.statement import Base, Data
from cryoflux.registry.cuts import Cut
from cryoflux.state import StateFolder
from cryoflux.verification.kept_again import examples_again, losses_again, refuse_too_much, version_again
from cryoflux.verification.levels import Word
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.recompute import RECOMPUTED, broken
from cryoflux.verification.recomputer import Recomputer, RecomputerFactory
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown

LOOK_AGAIN = NumberedStep(RECOMPUTED.number, "a look at the monitor evaluated again", Knowledge.RECOMPUTED)
_ROUNDING = 1
"""thousandths by which libraries of mathematics may round a logarithm differently"""
_STEEPEST = 19
"""of the logarithm of a factor, by the difference that is bet on: 0.95/(1 − 0.95)"""


@dataclass(frozen=True, slots=True)
class SignedLook:
    """A look that lists what each version has shown, and what the log says of its task."""

    name: str
    """of the session's entry"""
    said: MonitorCheck
    versions: Mapping[str, Base]
    """digest → version, of those that the log still knows and that are listed"""
    cut: Cut
    data: Data
    """its task's data set, as it was first"""
    unit: str


def looks_of(entry: Entry) -> list[MonitorCheck]:
    """What an entry says of heads that were held against others, a rollback included, in order."""
    if (session := entry.session) is not None:
        return session.checks
    move = entry.move
    if move is None or move.test is None or not move.evidence:
        return []
    test, said = move.test, move.evidence[0]
    look = MonitorCheck(
        task=move.task,
        head=move.base,
        sha256=said.sha256,
        count=said.count,
        compared=test.compared,
        needed_milli=test.needed_milli,
        evidence_milli=test.evidence_milli,
        microjoules=0,
        alpha_ppm=test.alpha_ppm,
        head_number=test.head_number,
        profile=said.profile,
        against=test.against,
    )
    return [look]


def look_in(entry: Entry, memory: LogState, cuts: Mapping[str, Cut], state: Path) -> SignedLook | None:
    """The last look of an entry of which something can be evaluated again; none where there is none.

    Args:
        entry: of the log.
        memory: the log before it.
        cuts: task → how much of a text it reads.
        state: where versions lie.
    """
    folder = StateFolder(state)
    for check in reversed(looks_of(entry)):
        known = memory.tasks.get(check.task)
        if known is None or not check.profile or not folder.model(check.head.digest).is_dir():
            continue
        listed = [known.makers[one.version] for one in check.against if one.version in known.makers]
        here = {
            one.version.digest: one.version for one in listed if folder.model(one.version.digest).is_dir()
        }
        if here:
            return SignedLook(entry.name, check, here, cuts.get(check.task, 0), known.data, known.metric.unit)
    return None


def check_look_again(state: Path | None, look: SignedLook | None, factory: RecomputerFactory) -> list[Check]:
    """Evaluate a look again; nothing where there is none.

    Args:
        state: where its models and examples lie.
        look: the newest of the log.
        factory: makes what evaluates.
    """
    if look is None or state is None:
        return []
    try:
        findings, summary = _evaluate(StateFolder(state), look, factory)
    except OpenQuestion as reason:
        findings, summary = [unknown(look.name, f"its look cannot be evaluated again here: {reason}")], ""
    except Exception as error:  # noqa: BLE001 - a trainer's libraries raise whatever they like
        findings, summary = [failed(look.name, broken(error))], ""
    return conclude(LOOK_AGAIN, findings, summary)


def _evaluate(state: StateFolder, look: SignedLook, factory: RecomputerFactory) -> tuple[list[Finding], str]:
    said = look.said
    refuse_too_much(look.cut, said.count, said.profile)
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as place:
        folder = Path(place)
        examples = examples_again(state, said.sha256, look.data, folder)
        recomputer = factory(look.cut)
        head = version_again(state, said.head, recomputer, folder / "head")
        others = {
            digest: version_again(state, one, recomputer, folder / digest)
            for digest, one in look.versions.items()
        }
        differences, word = _compared(recomputer, look, head, others, examples)
    if differences:
        return [failed(look.name, f"refuted: {difference}") for difference in differences], ""
    of = f"{len(others)} of the {len(said.against)} versions that it lists"
    return [], f"{look.name}: {word}, evidence against its head by {of}, on {said.count} examples"


def _compared(
    recomputer: Recomputer, look: SignedLook, head: Path, others: Mapping[str, Path], examples: Path
) -> tuple[list[str], Word]:
    """What is too far from the signed, and the word for the rest; in float64 where float32 differs."""
    differences: list[str] = []
    for profile in dict.fromkeys((look.said.profile, PROFILE)):
        evaluated = partial(
            losses_again, recomputer, examples=examples, profile=profile, count=look.said.count
        )
        mine, _ = evaluated(head)
        apart = (_apart(look, digest, mine, evaluated(folder)[0]) for digest, folder in others.items())
        if not (differences := [one for one in apart if one]):
            exact = look.said.profile == PROFILE
            return [], Word.EXACT if exact else Word.ARBITRATED if profile == PROFILE else Word.TOLERATED
    return differences, Word.REFUTED


def _apart(look: SignedLook, digest: str, head: list[int], other: list[int]) -> str:
    """How what a version shows here differs from what the look says; empty where it does not."""
    said = next(one for one in look.said.against if one.version == digest)
    cap, each = cap_of(look.unit), TOLERANCES[look.said.profile].each
    found, worse = evidence_milli(head, other, cap), cut_mean_nano(head, other, cap)
    # Losses may be off by so much on both sides, and the logarithm goes up no faster than this.
    room = _ROUNDING + math.ceil(1000 * _STEEPEST * len(head) * 2 * each / cap)
    if abs(found - said.evidence_milli) > room:
        return f"evidence by {digest[:16]}… is {found}, not {said.evidence_milli}"
    if abs(worse - said.worse_nano) > 2 * each + 1:
        return f"its head does worse than {digest[:16]}… by {worse} billionths, not by {said.worse_nano}"
    return ""
