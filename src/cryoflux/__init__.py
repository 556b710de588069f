"""CryoFlux: how much real improvement did we get per joule?

What this package exports is stable; everything else may change with any release. Importing it imports no
library: each name is looked up when it is first asked for.

    with cryoflux.measure_energy() as measurement:
        train()
    print(measurement.result)  # 12.3 J [11.7, 12.9] (counter) in 4.0 s

    summary = cryoflux.run("2kJ", train="mine.csv", state="mine")
    for attempt in cryoflux.open_log("mine"):
        print(attempt.number, attempt.outcome, attempt.reason)
    assert cryoflux.verify("mine").ok
"""

from __future__ import annotations

__all__ = [
    "Attempt",
    "CryoFluxError",
    "Energy",
    "Judged",
    "Log",
    "Measured",
    "Report",
    "RunObserver",
    "Scorer",
    "Settings",
    "Summary",
    "Task",
    "Tier",
    "Update",
    "__version__",
    "judge",
    "judge_losses",
    "measure_energy",
    "open_log",
    "run",
    "verify",
]

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryoflux.config import Settings
    from cryoflux.energy.measured import Measured
    from cryoflux.energy.of_work import measure_energy
    from cryoflux.errors import CryoFluxError
    from cryoflux.evaluation.scoring import Scorer
    from cryoflux.log_check import verify
    from cryoflux.log_view import Log, open_log
    from cryoflux.quantities import Energy, Tier
    from cryoflux.receipts.attempts import Attempt
    from cryoflux.runs.calling import run
    from cryoflux.runs.judging import Judged, judge_losses
    from cryoflux.runs.judging_models import judge
    from cryoflux.runs.summary import Summary
    from cryoflux.runs.watch import RunObserver
    from cryoflux.tasks.interface import Task, Update
    from cryoflux.verification.result import Report

__version__ = "0.1.0"

_PLACES = {
    "Attempt": "receipts.attempts",
    "CryoFluxError": "errors",
    "Energy": "quantities",
    "Judged": "runs.judging",
    "Log": "log_view",
    "Measured": "energy.measured",
    "Report": "verification.result",
    "RunObserver": "runs.watch",
    "Scorer": "evaluation.scoring",
    "Settings": "config",
    "Summary": "runs.spending",
    "Task": "tasks.interface",
    "Tier": "quantities",
    "Update": "tasks.interface",
    "judge": "runs.judging_models",
    "judge_losses": "runs.judging",
    "measure_energy": "energy.of_work",
    "open_log": "log_view",
    "run": "runs.calling",
    "verify": "log_check",
}
"""public name → the module that has it"""


def __getattr__(name: str) -> object:
    if (place := _PLACES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{place}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
