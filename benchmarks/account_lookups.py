"""What it costs a verifier to check a long joule account and to look up each of its charges.

    python benchmarks/account_lookups.py --attempts 500000

The account is written at once, without a meter: each attempt is a reservation, the entry that took it and the
entry that settled it. CPU seconds of this process are reported, and by how much its memory grew meanwhile.
"""

from __future__ import annotations

__all__ = ["LOG", "task_of", "write_account"]

import argparse
import json
import random
import resource
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from cryoflux.energy.account.audit import AuditedAccount, open_audited
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.tables import SCHEMAS, VERSION
from cryoflux.energy.interface import Counter
from cryoflux.quantities import MICRO, Energy, Tier

LOG = f"cryoflux.dev/log/{'0' * 64}"
RESERVED_UJ, PAID_UJ = 120 * MICRO, 70 * MICRO
ENTRY = (
    "INSERT INTO entries (kind, request_id, reservation, balance_change_uj, reserved_change_uj, balance_uj,"
    " reserved_uj, lo_uj, hi_uj, tier, at, note) VALUES (?,?,?,?,?,?,?,?,?,?,'2023-11-14T22:13:20Z',?)"
)
RESERVATION = "INSERT INTO reservations VALUES (?, ?, ?, 'settled', 7, 100, ?, ?, 0, ?, ?, '')"
BOOT = "00000000-0000-4000-8000-000000000000"


def task_of(number: int) -> str:
    """The request id of an attempt, as a run names it."""
    return f"lora_{1_700_000_000 + 60 * number}_{2 * number}"


def _charge() -> Charge:
    paid = Energy(PAID_UJ, PAID_UJ - 5, PAID_UJ + 5, Tier.COUNTER)
    names = ("rapl:package-0", "rapl:dram-0")
    counters = tuple(Counter(name, 123_456_789_012, 123_526_789_012, BOOT, BOOT) for name in names)
    return Charge(paid, paid, names, "0" * 64, "", 12_000_000, 60_000_000_000, counters)


def write_account(path: Path, attempts: int) -> None:
    """Make an account of so many settled attempts of one log, in one transaction."""
    charge = _charge()
    paid, energy = charge.to_json(), charge.energy
    balance_uj = RESERVED_UJ * attempts
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMAS[VERSION])
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.executemany("INSERT INTO sources VALUES (?)", [(name,) for name in charge.sources])
        db.execute(ENTRY, ("grant", "grant:g", None, balance_uj, 0, balance_uj, 0, None, None, None, ""))
        for task in map(task_of, range(attempts)):
            key = secrets.token_hex(16)
            db.execute(RESERVATION, (key, task, RESERVED_UJ, BOOT, paid, BOOT, LOG))
            taken = ("take", f"take:{task}", key, 0, RESERVED_UJ, balance_uj, RESERVED_UJ)
            db.execute(ENTRY, (*taken, None, None, None, LOG))
            balance_uj -= PAID_UJ
            settled = ("settle", f"settle:{key}", key, -PAID_UJ, -RESERVED_UJ, balance_uj, 0)
            db.execute(ENTRY, (*settled, energy.lo_uj, energy.hi_uj, energy.tier, ""))
        db.commit()


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _look_up(account: AuditedAccount, tasks: Sequence[str]) -> None:
    for task in tasks:
        held = account.charged(task)
        if held is None or held.uj != PAID_UJ:
            raise SystemExit(f"{task} is not what it was charged")


def measure(path: Path, attempts: int) -> dict[str, float]:
    """CPU seconds and microseconds, and KiB of memory."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened_s = time.process_time()
    with open_audited(path) as account:
        opened_s = time.process_time() - opened_s
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        tasks = [task_of(number) for number in range(attempts)]
        in_order_s = _seconds(lambda: _look_up(account, tasks))
        random.Random(0).shuffle(tasks)  # noqa: S311 - an order, not a secret
        at_random_s = _seconds(lambda: _look_up(account, tasks))
        count_s = _seconds(lambda: account.count(LOG))
        all_s = _seconds(lambda: sum(1 for _ in account.unexplained(LOG)))
    return {
        "attempts": attempts,
        "account_mb": round(path.stat().st_size / 1e6, 1),
        "open_cpu_s": round(opened_s, 2),
        "open_us_each": round(opened_s / attempts * MICRO, 1),
        "memory_grew_kib": grown_kib,
        "in_order_us_each": round(in_order_s / attempts * MICRO, 2),
        "at_random_us_each": round(at_random_s / attempts * MICRO, 2),
        "count_cpu_s": round(count_s, 3),
        "all_cpu_s": round(all_s, 2),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--attempts", type=int, default=500_000)
    attempts = parser.parse_args().attempts
    with TemporaryDirectory(prefix="cryoflux-") as folder:
        path = Path(folder, "account.db")
        write_account(path, attempts)
        print(json.dumps(measure(path, attempts), indent=1))


if __name__ == "__main__":
    main()
