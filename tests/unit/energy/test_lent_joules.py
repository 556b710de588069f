"""A meter that lends joules to other meters, and a meter's word on what it has not settled yet."""

from __future__ import annotations

import base64
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.config import load_settings
from cryoflux.energy.account.bucket import ReservationConflictError, UnknownReservationError
from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.interface import SESSION, lent_request
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.errors import BudgetError, VerificationError
from cryoflux.quantities import SO_FAR, Energy, Tier
from cryoflux.signing.keys import METER_KEY, load_public_key, raw_public_key
from energy_bench import Bench

LOG, INTENT = "cryoflux.dev/log/0123456789abcdef", "ab" * 32
ATTEMPT = "lora_delta_1_7"
LENT = lent_request(ATTEMPT, "w1")
CHARGED = Energy(30_000_000, 25_000_000, 40_000_000, Tier.COUNTER, ("wrap",))
J = 1_000_000


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def agent(bench):
    with closing(bench.open()) as opened:
        opened.grant(500 * J, request_id="g", note="")
        yield opened


# What is lent


def test_what_is_lent_is_charged_what_the_other_meter_says_whatever_this_machine_draws(bench, agent):
    metered = len(agent._meter._attributions)
    lent = agent.lend(100 * J, request_id=LENT, log=LOG, intent=INTENT)
    assert (agent.bucket_uj(), agent.find(LENT)) == (400 * J, lent)
    bench.second(90.0, own_s=1.0)
    assert agent.spent(lent.id) == Energy(0, 0, 100 * J, Tier.MODELLED, ("lent",))
    assert len(agent._meter._attributions) == metered
    with pytest.raises(ReservationConflictError, match="was lent to another meter"):
        agent.settle(lent.id)
    paid = agent.repay(lent.id, CHARGED)
    assert (paid.reservation_id, paid.reserved_uj, paid.bucket_uj) == (lent.id, 100 * J, 470 * J)
    assert (paid.energy.uj, paid.energy.lo_uj, paid.energy.hi_uj) == (30 * J, 25 * J, 40 * J)
    assert (paid.energy.tier, paid.energy.flags) == (Tier.COUNTER, ("lent", "wrap"))
    assert (paid.sources, paid.cpu_us, paid.statement) == ((), 0, "")
    assert agent.repay(lent.id, Energy(1, 1, 1, Tier.COUNTER)) == paid
    assert agent.spent(lent.id) == paid.energy


def test_nothing_is_lent_that_is_not_there(agent):
    with pytest.raises(BudgetError):
        agent.lend(501 * J, request_id=LENT)
    assert agent.views() == ()


def test_what_is_metered_here_is_not_repaid(agent):
    taken = agent.take(100 * J, request_id=ATTEMPT)
    withdrawn = agent.withdraw(10 * J, request_id="w")
    for one in (taken, withdrawn):
        with pytest.raises(ReservationConflictError, match="was not lent"):
            agent.repay(one.id, CHARGED)


def test_after_a_restart_it_is_still_lent_and_not_the_machines(bench):
    first = bench.open()
    first.grant(500 * J, request_id="g", note="")
    lent = first.lend(100 * J, request_id=LENT, log=LOG)
    bench.second(90.0)
    first.close()
    bench.second(90.0)
    bench.clock.boot_id = "boot-2"
    with closing(bench.open()) as after:
        bench.second(90.0)
        (view,) = after.views()
        assert (view.reservation, view.alive, view.spent.uj, view.spent.hi_uj) == (lent, None, 0, 100 * J)
        with pytest.raises(ReservationConflictError):
            after.settle(lent.id)
        assert after.repay(lent.id, CHARGED).bucket_uj == 470 * J


def test_what_is_lent_for_a_session_is_no_session_and_takes_nothing_from_one(bench, agent):
    session = agent.take(10 * J, request_id=f"{SESSION}1_0", log=LOG)
    lent = agent.lend(100 * J, request_id=lent_request(f"{SESSION}1_0", "w1"), log=LOG)
    bench.second(50.0, own_s=1.0)
    agent.repay(lent.id, CHARGED)
    assert agent.settle(session.id).energy.uj == 30 * J


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(["take", "lend", "end", "reopen"]), st.integers(0, 60)), max_size=14)
)
def test_what_was_granted_is_what_is_left_and_what_each_meter_charged(tmp_path_factory, steps):
    bench = Bench(tmp_path_factory.mktemp("bench"))
    agent, charged_uj, held = bench.open(), 0, []
    agent.grant(10**9, request_id="g", note="")
    for number, (step, amount) in enumerate(steps):
        if step == "take":
            held.append(agent.take(J, request_id=f"a{number}"))
        elif step == "lend":
            held.append(agent.lend(J, request_id=lent_request(f"a{number}", "w")))
        elif step == "reopen":
            agent.close()
            agent = bench.open()
        elif held:
            one = held.pop(amount % len(held))
            if "/" in one.request_id:
                charged_uj += agent.repay(one.id, Energy(amount, 0, 2 * amount, Tier.COUNTER)).energy.uj
            else:
                charged_uj += agent.settle(one.id).energy.uj
        bench.second(20.0 + amount, own_s=0.5)
        agent.sample()
        assert agent.bucket_uj() == 10**9 - charged_uj - J * len(held)
    assert agent._bucket.identity().holds
    agent.close()


METERS = """
    import os, signal, sys, time
    from pathlib import Path
    from cryoflux.config import load_settings
    from cryoflux.energy.local_agent import LocalAgent
    chosen = {"powercap_root": "/nowhere", "hwmon_root": "/nowhere", "nvml": False}
    agent = LocalAgent(load_settings(chosen, environ={}).settings, Path(sys.argv[1]))
    agent.grant(10**10, request_id="g", note="")
"""


def killed(state, program):
    """What a process printed that metered, and killed itself at the end of its program."""
    end = "\nsys.stdout.flush()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    script = textwrap.dedent(METERS) + textwrap.dedent(program) + end
    done = subprocess.run(
        [sys.executable, "-c", script, state], check=False, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == -9
    return done.stdout.strip()


def reopened(state):
    chosen = {"powercap_root": "/nowhere", "hwmon_root": "/nowhere", "nvml": False}
    return closing(LocalAgent(load_settings(chosen, environ={}).settings, state, background=False))


def test_a_lender_that_was_killed_has_lent_and_is_repaid_by_the_next(tmp_path):
    given_id = killed(tmp_path, f"print(agent.lend(10**9, request_id={LENT!r}, log={LOG!r}).id)")
    with reopened(tmp_path) as agent:
        assert agent.bucket_uj() == 9 * 10**9
        lent = agent.find(LENT)
        assert (lent.id, lent.log) == (given_id, LOG)
        assert agent.lend(10**9, request_id=LENT, log=LOG) == lent
        assert agent.repay(lent.id, CHARGED).bucket_uj == 10**10 - CHARGED.uj
    with reopened(tmp_path) as agent:
        assert agent.repay(lent.id, CHARGED).bucket_uj == agent.bucket_uj() == 10**10 - CHARGED.uj


def test_one_that_was_killed_after_it_repaid_has_repaid_once(tmp_path):
    program = f"""
        lent = agent.lend(10**9, request_id={LENT!r})
        from cryoflux.quantities import Energy, Tier
        print(agent.repay(lent.id, Energy(30_000_000, 25_000_000, 40_000_000, Tier.COUNTER)).bucket_uj)
    """
    left_uj = int(killed(tmp_path, program))
    with reopened(tmp_path) as agent:
        lent = agent.find(LENT)
        assert agent.repay(lent.id, Energy(10**8, 0, 10**9, Tier.COUNTER)).energy.uj == 30 * J
        assert agent.bucket_uj() == left_uj == 10**10 - 30 * J


# The meter's word on what is open


def test_a_word_is_a_statement_of_the_same_form_that_says_it_is_not_the_last(bench, agent):
    taken = agent.take(100 * J, request_id=ATTEMPT, log=LOG, intent=INTENT)
    bench.second(50.0, own_s=0.5, busy_s=1.0)
    said = read_settlement(agent.word(taken.id))
    assert (said.request, said.log, said.intent, said.reservation) == (ATTEMPT, LOG, INTENT, taken.id)
    assert (said.charged.microjoules, said.cpu_microseconds) == (15 * J, 500_000)
    assert (said.machine_net.microjoules, said.reserved_microjoules) == (30 * J, 100 * J)
    assert said.flags == [SO_FAR]
    assert [counter.source for counter in said.counters] == said.sources == ["rapl:package-0"]
    assert agent.bucket_uj() == 400 * J
    bench.second(50.0, own_s=0.5, busy_s=1.0)
    settlement = agent.settle(taken.id)
    last = read_settlement(settlement.statement)
    assert said.charged.microjoules <= last.charged.microjoules == 30 * J
    assert (last.meter_key, last.boot, last.baseline) == (said.meter_key, said.boot, said.baseline)
    assert last.flags == []
    assert agent.word(taken.id) == settlement.statement


def test_a_word_without_its_flag_was_signed_by_nobody(bench, agent):
    taken = agent.take(100 * J, request_id=ATTEMPT)
    bench.second(50.0, own_s=1.0)
    word = agent.word(taken.id)
    key = load_public_key(bench.state / "keys" / f"{METER_KEY}.pub")
    assert base64.b64decode(read_settlement(word).meter_key) == raw_public_key(key)
    payload = word.partition('"payload":"')[2].partition('"')[0]
    said = base64.b64decode(payload)
    forged = base64.b64encode(said.replace(f'"{SO_FAR}"'.encode(), b"")).decode()
    assert forged != payload
    with pytest.raises(VerificationError, match="not signed by the key"):
        read_settlement(word.replace(payload, forged))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 10)), min_size=1, max_size=8))
def test_words_never_fall_while_the_machine_draws_no_less_than_at_rest(tmp_path_factory, seconds):
    bench = Bench(tmp_path_factory.mktemp("bench"))
    with closing(bench.open()) as agent:
        agent.grant(10**9, request_id="g", note="")
        taken, said_uj = agent.take(J, request_id=ATTEMPT), 0
        for watts, tenths in seconds:
            bench.second(20.0 + watts, own_s=tenths / 10, busy_s=1.0)
            said = read_settlement(agent.word(taken.id))
            assert said_uj <= said.charged.microjoules
            assert SO_FAR in said.flags
            said_uj = said.charged.microjoules
        settlement = agent.settle(taken.id)
        assert said_uj <= settlement.energy.uj
        assert SO_FAR not in settlement.energy.flags


def test_nobody_is_paid_for_having_run_by_a_word_either(bench, agent):
    taken = agent.take(100 * J, request_id=ATTEMPT)
    bench.second(5.0, own_s=1.0)
    said = read_settlement(agent.word(taken.id)).charged
    assert (said.microjoules, said.lo_microjoules) == (0, 0)


def test_a_word_on_a_session_is_of_what_is_beside_its_attempts(bench, agent):
    session = agent.take(10 * J, request_id=f"{SESSION}1_0", log=LOG)
    agent.take(10 * J, request_id=ATTEMPT, log=LOG)
    bench.second(50.0, own_s=1.0)
    assert read_settlement(agent.word(session.id)).charged.microjoules == 0


def test_no_word_is_given_on_what_nobody_here_metered(agent):
    lent = agent.lend(100 * J, request_id=LENT)
    withdrawn = agent.withdraw(10 * J, request_id="w")
    back = agent.take(10 * J, request_id="back")
    agent.release(back.id)
    assert [agent.word(one.id) for one in (lent, withdrawn, back)] == ["", "", ""]
    agent.repay(lent.id, CHARGED)
    assert agent.word(lent.id) == ""
    with pytest.raises(UnknownReservationError):
        agent.word("no such")


def test_a_process_killed_after_its_word_is_charged_no_less(tmp_path):
    program = """
        taken = agent.take(10**9, request_id="a")
        while agent.spent(taken.id).uj < 4_000_000:
            sum(range(10**5))
        sum(range(10**7))
        print(agent.word(taken.id))
    """
    said = read_settlement(killed(tmp_path, program))
    with reopened(tmp_path) as agent:
        settlement = agent.settle(agent.find("a").id)
    last = read_settlement(settlement.statement)
    assert (last.reservation, last.meter_key) == (said.reservation, said.meter_key)
    assert 4 * J <= said.charged.microjoules <= last.charged.microjoules
    assert said.charged.hi_microjoules <= last.charged.hi_microjoules
    assert "recovered" in last.flags
    assert SO_FAR not in last.flags
