"""The simulation of many workers does what it says of overlap, order, loss and chance."""

from __future__ import annotations

from statistics import mean

import pytest

from fleet_records import Made, RunOfAFleet
from fleet_simulation import Costs, Fleet, Learned, Life, costs, learned, lives
from scheduler_replay import Levels

COSTS = Costs(
    start_s=1.0,
    prepare_s=6.0,
    portions=3,
    train_s=4.0,
    judge_s=0.3,
    screen_s=0.1,
    joules_a_second=5.0,
    besides_j=100.0,
)
GAINS = Levels((0.8, 1.0, 1.2, 2.3), (0.0, 0.1, 0.2, 1.0))


def known(overlap: float) -> Learned:
    return Learned(2.3, GAINS, 0.005, overlap)


def run(workers: int, *, overlap: float = 1.0, policy: str = "merge-all", lost: float = 0.0) -> list[Life]:
    return lives(known(overlap), COSTS, Fleet(workers, policy, 200, 1.0, lost), 20, seed=3)


@pytest.mark.parametrize("policy", ["merge-all", "eager", "best-of"])
def test_the_same_seed_gives_the_same_lives_and_another_seed_others(policy: str) -> None:
    assert run(4, policy=policy) == run(4, policy=policy)
    other = lives(known(1.0), COSTS, Fleet(4, policy, 200, 1.0), 20, seed=400)
    assert other != run(4, policy=policy)


def test_updates_that_repeat_each_other_save_little_time_and_cost_a_multiple() -> None:
    alone, many = run(1), run(8)
    assert all(life.reached for life in (*alone, *many))
    assert mean(one.joules for one in many) > 1.5 * mean(one.joules for one in alone)
    assert mean(one.end_s for one in many) > mean(one.end_s for one in alone) / 3


def test_updates_that_have_nothing_in_common_add_up() -> None:
    alone, apart, alike = run(1, overlap=0.0), run(8, overlap=0.0), run(8)
    assert mean(one.end_s for one in apart) < 0.6 * mean(one.end_s for one in alone)
    assert mean(one.joules for one in apart) < mean(one.joules for one in alike)


def test_the_best_of_a_batch_is_never_stale_and_one_worker_never_is() -> None:
    assert {one.stale for one in run(8, policy="best-of")} == {0}
    assert {one.stale for one in run(1)} == {0}
    assert min(one.stale for one in run(8)) > 0


def test_workers_that_are_lost_are_paid_and_bring_nothing() -> None:
    assert mean(one.joules for one in run(4, lost=0.3)) > mean(one.joules for one in run(4))
    gone = lives(known(1.0), COSTS, Fleet(4, "merge-all", 40, 1.0, lost=1.0), 3, seed=0)
    assert {(one.kept, one.lost, one.loss) for one in gone} == {(0, 40, 2.3)}


def made(second: float, loss: float, screen: float, *, moved: int = 0, worker: str = "w1") -> Made:
    return Made(
        arm="shard",
        outcome="kept" if screen > 0.05 else "rejected",
        worker=worker,
        announced_s=second,
        finished_s=second + 5,
        busy_s=4.0,
        moved=moved,
        worker_j=20.0,
        own_j=1.0,
        worker_cpu_s=4.0,
        own_cpu_s=0.2,
        phases={"prepare": 10.0, "train": 10.0, "evaluate": 1.0},
        screen=screen,
        delta=None if screen < 0.05 else screen,
        head_loss=loss,
    )


def fleet_of(*attempts: Made) -> RunOfAFleet:
    return RunOfAFleet(
        recipes="shard",
        policy="merge-all",
        workers=2,
        seed=0,
        wall_s=60.0,
        cpu_s=30.0,
        besides_j=130.0,
        first_loss=2.3,
        last_loss=attempts[-1].head_loss,
        audit_gain=1.0,
        made=list(attempts),
    )


def test_what_is_measured_is_fitted() -> None:
    runs = [fleet_of(made(0, 1.3, 1.0), made(1, 1.3, 0.0, moved=1, worker="w2"), made(6, 1.1, 0.2))]
    fitted = learned(runs)
    assert fitted.first_loss == 2.3
    assert fitted.gains.at(2.3) == pytest.approx(1.0)
    assert fitted.gains.at(1.3) == pytest.approx(0.2)
    assert fitted.overlap == pytest.approx(1.0)  # it had learned what was merged, and nothing else
    assert runs[0].to(1.2) == (pytest.approx(63.0), 11)
    assert runs[0].to(0.9) is None
    assert costs(runs).judge_s == pytest.approx(0.2)
