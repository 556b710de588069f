"""``cryoflux doctor``: what can be measured here, why not better, and the exact fix."""

from __future__ import annotations

__all__ = ["doctor"]

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout

if TYPE_CHECKING:
    from cryoflux.config import Settings
    from cryoflux.energy.interface import Problem, Source

_PACKAGES = ("torch", "transformers", "peft", "safetensors", "pynvml", "matplotlib")
_RAPL_FIX = (
    "sudo groupadd -f rapl && sudo usermod -aG rapl $USER",
    (
        "printf 'z /sys/devices/virtual/powercap/*/*/energy_uj 0440 root rapl\\n"
        "z /sys/devices/virtual/powercap/*/*/*/energy_uj 0440 root rapl\\n'"
        " | sudo tee /etc/tmpfiles.d/cryoflux-rapl.conf"
    ),
    "sudo systemd-tmpfiles --create /etc/tmpfiles.d/cryoflux-rapl.conf",
    "log out and in again, so that the group counts",
)
_TDP_FIX = "state the thermal design power of your CPUs: export CRYOFLUX_TDP_W=65"
_FIXES: dict[str, tuple[str, ...]] = {
    "unreadable-zone": _RAPL_FIX,
    "no-nvml-library": ("pip install nvidia-ml-py",),
    "no-nvidia-driver": ("nothing to do without an NVIDIA GPU; with one, install its driver (nvidia-smi)",),
    "gpu-refused": ("look at `nvidia-smi`; the driver may need a restart",),
    "gpu-without-power": ("this board reports no power: its joules cannot be counted",),
    "nvml-off": ("export CRYOFLUX_NVML=true",),
}


def doctor(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Say what can be measured on this machine, by which tier, and how to measure better."""
    from cryoflux.config import load_settings
    from cryoflux.energy.clock import SystemClock
    from cryoflux.energy.discovery import find_sources

    settings = load_settings({"state": state}).settings
    found = find_sources(settings, SystemClock(settings.energy.proc_root))
    try:
        report = {
            "sources": [_source(source) for source in found.sources],
            "problems": [_problem(problem, settings) for problem in found.problems],
            "packages": {name: importlib.util.find_spec(name) is not None for name in _PACKAGES},
            "state": _state(Path(settings.run.state)),
        }
    finally:
        found.close()
    if as_json:
        emit_json(report)
    else:
        _print(report)


def _source(source: Source) -> dict[str, Any]:
    from cryoflux.energy.cpu_model import CpuModelSource
    from cryoflux.quantities import MICRO

    shown: dict[str, Any] = {
        "name": source.name,
        "kind": source.kind,
        "tier": str(source.tier),
        "interval": list(source.gain_error),
        "max_power_w": source.max_power_uw / MICRO,
    }
    if isinstance(source, CpuModelSource):
        shown |= {"curve": source.curve, "tdp_w": source.tdp_w, "tdp_guessed": source.guessed}
    return shown


def _problem(problem: Problem, settings: Settings) -> dict[str, Any]:
    fix = _FIXES.get(problem.code, ())
    if problem.code == "no-powercap":
        fix = _no_powercap_fix(settings)
    return {"name": problem.name, "code": problem.code, "reason": problem.reason, "fix": list(fix)}


def _no_powercap_fix(settings: Settings) -> tuple[str, ...]:
    try:
        virtual = "hypervisor" in (Path(settings.energy.proc_root) / "cpuinfo").read_text("utf-8", "replace")
    except OSError:
        virtual = False
    if virtual:
        return ("this is a virtual machine, and its host does not pass RAPL on", _TDP_FIX)
    return ("sudo modprobe intel_rapl_msr  # Intel, and AMD since Zen", _TDP_FIX)


def _state(folder: Path) -> dict[str, Any]:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return {
        "path": str(folder),
        "writable": existing.is_dir() and os.access(existing, os.W_OK | os.X_OK),
        "free_bytes": shutil.disk_usage(existing).free,
    }


def _print(report: dict[str, Any]) -> None:
    def say(line: str) -> None:
        stdout.print(line, markup=False)

    for source in report["sources"]:
        low, high = source["interval"]
        say(f"✓ {source['name']}: {source['kind']} joules, {source['tier']}, true value ×{low:g} … ×{high:g}")
        if "curve" in source:
            how = "a rough guess of 6 W per logical CPU" if source["tdp_guessed"] else "as set"
            say(f"    power curve {source['curve']}, TDP {source['tdp_w']:g} W ({how})")
    for problem in report["problems"]:
        say(f"– {problem['name']}: {problem['reason']}")
        for line in problem["fix"]:
            say(f"    fix: {line}")
    missing = [name for name, present in report["packages"].items() if not present]
    say("✓ all optional packages are installed" if not missing else f"– not installed: {', '.join(missing)}")
    if {"torch", "transformers", "peft"} & set(missing):
        say("    fix: pip install 'cryoflux[train]'")
    state = report["state"]
    mark, able = ("✓", "can be written") if state["writable"] else ("✗", "cannot be written: use --state DIR")
    say(f"{mark} state {state['path']} {able}; {state['free_bytes'] / 1e9:.1f} GB free")
