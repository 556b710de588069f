"""What a command works on: the settings, and the state that they name."""

from __future__ import annotations

__all__ = ["settings_of", "state_of"]

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryoflux.config import Settings


def settings_of(state: str | None) -> tuple[Settings, Path]:
    """The settings, and the state that they name.

    Args:
        state: the directory, as `--state` has it; none where the settings say it.

    Raises:
        UsageError: a setting says something that it cannot.
    """
    from cryoflux.config import load_settings

    settings = load_settings({"state": state}).settings
    return settings, Path(settings.run.state)


def state_of(state: str | None) -> Path:
    """The state directory alone.

    Args:
        state: as of `settings_of`.
    """
    return settings_of(state)[1]
