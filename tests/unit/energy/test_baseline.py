"""The idle baseline is learned once, is honest about how, and never moves."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from cryoflux.digests import sha256_hex
from cryoflux.energy.baseline import learn_again, load_baseline, machine_here, obtain_baseline
from cryoflux.energy.interface import Reading
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.cpu_model import CpuModelSource
from cryoflux.errors import MeterError, StateTamperedError
from energy_fakes import FakeClock, FakeProc, ReplaySource


class Machine:
    """One counter at a power that changes by the second."""

    def __init__(self, tmp_path, powers_w, busy=0.0, name="rapl:package-0"):
        self.proc = FakeProc(tmp_path / "proc")
        self.clock = FakeClock(self._advance)
        self.times = MachineTimes(str(self.proc.root))
        self.powers_w = powers_w
        self.busy = busy
        self.seconds = 0
        self.source = ReplaySource([Reading(0, self.clock.now_ns, "a")], name=name)
        self.source.read = self._read
        self.energy_uj = 0

    def _advance(self, seconds):
        self.energy_uj += round(self.powers_w[self.seconds % len(self.powers_w)] * 1e6 * seconds)
        self.seconds += 1
        self.proc.run(seconds * self.busy * len(self.times.cpus))

    def _read(self):
        return Reading(self.energy_uj, self.clock.now_ns, "a")

    def obtain(self, path, *sources, seconds=30.0, **asked):
        chosen = sources or (self.source,)
        rng = random.Random(1)
        return obtain_baseline(path, chosen, self.times, self.clock, seconds=seconds, rng=rng, **asked)

    def learn_again(self, path, **asked):
        rng = random.Random(1)
        return learn_again(path, [self.source], self.times, self.clock, seconds=30.0, rng=rng, **asked)

    def meter(self, baseline):
        return Meter([self.source], baseline, self.times, self.clock)

    def go_on(self, meter, seconds, power_w, busy=0.0):
        self.powers_w, self.busy = [power_w], busy
        for _ in range(seconds):
            self.clock.sleep(1.0)
            meter.refresh()


def test_at_rest_it_is_the_median_with_an_error_and_named_by_the_files_digest(tmp_path):
    seen = []
    noise = [20.0, 20.3, 19.8, 20.1, 45.0, 20.0, 19.9]
    machine = Machine(tmp_path, noise)
    path = tmp_path / "baseline.json"
    baseline = machine.obtain(path, progress=lambda done, total: seen.append((done, total)))
    (idle,) = baseline.idles
    assert idle.state == "settled"
    assert abs(idle.idle_uw - 20_000_000) < 200_000
    assert 50_000 <= idle.error_uw < 400_000
    assert idle.blocks == 30
    assert seen[-1] == (30, 30)
    assert baseline.digest == sha256_hex(path.read_bytes())


def test_it_is_frozen_what_the_machine_does_later_does_not_move_it(tmp_path):
    path = tmp_path / "baseline.json"
    first = Machine(tmp_path, [20.0]).obtain(path)
    again = Machine(tmp_path, [90.0], busy=0.9).obtain(path)
    assert again == first


def test_another_source_is_learned_beside_the_frozen_ones(tmp_path):
    path = tmp_path / "baseline.json"
    Machine(tmp_path, [20.0]).obtain(path)
    other = Machine(tmp_path, [7.0], name="rapl:package-1")
    both = other.obtain(path)
    assert [(idle.source, idle.idle_uw) for idle in both.idles] == [
        ("rapl:package-0", 20_000_000),
        ("rapl:package-1", 7_000_000),
    ]


@pytest.mark.parametrize(
    ("powers_w", "busy", "seconds"),
    [([20.0], 0.2, 30.0), ([20.0] * 15 + [26.0] * 15, 0.0, 30.0), ([20.0], 0.0, 2.0)],
    ids=["busy", "halves-differ", "too-short"],
)
def test_under_load_or_in_haste_it_is_marked_unsettled(tmp_path, powers_w, busy, seconds):
    machine = Machine(tmp_path, powers_w, busy)
    baseline = machine.obtain(tmp_path / "baseline.json", seconds=seconds)
    assert baseline.idles[0].state == "unsettled"
    assert baseline.state([machine.source]) == "unsettled"


def test_a_model_needs_no_waiting_and_a_changed_tdp_is_another_model(tmp_path):
    machine = Machine(tmp_path, [20.0])
    path = tmp_path / "baseline.json"
    for tdp_w in (50.0, 100.0):
        model = CpuModelSource(machine.times, machine.clock, tdp_w=tdp_w)
        baseline = machine.obtain(path, model)
        assert baseline.of(model).idle_uw == int(0.12 * tdp_w * 1e6)
        assert baseline.state([model]) == "modelled"
    assert machine.seconds == 0


def test_a_changed_file_is_refused(tmp_path):
    path = tmp_path / "baseline.json"
    Machine(tmp_path, [20.0]).obtain(path)
    document = json.loads(path.read_bytes())
    document["sources"][0]["idle_uw"] = 1
    path.write_text(json.dumps(document, indent=1))
    with pytest.raises(StateTamperedError) as caught:
        load_baseline(path)
    assert len(caught.value.lines()) == 3


def test_one_learned_under_load_holds_the_truth_in_its_interval_and_says_so(tmp_path):
    machine = Machine(tmp_path, [120.0], busy=0.9)  # 20 W at rest
    baseline = machine.obtain(tmp_path / "baseline.json")
    meter = machine.meter(baseline)
    machine.go_on(meter, 5, 40.0, busy=0.3)  # 100 J above what it draws at rest
    net = meter.net()
    assert net.lo_uj <= 100e6 <= net.hi_uj
    assert "baseline-unsettled" in net.flags


def test_the_load_of_cpus_that_are_not_allowed_counts_as_load(tmp_path):
    machine = Machine(tmp_path, [120.0])
    machine.times = MachineTimes(str(machine.proc.root), frozenset({min(machine.times.cpus)}))
    machine.busy = 0.5
    assert machine.obtain(tmp_path / "baseline.json").idles[0].state == "unsettled"


def test_power_below_it_for_long_contradicts_it_whatever_the_machine_does(tmp_path):
    machine = Machine(tmp_path, [120.0])  # by a load that no CPU shows
    meter = machine.meter(machine.obtain(tmp_path / "baseline.json"))
    machine.go_on(meter, 29, 20.0, busy=0.1)
    assert "baseline-too-high" not in meter.net().flags
    machine.go_on(meter, 31, 20.0, busy=0.1)
    net = meter.net()
    assert "baseline-too-high" in net.flags
    assert net.lo_uj <= 0 <= net.hi_uj


def test_work_and_noise_do_not_contradict_it(tmp_path):
    machine = Machine(tmp_path, [20.0, 20.4, 19.6])
    meter = machine.meter(machine.obtain(tmp_path / "baseline.json"))
    for power_w, busy in ((19.5, 0.0), (60.0, 0.7), (19.8, 0.0), (20.4, 0.0)):
        machine.go_on(meter, 60, power_w, busy)
    assert meter.net().flags == ()


def test_machines_that_share_a_home_each_have_their_own(tmp_path):
    path = tmp_path / "baseline.json"
    quiet = Machine(tmp_path / "a", [20.0]).obtain(path, machine="a")
    loud = Machine(tmp_path / "b", [100.0]).obtain(path, machine="b")
    assert [idle.idle_uw for idle in quiet.idles] == [20_000_000]
    assert [idle.idle_uw for idle in loud.idles] == [100_000_000]
    assert load_baseline(path, "a") == replace(quiet, elsewhere=loud.idles)
    assert (load_baseline(path, "a").digest, load_baseline(path, "b").digest) == (quiet.digest, loud.digest)
    assert load_baseline(path, "c").idles == ()


def test_one_of_before_machines_were_noted_goes_on(tmp_path):
    path = tmp_path / "baseline.json"
    first = Machine(tmp_path, [20.0]).obtain(path, machine="")
    assert b"machine" not in path.read_bytes()
    assert Machine(tmp_path, [90.0]).obtain(path, machine="a") == first


def test_a_machine_is_told_from_others_without_its_id_being_shown(tmp_path):
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    here = machine_here(str(tmp_path))
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdee\n")
    assert here != machine_here(str(tmp_path))
    assert here not in "0123456789abcdef0123456789abcdef"
    (tmp_path / "machine-id").write_text("")
    (tmp_path / "cpuinfo").write_text("processor: 0\nmodel name: A\ncpu MHz: 800\n")
    one = machine_here(str(tmp_path), str(tmp_path))
    (tmp_path / "cpuinfo").write_text("processor: 0\nmodel name: A\ncpu MHz: 900\n")
    assert one == machine_here(str(tmp_path), str(tmp_path))
    (tmp_path / "cpuinfo").write_text("processor: 0\nmodel name: B\ncpu MHz: 900\n")
    assert one != machine_here(str(tmp_path), str(tmp_path))


def test_learned_again_it_is_another_one_that_names_the_one_before(tmp_path):
    path = tmp_path / "baseline.json"
    first = Machine(tmp_path, [60.0]).obtain(path)
    before, after = Machine(tmp_path, [20.0]).learn_again(path)
    assert before == first
    assert after == load_baseline(path)
    assert after.idles[0].replaces == first.digest != after.digest
    assert after.idles[0].idle_uw == 20_000_000
    assert after.flags == ()


def test_at_work_it_is_not_learned_again(tmp_path):
    path = tmp_path / "baseline.json"
    Machine(tmp_path, [20.0]).obtain(path)
    content = path.read_bytes()
    with pytest.raises(MeterError, match="not at rest: 40%"):
        Machine(tmp_path, [70.0], busy=0.4).learn_again(path)
    assert path.read_bytes() == content


def test_rest_is_waited_for_but_not_for_ever(tmp_path):
    machine = Machine(tmp_path, [90.0] * 20 + [20.0] * 100, busy=0.8)
    forward = machine._advance

    def quiet_after(seconds):
        machine.busy = 0.8 if machine.seconds < 20 else 0.0
        forward(seconds)

    machine.clock = FakeClock(quiet_after)
    (idle,) = machine.obtain(tmp_path / "baseline.json", patience_s=60.0).idles
    assert (idle.idle_uw, idle.state) == (20_000_000, "settled")
    busy = Machine(tmp_path / "busy", [90.0], busy=0.8)
    (idle,) = busy.obtain(tmp_path / "other.json", patience_s=60.0).idles
    assert busy.seconds == 60 + 30
    assert idle.state == "unsettled"


def test_for_somebody_whose_work_is_under_way_it_is_glanced_at_doubted_and_not_stored(tmp_path):
    path = tmp_path / "baseline.json"
    machine = Machine(tmp_path, [90.0])  # 20 W at rest, and a GPU that no CPU tells of
    baseline = machine.obtain(path, provisional=True)
    assert machine.seconds == 2
    assert not path.exists()
    meter = machine.meter(baseline)
    machine.go_on(meter, 10, 120.0)
    net = meter.net()
    assert net.lo_uj <= 1_000e6 <= net.hi_uj
    assert "baseline-unsettled" in net.flags
