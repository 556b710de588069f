"""The joule account under fire: many clients on one daemon, and a meter that is killed again and again.

    python benchmarks/account_storm.py [--clients 64] [--takes 10000] [--lost 8] [--direct] [--json]
    python benchmarks/account_storm.py --kills 1000 [--seed 0]
    python benchmarks/account_storm.py --open 4000

The storm: every client is a process with one connection; it takes random amounts under its own request
ids, repeats a share of its requests, releases most, settles some and leaves some open; `--lost` clients are
killed on the way. With `--direct` the clients are threads on one `Bucket`, without the daemon. The kills: a
process drives a `Bucket`, or an `LocalAgent` over a powercap zone of plain files, and is killed at a
random instant; the next one goes on with the same account. `--open`: a client takes and never settles, as the
whitepaper's does, and the daemon's CPU time for a take, a scrape and a start is told, before and after.
Afterwards the account is compared, to the microjoule, with what the clients were told and with what the zone
counted.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from account_kills import kill
from account_open import Running, left_open
from cryoflux.database import read_only
from cryoflux.energy.account.audit import fault_of
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.clock import SystemClock
from cryoflux.errors import BudgetError
from cryoflux.quantities import MICRO, Energy, Tier

MOST_UJ = 2 * MICRO
REPEATED, SETTLED, LEFT_OPEN = 0.1, 0.01, 0.02
"""shares of the takes; the others are released"""
Said = tuple[str, int, str]
"""request id, µJ, reservation (empty where the bucket held less)"""


@dataclass
class Told:
    """What one client was told, kept where a kill cannot take it away."""

    takes: list[Said] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ended: dict[str, int | None] = field(default_factory=dict)
    """reservation → µJ that were charged; none where it was released"""


# What a client does


class HttpAccount:
    """The daemon's account, over one connection that is kept open."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask, and read the answer; an answer that is no 200 is an error."""
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", path, json.dumps(body), headers)
        with self._connection.getresponse() as reply:
            content = reply.read()
            if reply.status != 200:
                raise RuntimeError(f"{path}: {reply.status} {content!r}")
        return dict(json.loads(content))

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        self._connection.request("GET", path)
        with self._connection.getresponse() as reply:
            return reply.read()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def take(self, uj: int, request: str) -> str:
        """The reservation, or nothing."""
        return self.post("/v1/take", {"joules": uj / MICRO, "request_id": request})["reservation"] or ""

    def settle(self, reservation: str) -> int:
        """What was charged, µJ."""
        return int(self.post("/v1/settle", {"reservation": reservation})["energy"]["uj"])

    def release(self, reservation: str) -> None:
        """Give it back."""
        self.post("/v1/release", {"reservation": reservation})


class DirectAccount:
    """The same on a bucket of this process."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def take(self, uj: int, request: str) -> str:
        """The reservation, or nothing."""
        try:
            return self._bucket.take(uj, request_id=request).id
        except BudgetError:
            return ""

    def settle(self, reservation: str) -> int:
        """Charge half of what was reserved."""
        reserved_uj = self._bucket.record(reservation).reservation.reserved_uj
        return self._bucket.settle(reservation, charge(reserved_uj // 2))[1].energy.uj

    def release(self, reservation: str) -> None:
        """Give it back."""
        self._bucket.release(reservation)


def charge(uj: int) -> Charge:
    """A charge of so much."""
    energy = Energy(uj, uj, uj, Tier.COUNTER)
    return Charge(energy, energy, ("rapl:package-0",), "0" * 64, "", 0)


def amount(request: str) -> int:
    """What a request asks for, µJ: its id says it, so that the account can be compared with it."""
    return random.Random(request).randint(1, MOST_UJ)  # noqa: S311


def client(name: str, takes: int, account: HttpAccount | DirectAccount, told: Callable[..., None]) -> None:
    """Take, repeat, release, settle."""
    rng = random.Random(name)  # noqa: S311
    for number in range(takes):
        request = f"{name}/{number}"
        again = 1 + (rng.random() < REPEATED)
        for _ in range(again):
            start = time.perf_counter()
            reservation = account.take(amount(request), request)
            told("take", request, reservation, time.perf_counter() - start)
        fate = rng.random()
        if reservation and fate < SETTLED:
            told("end", reservation, account.settle(reservation))
        elif reservation and fate < 1 - LEFT_OPEN:
            account.release(reservation)
            told("end", reservation, None)


# The storm


def _client_process(name: str, takes: int, address: str, notes: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        out = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def told(*said: Any) -> None:
            os.write(out, f"{json.dumps(said)}\n".encode())

        client(name, takes, HttpAccount(address), told)
        code = 0
    finally:
        os._exit(code)


def _read_notes(notes: Path) -> Told:
    told = Told()
    for line in notes.read_text("utf-8").splitlines() if notes.exists() else ():
        try:
            kind, *said = json.loads(line)
        except ValueError:  # the line that a kill cut off
            continue
        _remember(told, kind, *said)
    return told


def _remember(told: Told, kind: str, *said: Any) -> None:
    if kind == "take":
        told.takes.append((said[0], amount(said[0]), said[1]))
        told.seconds.append(said[2])
    else:
        told.ended[said[0]] = said[1]


@contextmanager
def daemon(state: Path) -> Iterator[Running]:
    """A ``cryoflux agent`` of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CRYOFLUX_")}
    environment |= {"CRYOFLUX_POWERCAP_ROOT": str(state / "nowhere"), "CRYOFLUX_NVML": "false"}
    command = [sys.executable, "-m", "cryoflux", "agent", "--json", "--port", "0", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            said = (json.loads(line) for line in process.stdout or ())
            url = next(line["url"] for line in said if line["event"] == "listening")
            yield Running(url.removeprefix("http://"), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def storm(state: Path, clients: int, takes: int, lost: int, *, budget_uj: int) -> list[Told]:
    """Clients as processes on one daemon; some of them are killed."""
    rng = random.Random(clients)  # noqa: S311
    with daemon(state) as running_daemon:
        address = running_daemon.address
        grant = {"joules": budget_uj / MICRO, "request_id": "storm"}
        with closing(HttpAccount(address)) as account:
            account.post("/v1/grant", grant)
        notes = [state / f"client-{number}.jsonl" for number in range(clients)]
        running = {
            _client_process(f"c{number}", takes, address, path): number for number, path in enumerate(notes)
        }
        doomed = rng.sample(sorted(running), lost)
        for child in doomed:
            _wait_for(notes[running[child]], rng.randint(1, max(2, takes // 2)))
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        codes = {child: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in running}
    failed = [child for child, code in codes.items() if code not in (0, -signal.SIGKILL)]
    if failed:
        raise SystemExit(f"{len(failed)} clients failed")
    return [_read_notes(path) for path in notes]


def _wait_for(notes: Path, lines: int) -> None:
    while not notes.exists() or notes.read_bytes().count(b"\n") < lines:
        time.sleep(0.01)


def direct(state: Path, clients: int, takes: int, *, budget_uj: int) -> list[Told]:
    """Clients as threads on one bucket."""
    told = [Told() for _ in range(clients)]
    with closing(Bucket(state / "account.db", SystemClock())) as bucket:
        bucket.grant(budget_uj, request_id="storm")

        def work(number: int) -> None:
            account = DirectAccount(bucket)
            client(f"c{number}", takes, account, lambda *said: _remember(told[number], *said))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return told


def differences(path: Path, told: list[Told]) -> list[str]:
    """What the account says otherwise than the clients were told; empty where nothing."""
    with closing(read_only(path)) as db:
        wrong = [f"does not add up: {fault}"] if (fault := fault_of(db)) else []
        rows = db.execute("SELECT id, request_id, reserved_uj, state, charge FROM reservations").fetchall()
        takes = db.execute("SELECT count(*), sum(reserved_change_uj) FROM entries WHERE kind = 'take'")
        if takes.fetchone() != (len(rows), sum(row[2] for row in rows) or None):
            wrong.append("what was taken is not what is reserved")
        beyond = db.execute("SELECT seq FROM entries WHERE kind = 'take' AND reserved_uj > balance_uj")
        wrong += [f"entry {seq} gave more than was credited" for (seq,) in beyond]
    stored = {row[1]: row for row in rows}
    wrong += [f"{row[1]}: {row[2]} µJ were reserved" for row in rows if row[2] != amount(row[1])]
    given: dict[str, set[str]] = defaultdict(set)
    for request, uj, reservation in itertools.chain.from_iterable(one.takes for one in told):
        given[request].add(reservation)
        if reservation and stored[request][:3] != (reservation, request, uj):
            wrong.append(f"{request}: told {reservation}, stored {stored[request]}")
    # Refused and later given is right; given twice is not.
    wrong += [f"{request}: {ids}" for request, ids in given.items() if len(ids - {""}) > 1]
    states = {row[0]: (row[3], row[4]) for row in rows}
    for reservation, charged in itertools.chain.from_iterable(one.ended.items() for one in told):
        state, text = states[reservation]
        due = "released" if charged is None else "settled"
        if state != due or (due == "settled" and Charge.from_json(text).energy.uj != charged):
            wrong.append(f"{reservation}: told {due}, stored {state}")
    return wrong


def main() -> None:
    """Run what the command line names, and compare the account."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--takes", type=int, default=10_000)
    parser.add_argument("--lost", type=int, default=8, help="clients that are killed on the way")
    parser.add_argument("--direct", action="store_true", help="threads on a Bucket, without the daemon")
    parser.add_argument("--kills", type=int, default=0, help="kill a meter so many times instead")
    parser.add_argument("--open", type=int, default=0, help="so many takes that nobody settles instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="account-") as folder:
        if chosen.kills:
            report = asdict(kill(Path(folder), chosen.kills, seed=chosen.seed))
        elif chosen.open:
            report = left_open(Path(folder), chosen.open, daemon, HttpAccount)
        else:
            report = _storm_report(Path(folder), chosen)
    print(json.dumps(report) if chosen.json else "\n".join(f"{k}: {v}" for k, v in report.items()))
    if report["wrong"]:
        raise SystemExit(1)


def _storm_report(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    # What stays open has used it up after three quarters of the takes.
    left_open = round(0.75 * LEFT_OPEN * chosen.clients * chosen.takes)
    budget_uj = (left_open + chosen.clients) * MOST_UJ // 2
    start = time.perf_counter()
    if chosen.direct:
        told = direct(folder, chosen.clients, chosen.takes, budget_uj=budget_uj)
    else:
        told = storm(folder, chosen.clients, chosen.takes, chosen.lost, budget_uj=budget_uj)
    took_s = time.perf_counter() - start
    seconds = sorted(itertools.chain.from_iterable(one.seconds for one in told))
    given = sum(bool(said[2]) for one in told for said in one.takes)
    start = time.perf_counter()
    wrong = differences(folder / "account.db", told)
    return {
        "clients": chosen.clients,
        "killed": 0 if chosen.direct else chosen.lost,
        "takes": len(seconds),
        "given": given,
        "refused": len(seconds) - given,
        "ended": sum(len(one.ended) for one in told),
        "seconds": round(took_s, 1),
        "takes_per_s": round(len(seconds) / took_s),
        "p50_ms": round(1e3 * seconds[len(seconds) // 2], 2),
        "p99_ms": round(1e3 * seconds[len(seconds) * 99 // 100], 2),
        "max_ms": round(1e3 * seconds[-1], 1),
        "compared_in_s": round(time.perf_counter() - start, 1),
        "wrong": wrong[:20],
    }


if __name__ == "__main__":
    main()
