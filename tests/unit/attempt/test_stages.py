"""What training is asked to do, which losses are measured again, and what a verdict leaves on the disk."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cryoflux.attempt import stages, training
from cryoflux.decision.looking import Look
from cryoflux.decision.sequential import reading_order
from cryoflux.digests import file_digest
from cryoflux.errors import VerificationError
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import Losses
from cryoflux.evaluation.scoring import score
from cryoflux.log_state import OpenIntent
from cryoflux.quantities import MICRO, NANO
from cryoflux.receipts.losses_tree import loss_leaves, losses_root
from cryoflux.signing.canonical import canonical_bytes, parse_strictly
from cryoflux.tasks.interface import WorkOrder
from cryoflux.tasks.lora.task import LoraTask
from cryoflux.tasks.pool import slice_digest
from digits import MODEL, DigitsTask
from small_context import BETTER, COUNT, NOISY, WORSE, Made, SmallRun
from synthetic_parts import losses_in

TESTS = Path(__file__).parents[2]


def decoded(order: WorkOrder) -> WorkOrder:
    return parse_strictly(msgspec.json.Decoder(WorkOrder), canonical_bytes(order), "The order")


def test_an_order_says_what_was_announced_and_reads_back_as_it_was_written(run) -> None:
    run.attempt(WORSE)
    run.attempt(BETTER)
    for intent, order in zip(run.intents(), run.task.orders, strict=True):
        assert decoded(order) == order
        assert (order.id, order.task, order.arm) == (intent.task.id, "toy", "only")
        assert (order.base, order.data, order.seed) == (intent.base, intent.data.digest, intent.seed)
        assert (order.recipe, order.bar) == (intent.recipe, intent.bar)
        assert (order.holdout_count, order.reserve_microjoules) == (COUNT, intent.reserved_microjoules)
    first, second = run.task.orders
    assert (first.drawn, second.drawn) == (0, 3), "what an earlier attempt drew as fresh counts"
    assert (first.bar.looks, second.bar.looks) == (0, 1)
    assert len({first.seed, second.seed}) == 2


def test_an_order_takes_nothing_but_what_it_says() -> None:
    with pytest.raises(VerificationError):
        parse_strictly(msgspec.json.Decoder(WorkOrder), b'{"id":"a","unknown":1}', "The order")


def test_training_gets_what_evaluating_and_merging_leave_of_the_reservation(run) -> None:
    run.attempt(WORSE)
    assert run.task.orders[-1].limit_microjoules == 20 * MICRO - round(1.35 * 0.3 * 20 * MICRO), "unmeasured"
    run.task.evaluation_j = 2
    run.attempt(BETTER)
    run.attempt(BETTER)
    assert run.task.orders[-1].limit_microjoules == round((20 - 1.35 * 6) * MICRO)


def test_a_limit_is_never_below_nothing(run) -> None:
    run.task._evaluate_uj = 10**9
    run.attempt(BETTER)
    assert run.receipts()[-1].reason.code == "exhausted.training"
    intent = run.intents()[-1]
    announced = OpenIntent(intent, "0" * 64, 0)
    assert training.work_order(run.opened, announced, 0).limit_microjoules == 0


def cached(run: SmallRun) -> KnownLosses | None:
    task = run.task
    return run.context.losses.get(
        task.head.digest, run.opened.holdout, task.cut, COUNT, task.profile("holdout")
    )


def remember(run: SmallRun, loss: int) -> None:
    task, known = run.task, KnownLosses(Losses((loss,) * COUNT, (False,) * COUNT), 1)
    run.context.losses.put(task.head.digest, run.opened.holdout, task.cut, known, task.profile("holdout"))


def measured_bases(run: SmallRun) -> int:
    """How often the head is measured in one more attempt that changes nothing."""
    head, run.task.scored = run.task.head.digest, []
    run.attempt(WORSE)
    return [digest for digest, _, _ in run.task.scored].count(head)


def test_a_base_is_measured_once_and_a_kept_update_not_again(run) -> None:
    assert [measured_bases(run), measured_bases(run)] == [1, 0]
    kept = run.attempt(BETTER)
    assert measured_bases(run) == 0
    assert cached(run).losses.mean == kept.head_loss == 0.9


def test_cached_losses_that_disagree_with_what_was_signed_are_measured_again(run) -> None:
    run.attempt(NOISY)
    true = cached(run)
    remember(run, NANO - 1)
    assert stages.known_head_loss(run.context, run.opened) is None
    assert measured_bases(run) == 1
    assert cached(run).losses == true.losses
    assert run.receipts()[-1].evaluation.base_loss_sum == 32 * NANO
    assert stages.known_head_loss(run.context, run.opened) == 1.0


def test_the_cache_of_a_kept_update_is_held_against_its_receipt_by_the_next_run_too(run) -> None:
    run.attempt(BETTER)
    run.reopen()
    remember(run, 900_000_001)
    assert measured_bases(run) == 1


def test_a_cache_is_believed_where_nothing_was_signed_or_what_was_signed_is_the_same(run) -> None:
    remember(run, 950_000_000)
    assert stages.known_head_loss(run.context, run.opened) == 0.95
    assert measured_bases(run) == 0


def test_what_cost_less_than_nothing_is_remembered_as_what_cost_nothing(run) -> None:
    run.task.evaluation_j = -1
    record = run.attempt(WORSE)
    assert cached(run).cost_uj == 0
    assert record.saved_uj == 0
    assert measured_bases(run) == 0


def test_the_file_of_losses_adds_up_to_what_was_signed(run) -> None:
    receipt = run.attempt(NOISY).receipt
    found = receipt.evaluation
    content = run.state.losses(found.per_example).read_bytes()
    assert hashlib.sha256(content).hexdigest() == found.per_example
    base, new = losses_in(content)
    assert (sum(base.nano_nats), sum(new.nano_nats)) == (found.base_loss_sum, found.new_loss_sum)
    assert found.delta_sum == found.base_loss_sum - found.new_loss_sum
    assert new.nano_nats[:2] == (1_040_000_000, 920_000_000), "in the order of the set"
    leaves = loss_leaves(range(COUNT), base.nano_nats, new.nano_nats, base.correct, new.correct)
    assert losses_root(leaves) == found.losses_root


def test_a_reading_that_ended_early_is_in_the_order_in_which_it_was_read(run) -> None:
    found = run.attempt(Made(1_100_000_000, noise=1_000_000)).receipt.evaluation
    base, new = losses_in(run.state.losses(found.per_example).read_bytes())
    order = reading_order(COUNT, run.opened.holdout)[: found.read]
    assert len(base.nano_nats) == found.read == 32
    assert list(new.nano_nats) == [1_100_000_000 + 1_000_000 * (-1) ** i for i in order]
    leaves = loss_leaves(order, base.nano_nats, new.nano_nats, base.correct, new.correct)
    assert losses_root(leaves) == found.losses_root


def test_an_update_is_kept_as_a_capsule_whatever_became_of_it(run) -> None:
    for made in (WORSE, BETTER):
        receipt = run.attempt(made).receipt
        (subject,) = receipt_subjects(run)
        folder = run.state.capsule(subject.digest.sha256)
        assert (subject.name, file_digest(folder / subject.name)) == ("losses.json", subject.digest.sha256)
        assert json.loads((folder / "losses.json").read_bytes())["level"] == made.level
        assert receipt.training.section.fields == {"level": made.level}
        assert receipt.training.slice_sha256 == slice_digest((0, 1, 2))


def receipt_subjects(run: SmallRun) -> list:
    return next(run.context.log.tail(1)).statement.subject


def test_refusing_what_the_screen_let_pass_is_a_slip() -> None:
    passed = training.Candidate(Path(), None, "only", Look(None), None)
    with pytest.raises(ValueError, match="let the update pass"):
        stages.refuse(None, None, passed)


# A task of another kind, and another process.

ELSEWHERE = """
import sys
from pathlib import Path
import msgspec
from cryoflux.attempt.watch import Observer
from cryoflux.data.prepared import open_prepared
from cryoflux.registry.versions import Versions
from cryoflux.signing.canonical import parse_strictly
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import WorkOrder, Workplace
from cryoflux.tasks.pacing import Limits
from cryoflux.tasks.registry import find_task

state, into = StateFolder(Path(sys.argv[1])), Path(sys.argv[2])
order = parse_strictly(msgspec.json.Decoder(WorkOrder), sys.stdin.buffer.read(), "The order")
task, versions = find_task("digits:DigitsTask")(), Versions(state.path)
place = Workplace(state, versions, open_prepared(state.data(order.data), ""), order.pool_seed)
task.open(place, versions.open(order.base.digest))
update = task.train(order, into, Limits(order.limit_microjoules, lambda: 0, lambda: False), Observer())
print(*update.files, update.steps, update.stopped_by, len(update.drawn), update.fresh)
"""


class OrderedDigits(DigitsTask):
    """Remembers its orders."""

    def __init__(self, machine: object) -> None:
        self.orders: list[WorkOrder] = []

    def train(self, order, into, limits, watch):
        self.orders.append(order)
        return super().train(order, into, limits, watch)


@pytest.fixture
def digits(small) -> SmallRun:
    return small(OrderedDigits)


def test_another_process_makes_the_same_update_of_the_same_order(digits, tmp_path: Path) -> None:
    receipts = [digits.attempt().receipt for _ in range(2)]
    assert receipts[0].outcome == "accepted"
    into = tmp_path / "elsewhere"
    into.mkdir()
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(TESTS)])
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(digits.state.path), str(into)],
        input=canonical_bytes(digits.task.orders[-1]),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    training = receipts[-1].training
    assert done.stdout.decode().split() == [
        MODEL,
        str(training.steps),
        training.stopped_by,
        str(training.slice_count),
        str(training.fresh_count),
    ]
    assert file_digest(into / MODEL) == receipt_subjects(digits)[0].digest.sha256


def test_digits_are_scored_alike_however_they_are_asked_for(digits) -> None:
    digits.attempt()
    task = digits.task
    whole = score(task.scorer(task.head, "audit"), range(200), lambda _: None)
    backwards = score(task.scorer(task.head, "audit"), range(199, -1, -1), lambda _: None)
    one = score(task.scorer(task.head, "audit"), [7], lambda _: None)
    assert ([*reversed(backwards[0])], [*reversed(backwards[1])]) == whole
    assert (one[0][0], one[1][0]) == (whole[0][7], whole[1][7])
    assert 0.7 < sum(whole[1]) / 200 < 1


def test_the_same_steps_serve_every_task(digits) -> None:
    receipt = digits.attempt().receipt
    assert receipt.evaluation.hits.new > receipt.evaluation.hits.base
    assert receipt.evaluation.read == 400
    assert receipt.training.section.kind == "digits/v1"
    assert digits.context.versions.head_digest("digits") == receipt.result.digest
    assert not digits.state.head().is_symlink(), f"the link of {LoraTask.name} is nobody else's"
