"""Python's search for cycles, paused where much is made and nothing of it is thrown away."""

from __future__ import annotations

__all__ = ["uncollected"]

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no cycles meanwhile; afterwards as before.

    Looking for some among many entries of a log takes half of the time that reading them takes.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
