"""A trace gives back the readings that went in, survives a crash, and refuses any other damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.energy.baseline import Baseline, Idle
from cryoflux.energy.interface import Reading
from cryoflux.energy.processes import Busy
from cryoflux.energy.sources.nvml import find_gpus
from cryoflux.energy.trace import FORMAT, Conditions, RecordedSource, read_trace
from cryoflux.energy.trace_totals import replay_trace
from cryoflux.energy.trace_writer import TraceWriter
from cryoflux.errors import StorageError, UsageError
from cryoflux.quantities import Tier
from energy_fakes import FakeClock, FakeNvml, ReplaySource

NOTHING = Reading(0, 0, "a")


def sources(*names):
    return [ReplaySource([NOTHING], name=name, range_uj=10**6) for name in names or ("cpu", "dram")]


def written(path, rounds, *names):
    with TraceWriter(path, sources(*names), FakeClock()) as writer:
        for readings in rounds:
            writer.write(readings)
    return path


def two_rounds(path):
    return written(
        path, [(Reading(1, 5, "a"), Reading(2, 6, "b")), (Reading(3, 15, "a"), Reading(4, 16, "b"))]
    )


counts = st.integers(0, 2**62)
readings = st.builds(
    Reading,
    energy_uj=st.none() | counts,
    monotonic_ns=st.integers(0, 10**15),
    epoch=st.text(max_size=8),
    check_uj=st.none() | counts,
)


@settings(max_examples=80, deadline=None)
@given(rounds=st.lists(st.tuples(readings, readings), min_size=1, max_size=8))
def test_what_is_read_is_what_was_written(tmp_path_factory, rounds):
    by_source = [sorted(column, key=lambda one: one.monotonic_ns) for column in zip(*rounds, strict=True)]
    rounds = list(zip(*by_source, strict=True))
    trace = read_trace(written(tmp_path_factory.mktemp("t") / "trace", rounds))
    assert [round_.readings for round_ in trace.rounds] == rounds
    assert not trace.truncated


def test_the_properties_of_a_source_are_kept(tmp_path):
    clock = FakeClock()
    gpus, _ = find_gpus(clock, FakeNvml([{"energy_j": 5.0, "power_w": 50}, {"power_w": 70}]))
    with TraceWriter(tmp_path / "t", gpus, clock) as writer:
        writer.write([gpu.read() for gpu in gpus])
    trace = read_trace(tmp_path / "t")
    assert trace.sources == tuple(RecordedSource.of(gpu) for gpu in gpus)
    assert (trace.boot_id, trace.wall_s) == (clock.boot_id, clock.wall)


def test_each_line_is_on_the_disk_before_the_next_is_written(tmp_path):
    writer = TraceWriter(tmp_path / "t", sources("cpu"), FakeClock())
    for count in range(1, 4):
        writer.write([Reading(count, count, "a")])
        assert len(read_trace(tmp_path / "t").rounds) == count
    writer.close()


def test_a_last_line_that_a_crash_cut_off_is_left_out_and_said_wherever_it_was_cut(tmp_path):
    content = two_rounds(tmp_path / "t").read_bytes()
    last = content[:-1].rfind(b"\n") + 1
    for end in range(last + 1, len(content)):
        (tmp_path / "cut").write_bytes(content[:end])
        trace = read_trace(tmp_path / "cut")
        assert len(trace.rounds) == 1
        assert trace.flags == ("trace-truncated",)
    assert read_trace(tmp_path / "t").flags == ()


def test_a_trace_is_continued_after_a_crash_without_what_was_cut_off(tmp_path):
    content = two_rounds(tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(content[:-7])
    written(tmp_path / "t", [(Reading(9, 25, "a"), Reading(9, 26, "b"))])
    trace = read_trace(tmp_path / "t")
    assert [round_.monotonic_ns for round_ in trace.rounds] == [6, 26]
    assert not trace.truncated


@pytest.mark.parametrize("other", ["another boot", "other sources", "another file"])
def test_another_file_is_never_written_over(tmp_path, other):
    path, clock, names = two_rounds(tmp_path / "t"), FakeClock(), ("cpu", "dram")
    if other == "another boot":
        clock.boot_id = "boot-2"
    elif other == "other sources":
        names = ("cpu", "gpu")
    else:
        path.write_text("my diary\n")
    before = path.read_bytes()
    with pytest.raises(UsageError):
        TraceWriter(path, sources(*names), clock)
    assert path.read_bytes() == before


def _header(**changes):
    def damage(lines):
        lines[0].update(changes)

    return damage


def _source(**changes):
    def damage(lines):
        lines[0]["sources"][0].update(changes)

    return damage


def _last(entry):
    def damage(lines):
        lines[2]["readings"][1] = entry

    return damage


DAMAGE = {
    "another format": (1, _header(format="cryoflux energy trace/v3")),
    "an unknown field": (1, _header(comment="hello")),
    "no sources": (1, _header(sources=[])),
    "a name twice": (1, _source(name="dram")),
    "an unknown tier": (1, _source(tier="guessed")),
    "an unknown kind": (1, _source(kind="wall")),
    "a bound of zero": (1, _source(max_power_uw=0)),
    "a gain that leaves out the reading": (1, _source(gain_error=[1.1, 1.2])),
    "a range of zero": (1, _source(range_uj=0)),
    "a missing property": (1, lambda lines: lines[0]["sources"][0].pop("curve")),
    "negative energy": (3, _last([-1, "b"])),
    "energy as a float": (3, _last([1.5, "b"])),
    "energy as truth": (3, _last([True, "b"])),
    "no epoch": (3, _last([4])),
    "too much in a reading": (3, _last([4, "b", None, 0, 0])),
    "a source too few": (3, lambda lines: lines[2]["readings"].pop()),
    "time that goes back": (3, lambda lines: lines[2].update(monotonic_ns=1)),
    "one source's time that goes back": (3, _last([4, "b", None, 12])),
    "an unknown member": (3, lambda lines: lines[2].update(power=3)),
    "an unknown mark": (3, lambda lines: lines[2].update(mark="pauses")),
    "busy time of one": (3, lambda lines: lines[2].update(busy_us=[4])),
    "gains of too few": (3, lambda lines: lines[2].update(gain_error=[[0.9, 1.1]])),
    "an idle power without a source": (1, _header(idles=[{"idle_uw": 3}])),
    "a machine without a CPU": (1, _header(cpus=0)),
    "another boot on the way": (3, lambda lines: lines.insert(2, {**lines[0], "boot_id": "boot-2"})),
    "nothing but a header": (2, lambda lines: lines.__delitem__(slice(1, None))),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_refused_with_the_number_of_its_line(tmp_path, what):
    number, damage = DAMAGE[what]
    path = two_rounds(tmp_path / "t")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    damage(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UsageError, match=f"line {number}: "):
        read_trace(path)


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (2, b'{"monotonic_ns":5,"readings":[[1,"a"],'),
        (2, b"\xff\xfe"),
        (2, b"[]"),
        (2, b""),
        (2, b'{"monotonic_ns":NaN,"readings":[]}'),
        (2, b'{"monotonic_ns":5,"monotonic_ns":5,"readings":[[1,"a"],[2,"b"]]}'),
        (2, b"[" * 100_000),
    ],
)
def test_a_whole_line_that_is_no_round_is_refused_even_as_the_last_one(tmp_path, number, line):
    path = written(tmp_path / "t", [])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(UsageError, match=f"line {number}: "):
        read_trace(path)


@pytest.mark.parametrize("content", [b"", b'{"format"', FORMAT.encode() + b"\n"])
def test_a_file_without_a_first_line_is_no_trace(tmp_path, content):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(UsageError, match="line 1: "):
        read_trace(tmp_path / "t")


def test_a_file_that_is_not_there_or_cannot_be_written_is_said(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_trace(tmp_path / "missing")
    with pytest.raises(StorageError):
        TraceWriter(tmp_path / "missing" / "t", sources(), FakeClock())
    if Path("/dev/full").exists():
        with pytest.raises(StorageError, match="No space left"):
            TraceWriter(Path("/dev/full"), sources(), FakeClock())


def test_a_round_needs_a_reading_of_each_source(tmp_path):
    with TraceWriter(tmp_path / "t", sources(), FakeClock()) as writer, pytest.raises(ValueError):
        writer.write([NOTHING])


V1 = b"""{"format":"cryoflux energy trace/v1","boot_id":"b","wall_s":1.5,"sources":[{"name":"rapl:package-0",\
"kind":"cpu","tier":"counter","range_uj":262143328850,"max_power_uw":200000000,"gain_error":[0.95,1.05],\
"resolution_uj":61,"update_s":0.0,"curve":"","idle_uw":null}]}
{"monotonic_ns":1000000000,"readings":[[5,"b"]]}
{"monotonic_ns":3000000000,"readings":[[60000005,"b"]]}
"""


def test_a_trace_of_the_version_before_is_read_added_up_and_continued(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(V1)
    idle = Idle("rapl:package-0", Tier.COUNTER, "", 20_000_000, 0, 30, "settled", "")
    (found,) = replay_trace(read_trace(path), Baseline((idle,)))
    assert (found.readings, found.seconds) == (2, 2.0)
    assert (found.gross.uj, found.net.uj) == (60_000_000, 20_000_000)
    (found,) = replay_trace(read_trace(path), Baseline(()))
    assert (found.gross.uj, found.net) == (60_000_000, None)
    (recorded,) = read_trace(path).sources
    clock = FakeClock()
    clock.boot_id = "b"
    with TraceWriter(path, [recorded], clock, Conditions((idle,), cpus=2)) as writer:
        for second in (4, 5, 6):
            now = Reading(second * 30_000_000, second * 10**9, "b")
            writer.write([now], busy=Busy(second, second), mark="begins" if second == 5 else "")
    first, second = replay_trace(read_trace(path), Baseline(()))
    assert (first.gross.uj, first.net) == (60_000_000, None)
    assert (second.readings, second.gross.uj, second.net.uj) == (2, 30_000_000, 10_000_000)
    assert second.flags == ("trace-unended",)
