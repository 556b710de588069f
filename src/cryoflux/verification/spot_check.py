"""Step 14: evaluate again a few examples that are drawn after their losses were signed.

The receipt commits to every loss by a Merkle root (`cryoflux.receipts.losses_tree`). A seed draws examples
(`challenge`; the verifier's own, unless another is named), half of them evenly, half in proportion to what is
recorded as gained on them (`draws`). Each drawn loss is shown to be in the tree that was signed, and computed
again, of the base and of the candidate, which is made again. What a forgery can be that such a draw misses is
said with it.
"""

from __future__ import annotations

__all__ = ["SPOT_CHECKED", "check_spots"]

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryoflux.quantities import NANO
from cryoflux.receipts.merkle import inclusion_proof, leaf_hash, verify_inclusion
from cryoflux.receipts.profiles import F32, PROFILE, ROUNDED
from cryoflux.verification.challenge import Challenge, Challenger
from cryoflux.verification.draws import CHANCES, Draw, draw
from cryoflux.verification.levels import Level, Levels, Word
from cryoflux.verification.loss_comparison import compare, tolerated_flips
from cryoflux.verification.pairing import Pairing, order_of
from cryoflux.verification.recompute import (
    Case,
    OpenQuestion,
    Remade,
    broken,
    choose,
    make_candidate,
    pinned,
    prepare,
)
from cryoflux.verification.recomputer import (
    OtherFactories,
    Recomputer,
    RecomputerFactory,
    factory_for,
    target_tokens,
    tokens_apart,
)
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.walked import Walked

SPOT_CHECKED = NumberedStep(14, "drawn examples evaluated again", Knowledge.RECOMPUTED)


def check_spots(
    walked: Walked,
    wanted: int,
    most: int,
    factory: RecomputerFactory,
    challenges: Challenger,
    levels: Levels | None = None,
    others: OtherFactories = MappingProxyType({}),
) -> list[Check]:
    """Step 14, for the last accepted receipt first, then the newest others that were evaluated.

    Args:
        walked: the log and its state.
        wanted: examples of each.
        most: receipts.
        factory: makes what evaluates.
        challenges: says what draws.
        levels: is told what came of it.
        others: make what evaluates receipts of other kinds.
    """
    said, checks = levels or Levels(), []
    for paired in choose(walked, most):
        again = ""
        try:
            case = prepare(walked, paired)
            challenge = challenges(paired.entry.index)
            if challenge is None:
                raise OpenQuestion("no signed head of the log covers it, so no head can draw examples")
            again = f"; {challenge.option} draws the same examples"
            own = factory_for(paired.receipt.training, factory, others, case.state)
            findings, note = _check(case, challenge, wanted, own, said)
        except OpenQuestion as reason:
            said.say(paired, Level.SPOT_CHECK, Word.OPEN)
            findings, note = [unknown(paired.name, f"cannot be spot-checked here: {reason}")], ""
        except Exception as error:  # noqa: BLE001 - a trainer's libraries raise whatever they like
            said.say(paired, Level.SPOT_CHECK, Word.REFUTED)
            findings, note = [failed(paired.name, f"{broken(error)}{again}")], ""
        checks += conclude(SPOT_CHECKED, findings, f"{paired.name}: {note}" if note else "")
    if not checks:
        return conclude(SPOT_CHECKED, [unknown("receipts", "no receipt carries an evaluation")], "")
    return checks


def _check(
    case: Case, challenge: Challenge, wanted: int, factory: RecomputerFactory, levels: Levels
) -> tuple[list[Finding], str]:
    name, leaf = case.paired.name, bytes.fromhex(case.paired.entry.leaf_hash)
    gains = [base - new for base, new in zip(case.recorded.base, case.recorded.new, strict=True)]
    drawn = draw(challenge.seed, leaf, gains, wanted)
    levels.drew(case.paired, _drawn_json(challenge, drawn, 0))
    if not_in_tree := list(_outside(case, drawn.positions)):
        levels.say(case.paired, Level.SPOT_CHECK, Word.REFUTED)
        return [failed(name, f"refuted: {not_in_tree[0]}")], ""
    recomputer = factory(case.cut)
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as folder:
        case = pinned(case, Path(folder), recomputer)
        candidate = make_candidate(case, recomputer, Path(folder), levels)
        word, differences = _evaluate(case, recomputer, candidate, drawn.positions)
    may = tolerated_flips(len(drawn.positions), case.evaluation.profile, loose=candidate.loose)
    levels.drew(case.paired, _drawn_json(challenge, drawn, may))
    levels.say(case.paired, Level.SPOT_CHECK, Word.REFUTED if differences else word)
    if differences:
        again = f"{challenge.option} draws the same examples"
        return [failed(name, f"refuted: {difference}; {again}") for difference in differences], ""
    how = f"{word} on {len(drawn.positions)} of {drawn.count} examples, {challenge.describe()}"
    note = f"{how}; {_missed(drawn, sum(gains), case.evaluation.metric.unit, may)}"
    return [unknown(name, candidate.question)] if candidate.question else [], note


def _drawn_json(challenge: Challenge, drawn: Draw, tolerated: int) -> dict[str, Any]:
    missed = [drawn.missed(chance, tolerated) for chance in CHANCES]
    return {
        "by": challenge.drawn_by.value,
        "seed": challenge.seed.hex(),
        "witnesses": list(challenge.witnesses),
        "examples": len(drawn.positions),
        "of": drawn.count,
        "evenly": drawn.evenly,
        "by_gain": drawn.by_gain,
        "missed": [
            {
                "chance": float(one.chance),
                "examples": one.examples,
                "gain_sum": one.gain,
                "predictions": one.predictions,
            }
            for one in missed
        ],
    }


def _outside(case: Case, positions: Sequence[int]) -> Iterator[str]:
    """Why a drawn loss is not one that the receipt committed to."""
    root = case.evaluation.losses_root
    if not root:
        return  # an older receipt commits to the whole file, whose digest was checked when it was read
    hashes = [
        leaf_hash(leaf)
        for leaf in case.recorded.leaves(order_of(case.evaluation, case.paired.receipt.holdout))
    ]
    for position in positions:
        proof = inclusion_proof(position, hashes)
        if not verify_inclusion(position, len(hashes), hashes[position], proof, bytes.fromhex(root)):
            yield f"example {position} is not in the tree of losses that was signed"


def _evaluate(
    case: Case, recomputer: Recomputer, candidate: Remade, positions: Sequence[int]
) -> tuple[Word, list[str]]:
    said = case.recorded
    recorded = Pairing(
        [said.base[i] for i in positions],
        [said.new[i] for i in positions],
        [said.base_correct[i] for i in positions],
        [said.new_correct[i] for i in positions],
    )
    order = order_of(case.evaluation, case.paired.receipt.holdout)
    indices, profile = [order[position] for position in positions], case.evaluation.profile
    models, loose = (case.base, candidate.model), candidate.loose
    tokens = target_tokens(recomputer, profile, case.holdout, case.base)
    counts = [tokens[index] for index in indices] if tokens else []
    if apart := tokens_apart(recomputer, case.paired.receipt, case.holdout, case.base):
        return Word.REFUTED, apart
    for arithmetic in (profile, PROFILE) if profile == F32 else (profile,):
        base, new = (recomputer.evaluate_some(m, case.holdout, indices, arithmetic) for m in models)
        if not (differences := compare(base, new, recorded, profile, loose=loose, tokens=counts)):
            exact = Word.EXACT if profile not in ROUNDED and not loose else Word.TOLERATED
            return (exact if arithmetic == profile else Word.ARBITRATED), []
    return Word.REFUTED, differences


def _missed(drawn: Draw, delta_sum: int, unit: str, tolerated: int) -> str:
    """What a forgery can be that is not found; ``tolerated`` predictions that differ are none."""
    may = f"of the predictions, up to {tolerated} may differ" if tolerated else ""
    if drawn.all:
        return f"that is all of them; {may}" if may else "that is all of them"
    delta, said = f" of Δ = {delta_sum / drawn.count / NANO:+.6f} {unit}", []
    for chance in CHANCES:
        most = drawn.missed(chance, tolerated)
        gain = most.gain / drawn.count / NANO
        said.append(f"{float(chance):.0%}: at most {most.examples} examples with {gain:.6f}{delta}")
        delta = ""
    if may:
        counts = (f"{float(chance):.0%}: {drawn.missed(chance, tolerated).predictions}" for chance in CHANCES)
        may = f"; {may}, so of forged ones it misses more: with {', '.join(counts)} examples"
    return (
        f"forgeries that it misses with a chance of {', of '.join(said)}{may}; what the candidate truly "
        "loses on them is not bounded but by their number: Δ may be lower by more than that"
    )
