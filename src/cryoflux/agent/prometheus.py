"""The meter as Prometheus text: base units, joules as counters where they only ever grow.

Net energy is signed, so it is a gauge. That of owners adds up to that of the devices, to the microjoule: what
is not theirs by name is ``other``. A counter that fell would be taken for a restart, so the daemon's
own share, which can shrink by the noise of its measurement, is shown at its highest so far.
"""

from __future__ import annotations

__all__ = ["CONTENT_TYPE", "METRICS", "Metrics"]

import threading
from collections.abc import Iterable, Mapping

from cryoflux import __version__
from cryoflux.energy.account.ledger import Standing
from cryoflux.energy.interface import Sample
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.energy.owner_times import OwnerName
from cryoflux.quantities import MICRO, Energy

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

METRICS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "cryoflux_energy_joules_total": (
        "counter",
        "Gross energy of a device since the daemon started.",
        ("device", "tier"),
    ),
    "cryoflux_net_energy_joules": (
        "gauge",
        "Energy of a device above its idle baseline, signed.",
        ("device", "tier"),
    ),
    "cryoflux_owner_net_energy_joules": (
        "gauge",
        "Net energy by control group or process group, of those that caused most, and of all others.",
        ("kind", "owner", "command"),
    ),
    "cryoflux_power_watts": (
        "gauge",
        "Gross power of a device over the last second or two.",
        ("device", "tier"),
    ),
    "cryoflux_idle_power_watts": ("gauge", "Frozen idle power of a device.", ("device", "tier")),
    "cryoflux_net_energy_bound_joules": (
        "gauge",
        "Both ends of the net energy of all devices: 95 %, or only plausible where one is modelled.",
        ("end",),
    ),
    "cryoflux_bucket_joules": ("gauge", "What can be taken now.", ()),
    "cryoflux_reserved_joules": ("gauge", "What open reservations hold.", ()),
    "cryoflux_reservations_open": ("gauge", "Open reservations.", ()),
    "cryoflux_self_energy_joules_total": (
        "counter",
        "Net energy that the daemon itself is charged.",
        ("tier",),
    ),
    "cryoflux_meter_flags": ("gauge", "1 for each thing that is wrong with the figures.", ("flag",)),
    "cryoflux_build_info": ("gauge", "1, with the version.", ("version",)),
}
"""Name → type, help text and labels."""

_Row = tuple[Mapping[str, str], float]


class Metrics:
    """``GET /metrics`` of one meter."""

    def __init__(self, agent: LocalAgent) -> None:
        self._agent = agent
        self._lock = threading.Lock()
        self._own_uj = 0

    def render(self) -> str:
        """The text, as of now."""
        sample = self._agent.sample()
        rows = _of_devices(sample) | _of_account(sample, self._agent.standing())
        rows["cryoflux_self_energy_joules_total"] = self._of_itself(sample.own)
        rows["cryoflux_owner_net_energy_joules"] = _of_owners(sample, self._agent.owners())
        return "".join(_family(name, rows[name]) for name in METRICS)

    def _of_itself(self, own: Energy | None) -> list[_Row]:
        if own is None:
            return []
        with self._lock:
            self._own_uj = max(self._own_uj, own.uj)
            return [({"tier": own.tier}, self._own_uj / MICRO)]


def _of_devices(sample: Sample) -> dict[str, list[_Row]]:
    labelled = [({"device": source.name, "tier": source.tier}, source) for source in sample.sources]
    return {
        "cryoflux_energy_joules_total": [(labels, source.gross.joules) for labels, source in labelled],
        "cryoflux_net_energy_joules": [(labels, source.net.joules) for labels, source in labelled],
        "cryoflux_power_watts": [(labels, source.power_w) for labels, source in labelled],
        "cryoflux_idle_power_watts": [(labels, source.idle_w) for labels, source in labelled],
        "cryoflux_net_energy_bound_joules": [
            ({"end": "lo"}, sample.net.lo_uj / MICRO),
            ({"end": "hi"}, sample.net.hi_uj / MICRO),
        ],
    }


def _of_owners(sample: Sample, owners: list[tuple[OwnerName, int]] | None) -> list[_Row]:
    if owners is None:
        return []
    other_uj = sum(source.net.uj for source in sample.sources) - sum(uj for _, uj in owners)
    rows: list[_Row] = [(name._asdict(), uj / MICRO) for name, uj in owners]
    return [*rows, ({"kind": "other", "owner": "", "command": ""}, other_uj / MICRO)]


def _of_account(sample: Sample, standing: Standing) -> dict[str, list[_Row]]:
    return {
        "cryoflux_bucket_joules": [({}, sample.bucket_uj / MICRO)],
        "cryoflux_reserved_joules": [({}, standing.reserved_uj / MICRO)],
        "cryoflux_reservations_open": [({}, standing.open)],
        "cryoflux_meter_flags": [({"flag": flag}, 1) for flag in sample.flags],
        "cryoflux_build_info": [({"version": __version__}, 1)],
    }


def _family(name: str, rows: Iterable[_Row]) -> str:
    kind, help_text, _ = METRICS[name]
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{_labels(labels)} {value:.6f}" for labels, value in rows]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_quote(value)}"' for key, value in labels.items()) + "}"


def _quote(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
