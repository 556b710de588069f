"""Step 10: energy figures are possible, and the account of the state was charged the same.

Nothing here proves a joule. The account is written by the same machine as the receipts, so the two agreeing
shows that neither was rolled back or edited alone. What the meter signed binds whoever only signs receipts.
What no machine could have done so cheaply, or have drawn in that time, is said by `plausible`.
"""

from __future__ import annotations

__all__ = ["ENERGY", "check_energy"]

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping

from cryoflux.errors import CryoFluxError
from cryoflux.quantities import format_energy
from cryoflux.receipts.statement import Base, EnergyFigure, Outcome, Receipt
from cryoflux.verification.artefacts import model_path
from cryoflux.verification.history import Attempt, History
from cryoflux.verification.locating import tensor_spans
from cryoflux.verification.material import ACCOUNT
from cryoflux.verification.plausible import implausible, trained_weights
from cryoflux.verification.result import Check, Claim, Finding, Step, conclude, failed, unknown
from cryoflux.verification.settlements import check_metered

ENERGY = Step(10, "energy figures", Claim.ATTESTED)

_OVERDRAFT_PERCENT = 105
_LEAST_WATTS_PER_CPU = 0.01
_NEVER, _ELSEWHERE = "never-reserved", "settled-elsewhere"
_TASK_PREFIX = "lora_"
_EDITED = "one of the two was rolled back or edited"


def check_energy(history: History) -> list[Check]:
    """Step 10: figures lie in their intervals; how many joules there were stays attested."""
    findings: list[Finding] = []
    tiers: Counter[str] = Counter()
    models: dict[Base, dict[str, int]] = {}
    for attempt in history.attempts:
        figure = attempt.receipt.energy
        tiers[figure.tier.value] += 1
        findings += [failed(attempt.name, complaint) for complaint in _impossible(figure)]
        findings += [unknown(attempt.name, question) for question in _odd(attempt.receipt)]
        weights = _weights(history, attempt.receipt, models)
        window_ns = _window_ns(figure) if figure.settlement else 0
        findings += implausible(attempt.name, attempt.receipt, weights=weights, window_ns=window_ns)
    findings += _account(history)
    wrong, signed = check_metered(history)
    findings += wrong
    total = format_energy(sum(attempt.receipt.energy.microjoules for attempt in history.attempts))
    measured = ", ".join(f"{count} {tier}" for tier, count in sorted(tiers.items())) or "no receipts"
    agreed = "; the account was charged the same" if history.material.settlements is not None else ""
    detail = f"{total} in all, {_assurance(history)}; tiers: {measured}{agreed}{signed}"
    return conclude(ENERGY, findings, detail)


def _assurance(history: History) -> str:
    words = sorted({attempt.receipt.energy.assurance for attempt in history.attempts})
    return " and ".join(words) or "self-reported"


def _impossible(figure: EnergyFigure) -> Iterator[str]:
    if not figure.lo_microjoules <= figure.microjoules <= figure.hi_microjoules:
        yield "its joules lie outside their own interval"
    if figure.microjoules < 0 or figure.lo_microjoules < 0:
        yield "says that it gave energy back; nobody is paid for having run"


def _odd(receipt: Receipt) -> Iterator[str]:
    figure = receipt.energy
    spent = format_energy(figure.microjoules)
    if figure.microjoules * 100 > figure.reserved_microjoules * _OVERDRAFT_PERCENT:
        reserved = format_energy(figure.reserved_microjoules)
        yield f"spent {spent} of {reserved} reserved: over by > 5 %"
    if receipt.outcome is Outcome.ABORTED:
        return
    if figure.microjoules == 0:
        yield "was trained and judged, but says that it cost no energy"
    elif 0 < figure.microjoules < _LEAST_WATTS_PER_CPU * figure.cpu_microseconds:
        yield f"says {spent} for {figure.cpu_microseconds / 1e6:.1f} s of CPU time: less than any processor"


def _weights(history: History, receipt: Receipt, known: dict[Base, dict[str, int]]) -> int:
    """Weights of the modules that were trained; 0 where the base model is not here."""
    state, base = history.material.state, receipt.base
    if state is None or receipt.training is None:
        return 0
    if base not in known:
        known.clear()  # attempts on one base follow one another
        try:
            files = sorted(model_path(state, base).rglob("*.safetensors"))
            spans = [span for path in files if path.is_file() for span in tensor_spans(path)]
        except (CryoFluxError, OSError, OverflowError):
            spans = []  # step 9 names what is wrong with it
        known[base] = {span.name: span.elements for span in spans}
    return trained_weights(receipt.training.modules, known[base])


def _window_ns(figure: EnergyFigure) -> int:
    """How long the meter says to have metered; 0 where it says nothing."""
    # Whether it signed that is for `metered` to say; a signature takes longer than all the rest of this step.
    try:
        payload = json.loads(base64.b64decode(json.loads(figure.settlement)["payload"]))
        window_ns = payload["windowNanoseconds"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return 0
    return window_ns if type(window_ns) is int and window_ns > 0 else 0


def _account(history: History) -> Iterator[Finding]:
    material = history.material
    embedded = [a for a in history.attempts if a.intent is not None and a.intent.meter == "embedded"]
    if material.account_problem:
        yield failed(ACCOUNT, material.account_problem)
    elif material.settlements is not None:
        for attempt in embedded:
            yield from _charged(attempt, material.settlements)
        yield from _without_receipt(history, material.settlements)
    elif material.state is not None and embedded:
        yield unknown(ACCOUNT, "is not here, so what was charged cannot be compared")


def _charged(attempt: Attempt, settlements: Mapping[str, int | None]) -> Iterator[Finding]:
    receipt, task = attempt.receipt, attempt.receipt.task.id
    if _ELSEWHERE in receipt.energy.flags:
        return  # another meter closed it, and this account settles what it holds of it later, or never
    if _NEVER in receipt.energy.flags:
        if task in settlements:
            yield failed(attempt.name, f"says that nothing was reserved, but {ACCOUNT} did; {_EDITED}")
    elif task not in settlements:
        yield failed(attempt.name, f"{ACCOUNT} knows no reservation of {task}; {_EDITED}")
    elif (settled := settlements[task]) is None:
        yield failed(attempt.name, f"{ACCOUNT} has not settled {task}; {_EDITED}")
    elif settled != receipt.energy.microjoules:
        said = f"says {receipt.energy.microjoules} µJ, but {ACCOUNT} settled {task} at {settled} µJ"
        yield failed(attempt.name, f"{said}; {_EDITED}")


def _without_receipt(history: History, settlements: Mapping[str, int | None]) -> Iterator[Finding]:
    tasks = {attempt.receipt.task.id for attempt in history.attempts}
    if history.intents and history.intents[-1][0].index == len(history.leaves) - 1:
        tasks.add(history.intents[-1][1].task.id)
    # An account that a daemon kept has served other logs too.
    shared = any(intent.meter == "daemon" for _, intent in history.intents)
    for task in settlements:
        if not task.startswith(_TASK_PREFIX) or task in tasks:
            continue
        if shared:
            yield unknown(ACCOUNT, f"charged {task}, which has no receipt here; maybe it is of another log")
        else:
            yield failed(ACCOUNT, f"charged {task}, which has no receipt: {_EDITED}")
