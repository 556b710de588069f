"""A sample as Prometheus text, in base units."""

from __future__ import annotations

__all__ = ["CONTENT_TYPE", "render_metrics"]

from cryoflux.energy.interface import Sample
from cryoflux.quantities import MICRO

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _quote(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _metric(name: str, kind: str, help_text: str, rows: list[tuple[str, float]]) -> list[str]:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    return lines + [f"{name}{labels} {value:.6f}" for labels, value in rows]


def render_metrics(sample: Sample) -> str:
    """The text of ``GET /metrics``."""
    powers, idles = [], []
    for source in sample.sources:
        labels = f'{{source="{_quote(source.name)}",kind="{source.kind}",tier="{source.tier}"}}'
        powers.append((labels, source.power_w))
        idles.append((labels, source.idle_w))
    tier = f'{{tier="{sample.gross.tier}"}}'
    ends = [
        (f'{{end="{end}"}}', uj / MICRO) for end, uj in (("lo", sample.net.lo_uj), ("hi", sample.net.hi_uj))
    ]
    lines = [
        *_metric("cryoflux_power_watts", "gauge", "Gross power of a source.", powers),
        *_metric("cryoflux_idle_power_watts", "gauge", "Frozen idle power of a source.", idles),
        *_metric(
            "cryoflux_energy_joules_total",
            "counter",
            "Gross energy since start.",
            [(tier, sample.gross.joules)],
        ),
        *_metric(
            "cryoflux_net_energy_joules",
            "gauge",
            "Net energy since start, signed.",
            [(tier, sample.net.joules)],
        ),
        *_metric("cryoflux_net_energy_bound_joules", "gauge", "Its 95 % interval.", ends),
        *_metric(
            "cryoflux_bucket_joules", "gauge", "What can be taken now.", [("", sample.bucket_uj / MICRO)]
        ),
    ]
    return "\n".join(lines) + "\n"
