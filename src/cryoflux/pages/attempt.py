"""The page ``/attempts/N``: one attempt, why it ended as it did, what it cost, and how to check that."""

from __future__ import annotations

__all__ = ["page", "with_power"]

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from cryoflux.errors import UsageError
from cryoflux.pages.charts.charge import charge_bar
from cryoflux.pages.charts.histogram import histogram
from cryoflux.pages.charts.trace import trace
from cryoflux.pages.scene import Page, Scene
from cryoflux.quantities import MICRO, Energy
from cryoflux.queries.attempt_detail import AttemptDetail, OpenAttempt, attempt_detail, open_attempt
from cryoflux.queries.marks import drawn_as
from cryoflux.queries.power import power_of_attempt
from cryoflux.receipts.flat_parts import flat_parts
from cryoflux.receipts.statement import Receipt
from cryoflux.report.attempt_words import parts_text
from cryoflux.report.decision_words import attempt_headline, attempt_lede
from cryoflux.report.training_words import training_facts
from cryoflux.report.trust_words import trust_in
from cryoflux.state import StateFolder

_MOST_DIGITS = 9
_HEAD = "attempts"


@dataclass(frozen=True, slots=True)
class _PhaseRow:
    """What one phase was charged."""

    name: str
    energy: Energy
    drawn: Markup


def page(scene: Scene, named: str) -> Page:
    """The page of an attempt, without what `with_power` puts in.

    Raises:
        UsageError: there is no such attempt.
    """
    number = int(named) if named.isascii() and named.isdecimal() and len(named) <= _MOST_DIGITS else 0
    title = f"Attempt #{number}"
    if (detail := attempt_detail(scene.followed, number)) is not None:
        return Page("attempt.html", title, section=_HEAD, values=_finished(scene, detail))
    if (unfinished := open_attempt(scene.followed, number)) is not None:
        return Page("attempt_open.html", title, section=_HEAD, values=_unfinished(scene, unfinished))
    raise UsageError(f"There is no attempt #{number}.", hint="Choose one under Attempts.")


def with_power(page: Page, scene: Scene) -> Page:
    """The same page with the watts of a finished attempt: no part of the log, so outside its lock."""
    if page.values.get("attempt") is None:
        return page
    number = page.values["attempt"].number
    series = power_of_attempt(StateFolder(scene.followed.state), number)
    drawn = trace(series, f"Net power during attempt #{number}")
    return replace(page, values={**page.values, "power": drawn})


def _to(scene: Scene) -> Callable[[int], str]:
    return lambda number: scene.link(f"/attempts/{number}")


def _unfinished(scene: Scene, found: OpenAttempt) -> dict[str, Any]:
    return {"found": found, "to": _to(scene), "state": shlex.quote(str(scene.followed.state))}


def _finished(scene: Scene, detail: AttemptDetail) -> dict[str, Any]:
    attempt, receipt = detail.attempt, detail.receipt
    state = shlex.quote(str(scene.followed.state))
    return {
        "detail": detail,
        "attempt": attempt,
        "receipt": receipt,
        "kind": drawn_as(attempt),
        "headline": attempt_headline(attempt),
        "lede": attempt_lede(attempt, receipt),
        "drawn": _histogram(detail),
        "interval": attempt.delta_interval,
        "near": _near(scene, receipt),
        "energy": receipt.energy.energy,
        "reserved_uj": receipt.energy.reserved_microjoules,
        "charge": _charge(detail),
        "phases": _phases(detail),
        "parts_text": parts_text(flat_parts(receipt.energy) or ()),
        "power": None,
        "facts": training_facts(receipt),
        "changed": [row for row in detail.recipe if row.changed],
        "same": [row for row in detail.recipe if not row.changed],
        "digests": _digests(detail),
        "trust": trust_in(receipt, losses_here=detail.changes is not None),
        "commands": _commands(detail, state),
        "worth": attempt.eta_per_kj is not None and attempt.eta_per_kj > 0,
        "to": _to(scene),
    }


def _near(scene: Scene, receipt: Receipt) -> int:
    """Examples of its holdout with a near duplicate in train, as the state counted them when it began.

    They were counted for the first holdout and the texts of that moment: 0 for any other.
    """
    origin, first = scene.followed.origins().get(receipt.task.name), scene.followed.intent_of(1)
    counted = first is not None and first.data.holdout.sha256 == receipt.holdout.sha256
    return origin.near if origin is not None and counted else 0


def _histogram(detail: AttemptDetail) -> object:
    attempt, changes = detail.attempt, detail.changes
    if changes is None or attempt.delta is None:
        return None
    title = (
        f"{changes.count} examples by how their loss changed: {changes.better} better, "
        f"{changes.worse} worse, {changes.hardly} hardly moved"
    )
    one = attempt.delta_interval
    return histogram(changes, attempt.delta, (one.low, one.high) if one is not None else None, title)


def _ends(energy: Energy) -> tuple[float, float, float]:
    return energy.uj / MICRO, energy.lo_uj / MICRO, energy.hi_uj / MICRO


def _charge(detail: AttemptDetail) -> Markup:
    figure = detail.receipt.energy
    reserved = figure.reserved_microjoules / MICRO
    ends = _ends(figure.energy)
    return charge_bar(ends, 1.02 * max(reserved, *ends), reserved=reserved)


def _phases(detail: AttemptDetail) -> list[_PhaseRow]:
    figure = detail.receipt.energy
    energies = [
        (one.name, Energy(one.microjoules, one.lo_microjoules, one.hi_microjoules, figure.tier))
        for one in figure.phases
    ]
    whole = max((energy.hi_uj / MICRO for _, energy in energies), default=0.0)
    return [_PhaseRow(name, energy, charge_bar(_ends(energy), whole)) for name, energy in energies]


def _digests(detail: AttemptDetail) -> list[tuple[str, str, str]]:
    """Names, digests, and what each is."""
    receipt = detail.receipt
    made = next((one.digest.sha256 for one in detail.entry.statement.subject), "")
    found = [
        ("this receipt", detail.entry.leaf_hash, f"leaf hash of entry {detail.entry.index}"),
        (
            "announced by",
            receipt.intent,
            f"leaf hash of entry {detail.intent.sequence}" if detail.intent else "",
        ),
    ]
    if receipt.training is not None:
        found.append(("adapter", made, "SHA-256 of the file"))
    found.append(("model before", receipt.base.digest, "of its tensors"))
    if receipt.result != receipt.base:
        found.append(("model after", receipt.result.digest, "of its tensors"))
    found.append(("holdout", receipt.holdout.sha256, f"{receipt.holdout.count:,} examples"))
    if receipt.evaluation is not None:
        found.append(("losses", receipt.evaluation.per_example, "of each example, before and after"))
    return found


def _commands(detail: AttemptDetail, state: str) -> list[str]:
    again = " --recompute all" if detail.receipt.evaluation is not None else ""
    return [
        f"cryoflux verify {state}{again}",
        f"cryoflux receipts show '#{detail.attempt.number}' --state {state}",
    ]
