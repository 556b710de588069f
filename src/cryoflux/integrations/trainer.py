"""A callback for the ``Trainer`` of transformers, and for those of TRL, which derive from it.

    trainer = Trainer(..., callbacks=[CryoFluxCallback(budget="2kJ")])

- It meters the training, its phases and epochs, and ends it when the joules are spent.
- It never raises into the training: what goes wrong is warned of once, and written down. A budget that is
  none is an error where the callback is made, which is before the training.
- It never waits for the meter but twice, and not for long: before the first step, because idle power is
  glanced at while nothing runs yet, and after the last one.
- Losses are the trainer's: it makes no claim about them. Losses example by example, for a claim of one's own,
  come from `example_losses`.
"""

from __future__ import annotations

__all__ = ["RECORD", "CryoFluxCallback"]

import functools
import json
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from numbers import Real
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from cryoflux.energy.measured import Measured
from cryoflux.energy.of_work import EnergyMeasurement
from cryoflux.errors import UsageError
from cryoflux.files import write_atomic
from cryoflux.integrations.beside import MeterBeside
from cryoflux.integrations.example_losses import write_example_losses
from cryoflux.integrations.trainer_record import Evaluated, TrainingRecord
from cryoflux.quantities import MICRO, Tier, parse_energy

if TYPE_CHECKING:
    _Callback: Any = object
else:
    try:
        from transformers import TrainerCallback as _Callback
    except ImportError:  # then there is no trainer that could use it
        _Callback = object

RECORD = "cryoflux-energy.json"
"""what it writes into ``output_dir``; of another process than the first, with its rank"""
_WAIT_BEFORE_S = 4.0
"""for the first reading: a glance at idle power takes two seconds"""
_WAIT_AFTER_S = 1.5
"""for the last one; what is written takes the rest of two seconds"""
_WAIT_WRITTEN_S = 0.5
_SILENT_S = 30.0
"""after so long without a reading it is said that the budget does not hold"""


def _harmless(hook: Callable[..., None]) -> Callable[..., None]:
    """A hook that never raises: what goes wrong in it is noted."""

    @functools.wraps(hook)
    def same(self: CryoFluxCallback, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        try:
            hook(self, args, state, control, **kwargs)
        except Exception as error:  # noqa: BLE001 - the training goes on, whatever it is
            self._trouble(f"{hook.__name__}: {type(error).__name__}: {error}")

    return same


class CryoFluxCallback(_Callback):  # type: ignore[misc]
    """Meters a training, and ends it when its joules are spent.

    Args:
        budget: as in ``"2kJ"``, or joules as a number; none meters alone. Where several processes train
            together, each meters itself, and none is stopped: they would wait for each other.
        evaluate_first: whether the trainer is asked for an evaluation before the first step, where it
            evaluates anyway, so that there is a loss to compare with. Its joules count.
        example_losses: whether the losses of the eval set are written example by example before and after,
            for a model that gives logits: ``cryoflux-losses-before.jsonl``, ``…-after.jsonl``.
        state: where the idle baseline of this machine is kept; ``~/.local/state/cryoflux`` by default.
        measurement: makes what is metered with, in place of `measure_energy`.

    Raises:
        UsageError: an argument cannot be used. Only here: while a training goes on, nothing is raised.
    """

    def __init__(
        self,
        budget: str | float | None = None,
        *,
        evaluate_first: bool = True,
        example_losses: bool = False,
        state: str | Path | None = None,
        measurement: Callable[[], EnergyMeasurement] | None = None,
    ) -> None:
        super().__init__()
        self._budget_uj = None if budget is None else _budget_uj(budget)
        if measurement is not None and not callable(measurement):
            raise UsageError(
                f"measurement={measurement!r} makes no measurement.",
                why="It is called for one when a training begins.",
                hint="Leave it out, or give what measure_energy is: measurement=lambda: measure_energy()",
            )
        state = None if state is None else Path(state)
        self._evaluate_first, self._example_losses = evaluate_first, example_losses
        self._measurement = measurement or (lambda: EnergyMeasurement(state=state))
        self._meter: MeterBeside | None = None
        self._record = TrainingRecord(self._budget_uj)
        self._training = self._evaluating = self._asked_first = False
        self._first_step, self._written = 0, False
        self._place = Path(RECORD)

    @property
    def result(self) -> Measured | None:
        """What the training has cost, or has cost so far; none before the first reading."""
        return self._meter.seen.measured if self._meter is not None else None

    @property
    def problems(self) -> list[str]:
        """What has gone wrong, in the order in which it did."""
        return list(self._record.problems)

    def _trouble(self, what: str) -> None:
        if what in self._record.problems:
            return
        self._record.problems.append(what)
        with suppress(Exception):  # where warnings are made errors, the training goes on all the same
            warnings.warn(f"CryoFlux: {what}", RuntimeWarning, stacklevel=4)

    @_harmless
    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Begin to meter, before the first step."""
        known = self._record.before if self._meter is None else self._record.after
        self._record = TrainingRecord(self._budget_uj, before=known)
        self._training, self._evaluating, self._first_step = True, False, state.global_step
        self._place = Path(args.output_dir) / _named(RECORD, args)
        alone = _processes(args) == 1
        if self._budget_uj is not None and not alone:
            self._trouble("Several processes train together, so the budget stops none of them.")
        budget_uj = self._budget_uj if alone else None
        self._meter = MeterBeside(self._measurement, budget_uj=budget_uj)
        self._meter.begin("phase", "training")
        if not self._meter.start(_WAIT_BEFORE_S):
            self._trouble(self._meter.problem or "The meter does not answer; the training goes on without.")
        if args.eval_on_start or self._wants_first(args):
            self._evaluates()

    def _wants_first(self, args: Any) -> bool:
        """Ask the trainer for an evaluation before the first step, where it is sure to have a set for it."""
        if not self._evaluate_first or _word(args.eval_strategy) == "no":
            return False
        if self._record.before is not None and not self._example_losses:
            return False
        args.eval_on_start = self._asked_first = True
        return True

    @_harmless
    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """An epoch begins."""
        if self._meter is not None:
            self._meter.begin("epoch", str(int(state.epoch or 0) + 1))

    @_harmless
    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """An epoch ends; what is evaluated after it is not of it."""
        if self._meter is not None:
            self._meter.end("epoch")
        if control.should_evaluate:
            self._evaluates()

    @_harmless
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End the training where its joules are spent."""
        self._record.steps = state.global_step - self._first_step
        meter = self._meter
        if meter is None:
            return
        if meter.over.is_set() and not control.should_training_stop:
            control.should_training_stop = True
            self._record.stopped_at_step = state.global_step
            if _word(args.eval_strategy) == "steps":  # by epochs, the trainer does so anyway
                control.should_evaluate = True
        if self._budget_uj is not None and meter.silent_s() > _SILENT_S:
            self._trouble(f"The meter has not answered for {_SILENT_S:.0f} s; the budget does not hold.")
        if control.should_evaluate:
            self._evaluates()

    @_harmless
    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """A batch was evaluated: where nobody said that an evaluation begins, it has."""
        if self._training and not self._evaluating:
            self._evaluates()

    def _evaluates(self) -> None:
        if self._meter is not None and not self._evaluating:
            self._evaluating = True
            self._meter.begin("phase", "evaluation")

    @_harmless
    def on_evaluate(
        self,
        args: Any,
        state: Any,
        control: Any,  # noqa: ARG002
        *,
        metrics: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the losses of an evaluation."""
        if self._asked_first:
            args.eval_on_start = self._asked_first = False
        first = self._first_step if self._training or self._meter is not None else state.global_step
        self._record.evaluated(Evaluated.of(state.global_step, metrics or {}), first_step=first)
        if self._training and state.global_step == self._first_step:
            self._write_losses(args, "before", kwargs)
        self._trains_on()
        if not self._training and self._meter is not None:
            self._write(_WAIT_WRITTEN_S)

    @_harmless
    def on_predict(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """A prediction has ended."""
        self._trains_on()

    def _trains_on(self) -> None:
        if self._training and self._evaluating and self._meter is not None:
            self._meter.begin("phase", "training")
        self._evaluating = False

    @_harmless
    def on_log(
        self,
        args: Any,  # noqa: ARG002
        state: Any,  # noqa: ARG002
        control: Any,  # noqa: ARG002
        *,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Put the joules beside what the trainer logs."""
        if logs is None or not self._training or (found := self.result) is None:
            return
        energy = found.energy
        logs["cryoflux/joules"] = energy.uj / MICRO
        logs["cryoflux/joules_lo"] = energy.lo_uj / MICRO
        logs["cryoflux/joules_hi"] = energy.hi_uj / MICRO
        logs["cryoflux/modelled"] = float(energy.tier is Tier.MODELLED)
        if self._budget_uj is not None:
            logs["cryoflux/joules_left"] = (self._budget_uj - energy.uj) / MICRO

    @_harmless
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Read for the last time, and write down what was measured."""
        if self._meter is None:
            return
        self._record.steps = state.global_step - self._first_step
        self._write_losses(args, "after", kwargs)
        self._training, begun = False, monotonic()
        if not self._meter.close(_WAIT_AFTER_S):
            self._trouble("The meter gave no last reading; what stands is what it showed before.")
        self._write(max(_WAIT_WRITTEN_S, _WAIT_AFTER_S - (monotonic() - begun)))
        where = str(self._place) if self._written else "no record was written"
        with suppress(AttributeError, OSError, ValueError):
            sys.stderr.write(f"CryoFlux: {self._record.sentence(self._meter)}; {where}\n")

    def _write(self, wait_s: float) -> None:
        """Write the record, from a thread of its own: a disk may hang, too."""
        if self._meter is None:
            return
        text, place = json.dumps(self._record.document(self._meter), indent=1), self._place
        self._written = False

        def write() -> None:
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(place, f"{text}\n".encode())
            except OSError as error:
                self._trouble(str(error))
            else:
                self._written = True

        writing = threading.Thread(target=write, name="cryoflux-record", daemon=True)
        writing.start()
        writing.join(wait_s)
        if writing.is_alive():
            self._trouble(f"{place} is not written yet; the disk is slow.")

    def _write_losses(self, args: Any, when: str, given: Mapping[str, Any]) -> None:
        if not self._example_losses or _processes(args) != 1:
            return
        self._evaluates()
        place = self._place.with_name(f"cryoflux-losses-{when}.jsonl")
        problem = write_example_losses(place, given.get("model"), given.get("eval_dataloader"))
        if problem:
            self._trouble(f"{place.name}: {problem}")


def _budget_uj(budget: object) -> int:
    """Microjoules of what was given as a budget, while nothing is trained yet."""
    if isinstance(budget, str):
        return parse_energy(budget)
    if not isinstance(budget, bool) and isinstance(budget, Real | Decimal):
        return parse_energy(f"{float(budget)!r} J")
    raise UsageError(
        f"budget={budget!r} is not an amount of energy.",
        why="A training ends when so many joules are spent.",
        hint='Write it as in budget="2kJ", or joules as a number; leave it out to meter alone.',
    )


def _word(strategy: Any) -> str:
    return str(getattr(strategy, "value", strategy))


def _processes(args: Any) -> int:
    return int(getattr(args, "world_size", 1))


def _named(name: str, args: Any) -> str:
    rank = int(getattr(args, "process_index", 0))
    return name if rank == 0 else f"{Path(name).stem}.rank{rank}.json"
