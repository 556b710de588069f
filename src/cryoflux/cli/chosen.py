"""What a command works on: the settings, and the state that they name."""

from __future__ import annotations

__all__ = ["reader_state", "settings_of", "state_of", "there"]

from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.errors import UsageError
from cryoflux.state import StateFolder

if TYPE_CHECKING:
    from cryoflux.config import Settings

_NODE = "node init --name NAME --train FILE"


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


def there(path: Path, begin: str = _NODE) -> Path:
    """A state that holds a log: a mistyped one is neither made nor taken for an empty one.

    Args:
        path: the state.
        begin: the command that begins one, of those that the reader is at.

    Raises:
        UsageError: there is none.
    """
    state = StateFolder(path)
    if not state.receipts.is_file():
        raise _no_state(state, "A state has a log, receipts.db, and no log is there.", begin)
    return path


def reader_state(state: str | None) -> Path:
    """A state with a log, or a folder in which somebody keeps peers only to read what they say.

    Args:
        state: as of `settings_of`.

    Raises:
        UsageError: there is neither.
    """
    from cryoflux.network.folder import NetworkFolder

    path = state_of(state)
    found = StateFolder(path)
    if not found.receipts.is_file() and not NetworkFolder.of(path).path.is_dir():
        raise _no_state(
            found,
            "Neither a log is there, nor a file of peers of somebody who only reads: "
            f"cryoflux node peers add NAME VKEY URL{found.flag()} begins one.",
        )
    return path


def _no_state(state: StateFolder, why: str, begin: str = _NODE) -> UsageError:
    return UsageError(
        f"There is no state at {state.path}.",
        why=why,
        hint=f"Name one that is there with --state DIR, or begin one: cryoflux {begin}{state.flag()}",
    )
