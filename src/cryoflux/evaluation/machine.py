"""What decides how sums are rounded here: versions of libraries, and the processor's instructions."""

from __future__ import annotations

__all__ = ["software"]

import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import cryoflux

_FEATURES = (
    *("neon", "sve", "sve2", "bf16", "i8mm"),
    *(
        "fma3",
        "avx",
        "avx2",
        "avx_vnni",
        "avx512_f",
        "avx512_bw",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
    ),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
)
"""instructions by which torch, oneDNN and MKL choose their kernels, by torch's names"""
_CACHES = ("l1d_cache_size", "l2_cache_size")
"""by which they choose blocks, and so the order of sums"""
_LIMITS = (
    *("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"),
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "DNNL_CPU_ISA_HINTS"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"),
)
"""variables of the environment that take some of them away"""
_MOST_CHARACTERS = 400


def software(libraries: tuple[str, ...]) -> dict[str, str]:
    """Name → version; ``cpu`` is the architecture and, where torch is used, its instruction set.

    With torch ``processor`` is there too: all that is known here to choose how products are summed.

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
    if not with_torch:
        return {**versions, "cpu": platform.machine()}
    versions["cpu"] = f"{platform.machine()} {_instructions()}".strip()
    return {**versions, **({"processor": said} if (said := _processor()) else {})}


def _instructions() -> str:
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def _processor() -> str:
    """Name, instructions, caches and limits; empty where torch does not know them."""
    import torch

    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    name = str(known.get("cpu_name", ""))
    features = [feature for feature in _FEATURES if known.get(feature)]
    if not name or not features:
        return ""
    caches = [str(known.get(cache, "?")) for cache in _CACHES]
    limits = [f"{limit}={os.environ[limit]}" for limit in _LIMITS if os.environ.get(limit)]
    said = [name, " ".join(features), f"caches {'+'.join(caches)}", *limits]
    return ", ".join(said).encode("ascii", "replace").decode()[:_MOST_CHARACTERS]
