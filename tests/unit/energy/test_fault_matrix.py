"""Every fault of the matrix: what the settlement says of it, beside what is true."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from cryoflux.agent.client import AgentClient
from cryoflux.energy.attribution import GPU_USERS_HIDDEN
from synthetic_world import FAULTS, IDLE_W, MICRO, TICK_S, TurnedMachine, World
from waiting import CEILING_S

BY_KEY = {fault.key: fault for fault in FAULTS}
STEP_UJ = 1000
"""NVML counts in mJ"""


@pytest.fixture(autouse=True)
def static_counters():
    """These counters move while the clock of their machine is made to wait."""


@pytest.fixture(params=FAULTS, ids=lambda fault: fault.key)
def metered(request, tmp_path):
    return request.param, TurnedMachine(tmp_path, request.param).run()


def test_a_fault_is_never_negative_nor_impossible_holds_the_truth_and_says_so(metered):
    fault, said = metered
    gross, charged, net = said.sample.gross, said.settlement.energy, said.settlement.machine_net
    most_uj = said.max_power_uw * said.seconds
    assert 0 <= gross.lo_uj <= gross.uj <= gross.hi_uj <= most_uj
    assert 0 <= charged.lo_uj <= charged.uj <= charged.hi_uj <= most_uj
    assert gross.lo_uj <= said.truth_uj <= gross.hi_uj
    for figure, own in ((net, False), (charged, True)):
        assert figure.lo_uj <= said.truth_uj - said.idle_uj <= figure.hi_uj
        assert set(fault.flags) <= {*figure.flags, *(() if own else (GPU_USERS_HIDDEN,))}


def test_where_nothing_is_unknown_nothing_is_flagged_and_not_a_joule_is_lost(metered):
    fault, said = metered
    if fault.exact:
        assert abs(said.sample.gross.uj - said.truth_uj) <= STEP_UJ
    if not fault.flags:
        assert said.settlement.energy.flags == ()


class Flowing:
    """Lets power flow on a machine of plain files, in real time."""

    def __init__(self, world):
        self.world = world
        self._watts = IDLE_W
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._ended.wait(TICK_S):
            self.now()

    def now(self):
        """(s, µJ) up to this moment."""
        with self._lock:
            now_s = time.monotonic()
            self.world.flow(now_s - self._last_s, self._watts)
            self._last_s = now_s
            return now_s, self.world.truth_uj

    def draw(self, watts):
        self.now()
        self._watts = watts

    def event(self, name):
        with self._lock:
            self.world.event(name)

    def __enter__(self):
        self._last_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


@contextmanager
def daemon(world, state):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CRYOFLUX_")}
    chosen = {"POWERCAP_ROOT": str(world.powercap), "NVML": "false", "BASELINE_SECONDS": "3"}
    command = [sys.executable, "-m", "cryoflux", "agent", "--json", "--port", "0", "--state", str(state)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**kept, **{f"CRYOFLUX_{name}": value for name, value in chosen.items()}},
    )
    try:
        events = (json.loads(line) for line in process.stdout)
        yield next(event["url"] for event in events if event["event"] == "listening")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


@pytest.mark.parametrize(("event", "flag"), [("reset", "counter-reset"), ("jump", "impossible-jump")])
def test_a_settlement_of_a_real_daemon_holds_the_truth_and_carries_the_flag(tmp_path, event, flag):
    world = World(tmp_path / "machine", BY_KEY["reset"])
    with Flowing(world) as flowing, daemon(world, tmp_path / "state") as url:
        client = AgentClient(url, timeout=CEILING_S)
        client.grant(10**12, request_id="g", note="")
        began_s, began_uj = flowing.now()
        taken = client.take(10**9, request_id="a")
        flowing.draw(50.0)
        time.sleep(2)
        flowing.event(event)
        time.sleep(2)
        flowing.draw(IDLE_W)  # so that it does not matter how long the daemon and this process wait
        settlement = client.settle(taken.id)
        ended_s, ended_uj = flowing.now()
        seconds, truth_uj = ended_s - began_s, ended_uj - began_uj
        client.close()
    net = settlement.machine_net
    assert flag in net.flags
    assert 0 <= settlement.energy.lo_uj <= settlement.energy.uj <= 500 * MICRO * seconds
    assert net.lo_uj <= truth_uj - IDLE_W * seconds * MICRO <= net.hi_uj <= 500 * MICRO * seconds
