"""One window of zeus or codecarbon on a machine of plain files, in a process of its own.

    python benchmarks/fault_anchors.py zeus|codecarbon FOLDER

Says ``ready``, begins at a line of input, says ``begun``, ends at the next line and prints JSON. The tools
are used through their public interface with default settings; only where they look is changed.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.metadata
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_cases import PlainNvml

Window = tuple[Callable[[], None], Callable[[], dict[str, float]]]
KWH_J = 3.6e6


def deny(folder: Path) -> None:
    """Opening the counter of a zone that is marked as denied is refused, as the kernel does it."""
    opens = builtins.open

    def guarded(file: Any, *arguments: Any, **options: Any) -> Any:
        path = Path(file) if isinstance(file, str | Path) else None
        if path is not None and path.name == "energy_uj" and (path.parent / "denied").exists():
            raise PermissionError(13, "Permission denied", str(path))
        return opens(file, *arguments, **options)

    builtins.open = guarded
    if not folder.is_dir():
        raise FileNotFoundError(folder)


def shift_wall_clock(folder: Path) -> None:
    """The wall clock moves by what the machine's folder says."""
    real, file = time.time, folder / "wall"

    def shifted() -> float:
        return real() + (float(file.read_text("ascii") or 0) if file.exists() else 0.0)

    time.time = shifted


def put_gpu(folder: Path) -> None:
    """The real `pynvml`, with the GPU of the plain file behind it."""
    pynvml: Any = importlib.import_module("pynvml")
    plain = PlainNvml(folder, pynvml.NVMLError, pynvml.NVML_ERROR_GPU_IS_LOST)
    for name in dir(plain):
        if name.startswith("nvml"):
            setattr(pynvml, name, getattr(plain, name))

    def unsupported(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    pynvml.nvmlDeviceGetArchitecture = lambda _: pynvml.NVML_DEVICE_ARCH_AMPERE
    pynvml.nvmlDeviceGetC2cModeInfoV = unsupported
    pynvml.nvmlDeviceGetMemoryInfo = lambda _: pynvml.c_nvmlMemory_t(0, 0, 0)
    for name in ("Temperature", "ComputeMode", "ComputeRunningProcesses", "GraphicsRunningProcesses"):
        setattr(pynvml, f"nvmlDeviceGet{name}", lambda *_, name=name: [] if "Proc" in name else 0)
    pynvml.nvmlDeviceGetUtilizationRates = lambda _: pynvml.c_nvmlUtilization_t(0, 0)


def zeus(folder: Path) -> Window:
    """A measurement window of `ZeusMonitor`."""
    rapl: Any = importlib.import_module("zeus.device.cpu.rapl")
    rapl.RAPL_DIR = str(folder / "powercap" / "intel-rapl")
    # With no framework installed there is nothing on the GPU to wait for.
    monitor = importlib.import_module("zeus.monitor").ZeusMonitor()

    def begin() -> None:
        monitor.begin_window("window", sync_execution=False)

    def end() -> dict[str, float]:
        found = monitor.end_window("window", sync_execution=False)
        return {"cpu_j": sum((found.cpu_energy or {}).values()), "gpu_j": sum(found.gpu_energy.values())}

    return begin, end


def codecarbon(folder: Path) -> Window:
    """`OfflineEmissionsTracker` from start to stop."""
    logging.disable(logging.CRITICAL)
    cpu: Any = importlib.import_module("codecarbon.core.cpu")
    hardware: Any = importlib.import_module("codecarbon.external.hardware")
    root = str(folder / "powercap" / "intel-rapl" / "subsystem")
    original, available = cpu.IntelRAPL, cpu.is_rapl_available

    def rapl_here(**options: Any) -> Any:
        return original(**{**options, "rapl_dir": root})

    cpu.IntelRAPL = hardware.IntelRAPL = rapl_here
    cpu.is_rapl_available = lambda *_: available(root)
    # There is no nvidia-smi beside the plain file.
    gpu: Any = importlib.import_module("codecarbon.core.gpu")
    gpu.is_nvidia_system = (folder / "gpu.json").exists
    tracker = importlib.import_module("codecarbon").OfflineEmissionsTracker(
        country_iso_code="USA", save_to_file=False, log_level="critical", allow_multiple_runs=True
    )

    def end() -> dict[str, float]:
        tracker.stop()
        data = tracker.final_emissions_data
        return {"cpu_j": data.cpu_energy * KWH_J, "gpu_j": data.gpu_energy * KWH_J}

    return tracker.start, end


def main() -> None:
    """Measure one window."""
    tool, folder = sys.argv[1], Path(sys.argv[2])
    # What the tools print is not an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    deny(folder)
    shift_wall_clock(folder)
    if (folder / "gpu.json").exists():
        put_gpu(folder)
    begin, end = {"zeus": zeus, "codecarbon": codecarbon}[tool](folder)
    print("ready", file=answers, flush=True)
    sys.stdin.readline()
    begin()
    print("begun", file=answers, flush=True)
    sys.stdin.readline()
    print(json.dumps({**end(), "version": importlib.metadata.version(tool)}), file=answers, flush=True)


if __name__ == "__main__":
    main()
