"""What takes cost that nobody settles: the daemon's CPU time for each take, each scrape, and a start."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from cryoflux.database import read_only
from cryoflux.energy.account.audit import fault_of
from cryoflux.energy.account.ledger import identity

SCRAPES = 20
BODIES: dict[str, dict[str, Any]] = {"anonymous": {}, "reserved": {"reservation": True}}
"""how they are asked for: charged when granted, or open for good"""


class Asked(Protocol):
    """A connection to a daemon."""

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        ...

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a body."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


@dataclass(frozen=True)
class Running:
    """A daemon that answers."""

    address: str
    pid: int

    def cpu_s(self) -> float:
        """CPU time that it has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def spent_s(self, work: Callable[[], None]) -> float:
        """CPU time that it uses for this."""
        before_s = self.cpu_s()
        work()
        return self.cpu_s() - before_s


def left_open(
    folder: Path,
    number: int,
    daemon: Callable[[Path], AbstractContextManager[Running]],
    ask: Callable[[str], Asked],
) -> dict[str, Any]:
    """So many takes of each kind on a daemon of its own, which is then started again.

    Args:
        folder: for the accounts.
        number: of takes.
        daemon: runs one over a state.
        ask: opens a connection to it.
    """
    report: dict[str, Any] = {"takes": number}
    wrong: list[str] = []
    for kind, body in BODIES.items():
        state = folder / kind
        state.mkdir()
        with daemon(state) as running, closing(ask(running.address)) as asked:
            started_s = running.cpu_s()
            asked.post("/v1/grant", {"joules": number, "request_id": "open"})
            scrape_s = running.spent_s(partial(_scrape, asked)) / SCRAPES
            take_s = running.spent_s(partial(_take, asked, number, body)) / number
            scrape_after_s = running.spent_s(partial(_scrape, asked)) / SCRAPES
        with daemon(state) as running:
            restarted_s = running.cpu_s()
        report[f"{kind}_take_cpu_ms"] = round(1e3 * take_s, 2)
        report[f"{kind}_scrape_cpu_ms"] = [round(1e3 * one, 1) for one in (scrape_s, scrape_after_s)]
        report[f"{kind}_start_cpu_s"] = [round(one, 2) for one in (started_s, restarted_s)]
        wrong += [f"{kind}: {one}" for one in _wrong(state / "account.db", number, kind)]
    return report | {"wrong": wrong}


def _take(asked: Asked, number: int, body: dict[str, Any]) -> None:
    for _ in range(number):
        if not asked.post("/v1/take", {"joules": 0.5} | body)["ok"]:
            raise RuntimeError("a take was refused")


def _scrape(asked: Asked) -> None:
    for _ in range(SCRAPES):
        asked.get("/metrics")


def _wrong(path: Path, number: int, kind: str) -> list[str]:
    with closing(read_only(path)) as db:
        fault, sums = fault_of(db), identity(db)
    due_uj = number * 500_000
    found = (sums.settled_uj, sums.open_uj)
    wrong = [f"does not add up: {fault}"] if fault else []
    return wrong + (
        [f"charged and held {found}"] if found[kind == "reserved"] != due_uj or sum(found) != due_uj else []
    )
