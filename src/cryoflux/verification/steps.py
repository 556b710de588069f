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

The steps are pure functions of what `material` has read; 9 and 11 read artefacts. None of them raises:
what is malformed, missing or hostile becomes a finding that names it.
"""

from __future__ import annotations

__all__ = ["STEPS", "verify_target"]

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import CryoFluxError, StorageError
from cryoflux.signing.keys import key_id
from cryoflux.verification.artefacts import ARTEFACTS, check_artefacts
from cryoflux.verification.claims import ARITHMETIC, check_arithmetic
from cryoflux.verification.decisions import DECISIONS, check_decisions
from cryoflux.verification.history import History, read_history
from cryoflux.verification.joules import ENERGY, check_energy
from cryoflux.verification.lineage import LINEAGE, check_lineage
from cryoflux.verification.material import Material, read_material
from cryoflux.verification.memory import REMEMBERED, check_memory, remember
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
from cryoflux.verification.recompute import RECOMPUTED, RecomputerFactory, check_recomputed
from cryoflux.verification.result import Check, Report, Status, Step, conclude, failed, unknown
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
    (ARTEFACTS, check_artefacts),
    (ENERGY, check_energy),
)
_HOSTILE = (CryoFluxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, OSError)


def _guarded(step: Step, run: _Run, history: History) -> list[Check]:
    # The last line of defence: input that a step did not foresee is a failed check, not a traceback.
    try:
        return run(history)
    except _HOSTILE as error:
        detail = f"the step could not finish: {type(error).__name__}: {error}"
        return conclude(step, [failed(str(history.material.target), detail)], "")


def verify_target(
    target: Path,
    *,
    key: Ed25519PublicKey | None = None,
    meter_key: Ed25519PublicKey | None = None,
    recompute: int = 0,
    recomputer: RecomputerFactory | None = None,
    demand: Demand | None = None,
    heads: Path | None = None,
) -> Report:
    """Go through all steps.

    Args:
        target: a state directory, or a file of exported envelopes.
        key: the key that receipts have to be signed by; a state brings its own otherwise.
        meter_key: the key that joules have to be signed by; the same.
        recompute: receipts to evaluate again.
        recomputer: makes what evaluates; needed where ``recompute`` is positive.
        demand: what witnesses have to say.
        heads: folder of the heads that were seen before; a good one is remembered there.

    Raises:
        UsageError: there is no such target.
    """
    witnessed = read_witnessed(target)
    material = read_material(target, key, meter_key)
    history = read_history(material)
    checks = [check for step, run in STEPS for check in _guarded(step, run, history)]
    if recompute and recomputer is not None:
        factory = recomputer
        checks += _guarded(RECOMPUTED, lambda h: check_recomputed(h, recompute, factory), history)
    if demand is not None:
        asked, notes = demand, [note for note in (material.checkpoint, witnessed) if note is not None]
        checks += _guarded(WITNESSED, lambda h: check_witnessed(h, notes, asked), history)
    if heads is not None:
        folder = heads
        checks += _guarded(REMEMBERED, lambda h: check_memory(h, folder), history)
        checks += _remembered(material, heads, checks)
    return Report(
        target=str(target),
        checks=tuple(checks),
        entries=len(material.rows),
        receipts=len(history.attempts),
        evaluated=sum(attempt.receipt.evaluation is not None for attempt in history.attempts),
        recomputed=sum((c.number, c.status) == (RECOMPUTED.number, Status.OK) for c in checks),
        signer=key_id(material.key) if material.key is not None else "",
        pinned=material.pinned,
    )


def _remembered(material: Material, heads: Path, checks: list[Check]) -> list[Check]:
    if material.checkpoint is None or any(check.status is Status.FAIL for check in checks):
        return []
    try:
        remember(heads, material.checkpoint)
    except StorageError as error:
        return conclude(REMEMBERED, [unknown("this head", f"is not remembered: {error.what}")], "")
    return []
