"""How to measure better here: the exact lines for each reason that a source is missing.

The permission rules come first as a group that may read the counters, since RAPL readable for everybody
lets any user watch others compute (CVE-2020-8694). Rules are given twice: systemd-tmpfiles applies at boot
and at once, udev also when the driver is loaded later.
"""

from __future__ import annotations

__all__ = ["TMPFILES_RULES", "UDEV_RULE", "fixes", "next_step", "surroundings"]

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
_TDP = "state the thermal design power of your CPUs: export CRYOFLUX_TDP_W=65"
_STILL = (
    "read the file twice yourself, a second apart: where RAPL is real, the number grows",
    "in a virtual machine, the host has to pass the counter on, not only its files",
    _TDP,
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


def fixes(problem: Problem, here: Surroundings) -> tuple[str, ...]:
    """What to do about one problem, line by line; empty where nothing is known."""
    if problem.code != "no-powercap":
        return (*_MOUNT[1:], *_FIXES["unreadable-zone"]) if _shut_in(problem, here) else _known(problem)
    if "virtual machine" in here:
        return ("this is a virtual machine, and its host does not pass RAPL on", _TDP)
    if "container" in here:
        return (*_MOUNT, _TDP)
    return ("sudo modprobe intel_rapl_msr  # Intel, and AMD since Zen", _TDP)


def _known(problem: Problem) -> tuple[str, ...]:
    return _FIXES.get(problem.code, ())


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
    if "virtual machine" in here or "still-counter" in codes:
        return f"{taken}; better: a host that passes RAPL on, or the TDP of your share in CRYOFLUX_TDP_W"
    if "container" in here:
        return f"{taken}; better: mount RAPL into the container, by the lines below"
    return f"{taken}; better: RAPL, by the lines below, or your TDP in CRYOFLUX_TDP_W"
