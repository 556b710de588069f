"""A recorded trace as a source: the same readings give the same energy, on every machine."""

from __future__ import annotations

__all__ = ["ReplaySource"]

from collections.abc import Iterable

from cryoflux.energy.interface import Kind, Reading
from cryoflux.quantities import Tier


class ReplaySource:
    """Gives out recorded readings in order; after the last one, that one again.

    Args:
        readings: at least one, in the order they were taken.
        name: what the recorded source was called.
        kind: what it measured.
        max_power_uw: the bound of the recorded source, µW.
        range_uj: where its counter wrapped, µJ.
    """

    curve = ""
    resolution_uj = 0
    gain_error = (1.0, 1.0)
    poll_s = 1.0
    idle_uw: int | None = None
    tier = Tier.COUNTER

    def __init__(
        self,
        readings: Iterable[Reading],
        *,
        name: str = "replay",
        kind: Kind = "cpu",
        max_power_uw: int = 1_000_000_000,
        range_uj: int | None = None,
    ) -> None:
        self.name = name
        self.kind: Kind = kind
        self.max_power_uw = max_power_uw
        self.range_uj = range_uj
        self._left = iter(readings)
        self._last = next(self._left)
        self._first = True

    def read(self) -> Reading:
        """The next recorded reading."""
        if not self._first:
            self._last = next(self._left, self._last)
        self._first = False
        return self._last

    def close(self) -> None:
        """Nothing to let go of."""
