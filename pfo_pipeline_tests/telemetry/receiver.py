"""An OTLP/HTTP receiver on loopback: received posts, decoded from protobuf."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Received:
    url: str = ""
    raw: list[bytes] = field(default_factory=list)
    traces: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)

    def spans(self) -> list[Any]:
        return [span for r in self.traces for rs in r.resource_spans for s in rs.scope_spans for span in s.spans]

    def durations(self) -> dict[str, int]:
        """The number of records of each duration, by name, over all processes."""
        counts: dict[str, int] = {}
        for metric in self._metrics():
            for point in metric.histogram.data_points:
                counts[metric.name] = counts.get(metric.name, 0) + point.count
        return counts

    def counts(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        for metric in self._metrics():
            for point in metric.sum.data_points:
                totals[metric.name] = totals.get(metric.name, 0) + point.as_int
        return totals

    def resources(self) -> list[dict[str, str]]:
        found = [rs.resource for r in self.traces for rs in r.resource_spans]
        return [attributes(resource) for resource in found]

    def _metrics(self) -> list[Any]:
        newest = self.metrics[-1:]  # Each export contains everything since the process began.
        return [m for r in newest for rm in r.resource_metrics for s in rm.scope_metrics for m in s.metrics]


def attributes(of: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in of.attributes}


@contextmanager
def receiving() -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            received.raw.append(body)
            if self.path == "/v1/traces":
                received.traces.append(ExportTraceServiceRequest.FromString(body))
            else:
                received.metrics.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        received.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
