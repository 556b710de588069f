"""CPU-seconds of the parts of something: of wrapped functions, each without what others of them take."""

from __future__ import annotations

__all__ = ["CpuParts"]

import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any


class CpuParts:
    """What was counted: a part is named after its outermost function, and one within it after both."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[list[Any]] = []
        """(name of the outermost, seconds of those within), the innermost last"""
        self._plain: list[tuple[Any, str, Any]] = []

    def count(self, owner: object, attribute: str, name: str) -> None:
        """Count the calls of a function from now on; nothing where there is none of that name."""
        if (plain := getattr(owner, attribute, None)) is not None:
            self._plain.append((owner, attribute, plain))
            setattr(owner, attribute, self._counted(plain, name))

    def restore(self) -> None:
        """Count nothing any more."""
        for owner, attribute, plain in reversed(self._plain):
            setattr(owner, attribute, plain)
        self._plain.clear()

    def _counted(self, plain: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(plain)
        def counted(*args: Any, **named: Any) -> Any:
            part = f"{self._open[0][0]}: {name}" if self._open else name
            start = time.process_time()
            within: list[Any] = [self._open[0][0] if self._open else name, 0.0]
            self._open.append(within)
            try:
                return plain(*args, **named)
            finally:
                took = time.process_time() - start
                self._open.pop()
                self.seconds[part] += took - within[1]
                if self._open:
                    self._open[-1][1] += took

        return counted

    def taken(self) -> dict[str, float]:
        """Part → seconds, and forget them."""
        found: dict[str, float] = dict(self.seconds)
        self.seconds.clear()
        return found
