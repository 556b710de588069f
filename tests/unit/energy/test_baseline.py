"""The idle baseline is learned once, is honest about how, and never moves."""

from __future__ import annotations

import json
import random

import pytest

from cryoflux.digests import sha256_hex
from cryoflux.energy.baseline import load_baseline, obtain_baseline
from cryoflux.energy.interface import Reading
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.cpu_model import CpuModelSource
from cryoflux.errors import StateTamperedError
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

    def obtain(self, path, *sources, seconds=30.0, progress=None):
        chosen = sources or (self.source,)
        rng = random.Random(1)
        return obtain_baseline(
            path, chosen, self.times, self.clock, seconds=seconds, rng=rng, progress=progress
        )


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
