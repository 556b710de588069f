"""A recorded trace gives the same joules wherever it is played, and live it goes on without inventing any."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.energy.baseline import Baseline, Idle
from cryoflux.energy.interface import Reading
from cryoflux.energy.measured import machine_use
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.replay import find_replay, replayed
from cryoflux.energy.trace import Conditions, RecordedSource, Round, Trace, read_trace
from cryoflux.energy.trace_totals import replay_trace
from cryoflux.energy.trace_writer import TraceWriter
from cryoflux.energy.window import Accumulator, SourceLimits
from cryoflux.errors import UsageError
from cryoflux.quantities import Tier
from energy_fakes import FakeClock, FakeProc, ReplaySource

SECOND = 1_000_000_000
RANGE_UJ = 1_000_000_000


def source(name="cpu", **changes):
    properties = {
        "name": name,
        "kind": "cpu",
        "tier": Tier.COUNTER,
        "range_uj": None,
        "max_power_uw": 500_000_000,
        "gain_error": (0.95, 1.05),
        "resolution_uj": 61,
        "update_s": 0.001,
        "curve": "",
        "idle_uw": None,
    }
    return RecordedSource(**{**properties, **changes})


def trace_of(*columns, sources=None, step_ns=SECOND, start_ns=7 * SECOND):
    """A trace of one column of readings or energies a source."""
    rounds = []
    for n, row in enumerate(zip(*columns, strict=True)):
        at_ns = start_ns + n * step_ns
        readings = [one if isinstance(one, Reading) else Reading(one, at_ns, "a") for one in row]
        rounds.append(Round(at_ns, tuple(readings)))
    return Trace("boot-1", 1.0, tuple(sources or (source(),)), tuple(rounds))


def recorded(path, trace):
    class Described(ReplaySource):
        def __init__(self, properties):
            for name in RecordedSource.__dataclass_fields__:
                setattr(self, name, getattr(properties, name))

    clock = FakeClock()
    with TraceWriter(path, [Described(one) for one in trace.sources], clock) as writer:
        for round_ in trace.rounds:
            writer.write(round_.readings)
    return path


def metered(trace, tmp_path):
    """Gross and net energy of a whole trace, as a meter adds it up."""
    replay = replayed(trace)
    idles = [
        Idle(one.name, one.tier, one.curve, 10_000_000, 50_000, 30, "settled", "") for one in replay.sources
    ]
    baseline = Baseline(()).with_idles(idles)
    meter = Meter(replay.sources, baseline, MachineTimes(str(tmp_path / "none")), replay.clock)
    while replay.clock.step():
        meter.refresh()
    return meter.gross(), meter.net()


energies = st.lists(st.none() | st.integers(0, RANGE_UJ - 1), min_size=2, max_size=30)


@settings(max_examples=60, deadline=None)
@given(first=energies, seed=st.integers(0, 2**32))
def test_a_trace_gives_the_same_joules_each_time_also_from_a_file(tmp_path_factory, first, seed):
    rng, folder = random.Random(seed), tmp_path_factory.mktemp("replay")
    second = [rng.randrange(10**12) for _ in first]
    two = (source(range_uj=RANGE_UJ), source("gpu", kind="gpu", gain_error=(0.9, 1.1)))
    trace = trace_of(first, second, sources=two, step_ns=rng.randrange(1, 5 * SECOND))
    again = read_trace(recorded(folder / "t", trace))
    assert again.rounds == trace.rounds
    assert metered(trace, folder) == metered(again, folder)


def test_the_joules_of_a_replay_are_those_of_its_counter(tmp_path):
    gross, net = metered(trace_of([n * 30_000_000 for n in range(61)]), tmp_path)
    assert gross.uj == 1_800_000_000
    assert net.uj == 1_200_000_000
    assert net.lo_uj < net.uj < net.hi_uj


def test_the_clock_of_a_replay_waits_past_rounds_and_goes_on_after_the_last_one():
    replay = replayed(trace_of([0, 1, 2, 3]))
    assert replay.clock.monotonic_ns() == 7 * SECOND
    replay.clock.sleep(2.5)
    assert replay.sources[0].read() == Reading(2, 9 * SECOND, "a")
    assert replay.clock.step()
    assert replay.clock.monotonic_ns() == 10 * SECOND
    assert not replay.clock.step()
    replay.clock.sleep(60)
    assert replay.clock.monotonic_ns() == 70 * SECOND
    assert replay.clock.wall_s() == 64.0
    assert replay.sources[0].read().energy_uj == 3
    assert replay.sources[0].users() is None


def test_a_truncated_trace_flags_its_replay(tmp_path):
    path = recorded(tmp_path / "t", trace_of([0, 1, 2]))
    path.write_bytes(path.read_bytes()[:-4])
    replay = replayed(read_trace(path))
    assert replay.flags == ("trace-truncated",)
    assert [one.flags for one in find_replay(path, FakeClock())] == [("trace-truncated",)]


def live(tmp_path, trace):
    clock = FakeClock()
    return clock, find_replay(recorded(tmp_path / "t", trace), clock)


def test_live_only_recorded_readings_are_shown_at_the_pace_at_which_they_were_recorded(tmp_path):
    clock, (cpu,) = live(tmp_path, trace_of([100, 200, 400]))
    start_ns, shown = clock.now_ns, []
    for _ in range(20):
        shown.append(cpu.read())
        clock.forward(0.1)
    assert {reading.energy_uj for reading in shown} == {100, 200}
    assert [reading.monotonic_ns - start_ns for reading in shown] == [0] * 10 + [SECOND] * 10


def test_live_the_counter_goes_on_at_the_end_of_the_trace_in_the_same_epoch(tmp_path):
    clock, (cpu,) = live(tmp_path, trace_of([100, 200, 400]))
    readings = []
    for _ in range(9):
        readings.append(cpu.read())
        clock.forward(1.0)
    assert [reading.energy_uj for reading in readings] == [100, 200, 400, 500, 700, 800, 1000, 1100, 1300]
    assert {reading.epoch for reading in readings} == {"a"}
    assert all(b.monotonic_ns - a.monotonic_ns == SECOND for a, b in pairwise(readings))


def test_live_a_counter_that_wraps_wraps_on(tmp_path):
    power_uw = 90_000_000
    values = [(700_000_000 + n * power_uw) % RANGE_UJ for n in range(8)]
    clock, (cpu,) = live(tmp_path, trace_of(values, sources=(source(range_uj=RANGE_UJ),)))
    meter = Accumulator(SourceLimits(RANGE_UJ, 500_000_000, 0, ticks=True))
    meter.advance(cpu.read())
    for _ in range(50):
        clock.forward(1.0)
        reading = cpu.read()
        assert 0 <= reading.energy_uj < RANGE_UJ
        meter.advance(reading)
    total = meter.mark().total
    assert (total.lo_uj, total.uj, total.hi_uj) == (50 * power_uw,) * 3


@pytest.mark.parametrize(
    "column",
    [
        [Reading(100, 7 * SECOND, "a"), Reading(50, 8 * SECOND, "b"), Reading(90, 9 * SECOND, "b")],
        [400, 500, 200],
    ],
)
def test_live_a_counter_that_did_not_go_on_begins_a_new_epoch_with_each_turn(tmp_path, column):
    clock, (cpu,) = live(tmp_path, trace_of(column))
    turns = []
    for _ in range(3):
        clock.forward(2.0)
        turns.append(cpu.read())
    assert len({reading.epoch for reading in turns}) == 3
    last_uj = column[-1] if isinstance(column[-1], int) else column[-1].energy_uj
    assert {reading.energy_uj for reading in turns} == {last_uj}


def test_live_a_failed_reading_is_shown_as_one_and_the_check_goes_on_too(tmp_path):
    column = [Reading(n * 10, (7 + n) * SECOND, "a", n * 11) for n in range(3)]
    column.insert(1, Reading(None, 7 * SECOND + 1, "a"))
    rounds = tuple(Round(reading.monotonic_ns, (reading,)) for reading in column)
    clock, (cpu,) = live(tmp_path, Trace("boot-1", 1.0, (source(),), rounds))
    clock.forward(0.5)
    assert cpu.read().energy_uj is None
    clock.forward(2.0)
    assert (cpu.read().energy_uj, cpu.read().check_uj) == (None, None)
    clock.forward(0.5)
    assert (cpu.read().energy_uj, cpu.read().check_uj) == (30, 33)


def test_live_a_trace_of_one_round_stands_still(tmp_path):
    clock, (cpu,) = live(tmp_path, trace_of([5]))
    first = cpu.read()
    clock.forward(100)
    assert cpu.read() == first


@settings(max_examples=60, deadline=None)
@given(
    steps_uj=st.lists(st.integers(0, 400_000_000), min_size=1, max_size=12),
    waits_s=st.lists(st.floats(0, 3), min_size=1, max_size=40),
)
def test_live_energy_is_that_of_the_whole_turns_and_the_part_begun(tmp_path_factory, steps_uj, waits_s):
    values = [sum(steps_uj[:n]) for n in range(len(steps_uj) + 1)]
    clock, (cpu,) = live(tmp_path_factory.mktemp("live"), trace_of(values))
    start_ns, before_uj = clock.now_ns, 0
    for wait_s in waits_s:
        clock.forward(wait_s)
        turns, part = divmod((clock.now_ns - start_ns) // SECOND, len(steps_uj))
        now_uj = cpu.read().energy_uj
        assert now_uj == turns * values[-1] + values[part]
        assert now_uj >= before_uj
        before_uj = now_uj


def test_live_a_bad_file_is_refused_at_the_start(tmp_path):
    (tmp_path / "t").write_text("hello\n")
    with pytest.raises(UsageError, match="line 1"):
        find_replay(tmp_path / "t", FakeClock())


def test_readings_given_in_code_come_in_order_and_the_last_one_stays():
    readings = [Reading(n, n, "a") for n in range(3)]
    played = ReplaySource(readings, name="gpu", kind="gpu", range_uj=9)
    assert [played.read() for _ in range(5)] == [*readings, readings[-1], readings[-1]]
    assert (played.name, played.kind, played.range_uj, played.users()) == ("gpu", "gpu", 9, None)


@settings(max_examples=25, deadline=None)
@given(
    seconds=st.integers(35, 90),
    power_w=st.integers(5, 60),
    busy=st.floats(0, 0.9),
    missing=st.sets(st.integers(1, 90), max_size=5),
    unread_uw=st.integers(0, 10**8),
)
def test_a_replay_says_what_was_said_whatever_happened_to_the_baseline_and_the_counter(
    tmp_path_factory, seconds, power_w, busy, missing, unread_uw
):
    folder = tmp_path_factory.mktemp("measured")
    proc, clock = FakeProc(folder / "proc"), FakeClock()
    idle = Idle("rapl:package-0", Tier.COUNTER, "", 20_000_000, 40_000, 30, "settled", "", doubt_uw=7)
    counter, energy_uj = ReplaySource([Reading(0, clock.now_ns, "a")], name=idle.source, range_uj=RANGE_UJ), 0

    def shown():
        lost = (clock.now_ns // SECOND) in missing
        return Reading(None if lost else energy_uj % RANGE_UJ, clock.now_ns, "a")

    counter.read = shown
    times, flags = MachineTimes(str(proc.root)), ("gpu-refused",)
    writer = TraceWriter(
        folder / "t", [counter], clock, Conditions((idle,), flags, unread_uw, len(times.cpus))
    )
    meter = Meter([counter], Baseline((idle,)), times, clock, flags=flags, unread_uw=unread_uw, trace=writer)
    clock.forward(0.3)
    work = meter.attribute(None)
    for _ in range(seconds):
        clock.forward(1.0)
        energy_uj += power_w * 10**6
        proc.run(busy)
        now = meter.refresh()
    now = meter.refresh(last=True, mark="ends")
    said = machine_use(meter, work.start, now)
    clock.forward(0.5)
    meter.refresh()  # once more in the background, before it is closed
    meter.close()
    (found,) = replay_trace(read_trace(folder / "t"), Baseline(()))
    assert (found.net, found.gross, found.seconds) == (said.net, said.gross, said.seconds)
    assert [(one.net, one.gross) for one in found.sources] == [(net, gross) for _, net, gross in said.rows]
