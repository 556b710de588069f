"""CryoFlux: how much real improvement did we get per joule?

What this package exports is stable; everything else may change with any release.

    with cryoflux.measure_energy() as measurement:
        train()
    print(measurement.result)  # 12.3 J [11.7, 12.9] (counter) in 4.0 s
"""

from __future__ import annotations

__all__ = ["Measured", "__version__", "measure_energy"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryoflux.energy.measure import Measured, measure_energy

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Importing the package must not cost what only a measurement needs.
    if name in {"Measured", "measure_energy"}:
        from cryoflux.energy import measure

        return getattr(measure, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
