"""What an intent and a receipt say, and whose joules they are."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

import pytest

from cryoflux.attempt import recording
from cryoflux.attempt.recording import Ending
from cryoflux.attempt.watch import Observer, Step
from cryoflux.energy.account.settlement import SettlementStatement, read_settlement
from cryoflux.energy.clock import SystemClock
from cryoflux.quantities import MICRO, Tier
from cryoflux.receipts.log_key import other_subjects
from cryoflux.receipts.statement import BatchJob, IntentStatement, ReceiptStatement, SetRules
from cryoflux.tasks.lora.task import LoraTask
from small_context import BETTER, NOW, WORSE, Deadly, Killed, Made, OtherTask, ToyTask, gained


def test_an_intent_says_beforehand_all_that_the_attempt_goes_by(run) -> None:
    held_uj = run.agent.bucket_uj()
    run.attempt(BETTER)
    (intent,), opened = run.intents(), run.opened
    entry = next(run.context.log.entries())
    assert isinstance(entry.statement, IntentStatement)
    assert (intent.sequence, intent.prev) == (0, "0" * 64)
    assert (intent.data.digest, intent.data.name) == (opened.data.digest, "toy-data")
    assert (intent.data.train, intent.data.train_count) == (opened.data.file_digests["train"], 40)
    assert (intent.data.audit, intent.data.audit_count) == (opened.data.file_digests["audit"], 32)
    assert (intent.data.holdout.count, intent.data.holdout.use_index) == (96, 1)
    assert intent.metric == ToyTask.metric
    assert intent.recipe == {"kind": "toy"}
    assert intent.rule == run.rule
    assert intent.reserved_microjoules == 20 * MICRO
    assert intent.schedule.bucket_microjoules == held_uj
    assert [(arm.task, arm.name, arm.prior_microjoules) for arm in intent.schedule.arms] == [
        ("toy", "only", 20 * MICRO)
    ]
    assert intent.announced_at == run.context.timestamp()
    assert [s.digest.sha256 for s in other_subjects(entry)] == [intent.base.files]


def test_what_the_log_has_said_of_who_chose_a_holdout_it_says_for_good(run) -> None:
    said = {"holdout": "given", "audit": "lowest-hash/v1", "copies": "fold/v1"}
    for rules in (said, {}, {**said, "holdout": "lowest-hash/v1"}):
        opened = replace(run.opened, data=replace(run.opened.data, rules=rules))
        run.change(tasks={"toy": opened})
        run.attempt(WORSE)
    assert [intent.data.rules for intent in run.intents()] == [SetRules(**said)] * 3


def test_attempts_have_ids_and_seeds_of_their_own(run) -> None:
    for _ in range(3):
        run.attempt(WORSE)
    intents = run.intents()
    at = int(NOW.timestamp())
    assert [intent.task.id for intent in intents] == [f"toy_{at}_{n}" for n in (0, 2, 4)]
    assert len({intent.seed for intent in intents}) == 3


def test_an_arm_of_another_task_is_announced_with_what_that_one_keeps(small) -> None:
    run = small(ToyTask, OtherTask)
    opened = run.context.tasks["other"]
    tasks = {**run.context.tasks, "other": replace(opened, rule=opened.rule.but(min_delta=7))}
    run.change(tasks=tasks)
    for _ in range(6):
        run.attempt()
    for intent in run.intents():
        foreign = [arm for arm in intent.schedule.arms if arm.task != intent.task.name]
        assert [arm.min_delta for arm in foreign] == [7 if intent.task.name == "toy" else 2_000_000]
        assert [a.min_delta for a in intent.schedule.arms if a.task == intent.task.name] == [0]
    assert {intent.task.name for intent in run.intents()} == {"toy", "other"}


def test_a_receipt_follows_its_intent_and_names_it(run) -> None:
    record = run.attempt(BETTER)
    intent, receipt = run.context.log.entries()
    assert isinstance(receipt.statement, ReceiptStatement)
    assert record.statement == receipt.statement
    assert record.leaf_hash == receipt.leaf_hash
    assert receipt.receipt.intent == receipt.receipt.prev == intent.leaf_hash
    assert receipt.receipt.task == intent.intent.task
    assert receipt.receipt.holdout == intent.intent.data.holdout


def test_a_screen_is_written_down_in_its_sums(run) -> None:
    receipt = run.attempt(Made(900_000_000, screening=gained(50_000_000))).receipt
    screen = receipt.training.screen
    assert (screen.count, screen.base_loss_sum - screen.new_loss_sum) == (40, 40 * 50_000_000)
    assert (screen.delta_squared_sum, screen.hits) == (
        str(40 * 50_000_000**2),
        receipt.evaluation.hits or screen.hits,
    )


def test_a_receipt_names_the_libraries_of_its_task_alone(small) -> None:
    run = small(ToyTask)
    assert set(run.attempt(BETTER).receipt.software) == {"cpu", "cryoflux", "python"}
    run.task.libraries = ("numpy", "no-such-library")
    found = run.attempt(WORSE).receipt.software
    assert set(found) == {"cpu", "cryoflux", "no-such-library", "numpy", "python"}
    assert (found["numpy"], found["no-such-library"]) == (version("numpy"), "unknown")
    assert LoraTask.libraries == ("peft", "torch", "transformers")


def test_where_right_and_wrong_mean_nothing_no_hits_are_signed(run) -> None:
    receipt = run.attempt(BETTER).receipt
    assert receipt.evaluation.hits is None
    assert "gained" not in receipt.reason.numbers


def test_the_meter_signs_what_the_receipt_says(run) -> None:
    receipt = run.attempt(Made(900_000_000, joules=7)).receipt
    energy, said = receipt.energy, read_settlement(receipt.energy.settlement)
    assert (said.request, said.reserved_microjoules) == (receipt.task.id, energy.reserved_microjoules)
    assert said.charged.microjoules == energy.microjoules == 7 * MICRO
    assert (said.charged.lo_microjoules, said.charged.hi_microjoules) == (
        energy.lo_microjoules,
        energy.hi_microjoules,
    )
    assert (energy.tier, energy.sources) == (Tier.COUNTER, ["rapl:package-0"])
    assert energy.cpu_microseconds == said.cpu_microseconds == 1_000_000


@pytest.mark.parametrize("here", ["boot-1", "boot-2"])
def test_joules_are_self_reported_whatever_machine_trains(run, monkeypatch, here) -> None:
    monkeypatch.setattr(SystemClock, "__init__", lambda self: setattr(self, "boot_id", here))
    assert run.attempt(BETTER).receipt.energy.assurance == "self-reported"


def test_the_meter_signs_of_which_log_and_announcement_it_is(run) -> None:
    receipt = run.attempt(BETTER).receipt
    said = read_settlement(receipt.energy.settlement)
    assert isinstance(said, SettlementStatement)
    assert (said.log, said.intent) == (run.context.log.origin, receipt.intent)


@pytest.mark.parametrize("step", [Step.TRAIN, Step.SETTLE, Step.RECORD])
def test_so_it_does_of_an_attempt_that_the_next_run_closes(run, step) -> None:
    run.change(observer=Deadly(step, "begin"))
    with pytest.raises(Killed):
        run.attempt(BETTER)
    (receipt,) = run.reopen()
    said = read_settlement(receipt.energy.settlement)
    assert isinstance(said, SettlementStatement)
    assert (said.log, said.intent) == (run.context.log.origin, receipt.intent)


class Forging:
    """A meter whose statement is not what it signed."""

    def __init__(self, agent) -> None:
        self._agent = agent

    def __getattr__(self, name):
        return getattr(self._agent, name)

    def settle(self, reservation_id):
        found = self._agent.settle(reservation_id)
        return replace(found, statement=found.statement.replace('"sig":"', '"sig":"AAAA'))


def test_a_statement_that_does_not_verify_is_left_out_and_the_receipt_stays(run) -> None:
    run.change(agent=Forging(run.agent))
    energy = run.attempt(BETTER).receipt.energy
    assert (energy.settlement, energy.assurance, energy.microjoules) == ("", "self-reported", 2 * MICRO)


def test_what_a_daemon_was_to_pay_is_unknown_to_an_embedded_meter(run) -> None:
    run.change(terms=replace(run.terms, meter="daemon"), observer=Deadly(Step.RESERVE, "begin"))
    with pytest.raises(Killed):
        run.attempt()
    (receipt,) = run.reopen()
    assert receipt.energy.flags == ["settled-elsewhere"]
    assert (receipt.energy.microjoules, receipt.energy.hi_microjoules) == (0, 20 * MICRO)


def test_a_receipt_names_the_batch_job_that_its_attempt_was_made_in(run, monkeypatch) -> None:
    outside = run.attempt(WORSE).receipt
    assert outside.energy.job is None
    assert b'"job"' not in next(reversed([*run.context.log.entries()])).signed.payload
    for name, number in (("SLURM_JOB_ID", "4711"), ("SLURM_STEP_ID", "0"), ("SLURM_LOCALID", "1")):
        monkeypatch.setenv(name, number)
    assert run.attempt(WORSE).receipt.energy.job == BatchJob(scheduler="slurm", id=4711, step=0, local_rank=1)
    *_, entry = run.context.log.entries()
    assert entry.receipt.energy.job.id == 4711
    # What a dead run left may have been made in another job.
    run.change(observer=Deadly(Step.TRAIN, "begin"))
    with pytest.raises(Killed):
        run.attempt()
    (recovered,) = run.reopen()
    assert recovered.energy.job is None


def test_an_ending_without_a_reason_is_a_slip(run) -> None:
    run.change(observer=Observer())
    with pytest.raises(ValueError, match="for a reason"):
        recording._reason(Ending())
