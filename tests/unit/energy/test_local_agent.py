"""The embedded agent: takes, meters and settles for this process, and survives its own end."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cryoflux.config import load_settings
from cryoflux.energy.account.bucket import ReservationConflictError
from cryoflux.energy.baseline import Baseline, load_baseline
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.errors import BudgetError, StateLockedError
from energy_bench import Bench
from energy_fakes import powercap_zone


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_an_attempt_is_charged_its_share_and_the_rest_comes_back(bench):
    agent = bench.open()
    assert agent.grant(500_000_000, request_id="g", note="--budget 500J") == 500_000_000
    taken = agent.take(120_000_000, request_id="a")
    assert agent.bucket_uj() == 380_000_000
    for _ in range(5):
        bench.second(50.0, own_s=0.5, busy_s=1.0)
        agent.spent(taken.id)
    assert agent.spent(taken.id).uj == 75_000_000
    settlement = agent.settle(taken.id)
    assert settlement.energy.uj == 75_000_000
    assert settlement.energy.lo_uj < 75_000_000 < settlement.energy.hi_uj
    assert settlement.machine_net.uj == 150_000_000
    assert (settlement.sources, settlement.curve) == (("rapl:package-0",), "")
    assert settlement.cpu_us == 2_500_000
    assert settlement.baseline_digest == agent.sample().baseline_digest
    bench.second(50.0, own_s=1.0)
    assert agent.settle(taken.id) == settlement
    assert agent.find("a") == taken
    assert agent.find("b") is None
    assert agent.bucket_uj() == 425_000_000
    agent.close()


def test_an_overdraft_is_charged_too(bench):
    agent = bench.open()
    agent.grant(100_000_000, request_id="g", note="")
    taken = agent.take(10_000_000, request_id="a")
    bench.second(70.0, own_s=1.0)
    assert agent.settle(taken.id).bucket_uj == 50_000_000
    agent.close()


def test_a_settled_charge_is_never_negative_but_the_machines_net_keeps_its_sign(bench):
    agent = bench.open()
    agent.grant(100_000_000, request_id="g", note="")
    taken = agent.take(10_000_000, request_id="a")
    bench.second(5.0, own_s=1.0)
    settlement = agent.settle(taken.id)
    assert (settlement.energy.uj, settlement.energy.lo_uj) == (0, 0)
    assert settlement.machine_net.uj == -15_000_000
    agent.close()


def test_only_grants_count_unless_net_is_credited(tmp_path):
    for credit, expected_uj in (("grant", 0), ("net", 150_000_000)):
        bench = Bench(tmp_path / credit)
        agent = bench.open(credit=credit)
        for _ in range(5):
            bench.second(50.0, own_s=1.0)
            agent.sample()
        assert agent.bucket_uj() == expected_uj
        agent.close()


def test_credits_are_signed_so_that_noise_mints_nothing(bench):
    agent = bench.open(credit="net")
    for second in range(60):
        bench.second(25.0 if second % 2 else 15.0)
        agent.sample()
    assert agent.bucket_uj() == 0
    assert agent.sample().net.uj == 0
    agent.close()


def test_a_sample_tells_watts_idle_and_what_this_process_caused(bench):
    agent = bench.open()
    bench.second(60.0, own_s=0.5, busy_s=1.0)
    agent.sample()
    bench.second(60.0, own_s=0.5, busy_s=1.0)
    sample = agent.sample()
    assert (sample.cpu_w, sample.idle_cpu_w, sample.net_w, sample.gpu_w) == (60.0, 20.0, 40.0, 0)
    assert sample.own.uj == 40_000_000
    assert sample.baseline_state == "settled"
    agent.close()


def test_with_the_model_the_time_before_the_meter_counts_too(tmp_path):
    bench = Bench(tmp_path, tdp_w=100)
    (bench.zone / "energy_uj").unlink()
    (bench.proc.root / "uptime").write_text("11.0 0.0\n")
    agent = bench.open()
    cpus = bench.proc.cpus
    rise = (agent._meter.channels[0].source._power.share(3.0 / 10 / cpus) - 0.12) * 100 * 10
    assert agent.sample().own.joules == pytest.approx(rise, rel=1e-3)
    assert agent.sample().baseline_state == "modelled"
    agent.close()


def test_nothing_is_taken_that_is_not_there(bench):
    agent = bench.open()
    with pytest.raises(BudgetError):
        agent.take(1, request_id="a")
    assert agent.views() == ()
    agent.close()


def test_one_state_has_one_meter(bench):
    agent = bench.open()
    with pytest.raises(StateLockedError) as caught:
        bench.open()
    assert "--agent URL" in caught.value.hint
    assert len(caught.value.lines()) == 3
    agent.close()
    bench.open().close()


def test_the_baseline_is_learned_once(bench):
    seen = []
    first = bench.open(progress=lambda done, _: seen.append(done))
    digest = first.sample().baseline_digest
    first.close()
    again = bench.open(progress=lambda done, _: seen.append(done))
    assert again.sample().baseline_digest == digest
    assert seen == list(range(1, 31))
    again.close()


@pytest.mark.parametrize("loss", ["file", "entry"])
def test_a_baseline_that_was_lost_is_learned_again_and_said_to_be(bench, loss):
    path = bench.state / "baseline.json"
    first = bench.open()
    first.grant(500_000_000, request_id="g", note="")
    first.settle(first.take(1_000_000, request_id="a").id)
    assert first.sample().flags == ()
    first.close()
    if loss == "file":
        path.unlink()
    else:
        path.write_bytes(Baseline(()).content())
    for _ in range(2):
        agent = bench.open()
        assert "baseline-relearned" in agent.sample().flags
        settlement = agent.settle(agent.take(1_000_000, request_id=f"b{agent.bucket_uj()}").id)
        assert "baseline-relearned" in settlement.energy.flags
        agent.grant(1, request_id=f"{agent.bucket_uj()}", note="")
        agent.close()
    assert load_baseline(path).idles[0].replaces == "unknown"


def test_a_baseline_that_was_lost_before_anything_was_settled_is_just_learned(bench):
    bench.open().close()
    (bench.state / "baseline.json").unlink()
    agent = bench.open()
    assert agent.sample().flags == ()
    agent.close()


@pytest.mark.parametrize(("limit_uw", "most_w"), [(50_000_000, 100), (None, 200)])
def test_a_zone_that_cannot_be_read_widens_every_figure_upwards(bench, tmp_path, limit_uw, most_w):
    hidden = powercap_zone(tmp_path / "powercap", "intel-rapl:1", "package-1", limit_uw=limit_uw)
    (hidden / "energy_uj").unlink()
    agent = bench.open()
    assert agent.max_power_uw == (200 + most_w) * 1_000_000
    agent.grant(500_000_000, request_id="g", note="")
    taken = agent.take(1_000_000, request_id="a")
    for _ in range(3):
        bench.second(50.0, own_s=1.0)
    settlement, sample = agent.settle(taken.id), agent.sample()
    for figure in (settlement.energy, settlement.machine_net, sample.net, sample.own):
        assert figure.uj == 90_000_000
        assert 0 <= figure.hi_uj - (figure.uj + 3 * most_w * 1_000_000) < 50_000_000
        assert figure.lo_uj > 70_000_000
        assert "unreadable-zone" in figure.flags
    agent.close()


def test_a_crash_is_charged_what_was_noted_and_a_second_more_may_have_been_spent(bench):
    child = Path(sys.executable)
    before = bench.open()
    before.grant(500_000_000, request_id="g", note="")
    with subprocess.Popen([child, "-c", "input()"], stdin=subprocess.PIPE) as process:
        bench.proc.process(process.pid, 0.0)
        owner = before.owner_of(process.pid, bench.clock.boot_id)
        taken = before.take_for(120_000_000, request_id="a", owner=owner, log="ours")
        bench.clock.forward(1)
        bench.draw(50.0, 1)
        bench.proc.run(1.0, 1.0, process.pid)
        assert before.spent(taken.id).uj == 30_000_000
        before.close()
        process.communicate(b"\n")
    bench.proc.end(process.pid)
    bench.second(90.0)
    after = bench.open()
    (left,) = after.views()
    assert left.reservation == taken
    assert left.spent.uj == 30_000_000
    settlement = after.settle(taken.id)
    assert settlement.energy.uj == 30_000_000
    assert settlement.energy.hi_uj >= 30_000_000 + 200_000_000
    assert "recovered" in settlement.energy.flags
    assert after.views() == ()
    assert after.bucket_uj() == 470_000_000
    after.close()


def test_an_attempt_names_its_log_and_keeps_it(bench):
    agent = bench.open()
    agent.grant(500_000_000, request_id="g", note="")
    taken = agent.take(10_000_000, request_id="a", log="cryoflux.dev/log/ours")
    assert taken.log == "cryoflux.dev/log/ours"
    assert agent.find("a") == taken == agent.view(taken.id).reservation
    with pytest.raises(ReservationConflictError):
        agent.take(10_000_000, request_id="a", log="cryoflux.dev/log/theirs")
    agent.settle(taken.id)
    assert agent.find("a") == taken
    agent.close()


def test_a_living_process_is_metered_on_across_a_restart_of_the_meter(bench):
    first = bench.open()
    first.grant(500_000_000, request_id="g", note="")
    bench.proc.process(77, 0.0)
    owner = first.owner_of(77, bench.clock.boot_id)
    taken = first.take_for(120_000_000, request_id="a", owner=owner)
    for agent in (first, None):
        bench.clock.forward(1)
        bench.draw(50.0, 1)
        bench.proc.run(1.0, 1.0, 77)
        if agent:
            agent.spent(taken.id)
            agent.close()
        else:
            second = bench.open()
    bench.clock.forward(1)
    bench.draw(50.0, 1)
    bench.proc.run(1.0, 1.0, 77)
    spent = second.spent(taken.id)
    assert second.views()[0].alive
    assert "metered-across-restart" in spent.flags
    assert spent.uj == 60_000_000
    assert spent.lo_uj <= 60_000_000
    assert spent.hi_uj >= 90_000_000
    second.close()


def test_a_reservation_of_nobody_is_charged_the_machine_across_a_restart_too(bench):
    first = bench.open()
    first.grant(500_000_000, request_id="g", note="")
    taken = first.take_for(100_000_000, request_id="a", owner=None)
    bench.second(50.0, own_s=0.5)
    assert first.spent(taken.id).uj == 30_000_000
    first.close()
    bench.second(50.0, own_s=0.5)
    second = bench.open()
    bench.second(60.0, own_s=0.5)
    # What was spent before was noted nowhere, so what was asked for stands for it.
    spent = second.spent(taken.id)
    assert spent.uj == 100_000_000 + 40_000_000
    assert spent.hi_uj >= spent.uj
    assert set(spent.flags) == {"metered-across-restart", "unmetered", "unattributed"}
    settlement = second.settle(taken.id)
    assert settlement.energy.uj == 140_000_000
    assert second.bucket_uj() == 360_000_000
    second.close()


def test_reservations_of_nobody_cost_the_meter_nothing_however_many_they_are(bench):
    agent = bench.open()
    agent.grant(500_000_000, request_id="g", note="")
    taken = [agent.take_for(1_000, request_id=f"{number}", owner=None).id for number in range(50)]
    metered = len(agent._meter._attributions)
    bench.second(50.0, own_s=0.5)
    assert {agent.spent(one).uj for one in taken} == {30_000_000}
    more = agent.take_for(1_000, request_id="more", owner=None)
    assert len(agent._meter._attributions) == metered
    for one in (*taken, more.id):
        agent.release(one)
    assert len(agent._meter._attributions) == metered - 1
    agent.withdraw(1_000, request_id="w")
    assert len(agent._meter._attributions) == metered - 1
    assert agent.bucket_uj() == 500_000_000 - 1_000
    agent.close()


def test_what_is_credited_now_is_the_net_power_unless_only_grants_count(bench):
    agent = bench.open(credit="net")
    for _ in range(3):
        bench.second(50.0)
        agent.sample()
    assert agent.credit_uw == 30_000_000
    agent.close()
    agent = bench.open(credit="grant")
    assert agent.credit_uw is None
    agent.close()


def test_a_process_killed_in_the_middle_leaves_its_joules_on_the_books(tmp_path):
    script = textwrap.dedent(f"""
        import os, signal, time
        from pathlib import Path
        from cryoflux.config import load_settings
        from cryoflux.energy.local_agent import LocalAgent
        chosen = {{"powercap_root": "/nowhere", "hwmon_root": "/nowhere", "nvml": False}}
        settings = load_settings(chosen, environ={{}}).settings
        agent = LocalAgent(settings, Path({str(tmp_path / "state")!r}))
        agent.grant(10**10, request_id="g", note="")
        taken = agent.take(10**9, request_id="a")
        while agent.spent(taken.id).uj < 4_000_000 or time.process_time() < 2:
            sum(range(10**5))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    settings = load_settings(
        {"powercap_root": "/nowhere", "hwmon_root": "/nowhere", "nvml": False}, environ={}
    ).settings
    agent = LocalAgent(settings, tmp_path / "state", background=False)
    (left,) = agent.views()
    settlement = agent.settle(left.reservation.id)
    assert settlement.energy.uj > 0
    assert "recovered" in settlement.energy.flags
    assert agent.bucket_uj() == 10**10 - settlement.energy.uj
    agent.close()
