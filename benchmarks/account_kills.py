"""A process that keeps the joule account is killed at random instants, again and again.

Half of the lives drive a `Bucket`, the others an `LocalAgent` over a powercap zone of plain files that
they advance themselves; each goes on with the account that the last one left. What was surely credited and
what flowed at most lies in memory that outlives the process, what was asked and answered in a pipe, so that
after each kill the account can be compared with both. `account_storm.py --kills` runs it.
"""

from __future__ import annotations

__all__ = ["Killed", "kill"]

import json
import mmap
import os
import random
import select
import signal
import struct
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryoflux.config import load_settings
from cryoflux.database import read_only
from cryoflux.energy.account.audit import fault_of
from cryoflux.energy.account.bucket import Bucket, ReservationConflictError
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.ledger import identity
from cryoflux.energy.clock import BILLION
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.energy.sources import rapl
from cryoflux.errors import BudgetError
from cryoflux.quantities import MICRO, Energy, Tier

ZONE_UJ = 50 * MICRO
"""up to so much a second flows through the zone of plain files"""
GRANT_UJ = 1000 * MICRO


class Shared:
    """Figures that outlive the process that wrote them."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, 16)

    def write(self, sure_uj: int, most_uj: int) -> None:
        """Credited for certain, and at most."""
        self._map[:] = struct.pack("qq", sure_uj, most_uj)

    def read(self) -> tuple[int, int]:
        """The same."""
        sure_uj, most_uj = struct.unpack("qq", self._map[:])
        return sure_uj, most_uj


class SteppedClock:
    """A clock that the process under fire moves by itself."""

    def __init__(self) -> None:
        self.boot_id = "boot"
        self.now_ns = BILLION

    def monotonic_ns(self) -> int:
        """Nanoseconds."""
        return self.now_ns

    def wall_s(self) -> float:
        """A label."""
        return 1.7e9 + self.now_ns / BILLION

    def epoch(self) -> str:
        """It never sleeps."""
        return self.boot_id

    def sleep(self, seconds: float) -> None:
        """Time goes by at once."""
        self.now_ns += round(seconds * BILLION)


class Machine:
    """A machine of plain files: a RAPL zone at 0 W of rest, and this process."""

    def __init__(self, folder: Path) -> None:
        self.zone, self.proc = folder / "powercap" / "intel-rapl:0", folder / "proc"
        self.state = folder / "state"
        self.counted_uj = 0

    def make(self) -> None:
        """Write the files."""
        self.zone.mkdir(parents=True, exist_ok=True)
        contents = {
            "name": "package-0",
            "energy_uj": "0",
            "max_energy_range_uj": "262143328850",
            "constraint_0_power_limit_uw": "100000000",
        }
        for name, content in contents.items():
            (self.zone / name).write_text(f"{content}\n")
        own = self.proc / str(os.getpid())
        own.mkdir(parents=True, exist_ok=True)
        (self.proc / "stat").write_text("cpu  0 0 0 999999 50 0 0 0 0 0\ncpu0 0 0 0 999999 50 0 0 0 0 0\n")
        fields = ["S", *[0] * 18, 100, 0, 0]
        (own / "stat").write_text(f"{os.getpid()} (x) " + " ".join(map(str, fields)) + "\n")

    def open(self, clock: SteppedClock) -> LocalAgent:
        """A meter over it."""
        # Nothing flows between two seconds here, so the counter stands still and is one all the same.
        rapl.standing_still = lambda *_: frozenset()
        flags = {"powercap_root": str(self.zone.parent), "proc_root": str(self.proc), "nvml": "false"}
        settings = load_settings(flags, environ={}, folder=self.state.parent).settings
        return LocalAgent(settings, self.state, credit="net", clock=clock, background=False)

    def count(self, uj: int) -> None:
        """So much flows."""
        self.counted_uj += uj
        (self.zone / "energy_uj").write_text(f"{self.counted_uj}\n")


@dataclass
class Killed:
    """What the kills left behind."""

    kills: int = 0
    credited_uj: int = 0
    flowed_uj: int = 0
    """what truly flowed while somebody metered"""
    lost_most_uj: int = 0
    """the most that one kill cost, µJ"""
    takes: int = 0
    unanswered: int = 0
    """takes that were asked for and not answered when the kill came"""
    wrong: list[str] = field(default_factory=list)


def _charge(uj: int) -> Charge:
    energy = Energy(uj, uj, uj, Tier.COUNTER)
    return Charge(energy, energy, ("rapl:package-0",), "0" * 64, "", 0)


def _bucket_life(machine: Machine, shared: Shared, rng: random.Random, say: Callable[..., None]) -> None:
    bucket = Bucket(machine.state / "account.db", clock := SteppedClock())
    held = [record.reservation.id for record in bucket.open_records()]
    sure_uj = 0
    say("ready")
    while True:
        clock.sleep(rng.choice((1, 1, 1, 1000)))
        uj = rng.randint(0, ZONE_UJ)
        shared.write(sure_uj, sure_uj + uj)
        bucket.tick(Energy(uj, uj, uj, Tier.COUNTER), {key: _charge(uj) for key in held[:3]})
        shared.write(sure_uj := sure_uj + uj, sure_uj)
        _deal(
            rng,
            held,
            say,
            lambda uj, name: bucket.take(uj, request_id=name).id,
            lambda key: bucket.settle(key, _charge(1000)),
            bucket.release,
        )


def _agent_life(machine: Machine, shared: Shared, rng: random.Random, say: Callable[..., None]) -> None:
    machine.make()
    agent = machine.open(clock := SteppedClock())
    held = [left.reservation.id for left in agent.views()]
    say("ready")
    while True:
        uj = rng.randint(0, ZONE_UJ)
        shared.write(shared.read()[0], machine.counted_uj + uj)
        clock.sleep(1)
        machine.count(uj)
        agent.sample()
        shared.write(machine.counted_uj, machine.counted_uj)
        _deal(
            rng,
            held,
            say,
            lambda uj, name: agent.take(uj, request_id=name).id,
            agent.settle,
            agent.release,
        )


def _deal(
    rng: random.Random,
    held: list[str],
    say: Callable[..., None],
    take: Callable[[int, str], str],
    settle: Callable[[str], object],
    release: Callable[[str], object],
) -> None:
    if len(held) < 5 or rng.random() < 0.5:
        name, uj = f"{rng.getrandbits(64):x}", rng.randint(1, MICRO)
        say("ask", name, uj)
        with suppress(BudgetError):
            held.append(take(uj, name))
            say("got", name, uj, held[-1])
        return
    key = held.pop(rng.randrange(len(held)))
    say("end", key)
    if rng.random() < 0.5:
        settle(key)
    else:
        release(key)
    say("ended", key)


def _begin(life: Callable[..., None], machine: Machine, shared: Shared, seed: int) -> tuple[int, int]:
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        os.close(reader)
        say = lambda *said: os.write(writer, f"{json.dumps(said)}\n".encode())  # noqa: E731
        life(machine, shared, random.Random(seed), say)  # noqa: S311
    except BaseException as error:  # noqa: BLE001 - told to the parent
        os.write(writer, f"{json.dumps(['failed', repr(error)])}\n".encode())
    finally:
        os._exit(1)


def _until_killed(child: int, reader: int, wait_s: float) -> list[list[object]]:
    heard = b""
    ends = None
    with open(reader, "rb", buffering=0) as pipe:
        while True:
            if ends is None and b"ready" in heard:
                ends = time.monotonic() + wait_s
            left = None if ends is None else max(0.0, ends - time.monotonic())
            if left == 0.0 or b"failed" in heard:
                break
            if select.select([pipe], [], [], left)[0]:
                heard += pipe.read(65536)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := pipe.read(65536):
            heard += more
    return [json.loads(line) for line in heard.split(b"\n")[:-1]]


def kill(folder: Path, kills: int, *, seed: int) -> Killed:
    """Let lives begin and kill them, and compare the account after each."""
    rng = random.Random(seed)  # noqa: S311
    machine, done = Machine(folder), Killed()
    machine.make()
    path = machine.state / "account.db"
    asked: dict[str, int] = {}
    known: dict[str, str] = {}
    with closing(machine.open(SteppedClock())) as agent:  # learns the baseline, once
        agent.grant(GRANT_UJ, request_id="fire", note="")
    before = _look(path)
    for number in range(kills):
        shared = Shared()
        life = _agent_life if number % 2 else _bucket_life
        machine.counted_uj = 0
        child, reader = _begin(life, machine, shared, rng.getrandbits(32))
        said = _until_killed(child, reader, rng.uniform(0.0, 0.05))
        done.wrong += [f"kill {number}: {line[1]}" for line in said if line[0] == "failed"]
        after = _look(path)
        sure_uj, most_uj = shared.read()
        credited_uj = after["credited"] - before["credited"]
        done.kills += 1
        done.credited_uj += credited_uj
        done.flowed_uj += most_uj
        done.lost_most_uj = max(done.lost_most_uj, most_uj - credited_uj)
        if not sure_uj <= credited_uj <= most_uj:
            done.wrong.append(f"kill {number}: {credited_uj} credited, {sure_uj} to {most_uj} flowed")
        if after["fault"]:
            done.wrong.append(f"kill {number}: {after['fault']}")
        asked |= {str(line[1]): int(str(line[2])) for line in said if line[0] == "ask"}
        got = {str(line[1]): str(line[3]) for line in said if line[0] == "got"}
        known |= got
        done.takes += len(got)
        done.unanswered += sum(line[0] == "ask" for line in said) - len(got)
        done.wrong += [f"kill {number}: {fault}" for fault in _missing(after["rows"], asked, known, said)]
        done.wrong += [f"kill {number}: {fault}" for fault in _repeated(path, said)]
        before = after
        if done.wrong:
            break
    return done


def _repeated(path: Path, said: list[list[object]]) -> list[str]:
    # Whoever got no answer asks again; that gives what was reserved before, or reserves it now, once.
    asks = [(str(line[1]), int(str(line[2]))) for line in said if line[0] == "ask"][-2:]
    wrong = []
    with closing(Bucket(path, SteppedClock())) as bucket:
        for name, uj in asks:
            before, left_uj = bucket.find(name), bucket.available_uj()
            with suppress(ReservationConflictError, BudgetError):  # it has ended already
                key = bucket.take(uj, request_id=name).id
                due_uj = left_uj if before else left_uj - uj
                if bucket.take(uj, request_id=name).id != key or bucket.available_uj() != due_uj:
                    wrong.append(f"{name} took twice")
                if before and before.reservation.id != key:
                    wrong.append(f"{name} is another reservation")
    return wrong


def _look(path: Path) -> dict[str, Any]:
    with closing(read_only(path)) as db:
        rows = db.execute("SELECT request_id, id, reserved_uj, state FROM reservations").fetchall()
        sums = identity(db)
        return {
            "fault": fault_of(db),
            "credited": sums.credited_uj,
            "rows": {row[0]: row[1:] for row in rows},
        }


def _missing(
    rows: dict[str, tuple[str, int, str]],
    asked: dict[str, int],
    known: dict[str, str],
    said: list[list[object]],
) -> list[str]:
    wrong = [f"{name} was never asked for" for name in rows if name not in asked]
    wrong += [f"{name} took {uj} µJ" for name, (_, uj, _) in rows.items() if asked.get(name) != uj]
    wrong += [f"{name} vanished" for name, key in known.items() if rows.get(name, ("",))[0] != key]
    states = {key: state for key, _, state in rows.values()}
    ended = [str(line[1]) for line in said if line[0] == "ended"]
    return wrong + [f"{key} is open again" for key in ended if states[key] == "open"]
