"""What a run would leave of itself in a state, written by hand: `cryoflux.queries.activity` reads it."""

from __future__ import annotations

__all__ = ["ActingRun"]

import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from cryoflux.attempt.watch import Step
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.device_files import pid_namespace
from cryoflux.energy.processes import find_owner
from cryoflux.quantities import MICRO, Energy, Tier
from cryoflux.runs.activity_form import (
    NOW,
    ROWS,
    SCHEMA,
    SaidAttempt,
    SaidBudget,
    SaidEnergy,
    SaidMeter,
    SaidNow,
    SaidProcess,
    SaidSource,
    SaidStep,
    SampleRow,
    pack_row,
)
from cryoflux.state import StateFolder


class ActingRun:
    """A run that this process seems to be.

    Args:
        state: the state directory.
        at: when it began, seconds since 1970.
    """

    def __init__(self, state: Path, at: float) -> None:
        self._folder = StateFolder(state).activity
        self._folder.mkdir(exist_ok=True, parents=True)
        boot_id = SystemClock().boot_id
        owner = find_owner(os.getpid(), boot_id)
        ticks = owner.start_ticks if owner is not None else 0
        process = SaidProcess(os.getpid(), ticks, boot_id, pid_namespace())
        self.now = SaidNow(schema=SCHEMA, written_at=at, process=process, began_at=at, phase="preparing")
        self._sequence = self._net_uj = self._gross_uj = 0
        self.say()

    def say(self, **changes: Any) -> None:
        """Write what happens now, with some of it changed."""
        self.now = replace(self.now, **changes)
        content = msgspec.json.encode(self.now)
        (self._folder / "next").write_bytes(content)
        (self._folder / "next").replace(self._folder / NOW)

    def attempt(self, number: int, step: Step, at: float, **further: Any) -> None:
        """Be at a step of an attempt, one second for each before it."""
        order = list(Step)
        place = order.index(step)
        steps = [SaidStep(one, at + n, at + n + 1) for n, one in enumerate(order[:place])]
        steps.append(SaidStep(step, at + place))
        said = SaidAttempt(number=number, began_at=at, steps=steps, task="lora_delta", **further)
        self.say(phase="attempting", attempt=said)

    def budget(self, spendable: float, attempts: float, session: float) -> None:
        """Have such a budget, J."""
        amounts = (spendable, attempts, session, 20.0, 60.0)
        self.say(budget=SaidBudget(*(round(amount * MICRO) for amount in amounts)))

    def sample(self, at: float, net_w: float, *, idle_w: float = 10.0, first: bool = False) -> None:
        """Note a second of the meter."""
        self._sequence += 1
        self._net_uj += round(net_w * MICRO)
        self._gross_uj += round((net_w + idle_w) * MICRO)
        amounts = [
            Energy(uj, round(uj * 0.8), round(uj * 1.25), Tier.MODELLED)
            for uj in (self._gross_uj, self._net_uj)
        ]
        number = self.now.attempt.number if self.now.attempt is not None else 0
        row = SampleRow(self._sequence, round(at * MICRO), *amounts, 400 * MICRO, number, None, first)
        with (self._folder / ROWS).open("ab") as stream:
            stream.write(pack_row(row))
        said = [SaidEnergy(one.uj, one.lo_uj, one.hi_uj, one.tier) for one in amounts]
        source = SaidSource("cpu-model", "cpu", Tier.MODELLED, net_w + idle_w, idle_w)
        self.say(meter=SaidMeter(at, net_w, 400 * MICRO, *said, "modelled", [], [source]))
