"""Names that a log uses and that are not known here: how often, however many a hostile log makes up."""

from __future__ import annotations

__all__ = ["Strangers", "spelt"]

import re
from collections.abc import Iterator

from msgspec import Struct, field

_MOST_NAMES = 16
_OTHERS = "further names"
_NAME = re.compile(r"[A-Za-z0-9./_-]{1,40}")


def spelt(kind: str, name: str) -> str:
    """A name as a finding has it; one that could read as words of the verdict is not repeated."""
    return f"{kind} '{name}'" if _NAME.fullmatch(name) else f"{kind} that has no plain name"


class Strangers(Struct):
    """How often each unknown name was met; the first ones are told apart."""

    names: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.names)

    def add(self, name: str) -> None:
        """Count one more use of a name."""
        if name not in self.names and len(self.names) >= _MOST_NAMES:
            name = _OTHERS
        self.names[name] = self.names.get(name, 0) + 1

    def counted(self) -> Iterator[tuple[str, int]]:
        """Each name with its uses, in the order in which they were met."""
        yield from self.names.items()
