"""What the next run does about a run that died: nothing is left open, lost or counted twice.

1. Every intent without a receipt gets one: ``aborted``, charged with what its reservation had spent.
2. The head link follows the log: the result of the last receipt.
3. Drafts, and versions that no receipt names, are thrown away.
"""

from __future__ import annotations

__all__ = ["head_of", "open_intents", "past_outcomes", "recover", "signed_losses"]

import shutil
from collections.abc import Iterable, Sequence

from cryoflux import recording
from cryoflux.bench import AttemptStopped, Bench
from cryoflux.receipts.entry import Entry, intent_of, receipt_of
from cryoflux.receipts.statement import Receipt
from cryoflux.recording import Announced
from cryoflux.scheduling.efficiency import Outcome


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
    return [recording.outcome_of(receipt) for entry in entries if (receipt := receipt_of(entry))]


def signed_losses(entries: Iterable[Entry]) -> dict[tuple[str, int], tuple[int, int]]:
    """(model digest, token limit) → holdout loss sum and correct examples, as receipts have signed them."""
    signed = {}
    for entry in entries:
        receipt = receipt_of(entry)
        if receipt and (found := receipt.evaluation):
            base = (found.base_loss_nano_nat_sum, found.base_correct)
            signed[receipt.base.digest, found.max_tokens] = base
            signed[found.candidate.digest, found.max_tokens] = (
                found.new_loss_nano_nat_sum,
                found.new_correct,
            )
    return signed


def recover(bench: Bench, entries: Sequence[Entry]) -> list[Receipt]:
    """Close what a dead run left open among ``entries``, and return the receipts that this took."""
    receipts = [_close(bench, intent) for intent in open_intents(entries)]
    bench.versions.discard_drafts()
    named = {bench.head.digest}
    for entry in entries:
        receipt = receipt_of(entry)
        named |= {entry.statement.predicate.base.digest, *([receipt.result.digest] if receipt else [])}
    for digest in set(bench.versions.kept()) - named:
        shutil.rmtree(bench.versions.folder(digest), ignore_errors=True)
    bench.versions.point_head(bench.head.digest)
    return receipts


def _close(bench: Bench, announced: Announced) -> Receipt:
    reservation = bench.agent.find(announced.intent.task.id)
    settlement = bench.agent.settle(reservation.id) if reservation else None
    stopped = AttemptStopped("Aborted: the run ended before this attempt did; nothing was kept.", "failed")
    statement, _ = recording.record(
        bench, announced, settlement, announced.intent.announced_at, stopped=stopped
    )
    return statement.predicate
