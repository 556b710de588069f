"""Every error that CryoFlux raises on purpose, and the exit code that it ends a command with.

An error says three things: what happened, why it matters, and what to type next. A traceback is
for our mistakes, never for a user's. An error of one stage is defined beside that stage, and drawn here.

    CryoFluxError                    exit
    ├── UsageError (ValueError)      2    what was typed or configured cannot be used
    │   ├── ConfigError              2    a setting is unknown or out of range
    │   ├── DataError                2    a data set cannot be trained or judged on
    │   ├── ModelError               2    a model cannot be loaded, or would not be safe to load
    │   ├── ReservationConflictError 2    a request id was used before, for something else
    │   └── UnknownReservationError  2    there is no such reservation
    ├── StateError                   2    this state directory cannot be continued
    │   ├── StateLockedError         2    a live run holds it
    │   └── StateTamperedError       1    what it holds is not what was signed
    ├── TrainingFailedError          1    a loss stopped being finite; the attempt is recorded as failed
    ├── JoulesEndedError             1    a reservation leaves nothing to train with; the attempt is aborted
    ├── TrainingInterruptedError     1    somebody asked to stop before training; the attempt is aborted
    ├── EvaluationFailedError        1    a loss is not finite; the attempt is recorded as failed
    ├── CannotRetrainError           1    a receipt does not say enough to train again, or this machine cannot
    ├── FleetError                   1    a worker cannot be had, is lost, or does not do what was asked
    ├── PeerUnreachableError         1    a peer did not answer, or not with what was asked for
    ├── VerificationError            1    a receipt or artefact is not what it claims to be
    │   └── NewerFormatError         1    a later CryoFlux wrote it
    ├── MeterError                   3    this machine, or the agent, cannot measure
    │   └── AgentError               3    the JouleAgent is down, slow, or answers nonsense
    ├── BudgetError                  4    the joules do not reach for one attempt
    └── StorageError (OSError)       5    the disk is full, read-only, or refuses; or a tracker does
"""

from __future__ import annotations

__all__ = [
    "AgentError",
    "BudgetError",
    "ConfigError",
    "CryoFluxError",
    "DataError",
    "EvaluationFailedError",
    "ExitCode",
    "MeterError",
    "ModelError",
    "StateError",
    "StateLockedError",
    "StateTamperedError",
    "StorageError",
    "UsageError",
    "VerificationError",
]

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means."""

    DONE = 0
    NEGATIVE_VERDICT = 1
    USAGE = 2
    CANNOT_MEASURE = 3
    BUDGET_EXHAUSTED = 4
    CANNOT_STORE = 5
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


class CryoFluxError(Exception):
    """An error with a cause, a consequence and a way out.

    Args:
        what: what happened, in one sentence.
        why: why that matters, in one sentence.
        hint: what to type or change next.
    """

    exit_code: ExitCode = ExitCode.NEGATIVE_VERDICT

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint
        for said in (why, hint):  # a traceback in Python shows these below the first line
            if said:
                self.add_note(said)

    def lines(self) -> tuple[str, ...]:
        """The lines that a person reads: what, why, what next."""
        return tuple(line for line in (self.what, self.why, self.hint) if line)


class UsageError(CryoFluxError, ValueError):
    """What was typed or configured cannot be used."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A setting is unknown or out of range."""


class DataError(UsageError):
    """A data set cannot be trained or judged on."""


class ModelError(UsageError):
    """A model cannot be loaded, or would not be safe to load."""


class StateError(CryoFluxError):
    """This state directory cannot be continued."""

    exit_code = ExitCode.USAGE


class StateLockedError(StateError):
    """Another live process works in this state directory."""


class StateTamperedError(StateError):
    """What the state directory holds is not what was signed."""

    exit_code = ExitCode.NEGATIVE_VERDICT


class EvaluationFailedError(CryoFluxError):
    """A loss is not a number, or absurdly large."""


class VerificationError(CryoFluxError):
    """A receipt or an artefact is not what it claims to be."""


class MeterError(CryoFluxError):
    """This machine, or the agent, cannot measure."""

    exit_code = ExitCode.CANNOT_MEASURE


class AgentError(MeterError):
    """The JouleAgent is down, slow, or answers nonsense."""


class BudgetError(CryoFluxError):
    """The joules do not reach for one attempt."""

    exit_code = ExitCode.BUDGET_EXHAUSTED


class StorageError(CryoFluxError, OSError):
    """The disk is full, read-only, or refuses."""

    exit_code = ExitCode.CANNOT_STORE
