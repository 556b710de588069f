"""How a run looks on a terminal: lines that stay, and below them what it does now."""

from __future__ import annotations

__all__ = ["LiveView"]

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cryoflux.attempt.recording import AttemptRecord
from cryoflux.attempt.watch import Step
from cryoflux.cli.run_view import PlainView, Shown
from cryoflux.quantities import format_energy
from cryoflux.tasks.pacing import Progress

if TYPE_CHECKING:
    from cryoflux.fleet.documents import WorkerState


class LiveView(PlainView):
    """Budget bar, watts and the step of the current attempt, under the lines of the finished ones."""

    def __init__(self, live: Live, on_closed: Callable[[], None], show: Shown) -> None:
        super().__init__(on_closed, show)
        self._live = live
        self._step = Step.SAMPLE
        self._doing = "opening"
        self._attempt_uj = 0
        self._shown_uj = 0
        """what the bar has reached: an update that is judged is at no worker, and on no receipt yet"""
        self._drawn = 0.0

    def _draw(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._drawn < 0.1:
            return
        self._drawn = time.monotonic()
        grid, doing = Table.grid(padding=(0, 1)), Text(self._doing, style="dim")
        if self.spendable_uj:
            spent = self._shown_uj = max(self._shown_uj, self.spent_uj + self._attempt_uj)
            bar = ProgressBar(total=self.spendable_uj, completed=min(spent, self.spendable_uj), width=28)
            watts = ""
            if self.sample:
                watts = f"{self.sample.net_w:.1f} W net ({self.sample.net.tier.value})"
            grid.add_row(bar, f"{format_energy(spent)} of {format_energy(self.spendable_uj)}", watts)
        self._live.update(Group(grid, doing) if grid.row_count else doing, refresh=True)

    def step(self, step: Step, moment: Literal["begin", "end"]) -> None:
        """Name the step."""
        if moment == "begin":
            if step is Step.SAMPLE:
                self._attempt_uj = 0
            self._step = step
            self._doing = self._where()
            self._draw(now=True)

    def _where(self, more: str = "") -> str:
        """Attempt and step, of the ten in their order; the base is evaluated before training."""
        place = f"attempt #{self.number + 1} · {list(Step).index(self._step) + 1}/10 {self._step.value}"
        return f"{place} · {more}" if more else place

    def prepared(self, done: int, count: int) -> None:
        """Name how many activations are computed."""
        self._doing = self._where(f"activations of {done} of {count} texts")
        self._draw()

    def trained(self, progress: Progress, reserved_uj: int) -> None:
        """Name the training step, its loss and what it has used."""
        self._attempt_uj = progress.spent_uj
        of_all = f" of {progress.planned}" if progress.planned else ""
        self._doing = self._where(
            f"step {progress.step}{of_all} · loss {progress.loss:.3f} · "
            f"{format_energy(progress.spent_uj)} of {format_energy(reserved_uj)}"
        )
        self._draw(now=progress.step == 1)  # a quick training is over before the next picture

    def evaluated(self, done: int, count: int) -> None:
        """Name how much of the holdout is done."""
        whose = "" if self._step is Step.EVALUATE else " for the base"
        self._doing = self._where(f"{done} of {count} holdout examples{whose}")
        self._draw()

    def checking(self, what: str, done: int, count: int) -> None:
        """Name what a round does."""
        self._doing = f"round · {what} · {done} of {count} examples"
        self._draw()

    def at_work(self, states: Mapping[str, WorkerState | None]) -> None:
        """Name what each worker does, and what its meter has said that it cost so far."""
        from cryoflux.fleet.parts import signed_energy

        words = [signed_energy(state.word) for state in states.values() if state is not None]
        self._attempt_uj = sum(word.uj for word in words if word is not None)
        self._doing = " · ".join(
            f"{name} {state.doing}{f', step {state.step}' if state.step else ''}"
            for name, state in states.items()
            if state is not None
        )
        self._draw()

    def preparing(self, what: str, done: int, total: int) -> None:
        """Name what takes a while."""
        self._doing = f"{what}: {done} of {total}"
        self._draw()

    def finished(self, record: AttemptRecord) -> None:
        """One line that stays; the live part starts over."""
        self._attempt_uj = 0
        super().finished(record)
