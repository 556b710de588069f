"""Step 11: evaluate again what receipts say was evaluated, and compare integers.

Under the profile ``f64-nanonat/v1`` a loss is computed in float64 and rounded once to a nano-nat, so
honest machines agree on the integer; only a value that sits on a rounding boundary may differ, by one
unit. Equal therefore means: the same integers, or one nano-nat apart on at most 0.5 % of the examples.
Where reading stopped early, only what was read is compared, in reading order.
The candidate is made again from base and adapter and has to get its recorded digest, because a folder that
was kept says nothing of where it came from. Only where the adapter is withheld is that folder evaluated.
"""

from __future__ import annotations

__all__ = ["Recomputer", "RecomputerFactory", "check_recomputed"]

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryoflux.decision.sequential import reading_order
from cryoflux.errors import CryoFluxError
from cryoflux.quantities import NANO
from cryoflux.receipts.statement import Evaluation, Holdout, Outcome
from cryoflux.verification.artefacts import (
    Losses,
    capsule_path,
    losses_path,
    model_path,
    read_losses,
    tensors_of,
)
from cryoflux.verification.claims import PROFILE, examples_read
from cryoflux.verification.datasets import holdout_path
from cryoflux.verification.history import Attempt, History
from cryoflux.verification.result import Check, Claim, Finding, Step, conclude, failed, unknown

RECOMPUTED = Step(11, "losses evaluated again", Claim.RECOMPUTED)
_MOST_OFF_BY_ONE = 0.005


class Recomputer(Protocol):
    """What can evaluate a model; the only part of a verification that needs a trainer's libraries."""

    def evaluate(self, model: Path, holdout: Path) -> tuple[list[int], list[bool]]:
        """Losses of a model on a holdout in nano-nats, and which examples it gets right."""

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        """Merge an adapter into a base model, below the folder ``into``; the merged model's folder."""


_Found = tuple[list[int], list[bool]]
RecomputerFactory = Callable[[int], Recomputer]
"""Makes a recomputer for texts that were truncated to so many tokens."""


class _Open(Exception):  # noqa: N818 - not an error: the question stays open
    """This receipt cannot be evaluated again here."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One receipt and all that it takes to evaluate it again."""

    state: Path
    attempt: Attempt
    evaluation: Evaluation
    holdout: Path
    recorded: Losses


def check_recomputed(history: History, most: int, factory: RecomputerFactory) -> list[Check]:
    """Step 11: the last accepted receipt first, then the newest others that were evaluated.

    Args:
        history: the log and its state.
        most: receipts to evaluate again.
        factory: makes what evaluates.
    """
    chosen = _choose(history, most)
    if not chosen:
        return conclude(RECOMPUTED, [unknown("receipts", "no receipt carries an evaluation")], "")
    return [check for attempt in chosen for check in _recompute(history, attempt, factory)]


def _recompute(history: History, attempt: Attempt, factory: RecomputerFactory) -> list[Check]:
    try:
        findings, note = _evaluate(_prepare(history, attempt), factory)
    except _Open as reason:
        findings, note = [unknown(attempt.name, f"cannot be evaluated again here: {reason}")], ""
    except Exception as error:  # noqa: BLE001 - a trainer's libraries raise whatever they like
        what = str(error) if isinstance(error, CryoFluxError) else f"{type(error).__name__}: {error}"
        findings, note = [failed(attempt.name, f"evaluating it again failed: {what}")], ""
    return conclude(RECOMPUTED, findings, f"{attempt.name} equal: {note}" if note else "")


def _choose(history: History, most: int) -> list[Attempt]:
    evaluated = [a for a in reversed(history.attempts) if a.receipt.evaluation is not None]
    accepted = [a for a in evaluated if a.receipt.outcome is Outcome.ACCEPTED][:1]
    return [*accepted, *(a for a in evaluated if a not in accepted)][:most]


def _prepare(history: History, attempt: Attempt) -> _Case:
    state, evaluation = history.material.state, attempt.receipt.evaluation
    if state is None or evaluation is None:
        raise _Open("an exported file brings neither models nor data")
    if attempt.intent is None:
        raise _Open("it has no intent that names its data")
    if evaluation.profile != PROFILE:
        raise _Open(f"the profile {evaluation.profile!r} is not known here")
    try:
        path = losses_path(state, evaluation)
        count = examples_read(evaluation, attempt.receipt.holdout)
        recorded = read_losses(path, evaluation.per_example, count)
    except ValueError as error:
        raise _Open(str(error)) from error
    holdout = holdout_path(state, attempt.intent.data)
    if holdout is None:
        raise _Open(f"data/{attempt.intent.data.digest} holds no file that is its holdout")
    if not (base := model_path(state, attempt.receipt.base)).exists():
        raise _Open(f"{base.relative_to(state)} is not kept here")
    return _Case(state, attempt, evaluation, holdout, recorded)


def _evaluate(case: _Case, factory: RecomputerFactory) -> tuple[list[Finding], str]:
    """What differs or stays open, and what to say where nothing differs."""
    recomputer, name = factory(case.evaluation.max_tokens), case.attempt.name
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as folder:
        candidate, merged = _candidate(case, recomputer, Path(folder))
        if tensors_of(candidate) != case.evaluation.candidate.digest:
            what = "base and adapter merge into" if merged else "the kept candidate is"
            return [failed(name, f"refuted: {what} another model than the one recorded")], ""
        base = recomputer.evaluate(model_path(case.state, case.attempt.receipt.base), case.holdout)
        new = recomputer.evaluate(candidate, case.holdout)
    recorded, said = case.recorded, case.attempt.receipt.holdout
    if {len(values) for values in (*base, *new)} != {said.count}:
        return [failed(name, f"refuted: the holdout here has not the {said.count} examples recorded")], ""
    base, new = _as_read(base, case.evaluation, said), _as_read(new, case.evaluation, said)
    differences = [
        *_differences("base", base, recorded.base, recorded.base_correct),
        *_differences("new", new, recorded.new, recorded.new_correct),
    ]
    if differences:
        return [failed(name, f"refuted: {difference}") for difference in differences], ""
    if merged:
        return [], f"{_numbers(base[0], new[0], recorded)}, merged again from base and adapter"
    detail = "its adapter is not kept here: losses are of the kept candidate, which was not merged again"
    return [unknown(name, detail)], _numbers(base[0], new[0], recorded)


def _as_read(found: _Found, evaluation: Evaluation, holdout: Holdout) -> _Found:
    """Of all examples those that were read, in that order."""
    if not evaluation.examples:
        return found
    order = reading_order(holdout.count, holdout.sha256)[: evaluation.examples]
    return [found[0][i] for i in order], [found[1][i] for i in order]


def _numbers(base: list[int], new: list[int], recorded: Losses) -> str:
    delta = (sum(base) - sum(new)) / len(recorded.base) / NANO
    same = sum(a == b for a, b in zip([*base, *new], [*recorded.base, *recorded.new], strict=True))
    of = 2 * len(recorded.base)
    return f"Δ = {delta:+.6f} nats, {'all' if same == of else f'{same} of'} {of} losses identical"


def _candidate(case: _Case, recomputer: Recomputer, folder: Path) -> tuple[Path, bool]:
    """The model to evaluate, and whether it was merged again."""
    capsule = capsule_path(case.state, case.attempt.statement)
    if capsule.is_dir():
        base = model_path(case.state, case.attempt.receipt.base)
        return recomputer.merge(base, capsule, folder), True
    kept = model_path(case.state, case.evaluation.candidate)
    if not kept.is_dir():
        raise _Open("neither the candidate nor its adapter is kept here")
    return kept, False


def _differences(which: str, found: _Found, losses: Sequence[int], correct: Sequence[bool]) -> list[str]:
    apart = [abs(a - b) for a, b in zip(found[0], losses, strict=True)]
    off = sum(distance > 0 for distance in apart)
    flipped = sum(a != b for a, b in zip(found[1], correct, strict=True))
    problems = []
    if max(apart) > 1 or off > _MOST_OFF_BY_ONE * len(losses):
        problems.append(
            f"{off} of {len(losses)} {which} losses differ, by up to {max(apart)} nano-nats; "
            f"sum {sum(found[0])} here, {sum(losses)} recorded"
        )
    if flipped:
        problems.append(f"{flipped} of {len(losses)} {which} predictions are right or wrong differently")
    return problems
