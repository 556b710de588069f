"""Which systems are metered: Linux, and Apple silicon through zeus. Elsewhere that is said in a sentence."""

from __future__ import annotations

__all__ = ["check_platform", "is_metered"]

from cryoflux.errors import MeterError
from cryoflux.settings import EnergySettings

_NAMES = {"darwin": "macOS", "win32": "Windows", "cygwin": "Windows"}
_ELSEWHERE = (
    "`cryoflux verify`, `receipts`, `models` and `report` work here; meter and train on Linux, also in a "
    "virtual machine or WSL."
)
_ON_APPLE = "On Apple silicon: pip install 'cryoflux[zeus]' && export CRYOFLUX_ZEUS=true. "


def is_metered(platform: str) -> bool:
    """Whether CPU times and energy counters are read as Linux has them.

    Args:
        platform: as in `sys.platform`.
    """
    return platform.startswith("linux") or platform == "android"


def check_platform(settings: EnergySettings, platform: str) -> None:
    """Refuse a system that is not metered, before anything is begun on it.

    Args:
        settings: a recorded trace is played anywhere, and zeus reads Apple silicon.
        platform: as in `sys.platform`.

    Raises:
        MeterError: it is not metered; says what works on it.
    """
    if is_metered(platform) or settings.replay or (platform == "darwin" and settings.zeus):
        return
    raise MeterError(
        f"CryoFlux meters Linux; this is {_NAMES.get(platform, platform)}.",
        why="CPU times and energy counters are read from files of the Linux kernel, /proc and /sys.",
        hint=f"{_ON_APPLE if platform == 'darwin' else ''}{_ELSEWHERE}",
    )
