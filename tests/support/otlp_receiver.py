"""An OTLP receiver over HTTP, in this process: keeps what comes and decodes it."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric


class OtlpReceiver(ThreadingHTTPServer):
    """See the module; use `running`."""

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        super().__init__(address, _Handler)
        self.bodies: list[tuple[str, bytes]] = []

    @staticmethod
    @contextlib.contextmanager
    def running(address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[OtlpReceiver]:
        with OtlpReceiver(address) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}"

    def traces(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(b) for path, b in self.bodies if path == "/v1/traces"]

    def metrics(self) -> dict[str, Metric]:
        """The last export of each metric."""
        exports = [
            ExportMetricsServiceRequest.FromString(b) for path, b in self.bodies if path == "/v1/metrics"
        ]
        return {
            metric.name: metric
            for export in exports
            for resource in export.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def calls(self) -> dict[tuple[str, str], int]:
        """How many calls were counted, by side and kind."""
        counted: dict[tuple[str, str], int] = {}
        for point in self.metrics()["lath.calls"].sum.data_points:
            attributes = {a.key: a.value.string_value for a in point.attributes}
            key = attributes["lath.side"], attributes["lath.kind"]
            counted[key] = counted.get(key, 0) + point.as_int
        return counted

    def points(self, metric: str) -> list[tuple[dict[str, str | bool], int]]:
        """The points of a sum: attributes, and the value."""
        return [
            (
                {each.key: each.value.string_value or each.value.bool_value for each in point.attributes},
                point.as_int,
            )
            for point in self.metrics()[metric].sum.data_points
        ]


class _Handler(BaseHTTPRequestHandler):
    server: OtlpReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
