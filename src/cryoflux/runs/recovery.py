"""What the next run does about a run that died: nothing is left open, lost or counted twice.

1. Every intent without a receipt gets one: ``aborted``, charged with what its reservation had spent.
2. The head link follows the log: the result of the last receipt.
3. Drafts, and versions that no receipt names, are thrown away.
"""

from __future__ import annotations

__all__ = [
    "drawn_before",
    "head_of",
    "holdout_use",
    "open_intents",
    "past_outcomes",
    "recover",
    "signed_losses",
]

import shutil
from collections.abc import Iterable, Sequence

from cryoflux.attempt import recording
from cryoflux.attempt.context import AttemptStopped, Bench, HoldoutUse
from cryoflux.attempt.recording import Announced
from cryoflux.data.prepared import PreparedData
from cryoflux.receipts import statement as receipts
from cryoflux.receipts.entry import Entry, intent_of, receipt_of
from cryoflux.receipts.statement import Intent, Receipt
from cryoflux.scheduling.efficiency import Outcome
from cryoflux.scheduling.lessons import taught


def open_intents(entries: Iterable[Entry]) -> list[Announced]:
    """Intents that no receipt closes."""
    waiting: dict[str, Announced] = {}
    for entry in entries:
        if intent := intent_of(entry):
            waiting[entry.leaf_hash] = Announced(intent, entry.leaf_hash)
        elif receipt := receipt_of(entry):
            waiting.pop(receipt.intent, None)
    return list(waiting.values())


def head_of(entries: Iterable[Entry]) -> str | None:
    """Digest of the head model by the log; none before the first entry."""
    head = None
    for entry in entries:
        receipt = receipt_of(entry)
        head = receipt.result.digest if receipt else entry.statement.predicate.base.digest
    return head


def past_outcomes(entries: Iterable[Entry]) -> list[Outcome]:
    """What the scheduler learns from the log."""
    announced: dict[str, Intent] = {}
    lessons = []
    for entry in entries:
        if intent := intent_of(entry):
            announced[entry.leaf_hash] = intent
        elif (receipt := receipt_of(entry)) and (known := announced.get(receipt.intent)):
            lessons.append(taught(known, receipt))
    return [lesson for lesson in lessons if lesson is not None]


def drawn_before(entries: Iterable[Entry]) -> int:
    """How many training examples earlier attempts drew as fresh ones."""
    found = (receipt for entry in entries if (receipt := receipt_of(entry)))
    return sum(receipt.training.fresh_count for receipt in found if receipt.training)


def holdout_use(entries: Iterable[Entry], data: PreparedData) -> HoldoutUse:
    """The holdout that the log used last, and what for."""
    parts = {data.file_digests[part]: part for part in data.holdouts}
    use = HoldoutUse(data.holdouts[0])
    for entry in entries:
        if intent := intent_of(entry):
            part = parts.get(intent.data.holdout.sha256, use.part)
            use = use if part == use.part else HoldoutUse(part)
            use.uses += 1
        elif (receipt := receipt_of(entry)) and receipt.evaluation:
            use.looks += 1
            use.kept += receipt.outcome is receipts.Outcome.ACCEPTED
    return use


def signed_losses(entries: Iterable[Entry]) -> dict[tuple[str, str, int], tuple[int, int]]:
    """(model, holdout, token limit) → loss sum and correct examples, as receipts have signed them."""
    signed = {}
    for entry in entries:
        receipt = receipt_of(entry)
        if receipt and (found := receipt.evaluation) and not found.examples:
            rest = (receipt.holdout.sha256, found.max_tokens)
            signed[receipt.base.digest, *rest] = (found.base_loss_nano_nat_sum, found.base_correct)
            signed[found.candidate.digest, *rest] = (found.new_loss_nano_nat_sum, found.new_correct)
    return signed


def recover(bench: Bench, entries: Sequence[Entry]) -> list[Receipt]:
    """Close what a dead run left open among ``entries``, and return the receipts that this took."""
    closed = [_close(bench, intent) for intent in open_intents(entries)]
    bench.versions.discard_drafts()
    named = {bench.head.digest}
    for entry in entries:
        receipt = receipt_of(entry)
        named |= {entry.statement.predicate.base.digest, *([receipt.result.digest] if receipt else [])}
    for digest in set(bench.versions.kept()) - named:
        shutil.rmtree(bench.versions.folder(digest), ignore_errors=True)
    bench.versions.point_head(bench.head.digest)
    return closed


def _close(bench: Bench, announced: Announced) -> Receipt:
    reservation = bench.agent.find(announced.intent.task.id)
    settlement = bench.agent.settle(reservation.id) if reservation else None
    stopped = AttemptStopped("Aborted: the run ended before this attempt did; nothing was kept.", "failed")
    statement, _ = recording.record(
        bench, announced, settlement, announced.intent.announced_at, stopped=stopped
    )
    return statement.predicate
