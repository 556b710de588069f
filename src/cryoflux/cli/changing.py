"""A state that a command changes by hand: what its witnesses say of the new head is told at the end."""

from __future__ import annotations

__all__ = ["changing", "tell_unwitnessed"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.cli.console import stderr
from cryoflux.cli.witness_words import WitnessWords

if TYPE_CHECKING:
    from cryoflux.config import Settings
    from cryoflux.runs.by_hand import VersionsByHand
    from cryoflux.state import StateFolder
    from cryoflux.witness.client import Collected


@contextmanager
def changing(
    folder: Path, settings: Settings, holder: str, begin: Callable[[StateFolder], None] | None = None
) -> Iterator[VersionsByHand]:
    """`versions_by_hand`, and word of a head that no quorum has cosigned.

    Args:
        folder: the state.
        settings: which witnesses its log has.
        holder: the command.
        begin: begins the state, where it is new.
    """
    from cryoflux.runs.by_hand import versions_by_hand

    with versions_by_hand(folder, settings, holder, begin=begin) as opened:
        yield opened
    tell_unwitnessed(opened.witnessed)


def tell_unwitnessed(found: Collected | None) -> None:
    """Say on standard error that a head is not witnessed, by whom not, and why; nothing where it is.

    Args:
        found: what witnesses made of it; none where there are none to ask.
    """
    if found is not None and not found.reached:
        for line in WitnessWords().news(found):
            stderr.print(line)
