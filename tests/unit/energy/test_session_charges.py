"""A session is charged what its process spends beside its attempts; together they are the whole, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.energy.interface import SESSION, Earlier
from cryoflux.quantities import Energy, Tier
from energy_bench import Bench

LOG = "cryoflux.dev/0123456789abcdef"
S, A = f"{SESSION}1_0", "lora_delta_1_1"


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def granted(bench: Bench, **options):
    agent = bench.open(**options)
    agent.grant(10**9, request_id="g", note="")
    return agent


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60), st.integers(0, 10)), max_size=12))
def test_session_and_attempts_are_all_that_the_process_spent(tmp_path_factory, steps) -> None:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    agent = granted(bench)
    held_uj = agent.bucket_uj()
    session, attempt, charged_uj = agent.take(10**6, request_id=S, log=LOG), None, 0
    whole = agent.take(1, request_id="the whole", log="")
    for number, (toggles, watts, tenths) in enumerate(steps):
        if toggles and attempt is None:
            attempt = agent.take(10**6, request_id=f"a_{number}", log=LOG)
        elif toggles:
            charged_uj, attempt = charged_uj + agent.settle(attempt.id).energy.uj, None
        bench.second(20.0 + watts, own_s=tenths / 10, busy_s=1.0)
        agent.sample()
    if attempt is not None:
        charged_uj += agent.settle(attempt.id).energy.uj
    beside = agent.settle(session.id).energy
    assert beside.lo_uj <= beside.uj <= beside.hi_uj
    spent_uj = agent.settle(whole.id).energy.uj
    assert charged_uj + beside.uj == spent_uj
    assert held_uj - agent.bucket_uj() == charged_uj + beside.uj + spent_uj
    agent.close()


def test_attempts_of_another_log_are_not_in_it(bench) -> None:
    agent = granted(bench)
    session = agent.take(10**6, request_id=S, log=LOG)
    other = agent.take(10**6, request_id=A, log=f"{LOG}/other")
    bench.second(50.0, own_s=1.0)
    assert agent.settle(other.id).energy.uj == agent.settle(session.id).energy.uj == 30 * 10**6
    agent.close()


def test_a_session_whose_process_is_not_here_is_charged_the_machine_less_its_attempts(bench) -> None:
    agent = granted(bench)
    session = agent.take_for(10**6, request_id=S, owner=None, log=LOG)
    bench.second(50.0)
    attempt = agent.take_for(10**6, request_id=A, owner=None, log=LOG)
    bench.second(60.0)
    assert agent.settle(attempt.id).energy.uj == 40 * 10**6
    bench.second(50.0)
    found = agent.settle(session.id).energy
    assert found.uj == 60 * 10**6
    assert "unattributed" in found.flags
    agent.close()


def test_what_was_released_is_the_sessions(bench) -> None:
    agent = granted(bench)
    session = agent.take(10**6, request_id=S, log=LOG)
    attempt = agent.take(10**6, request_id=A, log=LOG)
    bench.second(50.0, own_s=1.0)
    agent.release(attempt.id)
    assert agent.settle(session.id).energy.uj == 30 * 10**6
    agent.close()


def test_both_are_metered_on_across_a_restart_of_the_meter(bench) -> None:
    first = granted(bench)
    bench.proc.process(77, 0.0)
    owner = first.owner_of(77, bench.clock.boot_id)

    def second(agent) -> None:
        bench.clock.forward(1)
        bench.draw(50.0, 1)
        bench.proc.run(1.0, 1.0, 77)
        agent.sample()

    session = first.take_for(10**6, request_id=S, owner=owner, log=LOG)
    second(first)
    attempt = first.take_for(10**6, request_id=A, owner=owner, log=LOG)
    second(first)
    first.close()
    after = bench.open()
    second(after)
    charged = after.settle(attempt.id).energy
    second(after)
    beside = after.settle(session.id).energy
    assert (charged.uj, beside.uj) == (60 * 10**6, 60 * 10**6)
    after.close()


def test_with_counters_what_came_before_the_meter_only_widens_the_interval(bench) -> None:
    agent = granted(bench)
    session = agent.take(10**6, request_id=S, log=LOG, earlier=Earlier(2_000_000, 5 * 10**9))
    found = agent.settle(session.id).energy
    assert (found.uj, found.flags) == (0, ("start-unmetered",))
    assert found.hi_uj >= 2 * 200 * 10**6, "two CPU-seconds at what may flow at most"
    agent.close()


def test_with_the_model_what_came_before_the_meter_counts(tmp_path) -> None:
    bench = Bench(tmp_path, tdp_w=100)
    (bench.zone / "energy_uj").unlink()
    agent = granted(bench)
    session = agent.take(10**6, request_id=S, log=LOG, earlier=Earlier(2_000_000, 5 * 10**9))
    found = agent.settle(session.id)
    assert found.energy.uj > 0
    assert found.energy.uj <= found.machine_net.uj
    assert found.cpu_us >= 2_000_000, "joules and CPU time are of the same work"
    agent.close()


def test_a_part_and_what_is_beside_it_add_up_and_both_hold_their_estimates() -> None:
    whole = Energy(100, 80, 130, Tier.COUNTER, ("a",))
    rest = whole.beside(Energy(60, 45, 75, Tier.COUNTER, ("b",)))
    assert (rest.uj, rest.lo_uj, rest.hi_uj, rest.flags) == (40, 35, 55, ("a",))
    further_off = Energy(60, 30, 120, Tier.COUNTER)
    assert (whole.beside(further_off).lo_uj, whole.beside(further_off).hi_uj) == (30, 70)
