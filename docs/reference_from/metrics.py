"""The metrics of the daemon."""

from __future__ import annotations

__all__ = ["metrics_table"]

from cryoflux.agent.prometheus import METRICS
from reference_from.markdown import table, worded


def metrics_table() -> str:
    """One row a metric."""
    rows = [
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), worded(said))
        for name, (kind, said, labels) in METRICS.items()
    ]
    return table(("metric", "type", "labels", ""), rows)
