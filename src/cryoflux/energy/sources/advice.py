"""How to measure better here: the exact lines for each reason that a source is missing.

The permission rules come first as a group that may read the counters, since RAPL readable for everybody
lets any user watch others compute (CVE-2020-8694). Rules are given twice: systemd-tmpfiles applies at boot
and at once, udev also when the driver is loaded later.
"""

from __future__ import annotations

__all__ = ["TMPFILES_RULES", "UDEV_RULE", "fixes", "next_step", "surroundings"]

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cryoflux.energy.interface import Problem, Source
from cryoflux.quantities import Tier

Surroundings = frozenset[Literal["virtual machine", "container"]]

TMPFILES_RULES = (
    "z /sys/devices/virtual/powercap/*/*/energy_uj 0440 root rapl",
    "z /sys/devices/virtual/powercap/*/*/*/energy_uj 0440 root rapl",
    "z /sys/devices/virtual/powercap/*/*/max_energy_range_uj 0444",
    "z /sys/devices/virtual/powercap/*/*/*/max_energy_range_uj 0444",
)
"""Zones, and zones in them. Some kernels keep the range of the counter from everybody as well."""
UDEV_RULE = (
    'ACTION=="add", SUBSYSTEM=="powercap", KERNEL=="intel-rapl*:*",'
    ' RUN+="/bin/chgrp rapl /sys%p/energy_uj",'
    ' RUN+="/bin/chmod 0440 /sys%p/energy_uj",'
    ' RUN+="/bin/chmod 0444 /sys%p/max_energy_range_uj"'
)
_GROUP = (
    "sudo groupadd -f rapl && sudo usermod -aG rapl $USER",
    "printf '%s\\n' "
    + " ".join(f"'{rule}'" for rule in TMPFILES_RULES)
    + " | sudo tee /etc/tmpfiles.d/cryoflux-rapl.conf",
    "sudo systemd-tmpfiles --create /etc/tmpfiles.d/cryoflux-rapl.conf",
    "log out and in again, so that the group counts",
    (
        "or, where the driver is loaded late, a udev rule in place of the tmpfiles one: "
        f"echo '{UDEV_RULE}' | sudo tee /etc/udev/rules.d/90-cryoflux-rapl.rules"
        " && sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=powercap --action=add"
    ),
)
_ZEUSD = (
    "or have zeusd read for you: sudo zeusd serve --enable cpu-read --socket-path /run/zeusd/zeusd.sock"
    " && export ZEUSD_SOCK_PATH=/run/zeusd/zeusd.sock"
)
_MOUNT = (
    (
        "start the container with: --volume /sys/devices/virtual/powercap:/host/powercap:ro"
        " --env CRYOFLUX_POWERCAP_ROOT=/host/powercap"
    ),
    "and, where it does not run as root, with: --group-add $(getent group rapl | cut -d: -f3)",
    (
        "or, with zeusd on the host, with: --volume /run/zeusd:/run/zeusd"
        " --env ZEUSD_SOCK_PATH=/run/zeusd/zeusd.sock"
    ),
)
_STILL = (
    "read the file twice yourself, a second apart: where RAPL is real, the number grows",
    "in a virtual machine, the host has to pass the counter on, not only its files",
)
_FIXES: dict[str, tuple[str, ...]] = {
    "unreadable-zone": (*_GROUP, _ZEUSD),
    "covered-zone": (*_GROUP, _ZEUSD),
    "still-counter": _STILL,
    "covered-counter": _STILL,
    "cpus-renumbered": ("let the process run on all CPUs of its container (taskset), or use a host's /proc",),
    "no-counter-range": _GROUP,
    "no-psys": ("unset CRYOFLUX_RAPL_ZONES, or have the platform zone made readable as packages are",),
    "no-zeusd": (
        (
            "sudo systemctl start zeusd, or: sudo zeusd serve --enable cpu-read"
            " --socket-path /run/zeusd/zeusd.sock"
        ),
    ),
    "zeusd-refused": (
        "it needs the API group cpu-read: sudo zeusd serve --enable cpu-read …",
        "where it asks for a token: export ZEUSD_TOKEN=… (zeusd token issue)",
    ),
    "zeusd-without-cpu": ("zeusd runs where there is no RAPL, or without root: sudo zeusd serve …",),
    "zeusd-remote": ("run zeusd on this machine; into a container, mount its socket",),
    "hwmon-unreadable": (
        _GROUP[0],
        "until the next restart: sudo chgrp rapl {file} && sudo chmod 0440 {file}",
        "log out and in again, so that the group counts",
    ),
    "hwmon-unknown-rail": (
        "on a Jetson, zeus may know it: pip install 'cryoflux[zeus]' && export CRYOFLUX_ZEUS=true",
    ),
    "board-with-gpu": ("nothing to do: the GPUs are counted, and the CPUs by the next best source",),
    "several-boards": ("nothing to do: the next best source is taken",),
    "no-nvml-library": ("pip install nvidia-ml-py",),
    "no-nvidia-driver": ("nothing to do without an NVIDIA GPU; with one, install its driver (nvidia-smi)",),
    "gpu-refused": ("look at `nvidia-smi`; the driver may need a restart",),
    "gpu-without-power": ("this board reports no power: its joules cannot be counted",),
    "nvml-off": ("export CRYOFLUX_NVML=true",),
}


def surroundings(proc_root: str = "/proc", root: str = "/") -> Surroundings:
    """What stands between this process and the hardware."""
    found: set[Literal["virtual machine", "container"]] = set()
    try:
        if "hypervisor" in (Path(proc_root) / "cpuinfo").read_text("utf-8", "replace"):
            found.add("virtual machine")
    except OSError:
        pass
    if any((Path(root) / mark).exists() for mark in (".dockerenv", "run/.containerenv")):
        found.add("container")
    return frozenset(found)


def fixes(problem: Problem, here: Surroundings, *, cpus: int = 1) -> tuple[str, ...]:
    """What to do about one problem, line by line; empty where nothing is known.

    Args:
        problem: what was found.
        here: what stands between this process and the hardware.
        cpus: how many logical CPUs are modelled; of none, no TDP has to be stated.
    """
    if problem.code != "no-powercap":
        return (*_MOUNT[1:], *_FIXES["unreadable-zone"]) if _shut_in(problem, here) else _known(problem)
    if "virtual machine" in here:
        return ("this is a virtual machine, and its host does not pass RAPL on", *_tdp(cpus))
    if "container" in here:
        return (*_MOUNT, *_tdp(cpus))
    return ("sudo modprobe intel_rapl_msr  # Intel, and AMD since Zen", *_tdp(cpus))


def _tdp(cpus: int) -> tuple[str, ...]:
    """The setting is shared out by nobody: it is the power of these CPUs, and of no others."""
    if not cpus:
        return ()
    line = (
        f"state the thermal design power of the {cpus} CPUs that may be used here, not of the socket: "
        f"export CRYOFLUX_TDP_W=W, where W is the processor's TDP × {cpus} / its threads "
        f"(of an EPYC 9654: 360 × {cpus} / 192 = {360 * cpus / 192:.3g})"
    )
    return (line,)


def _known(problem: Problem) -> tuple[str, ...]:
    lines = _FIXES.get(problem.code, ())
    return tuple(line.replace("{file}", shlex.quote(problem.file)) for line in lines)


def _shut_in(problem: Problem, here: Surroundings) -> bool:
    return "container" in here and problem.code in ("unreadable-zone", "covered-zone")


def next_step(sources: Sequence[Source], problems: Sequence[Problem], here: Surroundings) -> str:
    """Which source the joules of the CPUs come from, and how to get a better one, in one line."""
    cpu = [source for source in sources if source.kind != "gpu"]
    taken = f"CPU joules come from {', '.join(source.name for source in cpu)} ({cpu[0].tier})" if cpu else ""
    codes = {problem.code for problem in problems}
    if not taken:
        return "there are no CPU joules here"
    if codes & {"unreadable-zone", "covered-zone"}:
        return f"{taken}; better: let your group read RAPL, by the lines below"
    if cpu[0].tier is Tier.COUNTER:
        return f"{taken}; there is nothing better here"
    if cpu[0].tier is Tier.POWER_INTEGRATED:
        better = "a counter, which is RAPL"
    elif "virtual machine" in here or "still-counter" in codes:
        better = "a host that passes RAPL on, or the TDP of your share in CRYOFLUX_TDP_W"
    elif "container" in here:
        better = "mount RAPL into the container, by the lines below"
    else:
        better = "RAPL, by the lines below, or the TDP of your CPUs in CRYOFLUX_TDP_W"
    return f"{taken}; better: {better}"
