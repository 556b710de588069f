"""zeusd over a real socket: what it serves is counted, and what it does wrong stalls and breaks nothing."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from cryoflux.energy.sources.still_counter import standing_still
from cryoflux.energy.sources.zeusd import find_zeusd, zeusd_address
from cryoflux.energy.window import Accumulator, SourceLimits
from energy_fakes import FakeClock, powercap_zone
from waiting import CEILING_S, until


class FakeZeusd:
    """Speaks HTTP as zeusd does: one JSON document a path, then the connection ends."""

    def __init__(self, family=socket.AF_UNIX):
        self.folder = Path(tempfile.mkdtemp())
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        address = ("127.0.0.1", 0) if family == socket.AF_INET else str(self.folder / "zeusd.sock")
        self.socket.bind(address)
        self.socket.listen(16)
        name = self.socket.getsockname()
        self.address = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else name
        self.energies = {"0": {"cpu_energy_uj": 5_000_000, "dram_energy_uj": 70}}
        self.cpus = [{"id": 0, "dram_available": True}]
        self.token = ""
        self.asked = []
        self.silent = self.dribbling = False
        self.raw = None
        self.released = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                self.answer(connection)

    def answer(self, connection):
        request = connection.recv(65536).decode()
        self.asked.append(request.split()[1])
        if self.silent:
            self.released.wait()
            return
        status, document = self.document(request)
        body = json.dumps(document).encode() if self.raw is None else self.raw
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\ncontent-type: application/json\r\n\r\n"
        if self.dribbling:
            for byte in head.encode():
                connection.send(bytes([byte]))
                if self.released.wait(0.1):
                    return
        connection.sendall(head.encode() + body)

    def document(self, request):
        path = request.split()[1]
        if path == "/discover":
            return "200 OK", {"gpus": [], "cpus": self.cpus, "enabled_api_groups": ["cpu-read"]}
        if self.token and f"Authorization: Bearer {self.token}" not in request:
            return "401 Unauthorized", {"error": "Authentication required."}
        if path == "/cpu/get_cumulative_energy?cpu=true&dram=true":
            return "200 OK", self.energies
        if path == "/cpu/get_power_limit":
            constraint = {"name": "long_term", "power_limit_mw": 120_000, "max_power_mw": 150_000}
            return "200 OK", {"0": {"cpu": {"enabled": True, "constraints": [constraint]}, "dram": None}}
        return "404 Not Found", {}

    def close(self):
        self.released.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def zeusd():
    with contextlib.closing(FakeZeusd()) as daemon:
        yield daemon


def test_packages_and_memory_are_read_through_the_socket(zeusd):
    sources, problems = find_zeusd(zeusd.address, FakeClock())
    assert problems == []
    assert [(source.name, source.kind) for source in sources] == [
        ("zeusd:cpu-0", "cpu"),
        ("zeusd:cpu-0:dram", "dram"),
    ]
    assert [source.read().energy_uj for source in sources] == [5_000_000, 70]
    assert [source.range_uj for source in sources] == [None, None]
    assert [source.max_power_uw for source in sources] == [300_000_000, 500_000_000]


def test_it_is_read_over_tcp_on_loopback():
    with contextlib.closing(FakeZeusd(socket.AF_INET)) as daemon:
        sources, problems = find_zeusd(daemon.address, FakeClock())
        assert problems == []
        assert sources[0].read().energy_uj == 5_000_000


@pytest.mark.parametrize("address", ["192.0.2.7:4938", "gpu-node-3:4938", "[2001:db8::1]:4938"])
def test_the_joules_of_another_machine_are_not_taken(address):
    sources, problems = find_zeusd(address, FakeClock())
    assert sources == []
    assert [problem.code for problem in problems] == ["zeusd-remote"]


def test_the_description_of_an_older_daemon_is_understood(zeusd):
    zeusd.document = lambda request: (
        ("200 OK", {"cpu_ids": [0], "dram_available": [False]})
        if "/discover" in request
        else ("200 OK", {"0": {"cpu_energy_uj": 12, "dram_energy_uj": None}})
    )
    sources, problems = find_zeusd(zeusd.address, FakeClock())
    assert problems == []
    assert [source.read().energy_uj for source in sources] == [12]


def test_a_platform_zone_that_zeusd_serves_as_a_cpu_is_not_added_to_what_it_contains(zeusd, tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0")
    powercap_zone(tmp_path, "intel-rapl:1", "psys")
    zeusd.cpus.append({"id": 1, "dram_available": False})
    zeusd.energies["1"] = {"cpu_energy_uj": 9_000_000, "dram_energy_uj": None}
    sources, problems = find_zeusd(zeusd.address, FakeClock(), powercap_root=str(tmp_path))
    assert problems == []
    assert [source.name for source in sources] == ["zeusd:cpu-0", "zeusd:cpu-0:dram"]


def test_memory_beside_the_packages_that_zeusd_serves_as_a_cpu_is_counted_as_memory(zeusd, tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0")
    powercap_zone(tmp_path, "intel-rapl:1", "dram")
    zeusd.cpus = [{"id": 0, "dram_available": False}, {"id": 1, "dram_available": False}]
    zeusd.energies["1"] = {"cpu_energy_uj": 9_000_000, "dram_energy_uj": None}
    sources, problems = find_zeusd(zeusd.address, FakeClock(), powercap_root=str(tmp_path))
    assert problems == []
    assert [(source.name, source.kind) for source in sources] == [
        ("zeusd:cpu-0", "cpu"),
        ("zeusd:cpu-1:dram", "dram"),
    ]
    assert [source.read().energy_uj for source in sources] == [5_000_000, 9_000_000]


def test_one_question_serves_all_sources_of_one_round_and_the_next_round_asks_again(zeusd):
    clock = FakeClock()
    sources, _ = find_zeusd(zeusd.address, clock)
    zeusd.asked.clear()
    for round_ in range(3):
        clock.forward(1)
        zeusd.energies["0"]["cpu_energy_uj"] = 6_000_000 + round_
        assert [source.read().energy_uj for source in sources] == [6_000_000 + round_, 70]
    assert len(zeusd.asked) == 3
    assert sources[0].read().energy_uj == 6_000_002
    assert len(zeusd.asked) == 4


def test_its_absence_is_a_reason_and_not_an_error(tmp_path):
    sources, problems = find_zeusd(str(tmp_path / "no.sock"), FakeClock())
    assert sources == []
    assert [problem.code for problem in problems] == ["no-zeusd"]
    assert "no.sock" in problems[0].reason


@pytest.mark.parametrize("how", ["silent", "dribbling"])
def test_a_daemon_that_hangs_fails_a_read_once_and_is_then_left_alone(zeusd, how, monkeypatch):
    clock = FakeClock()
    sources, _ = find_zeusd(zeusd.address, clock)
    setattr(zeusd, how, True)
    zeusd.asked.clear()
    monkeypatch.setattr("cryoflux.energy.sources.zeusd._TIMEOUT_S", 0.5)
    clock.forward(1)
    readings = [source.read() for source in sources]
    clock.forward(1)
    readings += [source.read() for source in sources]
    assert [reading.energy_uj for reading in readings] == [None] * 4
    until(lambda: zeusd.asked, "the question, which it may see late")
    assert len(zeusd.asked) == 1
    monkeypatch.setattr("cryoflux.energy.sources.zeusd._TIMEOUT_S", CEILING_S)
    setattr(zeusd, how, False)
    zeusd.released.set()
    clock.forward(6)
    assert sources[0].read().energy_uj == 5_000_000


def test_a_hanging_daemon_is_no_source_at_all(zeusd, monkeypatch):
    monkeypatch.setattr("cryoflux.energy.sources.zeusd._TIMEOUT_S", 0.5)
    zeusd.silent = True
    assert [problem.code for problem in find_zeusd(zeusd.address, FakeClock())[1]] == ["no-zeusd"]


@pytest.mark.parametrize(
    "energies",
    [
        {},
        {"0": None},
        {"0": {"cpu_energy_uj": None, "dram_energy_uj": 1}},
        {"0": {"cpu_energy_uj": "5", "dram_energy_uj": 1}},
        {"0": {"cpu_energy_uj": -5, "dram_energy_uj": 1}},
        {"0": {"cpu_energy_uj": True, "dram_energy_uj": 1}},
        [],
        "none",
    ],
)
def test_an_answer_that_is_no_counter_is_a_failed_read(zeusd, energies):
    clock = FakeClock()
    sources, _ = find_zeusd(zeusd.address, clock)
    zeusd.energies = energies
    clock.forward(1)
    assert sources[0].read().energy_uj is None


@pytest.mark.parametrize("raw", [b"", b"<html>", b"{", b"[1, 2]", b"null", b"\xff\xfe"])
def test_another_program_at_the_socket_is_refused_and_breaks_nothing(zeusd, raw):
    zeusd.raw = raw
    sources, problems = find_zeusd(zeusd.address, FakeClock())
    assert sources == []
    assert [problem.code for problem in problems] == ["zeusd-refused"]


def test_a_token_is_asked_for_and_given(zeusd):
    zeusd.token = "let-me-in"
    sources, problems = find_zeusd(zeusd.address, FakeClock())
    assert (sources, [problem.code for problem in problems]) == ([], ["zeusd-refused"])
    assert "401" in problems[0].reason
    assert len(find_zeusd(zeusd.address, FakeClock(), token="let-me-in")[0]) == 2


def test_a_package_it_cannot_read_widens_the_interval(zeusd):
    zeusd.cpus = [{"id": 0, "dram_available": False}, {"id": 1, "dram_available": False}]
    sources, problems = find_zeusd(zeusd.address, FakeClock())
    assert [source.name for source in sources] == ["zeusd:cpu-0"]
    assert [(problem.name, problem.code) for problem in problems] == [("zeusd:cpu-1", "unreadable-zone")]
    assert problems[0].max_power_uw > 0


def test_a_restarted_daemon_that_forgot_its_wraps_costs_no_counter_range(zeusd):
    clock = FakeClock()
    zeusd.energies["0"]["cpu_energy_uj"] = 262_143_000_000 + 40_000_000
    (source, _), _ = find_zeusd(zeusd.address, clock)
    meter = Accumulator(SourceLimits(source.range_uj, source.max_power_uw, source.resolution_uj, ticks=True))
    meter.advance(source.read())
    start = meter.mark()
    clock.forward(1)
    zeusd.energies["0"]["cpu_energy_uj"] = 60_000_000
    meter.advance(source.read())
    span = meter.mark().since(start)
    assert meter.mark().flags_since(start) == ("epoch-changed",)
    assert 0 <= span.lo_uj <= 20_000_000 <= span.hi_uj <= source.max_power_uw + source.resolution_uj


def test_a_daemon_that_comes_back_is_read_again():
    clock = FakeClock()
    daemon = FakeZeusd()
    sources, _ = find_zeusd(daemon.address, clock)
    daemon.close()
    clock.forward(1)
    assert sources[0].read().energy_uj is None
    Path(daemon.address).parent.mkdir(exist_ok=True)
    with contextlib.closing(FakeZeusd()) as again:
        Path(again.address).rename(daemon.address)
        clock.forward(1)
        assert sources[0].read().energy_uj == 5_000_000
    shutil.rmtree(Path(daemon.address).parent)


def test_the_variables_of_zeus_name_the_address():
    assert zeusd_address({}) == ""
    assert zeusd_address({"ZEUSD_HOST_PORT": "127.0.0.1:4938"}) == "127.0.0.1:4938"
    both = {"ZEUSD_HOST_PORT": "127.0.0.1:4938", "ZEUSD_SOCK_PATH": "/run/zeusd/zeusd.sock"}
    assert zeusd_address(both) == "/run/zeusd/zeusd.sock"


def test_a_limit_that_is_raised_later_is_asked_for_again(zeusd):
    clock = FakeClock()
    (cpu, _), _ = find_zeusd(zeusd.address, clock)
    answers = zeusd.document
    constraint = {"power_limit_mw": 200_000, "max_power_mw": None}
    raised = {"0": {"cpu": {"constraints": [constraint]}, "dram": None}}
    zeusd.document = lambda request: (
        ("200 OK", raised) if "/cpu/get_power_limit" in request else answers(request)
    )
    clock.forward(61)
    cpu.read()
    assert cpu.max_power_uw == 400_000_000


def test_a_package_that_does_not_count_is_not_served_and_the_model_covers_it(zeusd, monkeypatch):
    monkeypatch.setattr("cryoflux.energy.sources.zeusd.standing_still", standing_still)
    sources, problems = find_zeusd(zeusd.address, FakeClock())
    assert sources == []
    assert [(problem.name, problem.code, problem.max_power_uw) for problem in problems] == [
        ("zeusd:cpu-0", "still-counter", 0),
        ("zeusd:cpu-0:dram", "still-counter", 0),
    ]
