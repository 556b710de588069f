"""What a run with workers came to, read from its log and its events, as lines that can be kept."""

from __future__ import annotations

__all__ = ["Made", "RunOfAFleet", "read_run", "read_runs"]

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from cryoflux.energy.account.settlement import read_settlement
from cryoflux.energy.clock import BILLION
from cryoflux.log_view import open_log
from cryoflux.quantities import MICRO
from cryoflux.receipts.session import Session
from cryoflux.receipts.statement import Intent, Receipt


class Made(Struct, frozen=True):
    """One attempt."""

    arm: str
    outcome: str
    worker: str
    """empty where the run trained it itself"""
    announced_s: float
    finished_s: float
    """both since the run's first announcement"""
    busy_s: float
    """how long its worker's meter was at it"""
    moved: int
    """updates kept between its announcement and its judgement"""
    worker_j: float
    own_j: float
    worker_cpu_s: float
    own_cpu_s: float
    phases: dict[str, float]
    """J, of both"""
    screen: float | None
    """Δ on the screening examples, against the head at its judgement, nats"""
    delta: float | None
    """Δ on the holdout"""
    head_loss: float
    """of the head afterwards, on the holdout"""

    @property
    def joules(self) -> float:
        """What it cost, both meters."""
        return self.worker_j + self.own_j


class RunOfAFleet(Struct, frozen=True):
    """One run."""

    recipes: str
    policy: str
    workers: int
    seed: int
    wall_s: float
    """of the whole command"""
    cpu_s: float
    """of all meters, all-in"""
    besides_j: float
    """session: start-up, data, audit; workers' starts too"""
    first_loss: float
    last_loss: float
    audit_gain: float
    made: list[Made]

    @property
    def attempts_j(self) -> float:
        """What the attempts cost."""
        return sum(one.joules for one in self.made)

    @property
    def gain(self) -> float:
        """Δ on the holdout, nats."""
        return self.first_loss - self.last_loss

    @property
    def span_s(self) -> float:
        """From the first announcement to the last receipt."""
        return max((one.finished_s for one in self.made), default=0.0)

    @property
    def idle(self) -> float:
        """Share of their time in which workers were at no attempt."""
        there_s = self.span_s * max(1, self.workers)
        return 1 - sum(one.busy_s for one in self.made) / there_s if there_s else 0.0

    def to(self, target: float) -> tuple[float, float] | None:
        """Joules of attempts, and seconds, until the head's loss was at a target; none where it never was.

        Of attempts that were open then, the share of their time that was over counts.
        """
        hit = next((one for one in self.made if one.head_loss <= target), None)
        if hit is None:
            return None
        spent = 0.0
        for one in self.made:
            took_s = max(1e-9, one.finished_s - one.announced_s)
            share = (hit.finished_s - one.announced_s) / took_s
            spent += one.joules * min(1.0, max(0.0, share))
        return spent, hit.finished_s


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def read_run(state: Path, events: Sequence[Mapping[str, Any]], **about: Any) -> RunOfAFleet:
    """A run from its state and its events.

    Args:
        state: where its log lies.
        events: what it said.
        about: recipes, policy, workers, seed and wall time.
    """
    said = {event["receipt_hash"]: event for event in events if event["event"] == "attempt"}
    summary = next(event for event in events if event["event"] == "summary")
    first = summary["holdout"]["loss_before"]
    intents: dict[str, Intent] = {}
    made: list[Made] = []
    kept_at: list[float] = []
    cpu_us, began_s = 0, 0.0
    for entry in open_log(state).entries():
        found = entry.statement.predicate
        if isinstance(found, Intent):
            intents[entry.leaf_hash] = found
            began_s = began_s or _seconds(found.announced_at)
        elif isinstance(found, Receipt):
            loss = made[-1].head_loss if made else first
            one = _made(intents[found.intent], found, said[entry.leaf_hash], began_s, kept_at, loss)
            made.append(one)
            if one.outcome == "kept":
                kept_at.append(one.finished_s)
        if isinstance(found, Receipt | Session):
            cpu_us += found.energy.cpu_microseconds
    return RunOfAFleet(
        cpu_s=cpu_us / MICRO,
        besides_j=summary["overhead"]["joules"],
        first_loss=first,
        last_loss=summary["holdout"]["loss_after"],
        audit_gain=summary["audit"]["loss_before"] - summary["audit"]["loss_after"],
        made=made,
        **about,
    )


def _made(
    intent: Intent, receipt: Receipt, said: Mapping[str, Any], began_s: float, kept: list[float], loss: float
) -> Made:
    announced_s = _seconds(intent.announced_at) - began_s
    finished_s = _seconds(receipt.finished_at) - began_s
    parts = {part.worker: part for part in receipt.energy.parts}
    theirs = next((part for name, part in parts.items() if name), None)
    own = parts.get("", receipt.energy)
    signed = theirs.settlement if theirs is not None else receipt.energy.settlement
    window_ns = read_settlement(signed).window_nanoseconds if signed else 0
    return Made(
        arm=intent.task.arm,
        outcome=said["outcome"],
        worker=theirs.worker if theirs is not None else "",
        announced_s=announced_s,
        finished_s=finished_s,
        busy_s=window_ns / BILLION,
        moved=sum(announced_s < at < finished_s for at in kept),
        worker_j=theirs.microjoules / MICRO if theirs is not None else 0.0,
        own_j=own.microjoules / MICRO,
        worker_cpu_s=theirs.cpu_microseconds / MICRO if theirs is not None else 0.0,
        own_cpu_s=own.cpu_microseconds / MICRO,
        phases={phase["phase"]: phase["joules"] for phase in said.get("phases") or ()},
        screen=said.get("screen_delta"),
        delta=said.get("delta"),
        head_loss=said["new_loss"] if said.get("accepted") else loss,
    )


def read_runs(folder: Path) -> list[RunOfAFleet]:
    """The runs that are kept in a folder."""
    lines = (folder / "runs.jsonl").read_text("utf-8").splitlines()
    return [msgspec.json.decode(line, type=RunOfAFleet) for line in lines]


def kept_line(run: RunOfAFleet) -> str:
    """A run as a line."""
    return json.dumps(msgspec.to_builtins(run)) + "\n"
