"""OpenTelemetry's SDK behind telemetry.py, imported only by this module: the extra `telemetry`.

The standard variables set the receiver, the headers and the interval (OTEL_EXPORTER_OTLP_*, OTEL_SERVICE_NAME,
OTEL_RESOURCE_ATTRIBUTES; opentelemetry.io, "Environment variable specification").
"""

import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Counter, Histogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, set_span_in_context

_NAME = "pfo-pipeline"
_FLUSH_MS = 5_000
_TIMEOUT_SECONDS = 3.0
"""For one export: a receiver that does not answer must not delay runs."""


class Otlp:
    """One per process. Each process is an instance of the service, so that their counts stay distinct."""

    def __init__(self) -> None:
        own = {"service.name": _NAME, "service.version": version(_NAME), "service.instance.id": uuid.uuid4().hex}
        resource = Resource(own).merge(OTELResourceDetector().detect())  # The environment takes precedence.
        self._traces = TracerProvider(resource=resource)
        self._traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=_TIMEOUT_SECONDS)))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(timeout=_TIMEOUT_SECONDS))
        self._metrics = MeterProvider([reader], resource=resource)
        self._tracer = self._traces.get_tracer(_NAME)
        self._meter = self._metrics.get_meter(_NAME)
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    @contextmanager
    def span(
        self, name: str, trace_id: str | None, attributes: Mapping[str, str | int | float | bool]
    ) -> Iterator[Callable[[str], None]]:
        """Yields: a function that receives the outcome."""
        root = _root_of(trace_id) if trace_id else None
        with self._tracer.start_as_current_span(
            name, root, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:

            def ended(outcome: str) -> None:
                span.set_attribute("outcome", outcome)
                if outcome != "ok":
                    span.set_status(Status(StatusCode.ERROR))

            yield ended

    def record(self, name: str, seconds: float, attributes: Mapping[str, str | int | float | bool]) -> None:
        histogram = self._histograms.get(name) or self._meter.create_histogram(name, unit="s")
        self._histograms[name] = histogram
        histogram.record(seconds, dict(attributes))

    def add(self, name: str, amount: int, attributes: Mapping[str, str | int | float | bool]) -> None:
        counter = self._counters.get(name) or self._meter.create_counter(name)
        self._counters[name] = counter
        counter.add(amount, dict(attributes))

    def flush(self) -> None:
        self._traces.force_flush(_FLUSH_MS)
        self._metrics.force_flush(_FLUSH_MS)


def _root_of(trace_id: str) -> Context:
    """An unrecorded parent whose trace has this id."""
    span_id = random.getrandbits(64) or 1
    parent = SpanContext(int(trace_id, 16), span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(parent))
