"""Whether joules lie in the box that physics leaves them; a figure inside it is still only attested.

The floor follows from work that the receipt itself implies. One forward pass of the candidate for each
example that was read takes two floating-point operations for each weight of the modules that were trained,
for one token at least: everything below them may have been kept from before. A training step takes four for
each trained parameter. Nothing known computes these for less than `FEMTOJOULES_PER_FLOP64` and
`FEMTOJOULES_PER_FLOP`. The floor lies orders of magnitude below what honest work costs, so it catches joules
that are invented, such as none at all, and not joules that are half of what they were.

The ceiling is what the named sources can draw in the time that was metered. The meter's signed window is
monotonic time, so a figure above it contradicts itself. Start and end in a receipt are labels of a clock
that may be set meanwhile, so above theirs it is a question.

Where several meters charged an attempt, the floor is one of their sum, for the receipt does not say who did
which of the work; the ceiling is one of each, by its own sources and its own window; and the time that was
metered is that of all windows together, which is never less than what they cover.

Sources: data sheets of AMD MI300X (163.4 TFLOPS of float64 matrices at 750 W: 4.6 pJ per operation) and of
NVIDIA B200 (9 PFLOPS of dense FP4 at 1,000 W: 0.11 pJ), each taken here as if it were at least four times
better; figures are net of idle, which hides a part of a device's power.
"""

from __future__ import annotations

__all__ = [
    "FEMTOJOULES_PER_FLOP",
    "FEMTOJOULES_PER_FLOP64",
    "WATTS_PER_CPU",
    "WATTS_PER_SOURCE",
    "beyond_sources",
    "floor_uj",
    "implausible",
    "trained_weights",
    "unmetered_time",
]

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from cryoflux.quantities import MICRO, format_energy
from cryoflux.receipts.charged import EnergyFigure, MeteredPart
from cryoflux.receipts.profiles import PROFILE
from cryoflux.receipts.statement import Outcome, Receipt
from cryoflux.verification.metered import shown_parts
from cryoflux.verification.result import Finding, failed, unknown

FEMTOJOULES_PER_FLOP64 = 1000
FEMTOJOULES_PER_FLOP = 20
WATTS_PER_SOURCE = 4000
"""more than any one processor, accelerator or board that counts its own energy may draw"""
WATTS_PER_CPU = 500
"""more than a CPU-second can cost, where one thread is charged its whole package"""

_FEMTO_PER_MICRO = 10**9
_LABEL_S = 2
"""start and end are rounded to a second each"""
_LABEL_SLACK, _LABEL_SLACK_S = 1.1, 60
"""so much longer than it was metered an attempt may say to have taken: its meter and its clock are two"""


def trained_weights(modules: Iterable[str], sizes: Mapping[str, int]) -> int:
    """Weights of the named modules in a model.

    Args:
        modules: as a receipt names them, in full or by the end of their names.
        sizes: tensor → number of its elements.
    """
    ends = tuple(f".{module}.weight" for module in modules)
    return sum(size for name, size in sizes.items() if ends and f".{name}".endswith(ends))


def floor_uj(receipt: Receipt, *, parameters: int, weights: int) -> int:
    """The least that the work in a receipt can have cost, µJ.

    Args:
        receipt: says what was trained and evaluated.
        parameters: that were trained; 0 where nobody says.
        weights: of the trained modules; 0 where the model is not here.
    """
    training, evaluation = receipt.training, receipt.evaluation
    femto = 4 * training.steps * parameters * FEMTOJOULES_PER_FLOP if training else 0
    if evaluation is not None:
        each = FEMTOJOULES_PER_FLOP64 if evaluation.profile == PROFILE else FEMTOJOULES_PER_FLOP
        femto += 2 * weights * evaluation.read * each
    return femto // _FEMTO_PER_MICRO


def implausible(
    subject: str, receipt: Receipt, *, parameters: int, weights: int, windows_ns: Sequence[int] = ()
) -> Iterator[Finding]:
    """What is impossible or odd about the joules of a receipt.

    Args:
        subject: how to name it.
        receipt: the receipt.
        parameters: that were trained; 0 where nobody says.
        weights: of the trained modules; 0 where the model is not here.
        windows_ns: how long the meter of each part signed to have metered, 0 where it signed nothing; none
            where no meter did.
    """
    figure = receipt.energy
    least_uj = floor_uj(receipt, parameters=parameters, weights=weights)
    if figure.hi_microjoules < least_uj and receipt.outcome is not Outcome.ABORTED:
        said = f"says {format_energy(figure.hi_microjoules)} at most"
        yield failed(subject, f"{said}, but nothing known does its work for less than {least_uj} µJ")
    labelled_s = _labelled_s(receipt.started_at, receipt.finished_at)
    yield from beyond_sources(subject, figure, windows_ns=windows_ns, labelled_s=labelled_s)


def unmetered_time(receipt: Receipt, windows_ns: Sequence[int]) -> Iterator[str]:
    """Whether meters looked at only a part of the time that an attempt says to have taken.

    Args:
        receipt: the receipt.
        windows_ns: how long the meter of each part signed to have metered; 0 where it signed nothing.
    """
    labelled_s = _labelled_s(receipt.started_at, receipt.finished_at)
    # What a dead run left is closed by the next one, maybe a day later.
    if not all(windows_ns) or labelled_s is None or receipt.outcome is Outcome.ABORTED:
        return
    metered_s = sum(windows_ns) / 1e9
    if labelled_s > metered_s * _LABEL_SLACK + _LABEL_SLACK_S:
        said = f"was metered for {metered_s:.0f} s of the {labelled_s:.0f} s between its start and end"
        yield f"{said}: a clock that was set, a machine that slept, or work left out"


def beyond_sources(
    subject: str, figure: EnergyFigure, *, windows_ns: Sequence[int], labelled_s: float | None = None
) -> Iterator[Finding]:
    """Whether what a meter charged is more than its sources can draw in the time that it metered.

    Args:
        subject: how to name the entry.
        figure: what it was charged.
        windows_ns: how long the meter of each part signed to have metered, 0 where it signed nothing; none
            where no meter did.
        labelled_s: how long it took by its labels, s; none where they do not tell.
    """
    shown = shown_parts(subject, figure)
    for one, window_ns in zip(shown, windows_ns or (0,) * len(shown), strict=True):
        yield from one.of_it(_beyond_sources(subject, one.part, window_ns, labelled_s))


def _beyond_sources(
    subject: str, part: MeteredPart, window_ns: int, labelled_s: float | None
) -> Iterator[Finding]:
    seconds = window_ns / 1e9 if window_ns else labelled_s
    if seconds is not None and part.microjoules > (most_uj := _ceiling_uj(part, seconds)):
        said = f"says {format_energy(part.microjoules)}"
        most = f"its sources cannot draw more than {format_energy(most_uj)} in {seconds:.1f} s"
        if window_ns:
            yield failed(subject, f"{said}, but {most}, which is all that the meter metered")
        else:
            yield unknown(subject, f"{said}, but {most}, by its start and end")


def _ceiling_uj(part: MeteredPart, seconds: float) -> int:
    # CPU time from before the window, when the process had just started, is charged too.
    sources = max(1, len(set(part.sources)))
    return int(WATTS_PER_SOURCE * sources * seconds * MICRO) + WATTS_PER_CPU * part.cpu_microseconds


def _labelled_s(started_at: str, finished_at: str) -> float | None:
    try:
        started = datetime.fromisoformat(started_at)
        lasted_s = (datetime.fromisoformat(finished_at) - started).total_seconds()
    except (ValueError, TypeError):  # no time at all, or one of them without a zone
        return None
    return lasted_s + _LABEL_S if lasted_s >= 0 else None  # step 5 asks about a clock that ran backwards
