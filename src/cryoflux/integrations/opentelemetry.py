"""Attempts as metrics and spans of OpenTelemetry, over OTLP.

- ``hw.energy`` (J) is a counter and cannot fall: it gets what each source of the meter counted while attempts
  went on, gross, of the whole machine. Between attempts nothing is told.
- ``cryoflux.net_energy`` (J) is signed: what attempts were charged, which noise can make negative.
- Each attempt is a span, whose ids follow from its receipt: told twice, it is the same span.
"""

from __future__ import annotations

__all__ = ["OtlpSender"]

import os
import time
from typing import Any

from cryoflux.errors import StorageError
from cryoflux.integrations.tracking import missing, moment_s, numbers_of, texts_of
from cryoflux.queries.tracked import TrackedAttempt

_HW_TYPES = {"cpu": "cpu", "dram": "memory", "gpu": "gpu"}
_WAIT_MS = 10_000


class OtlpSender:
    """Metrics and spans for one collector.

    Args:
        run: name of the log.
        place: address of the collector, as ``http://127.0.0.1:4318``; what ``OTEL_EXPORTER_OTLP_*`` say where
            none is named.
    """

    def __init__(self, run: str, place: str | None) -> None:
        try:
            self._refused: list[str] = []
            metrics, traces = _providers(run, place, self._refused)
            from opentelemetry.semconv._incubating.metrics.hw_metrics import create_hw_energy
        except ImportError as error:
            raise missing("opentelemetry-sdk opentelemetry-exporter-otlp-proto-http", error) from error
        self._metrics, self._traces = metrics, traces
        self._place = place or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
        meter = metrics.get_meter("cryoflux")
        self._gross = create_hw_energy(meter)
        self._net = meter.create_up_down_counter(
            "cryoflux.net_energy", unit="J", description="Net energy that attempts were charged, signed."
        )
        self._delta = meter.create_gauge(
            "cryoflux.delta", description="Δ of the last attempt that has one, in the unit of its task."
        )

    def knows(self, one: TrackedAttempt) -> bool:  # noqa: ARG002
        """Never: a collector tells nobody what it has; spans that are told twice are one by their ids."""
        return False

    def attempt(self, one: TrackedAttempt) -> None:
        """Count its joules, and tell its span."""
        row = one.row
        about = {f"cryoflux.{name}": str(row[name]) for name in ("task_name", "arm", "outcome", "tier")}
        for source in one.gross:
            kind = {"hw.id": source.source, "hw.type": _HW_TYPES[source.kind]}
            self._gross.add(source.joules, kind | {"cryoflux.tier": row["tier"]})
        self._net.add(row["joules"], about)
        if row["delta"] is not None:
            self._delta.set(row["delta"], about | {"cryoflux.unit": str(row["unit"])})
        self._span(one)

    def _span(self, one: TrackedAttempt) -> None:
        from opentelemetry.trace import Status, StatusCode

        row, now = one.row, time.time()
        ends = moment_s(row["finished_at"]) or now
        begins = min(moment_s(row["started_at"]) or ends, ends)
        self._traces.id_generator.names(row["receipt_hash"])
        span = self._traces.get_tracer("cryoflux").start_span("cryoflux.attempt", start_time=_ns(begins))
        said = {**texts_of(one), **numbers_of(one), "number": row["number"]}
        span.set_attributes({f"cryoflux.{name}": value for name, value in said.items()})
        if row["outcome"] == "aborted":
            span.set_status(Status(StatusCode.ERROR, str(row["reason"])))
        span.end(end_time=_ns(ends))

    def close(self) -> str:
        """Send what is left.

        Raises:
            StorageError: the collector did not take it.
        """
        sent = self._traces.force_flush(_WAIT_MS) and self._flushed()
        self._traces.shutdown()
        self._metrics.shutdown(_WAIT_MS)
        if self._refused or not sent:
            raise StorageError(
                f"The collector at {self._place} did not take everything.",
                why="Metrics and spans go there over OTLP.",
                hint="Start a collector that takes OTLP over HTTP, and name it: --at http://127.0.0.1:4318",
            )
        return f"metrics and spans are at {self._place}"

    def _flushed(self) -> bool:
        try:
            return bool(self._metrics.force_flush(_WAIT_MS))
        except Exception:  # noqa: BLE001 - it has one of its own for each way of failing
            return False


def _ns(moment: float) -> int:
    return round(moment * 1e9)


def _noted(exporter: Any, refused: list[str]) -> Any:
    """The same exporter, which notes what a collector did not take: by itself it tells a log alone."""
    send = exporter.export

    def export(*batch: Any, **asked: Any) -> Any:
        answer = send(*batch, **asked)
        if answer.name != "SUCCESS":
            refused.append(answer.name)
        return answer

    exporter.export = export
    return exporter


def _providers(run: str, place: str | None, refused: list[str]) -> tuple[Any, Any]:
    """What makes metrics and spans."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class OfReceipts(RandomIdGenerator):  # type: ignore[misc]
        """Ids that follow from the hash of a receipt."""

        def names(self, receipt_hash: str) -> None:
            self._hash = receipt_hash

        def generate_trace_id(self) -> int:
            return int(self._hash[:32], 16) or 1

        def generate_span_id(self) -> int:
            return int(self._hash[32:48], 16) or 1

    at = place.rstrip("/") if place else None
    resource = Resource.create({"service.name": "cryoflux", "service.instance.id": run})
    traces = TracerProvider(resource=resource, id_generator=OfReceipts())
    spans = _noted(OTLPSpanExporter(endpoint=at and f"{at}/v1/traces"), refused)
    traces.add_span_processor(BatchSpanProcessor(spans))
    numbers = _noted(OTLPMetricExporter(endpoint=at and f"{at}/v1/metrics"), refused)
    reader = PeriodicExportingMetricReader(numbers)
    return MeterProvider(metric_readers=[reader], resource=resource), traces
