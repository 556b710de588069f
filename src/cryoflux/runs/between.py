"""Why a run ends, and what one that goes on for good does instead."""

from __future__ import annotations

__all__ = ["Between", "Ended"]

from typing import Literal, Protocol

Ended = Literal["budget", "attempts", "time", "interrupted", "plateau"]


class Between(Protocol):
    """What a run that goes on for good does between two attempts."""

    def between(self) -> None:
        """Before each attempt."""

    def wait(self, ended: Ended, spent_uj: int, /) -> bool:
        """Nothing can be tried: wait, and say whether to look again.

        Args:
            ended: why.
            spent_uj: what attempts were charged, µJ.
        """
