"""What decides how sums are rounded here: versions of libraries, and the processor's instructions."""

from __future__ import annotations

__all__ = ["software"]

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import cryoflux


@cache
def software() -> dict[str, str]:
    """Name → version; ``cpu`` is the architecture and the instruction set that torch uses of it."""
    versions = {"cryoflux": cryoflux.__version__, "python": platform.python_version()}
    for package in ("peft", "torch", "transformers"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return {**versions, "cpu": f"{platform.machine()} {_instructions()}".strip()}


def _instructions() -> str:
    try:
        import torch
    except ImportError:
        return ""
    return str(torch.backends.cpu.get_cpu_capability())
