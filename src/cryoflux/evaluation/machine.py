"""What decides how sums are rounded here: versions of libraries, and the processor's instructions."""

from __future__ import annotations

__all__ = ["software"]

import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path

import cryoflux
from cryoflux.digests import file_digest, sha256_hex

_FEATURES = (
    *("neon", "sve", "sve2", "bf16", "i8mm"),
    *(
        "fma3",
        "avx",
        "avx2",
        "avx_vnni",
        "avx512_f",
        "avx512_bw",
        "avx512_dq",
        "avx512_vl",
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
    "GLIBC_TUNABLES",
)
"""variables of the environment that take some of them away"""
_LAST_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
_CPUINFO = Path("/proc/cpuinfo")
_KIND = ("cpu family", "model")
"""lines of it that tell generations apart which have the same name"""
_MOST_CHARACTERS = 400
_TRAINS = ("data", "decision", "encoder", "tasks")
"""packages of ours that decide what training does"""
_SHORT = 16


def software(libraries: tuple[str, ...]) -> dict[str, str]:
    """Name → version; ``cpu`` is the architecture and, where torch is used, its instruction set.

    With torch ``processor`` is there too, all that is known here to choose how products are summed, and
    ``code``, the beginning of a digest over our own sources that decide what training does.

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
    own = {"processor": _processor(), "code": _code()}
    return {**versions, **{name: said for name, said in own.items() if said}}


def _instructions() -> str:
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def _code() -> str:
    """A digest over the sources of what trains; empty where they cannot be read, as from an archive.

    Between two releases the version stays, and training may change.
    """
    package = Path(cryoflux.__file__).parent
    try:
        found = sorted(path for name in _TRAINS for path in (package / name).rglob("*.py"))
        lines = [f"{path.relative_to(package).as_posix()} {file_digest(path)}\n" for path in found]
    except OSError:
        return ""
    return sha256_hex("".join(lines).encode())[:_SHORT] if lines else ""


def _processor() -> str:
    """Name, instructions, caches and limits; empty where torch does not know them."""
    import torch

    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    name = str(known.get("cpu_name", ""))
    features = [feature for feature in _FEATURES if known.get(feature)]
    if not name or not features:
        return ""
    caches = [*(str(known.get(cache, "?")) for cache in _CACHES), _first_line(_LAST_CACHE)]
    limits = [f"{limit}={os.environ[limit]}" for limit in _LIMITS if os.environ.get(limit)]
    said = [f"{name}{_kind()}", " ".join(features), f"caches {'+'.join(caches)}", *limits]
    return ", ".join(said).encode("ascii", "replace").decode()[:_MOST_CHARACTERS]


def _kind() -> str:
    """Family and model of the first processor, where Linux tells them."""
    try:
        with _CPUINFO.open(encoding="utf-8", errors="replace") as lines:
            first = [line.partition(":") for line in takewhile(str.strip, lines)]
    except OSError:
        return ""
    said = {key.strip(): value.strip() for key, _, value in first}
    found = [said[key] for key in _KIND if key in said]
    return f" {'.'.join(found)}" if found else ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "?"
    except (OSError, ValueError):
        return "?"
