"""What decides how sums are rounded here: versions of libraries, and the processor's instructions."""

from __future__ import annotations

__all__ = ["software"]

import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import cryoflux


def software(libraries: tuple[str, ...]) -> dict[str, str]:
    """Name → version; ``cpu`` is the architecture and, where torch is used, its instruction set.

    Args:
        libraries: packages that the work is done with.
    """
    return dict(_software(libraries, with_torch="torch" in libraries and "torch" in sys.modules))


@cache
def _software(libraries: tuple[str, ...], *, with_torch: bool) -> dict[str, str]:
    versions = {"cryoflux": cryoflux.__version__, "python": platform.python_version()}
    for package in libraries:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    instructions = _instructions() if with_torch else ""
    return {**versions, "cpu": f"{platform.machine()} {instructions}".strip()}


def _instructions() -> str:
    import torch

    return str(torch.backends.cpu.get_cpu_capability())
