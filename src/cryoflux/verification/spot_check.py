r"""Step 14: evaluate again a few examples that the signer could not choose.

The receipt commits to every loss by a Merkle root (`cryoflux.receipts.losses_tree`). Which of them are looked
at follows from a value that came after the receipt:

- the cosignatures of witnesses over the first signed head here that covers the receipt, where a policy names
  them: the signer would need a witness's key to foresee them;
- else the log's own head. The signer made that head, so it could have tried losses until the draw missed the
  forged ones; the word for such a check says so.

``seed = SHA-256("cryoflux/spot-check/v1\n" ‖ text of the head ‖ cosignatures)``, a cosignature being key
id, time and signature, those of the policy's witnesses alone, in ascending order. Draw ``k`` (from 0) is
``SHA-256(seed ‖ leaf hash of the receipt ‖ uint64 BE k)``, big-endian, modulo the number of examples that
were read; what was drawn before is passed over.

Each drawn loss is shown to be in the tree that was signed, and computed again from base and adapter. If a
share f of the examples is forged, N draws miss all of them with a chance of at most (1 - f)^N.
"""

from __future__ import annotations

__all__ = ["SPOT_CHECKED", "Challenge", "challenge_of", "check_spots", "draw"]

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import Note, cosigned_at, parse_note
from cryoflux.receipts.merkle import inclusion_proof, leaf_hash, verify_inclusion
from cryoflux.receipts.profiles import PROFILE
from cryoflux.verification.artefacts import Pairing, order_of
from cryoflux.verification.levels import Level, Levels, Word
from cryoflux.verification.recompute import (
    Case,
    OpenQuestion,
    Recomputer,
    RecomputerFactory,
    Remade,
    broken,
    choose,
    compare,
    make_candidate,
    pinned,
    prepare,
)
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.walked import Walked
from cryoflux.witness.policy import Policy

SPOT_CHECKED = NumberedStep(14, "drawn examples evaluated again", Knowledge.RECOMPUTED)
_DOMAIN = b"cryoflux/spot-check/v1\n"


@dataclass(frozen=True, slots=True)
class Challenge:
    """A value that came after a receipt, and how far it is beyond the signer's reach."""

    seed: bytes
    witnesses: tuple[str, ...]
    """whose cosignatures it was made of; none where the log's own head has to do"""
    size: int
    """entries that the head covers"""

    def describe(self) -> str:
        """Where it came from, and what that is worth."""
        head = f"the head of {self.size} entries"
        if self.witnesses:
            return f"drawn by the cosignatures of {', '.join(self.witnesses)} over {head}"
        return f"drawn by {head}, which the signer made itself and could have tried often: a weaker check"


def challenge_of(
    walked: Walked, notes: Sequence[bytes], policy: Policy | None, index: int
) -> Challenge | None:
    """What draws the examples of the receipt at ``index``; none where no signed head covers it.

    Args:
        walked: the log.
        notes: its signed heads, each with the cosignatures that it carries.
        policy: names the witnesses that count.
        index: of the receipt's entry.
    """
    found = []
    for content in notes:
        try:
            note = parse_note(content)
            point = note.checkpoint
            covers = index < point.size <= walked.size
            if covers and walked.roots.get(point.size) == point.root:
                found.append(_challenge(note, policy))
        except VerificationError:
            continue  # steps 4 and 12 say what is wrong with a head
    # the more witnesses the better, and then the first head: a later one could be waited for
    return min(found, key=lambda one: (-len(one.witnesses), one.size), default=None)


def _challenge(note: Note, policy: Policy | None) -> Challenge:
    names, signed = [], []
    for line in policy.witnesses if policy else ():
        # the signer may add lines, so only those of known witnesses count, each with all that it said
        if cosigned_at(note, line.key) is not None:
            names.append(line.name)
            signed += [line.key.id + signature for signature in note.by(line.key)]
    text = note.checkpoint.text
    seed = hashlib.sha256(_DOMAIN + text + b"".join(sorted(signed))).digest()
    return Challenge(seed, tuple(sorted(names)), note.checkpoint.size)


def draw(seed: bytes, leaf: bytes, count: int, wanted: int) -> list[int]:
    """Positions of ``wanted`` different examples out of ``count``, in the order in which they are drawn.

    Args:
        seed: of the challenge.
        leaf: leaf hash of the receipt.
        count: examples that were read.
        wanted: how many to draw; all of them where it is more.
    """
    if wanted >= count:
        return list(range(count))
    drawn: dict[int, None] = {}
    number = 0
    while len(drawn) < wanted:
        digest = hashlib.sha256(seed + leaf + number.to_bytes(8, "big")).digest()
        drawn.setdefault(int.from_bytes(digest, "big") % count)
        number += 1
    return list(drawn)


def check_spots(
    walked: Walked,
    wanted: int,
    most: int,
    factory: RecomputerFactory,
    notes: Sequence[bytes],
    policy: Policy | None,
    levels: Levels | None = None,
) -> list[Check]:
    """Step 14, for the last accepted receipt first, then the newest others that were evaluated.

    Args:
        walked: the log and its state.
        wanted: examples of each.
        most: receipts.
        factory: makes what evaluates.
        notes: signed heads of the log.
        policy: witnesses whose cosignatures may draw.
        levels: is told what came of it.
    """
    said, checks = levels or Levels(), []
    for paired in choose(walked, most):
        try:
            case = prepare(walked, paired)
            challenge = challenge_of(walked, notes, policy, paired.entry.index)
            if challenge is None:
                raise OpenQuestion("no signed head of the log covers it, so nothing can draw examples")
            findings, note = _check(case, challenge, wanted, factory, said)
        except OpenQuestion as reason:
            said.say(paired, Level.SPOT_CHECK, Word.OPEN)
            findings, note = [unknown(paired.name, f"cannot be spot-checked here: {reason}")], ""
        except Exception as error:  # noqa: BLE001 - a trainer's libraries raise whatever they like
            said.say(paired, Level.SPOT_CHECK, Word.REFUTED)
            findings, note = [failed(paired.name, broken(error))], ""
        checks += conclude(SPOT_CHECKED, findings, f"{paired.name}: {note}" if note else "")
    if not checks:
        return conclude(SPOT_CHECKED, [unknown("receipts", "no receipt carries an evaluation")], "")
    return checks


def _check(
    case: Case, challenge: Challenge, wanted: int, factory: RecomputerFactory, levels: Levels
) -> tuple[list[Finding], str]:
    name, leaf = case.paired.name, bytes.fromhex(case.paired.entry.leaf_hash)
    count = len(case.recorded.base)
    positions = draw(challenge.seed, leaf, count, wanted)
    if not_in_tree := list(_outside(case, positions)):
        levels.say(case.paired, Level.SPOT_CHECK, Word.REFUTED)
        return [failed(name, f"refuted: {not_in_tree[0]}")], ""
    recomputer = factory(case.cut)
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as folder:
        case = pinned(case, Path(folder))
        candidate = make_candidate(case, recomputer, Path(folder), levels)
        word, differences = _evaluate(case, recomputer, candidate, positions)
    levels.say(case.paired, Level.SPOT_CHECK, Word.REFUTED if differences else word)
    if differences:
        return [failed(name, f"refuted: {difference}") for difference in differences], ""
    note = (
        f"{word} on {len(positions)} of {count} examples, {challenge.describe()}; {_missed(positions, count)}"
    )
    return [unknown(name, candidate.question)] if candidate.question else [], note


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
    for arithmetic in dict.fromkeys((profile, PROFILE)):
        base, new = (recomputer.evaluate_some(m, case.holdout, indices, arithmetic) for m in models)
        if not (differences := compare(base, new, recorded, profile, loose=loose)):
            exact = Word.EXACT if profile == PROFILE and not loose else Word.TOLERATED
            return (exact if arithmetic == profile else Word.ARBITRATED), []
    return Word.REFUTED, differences


def _missed(positions: Sequence[int], count: int) -> str:
    drawn = len(positions)
    if drawn == count:
        return "that is all of them"
    chances = ", ".join(f"{share:.0%} with {(1 - share) ** drawn:.2g}" for share in (0.01, 0.05, 0.2))
    return f"a forged share f of the examples is missed with a chance of at most (1-f)^{drawn}: {chances}"
