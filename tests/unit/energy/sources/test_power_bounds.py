"""How much can flow in a zone: what it states, read again, and believed as far as it can be."""

from __future__ import annotations

import json

import pytest

from cryoflux.energy.baseline import Baseline, Idle, limits_of
from cryoflux.energy.channels import gross_total
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.power_bounds import PlausiblePower, plausible_power
from cryoflux.energy.sources.rapl import find_rapl
from cryoflux.energy.trace import read_trace
from cryoflux.energy.trace_totals import replay_trace
from cryoflux.energy.trace_writer import TraceWriter
from cryoflux.energy.window import Accumulator
from cryoflux.quantities import Tier
from energy_fakes import FakeClock, powercap_zone

MICRO = 10**6


def cpuinfo(brand, threads, *, vendor="GenuineIntel", family=6, model=183):
    lines = f"vendor_id : {vendor}\ncpu family : {family}\nmodel : {model}\nmodel name : {brand}\n"
    return "".join(f"processor : {n}\n{lines}siblings : {threads}\n\n" for n in range(threads))


class Package:
    """One package, read once a second by an accumulator as the meter has it."""

    def __init__(self, root, *, limit_w, plausible=None):
        self.zone = powercap_zone(root, "intel-rapl:0", "package-0", 1000, limit_w and limit_w * MICRO)
        self.clock = FakeClock()
        (self.source,), _ = find_rapl(str(root), self.clock, plausible=plausible)
        self.meter = Accumulator(limits_of(self.source))
        self.uj = 1000
        self.read()

    def read(self):
        self.meter.advance(self.source.read(), self.source.max_power_uw)
        return self.meter.mark()

    def run(self, watts, seconds, shown=True):
        for _ in range(seconds):
            self.clock.forward(1)
            self.uj += watts * MICRO
            if shown:
                (self.zone / "energy_uj").write_text(f"{self.uj}\n")
            self.read()
        return self.meter.mark()

    def limit(self, watts):
        (self.zone / "constraint_0_power_limit_uw").write_text(f"{watts * MICRO}\n")


@pytest.mark.parametrize("rest_s", [0, 15])
def test_a_limit_that_is_raised_later_is_read_again_and_not_a_joule_is_doubted(tmp_path, rest_s):
    package = Package(tmp_path, limit_w=65)
    before = package.run(20, 3)
    package.limit(200)
    package.run(20, rest_s)
    after = package.run(188, 2)
    gained = after.since(before)
    assert (gained.lo_uj, gained.hi_uj) == (gained.uj, gained.uj)
    assert gained.uj == (376 + 20 * rest_s) * MICRO
    assert after.flags_since(before) == ()
    frozen = package.run(300, 4, shown=False)
    assert frozen.since(after).hi_uj >= 1200 * MICRO


def test_a_limit_that_is_lowered_bounds_only_what_flows_afterwards(tmp_path):
    package = Package(tmp_path, limit_w=200)
    before = package.run(20, 12)
    package.run(300, 5, shown=False)
    package.limit(50)
    (package.zone / "energy_uj").write_text(f"{package.uj}\n")
    package.clock.forward(0)
    assert package.read().since(before).hi_uj >= 1500 * MICRO
    for _ in range(12):
        package.run(20, 1)
    assert package.meter.max_power_uw == 100 * MICRO


def test_a_counter_that_exceeds_its_limit_refutes_it_and_is_in_the_interval(tmp_path):
    package = Package(tmp_path, limit_w=65)
    before = package.run(20, 3)
    once = package.run(188, 1)
    assert once.since(before).lo_uj == 0
    assert once.since(before).uj == once.since(before).hi_uj == 188 * MICRO
    assert once.flags_since(before) == ("above-power-limit",)
    later = package.run(188, 5)
    assert later.since(once).lo_uj == 5 * 188 * MICRO, "what was refuted once is not held against it again"
    assert later.flags_since(once) == ()
    assert package.run(188, 4, shown=False).since(later).hi_uj >= 4 * 188 * MICRO


def test_what_no_package_can_give_is_still_impossible(tmp_path):
    package = Package(tmp_path, limit_w=65)
    before = package.run(20, 3)
    jumped = package.run(100_000, 1)
    assert jumped.since(before).hi_uj <= 131 * MICRO
    assert jumped.flags_since(before) == ("impossible-jump",)


def test_two_reads_around_one_update_of_the_counter_are_no_jump(tmp_path):
    package = Package(tmp_path, limit_w=65)
    before = package.run(60, 3)
    package.clock.forward(0.0001)
    (package.zone / "energy_uj").write_text(f"{package.uj + 60_000}\n")
    after = package.read()
    assert after.since(before).lo_uj == 60_000
    assert after.flags_since(before) == ()


@pytest.mark.parametrize(
    ("brand", "threads", "stated_w", "bound_w"),
    [
        ("13th Gen Intel(R) Core(TM) i9-13900K", 32, 253, 506),
        ("no such CPU", 2, 200, 400),
        ("no such CPU", 2, 3408, 255),
        ("no such CPU", 2, 4095, 255),
        ("no such CPU", 2, None, 255),
        ("no such CPU", 256, 3408, 1500),
    ],
)
def test_a_stated_limit_is_believed_as_far_as_such_a_package_goes(
    tmp_path, brand, threads, stated_w, bound_w
):
    plausible = plausible_power(cpuinfo(brand, threads, model=999))
    package = Package(tmp_path, limit_w=stated_w, plausible=plausible)
    assert package.source.max_power_uw == bound_w * MICRO


def test_the_plausible_power_of_a_package_holds_its_pl2_and_follows_the_table(tmp_path):
    server = cpuinfo("AMD EPYC 9654 96-Core Processor", 192, vendor="AuthenticAMD", family=25, model=17)
    desktop = cpuinfo("13th Gen Intel(R) Core(TM) i9-13900K", 32)
    assert plausible_power(desktop).package_w >= 253
    assert 400 <= plausible_power(server).package_w <= 1500
    assert plausible_power("") == PlausiblePower(), "where nothing is told, what no zone exceeds"


def test_an_absurd_limit_does_not_make_the_interval_of_a_frozen_counter_absurd(tmp_path):
    plausible = plausible_power(cpuinfo("no such CPU", 4, model=999))
    package = Package(tmp_path, limit_w=3408, plausible=plausible)
    before = package.run(15, 5)
    package.run(15, 15, shown=False)
    known = package.meter.mark().since(before)
    assert known.lo_uj == 0
    assert 225 * MICRO <= known.hi_uj <= 15 * 255 * MICRO


def test_a_counter_that_stops_while_the_machine_works_is_named_and_widens_upwards(tmp_path):
    package = Package(tmp_path, limit_w=100)
    idle = Idle("rapl:package-0", Tier.COUNTER, "", 5 * MICRO, 0, 60, "settled", "")
    meter = Meter([package.source], Baseline((idle,)), MachineTimes(str(tmp_path)), package.clock)
    for _ in range(3):
        package.run(60, 1)
        start = meter.refresh()
    for _ in range(12):
        package.run(60, 1, shown=False)
        end = meter.refresh()
    gross = gross_total(meter.channels, start, end)
    assert "frozen" in gross.flags
    assert gross.lo_uj <= 0 <= 12 * 60 * MICRO <= gross.hi_uj
    assert gross.uj == pytest.approx(12 * 60 * MICRO, rel=0.1)


def test_a_trace_of_a_limit_that_was_raised_adds_up_to_the_same_microjoules(tmp_path):
    package = Package(tmp_path / "powercap", limit_w=65)
    before = package.meter.mark()
    with TraceWriter(tmp_path / "trace", [package.source], package.clock) as trace:
        trace.write([package.source.read()])
        package.run(20, 1)
        trace.write([package.source.read()])
        package.limit(200)
        package.run(188, 1)
        trace.write([package.source.read()])
    (part,) = replay_trace(read_trace(tmp_path / "trace"), Baseline(()))
    (replayed,) = part.sources
    assert replayed.gross.uj == package.meter.mark().since(before).uj == 208 * MICRO
    assert replayed.gross.lo_uj <= replayed.gross.uj
    assert replayed.gross.flags == ("above-power-limit",), "the trace holds the limit of its start alone"


def test_an_older_trace_that_names_no_ceiling_is_read(tmp_path):
    package = Package(tmp_path / "powercap", limit_w=65)
    with TraceWriter(tmp_path / "trace", [package.source], package.clock) as trace:
        trace.write([package.source.read()])
    header, _, rest = (tmp_path / "trace").read_text().partition("\n")
    document = json.loads(header)
    del document["sources"][0]["ceiling_uw"]
    (tmp_path / "old").write_text(f"{json.dumps(document)}\n{rest}")
    assert read_trace(tmp_path / "old").sources[0].ceiling_uw == 0


def test_an_unreadable_package_that_states_nonsense_widens_like_one_that_can_be_read(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", 1000, 65 * MICRO)
    hidden = powercap_zone(tmp_path, "intel-rapl:1", "package-1", 1000, 3408 * MICRO)
    (hidden / "energy_uj").unlink()
    plausible = plausible_power(cpuinfo("no such CPU", 4, model=999))
    _, (problem,) = find_rapl(str(tmp_path), FakeClock(), plausible=plausible)
    assert (problem.code, problem.max_power_uw) == ("unreadable-zone", 130 * MICRO)
