"""CryoFlux: how much real improvement did we get per joule?

What this package exports is stable; everything else may change with any release.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
