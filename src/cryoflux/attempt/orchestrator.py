"""One attempt, in ten steps: the table of contents of CryoFlux.

A crash at any step leaves the receipts valid, the head model whole and the joules charged; the next
run gives the attempt an ``aborted`` receipt (`cryoflux.runs.recovery`). Nothing is counted twice. An accepted
update takes effect once its receipt is in the log and, where that is required, a quorum of witnesses has
seen it there.
"""

from __future__ import annotations

__all__ = ["run_attempt"]

from cryoflux.attempt import recording, stages
from cryoflux.attempt.context import AttemptStopped, Bench, Phases, Step
from cryoflux.attempt.recording import Announced, AttemptRecord
from cryoflux.energy.interface import Reservation
from cryoflux.errors import BudgetError
from cryoflux.quantities import format_energy
from cryoflux.scheduling.policy import Choice, Plateau, choose


def run_attempt(bench: Bench) -> AttemptRecord | Plateau:
    """Try to improve the head model once, unless no arm is expected to pay.

    Raises:
        BudgetError: the bucket pays for no arm; nothing was announced.
        AgentError: the agent went away; the next run settles what was reserved.
        StorageError: the disk is full, read-only, or refuses.
        StateError: a quorum of witnesses is required, and has not seen the receipt: the head model stays.
    """
    phases = Phases()
    started_at = bench.timestamp()

    with bench.step(Step.SAMPLE, phases):  # 1
        sample = bench.agent.sample()
        bench.observer.sampled(sample)
    with bench.step(Step.SCHEDULE, phases):  # 2
        choice = choose(
            bench.arms(),
            bench.outcomes,
            bucket_uj=sample.bucket_uj,
            min_delta_nano=bench.rule.thresholds.min_delta,
            seed=bench.seed,
            policy=bench.policy,
        )
    if choice is None:
        raise BudgetError(
            f"The bucket holds {format_energy(sample.bucket_uj)}, which pays for no attempt.",
            why=f"An attempt reserves {format_energy(bench.reserve_uj)}.",
            hint="Grant more: cryoflux run --budget 2kJ.",
        )
    if isinstance(choice, Plateau):
        return choice
    bench.observer.chosen(choice)
    with bench.step(Step.ANNOUNCE, phases):  # 3
        announced = recording.announce(bench, choice, sample.bucket_uj)
    with bench.step(Step.RESERVE, phases):  # 4
        reservation = _reserve(bench, choice, announced, started_at)
    try:
        return _try(bench, choice, announced, reservation, started_at, phases)
    except AttemptStopped as stopped:
        return _abort(bench, announced, reservation, started_at, phases, stopped)


def _reserve(bench: Bench, choice: Choice, announced: Announced, started_at: str) -> Reservation:
    try:
        return bench.agent.take(choice.arm.reserve_uj, request_id=announced.intent.task.id)
    except BudgetError:
        # Somebody else drew on the same bucket since it was sampled; what was announced gets its receipt.
        gone = AttemptStopped(
            "Aborted: the bucket no longer held the reservation; nothing was tried.", "failed"
        )
        recording.record(bench, announced, None, started_at, stopped=gone)
        bench.published(binding=False)
        raise


def _try(
    bench: Bench,
    choice: Choice,
    announced: Announced,
    reservation: Reservation,
    started_at: str,
    phases: Phases,
) -> AttemptRecord:
    # A base that was never evaluated is evaluated first: so the attempt knows what evaluation costs.
    with phases.measure(Step.EVALUATE):
        base = stages.base_losses(bench, reservation)

    with bench.step(Step.TRAIN, phases):  # 5
        candidate = stages.train(bench, choice, reservation, phases)
    with bench.step(Step.EVALUATE, phases):  # 6
        reading = None if candidate.refused else stages.read_holdout(bench, reservation, candidate, base)
    with bench.step(Step.DECIDE, phases):  # 7
        judged = stages.judge(bench, reading) if reading else stages.refuse(candidate.refused or "")
        verdict = judged.verdict
    with bench.step(Step.MERGE, phases):  # 8
        result = stages.keep(bench, candidate, reading, verdict)
    with bench.step(Step.SETTLE, phases):  # 9
        settlement = bench.agent.settle(reservation.id)
    with bench.step(Step.RECORD, phases):  # 10
        statement, leaf_hash = recording.record(
            bench, announced, settlement, started_at, candidate=candidate, judged=judged, result=result
        )
        bench.published(binding=verdict.accepted)
        if verdict.accepted:
            bench.loaded.adopt(result, candidate.changed)
            bench.versions.point_head(result.digest)
    return AttemptRecord(
        statement=statement,
        leaf_hash=leaf_hash,
        evidence=judged.evidence,
        head_loss=reading.new.mean if reading and verdict.accepted else base.mean,
        phases=phases.seconds,
        bucket_uj=settlement.bucket_uj,
        saved_uj=candidate.adapter.saved_uj + (reading.saved_uj if reading else _unread_uj(bench, candidate)),
    )


def _unread_uj(bench: Bench, candidate: stages.Candidate) -> int:
    return bench.evaluation_uj(candidate.recipe)


def _abort(
    bench: Bench,
    announced: Announced,
    reservation: Reservation,
    started_at: str,
    phases: Phases,
    stopped: AttemptStopped,
) -> AttemptRecord:
    bench.versions.discard_drafts()
    with bench.step(Step.SETTLE, phases):
        settlement = bench.agent.settle(reservation.id)
    with bench.step(Step.RECORD, phases):
        statement, leaf_hash = recording.record(bench, announced, settlement, started_at, stopped=stopped)
        bench.published(binding=False)
    return AttemptRecord(
        statement=statement,
        leaf_hash=leaf_hash,
        evidence=None,
        head_loss=stages.known_head_loss(bench),
        phases=phases.seconds,
        bucket_uj=settlement.bucket_uj,
        stopped=stopped.cause,
    )
