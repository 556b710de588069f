"""What a peer has not shown of what it opened: how often it was asked for in vain, when last, and why.

An audit alone waits for it, so each thing is asked for again ever later.
"""

from __future__ import annotations

__all__ = ["Unshown"]

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from cryoflux.files import read_regular, write_atomic
from cryoflux.network.peer_record import Missing

_FIRST_WAIT_S, _MOST_WAIT_S = 600, 86_400
"""until what lies behind an opening is asked for again, after the first time in vain, and at most"""
_UNSHOWN, _MOST_UNSHOWN_BYTES = "unshown", 2**24


class _Try(Struct, frozen=True):
    """How often something was asked for in vain."""

    tries: Annotated[int, Meta(ge=1)]
    asked_s: int
    """for the last time, Unix seconds"""
    why: str = ""
    """why it did not come; empty where an older version asked"""


class Unshown:
    """What a peer has not shown of what it opened, by name: each is asked for again ever later.

    Args:
        folder: of what is remembered of the peer.
        now_s: Unix seconds.
    """

    def __init__(self, folder: Path, now_s: int) -> None:
        path = folder / _UNSHOWN
        self._path, self._now_s = path, now_s
        self._tries = _kept(path)
        self._changed = False

    def is_due(self, name: str) -> bool:
        """Whether something is asked for now."""
        if (known := self._tries.get(name)) is None:
            return True
        wait_s = min(_FIRST_WAIT_S * 2 ** min(known.tries - 1, 16), _MOST_WAIT_S)
        return not 0 <= self._now_s - known.asked_s < wait_s

    def missed(self, name: str, why: str) -> None:
        """Take note that something did not come, and why."""
        known = self._tries.get(name)
        self._tries[name] = _Try(known.tries + 1 if known is not None else 1, self._now_s, why)
        self._changed = True

    def missing(self, name: str) -> Missing:
        """How often something was asked for in vain, and why it did not come."""
        known = self._tries.get(name)
        return Missing(known.tries, known.why) if known is not None else Missing(0, "")

    def came(self, name: str) -> None:
        """Take note that something is here."""
        self._changed |= self._tries.pop(name, None) is not None

    def keep(self) -> None:
        """Remember all of it."""
        if self._changed:
            write_atomic(self._path, msgspec.json.encode(self._tries, order="sorted"))


def _kept(path: Path) -> dict[str, _Try]:
    """What is remembered; nothing where nothing is, or what is there is damaged."""
    try:
        return msgspec.json.decode(read_regular(path, _MOST_UNSHOWN_BYTES), type=dict[str, _Try])
    except (OSError, msgspec.DecodeError, ValueError):
        return {}
