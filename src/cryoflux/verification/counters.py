"""Part of step 10: what a meter signed is possible beside what its own counters moved.

A charge is net of idle, so it is no more than what the counters moved: each block of it is a share of what
flowed, less what flows at rest. It may be more than the machine's net of the whole window, where others
rested below the frozen baseline while the process did not, but then by no more than that rest, which the
counters hold as well.

The statement does not tell the range of a counter, so one that shows less than before has turned or begun
anew, and may have moved anything. The same goes for whatever is flagged as read badly. Then nothing is
bounded by it.
"""

from __future__ import annotations

__all__ = ["beyond_counters", "moved_uj"]

from collections.abc import Iterator

from cryoflux.energy.account.settlement import OldSettlementStatement
from cryoflux.quantities import SO_FAR, format_energy
from cryoflux.verification.plausible import WATTS_PER_CPU, WATTS_PER_SOURCE
from cryoflux.verification.result import Finding, failed, unknown

_READ_WELL = frozenset(
    {
        "baseline-drift",
        "baseline-too-high",
        "baseline-unsettled",
        "busy-time-unseen",
        "counter-against-power",
        "cpu-time-unplaced",
        "cpus-renumbered",
        "gpu-shared",
        "gpu-users-hidden",
        "gpu-without-power",
        "process-gone",
        SO_FAR,
        "start-unmetered",
        "unattributed",
    }
)
"""flags that say nothing against what the counters showed"""
_BILLION = 1_000_000_000
_MOST_PENDING_NS = _BILLION
"""what flowed since a counter's last step is estimated for no longer than this without a flag"""
_ODD_SHARE = 10
"""a charge above what was moved by more than one in so many is odd"""
_LEAST_CPU_SHARE = 10
"""a process that had a CPU for less than one part of so many of the window may have cost nearly nothing"""
_NEARLY_NOTHING = 1000
"""nobody's work is one part of so many of what its machine drew meanwhile, CPU for CPU"""


def moved_uj(statement: OldSettlementStatement) -> int | None:
    """What all counters moved in the window, µJ; none where that is not known.

    Args:
        statement: of the meter.
    """
    if not set(statement.flags) <= _READ_WELL or not statement.counters:
        return None
    if {counter.source for counter in statement.counters} != set(statement.sources):
        return None
    total = 0
    for counter in statement.counters:
        first, last = counter.first_microjoules, counter.last_microjoules
        if first is None or last is None or counter.first_epoch != counter.last_epoch or last < first:
            return None
        total += last - first
    return total


def beyond_counters(
    subject: str, statement: OldSettlementStatement, *, session: bool = False
) -> Iterator[Finding]:
    """What is impossible or odd about a charge beside its own counters.

    Args:
        subject: how to name the entry that shows it.
        statement: of the meter.
        session: whether it is a session's, which is charged what its process did before the window too.
    """
    charged, moved = statement.charged, moved_uj(statement)
    if moved is None:
        # Idle is not told apart either, so how far a share may lie above the net of all is not known.
        if charged.lo_microjoules > max(0, statement.machine_net.hi_microjoules):
            net = format_energy(statement.machine_net.hi_microjoules)
            detail = (
                f"was charged {format_energy(charged.lo_microjoules)} or more, and its machine drew {net}"
            )
            yield unknown(subject, f"{detail} at most above rest")
        return
    # In whole microjoules each source is rounded by itself.
    most = moved + len(statement.counters) + WATTS_PER_CPU * statement.cpu_microseconds * session
    shown = f"its own counters moved {format_energy(moved)} in that time"
    pending = WATTS_PER_SOURCE * len(statement.counters) * min(statement.window_nanoseconds, _MOST_PENDING_NS)
    lowest = max(charged.lo_microjoules, statement.machine_net.lo_microjoules)
    if lowest > most:
        yield failed(subject, f"says {format_energy(lowest)} or more, but {shown}")
    elif charged.microjoules > most + pending // 1000:
        yield failed(subject, f"says {format_energy(charged.microjoules)}, but {shown}")
    elif charged.microjoules > most + max(moved // _ODD_SHARE, _of_a_second(statement, moved)):
        yield unknown(subject, f"says {format_energy(charged.microjoules)}, but {shown}")
    elif _nearly_nothing(statement, moved):
        said = f"says {format_energy(charged.hi_microjoules)} at most"
        worked = f"for {statement.cpu_microseconds / 1e6:.1f} s of CPU time, and {shown}"
        yield unknown(subject, f"{said} {worked}: told too cheaply, or by a baseline that was too high")


def _of_a_second(statement: OldSettlementStatement, moved: int) -> int:
    return moved * _MOST_PENDING_NS // max(statement.window_nanoseconds, _MOST_PENDING_NS)


def _nearly_nothing(statement: OldSettlementStatement, moved: int) -> bool:
    window_us, cpu_us = statement.window_nanoseconds // 1000, statement.cpu_microseconds
    if window_us <= 0 or cpu_us * _LEAST_CPU_SHARE < window_us:
        return False
    return statement.charged.hi_microjoules * _NEARLY_NOTHING * window_us < moved * min(cpu_us, window_us)
