"""A process that kills itself, without warning, at one of the changes that it makes to files."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


def die_at(number: int, *names: str) -> None:
    """Die before the so-manyth call of functions of ``os``, or of `Path.replace`.

    Args:
        number: of the call, from 1.
        names: of the functions of ``os``.
    """
    left = number

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*given, **named)

        return call

    for name in names:
        setattr(os, name, deadly(getattr(os, name)))
    Path.replace = deadly(Path.replace)
