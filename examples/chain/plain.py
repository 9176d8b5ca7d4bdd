"""A plain HTTP service, as it may stand anywhere: it knows OpenTelemetry, and nothing of lath.

It answers with the trace that a request belongs to, and adds a span to it, which goes where
OTEL_EXPORTER_OTLP_ENDPOINT says.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

provider = TracerProvider(resource=Resource.create({"service.name": "plain"}))
if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("plain")
propagator = TraceContextTextMapPropagator()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        caller = propagator.extract(self.headers)
        parent = get_current_span(caller).get_span_context()
        with tracer.start_as_current_span("GET /", context=caller, kind=SpanKind.SERVER):
            said = f"plain, in trace {parent.trace_id:032x} after span {parent.span_id:016x}\n".encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
