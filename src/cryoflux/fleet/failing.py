"""What goes wrong with workers."""

from __future__ import annotations

__all__ = ["FleetError"]

from cryoflux.errors import CryoFluxError


class FleetError(CryoFluxError):
    """A worker of a fleet cannot be had, is lost, or does not do what was asked."""
