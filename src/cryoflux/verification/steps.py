"""The numbered steps of a verification, and the one function that goes through them.

1. The source is readable; every envelope and statement is strict and canonical.
2. Every envelope carries the signature of the expected key.
3. Sequence numbers count from 0 without a gap; each entry names the hash of the one before.
4. Stored leaf hashes, tiles and the signed checkpoint are those of the entries; none is missing at the end.
5. Each receipt ends the intent right before it and keeps to what it announced; none is left without one.
6. Δ = base − new, and sums and counts are possible together, of evaluations and of screens.
7. Policy, error budget, screen and acceptance rule, applied again, give the recorded choice, bar, decision,
   outcome and reason.
8. Each base model is the result before it; each use of a holdout is counted, and none is left before its
   error budget is spent.
9. Models, adapters, losses and data on the disk have the signed digests; the sets of examples are disjoint.
10. Energy figures lie in their intervals, and the account was charged the same. How many joules there were
    is attested, never proven.
11. On request: base and adapter, merged again, are the candidate, and its losses the recorded integers.
12. On request: a quorum of witnesses has cosigned, recently enough, a head that covers every receipt.
13. On request: the log continues the head that was seen when it was verified last.
14. On request: losses of examples that the signer could not choose are the recorded integers.
15. On request: how near an adapter comes that is trained again; being another one is no failure.

The steps are pure functions of what `material` has read; 9, 11, 14 and 15 read artefacts. None of them
raises: what is malformed, missing or hostile becomes a finding that names it.
"""

from __future__ import annotations

__all__ = ["STEPS", "verify_target"]

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import StorageError
from cryoflux.signing.keys import key_id
from cryoflux.verification.again import AGAIN, Again, check_again
from cryoflux.verification.arithmetic import ARITHMETIC, check_arithmetic
from cryoflux.verification.artefacts import ARTEFACTS, check_artefacts
from cryoflux.verification.decisions import DECISIONS, check_decisions
from cryoflux.verification.history import History, read_history
from cryoflux.verification.joules import ENERGY, check_energy
from cryoflux.verification.known_heads import REMEMBERED, check_memory, remember
from cryoflux.verification.levels import Levels, levels_json
from cryoflux.verification.lineage import LINEAGE, check_lineage
from cryoflux.verification.material import Material, read_material
from cryoflux.verification.order import (
    CHAIN,
    FORM,
    SIGNATURES,
    TREE,
    check_chain,
    check_form,
    check_signatures,
    check_tree,
)
from cryoflux.verification.pairs import PAIRS, check_pairs
from cryoflux.verification.recompute import RECOMPUTED
from cryoflux.verification.result import Check, Report, Status, Step, conclude, failed, unknown
from cryoflux.verification.spot_check import check_losses_roots
from cryoflux.verification.streaming import HOSTILE, LARGE, verify_in_one_pass
from cryoflux.verification.verified import remember_verified
from cryoflux.verification.witnessing import WITNESSED, Demand, check_witnessed, read_witnessed

_Run = Callable[[History], list[Check]]

STEPS: tuple[tuple[Step, _Run], ...] = (
    (FORM, check_form),
    (SIGNATURES, check_signatures),
    (CHAIN, check_chain),
    (TREE, check_tree),
    (PAIRS, check_pairs),
    (ARITHMETIC, check_arithmetic),
    (DECISIONS, check_decisions),
    (LINEAGE, check_lineage),
    (ARTEFACTS, lambda history: [*check_artefacts(history), *check_losses_roots(history)]),
    (ENERGY, check_energy),
)
_ARITHMETIC = {step.number for step in (ARITHMETIC, DECISIONS, LINEAGE, ENERGY)}
_IN_ONE_PASS = 8
"""steps that one pass over a long log goes through"""


def _guarded(step: Step, run: _Run, history: History) -> list[Check]:
    # The last line of defence: input that a step did not foresee is a failed check, not a traceback.
    try:
        return run(history)
    except HOSTILE as error:
        detail = f"the step could not finish: {type(error).__name__}: {error}"
        return conclude(step, [failed(str(history.material.target), detail)], "")


def verify_target(
    target: Path,
    *,
    key: Ed25519PublicKey | None = None,
    meter_key: Ed25519PublicKey | None = None,
    again: Again | None = None,
    demand: Demand | None = None,
    heads: Path | None = None,
    long: int = LARGE,
    progress: Callable[[int, int], None] | None = None,
    trust_memory: bool = False,
) -> Report:
    """Go through all steps.

    A long log is read in one pass (`cryoflux.verification.streaming`), with the same checks and words.

    Args:
        target: a state directory, or a file of exported envelopes.
        key: the key that receipts have to be signed by; a state brings its own otherwise.
        meter_key: the key that joules have to be signed by; the same.
        again: what is to be computed again.
        demand: what witnesses have to say.
        heads: folder of the heads that were seen before; a good one is remembered there.
        long: entries from which a log is long.
        progress: is told how many entries of how many of a long log are done.
        trust_memory: do not check signatures again that were checked here before, by what ``heads`` says.

    Raises:
        UsageError: there is no such target.
    """
    witnessed = read_witnessed(target)
    wanted = _Wanted(target, again, demand, witnessed, heads)
    memory = heads if trust_memory else None
    with verify_in_one_pass(target, key, meter_key, least=long, progress=progress, memory=memory) as passed:
        if passed is not None:
            rest = [pair for pair in STEPS if pair[0].number > _IN_ONE_PASS]
            report = _report(wanted, passed.history, passed.checks, rest, passed.evaluated)
            if report.ok and heads is not None and passed.verified is not None:
                with suppress(StorageError):  # step 13 says that nothing can be remembered
                    remember_verified(heads, passed.verified)
            return report
    history = read_history(read_material(target, key, meter_key))
    evaluated = sum(attempt.receipt.evaluation is not None for attempt in history.attempts)
    return _report(wanted, history, [], STEPS, evaluated)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for beside the steps that are always gone through."""

    target: Path
    again: Again | None
    demand: Demand | None
    witnessed: bytes | None
    heads: Path | None


def _report(
    wanted: _Wanted, history: History, done: list[Check], steps: Sequence[tuple[Step, _Run]], evaluated: int
) -> Report:
    material = history.material
    checks = [*done, *(check for step, run in steps for check in _guarded(step, run, history))]
    bad = {check.number for check in checks if check.status is Status.FAIL}
    levels = Levels(bytes_hold=not bad - _ARITHMETIC, arithmetic_holds=not bad & _ARITHMETIC)
    checks += _on_request(wanted, history, levels)
    if wanted.heads is not None:
        folder = wanted.heads
        checks += _guarded(REMEMBERED, lambda h: check_memory(h, folder), history)
        checks += _remembered(material, folder, checks)
    return Report(
        target=str(wanted.target),
        checks=tuple(checks),
        entries=len(material.rows),
        receipts=len(history.attempts),
        evaluated=evaluated,
        recomputed=sum((c.number, c.status) == (RECOMPUTED.number, Status.OK) for c in checks),
        signer=key_id(material.key) if material.key is not None else "",
        pinned=material.pinned,
        levels=tuple(levels_json(levels.found())),
    )


def _on_request(wanted: _Wanted, history: History, levels: Levels) -> list[Check]:
    checks: list[Check] = []
    heads = (history.material.checkpoint, wanted.witnessed)
    notes = [note for note in heads if note is not None]
    if wanted.again is not None:
        policy = wanted.demand.policy if wanted.demand is not None else None
        for step in AGAIN:
            asked_for = (step, wanted.again, notes, policy, levels)
            checks += _guarded(step, partial(check_again, asked_for), history)
    if wanted.demand is not None:
        asked = wanted.demand
        checks += _guarded(WITNESSED, lambda h: check_witnessed(h, notes, asked), history)
    return checks


def _remembered(material: Material, heads: Path, checks: list[Check]) -> list[Check]:
    if material.checkpoint is None or any(check.status is Status.FAIL for check in checks):
        return []
    try:
        remember(heads, material.checkpoint)
    except StorageError as error:
        return conclude(REMEMBERED, [unknown("this head", f"is not remembered: {error.what}")], "")
    return []
