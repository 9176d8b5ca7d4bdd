"""Where spans and metrics go: OTLP over HTTP, or a file of JSON lines per process."""

from __future__ import annotations

import json
import os
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lath.errors import InvalidArgument
from lath.names import new_id

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

ENV_TRACE_DIR: Final = "LATH_TRACE_DIR"
_ENV_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_CLOSE_SECONDS_MAX: Final = 5.0
"""How long closing the trace file waits for its writer: a dead disk must not hold up a shutdown."""


def wants_otlp(signal: str) -> bool:
    """Whether the environment sends `signal` ("traces", "metrics") over OTLP."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip().lower() == "none":
        return False
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return bool(own or os.environ.get(_ENV_ENDPOINT))


def _extra_missing(error: ImportError) -> InvalidArgument:
    return InvalidArgument(
        f"{_ENV_ENDPOINT} is set but the OTLP exporter is not installed ({error}):"
        " install lath[otlp], or unset it"
    )


def otlp_spans() -> SpanProcessor:
    """Sends spans over OTLP/HTTP in batches, from a thread of its own.

    Raises:
        InvalidArgument: The extra `otlp` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as e:
        raise _extra_missing(e) from e
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())


def otlp_metrics() -> MetricReader:
    """Sends metrics over OTLP/HTTP every `OTEL_METRIC_EXPORT_INTERVAL` ms, from a thread of its own.

    Raises:
        InvalidArgument: The extra `otlp` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    except ImportError as e:
        raise _extra_missing(e) from e
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    from lath.telemetry.durations import WithDurations

    return PeriodicExportingMetricReader(WithDurations(OTLPMetricExporter()))


class TraceFile:
    """A text file that a thread writes, each line flushed: the event loop never waits for the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._file = path.open("a", encoding="utf-8")
        self._thread = threading.Thread(target=self._run, name="lath-trace-file", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        self._lines.put(text)
        return len(text)

    def flush(self) -> None:
        """Nothing to do: the thread flushes after each write."""

    def _run(self) -> None:
        with self._file as file:
            while (line := self._lines.get()) is not None:
                file.write(line)
                if self._lines.empty():
                    file.flush()

    def close(self) -> None:
        """Waits until everything is in the file."""
        self._lines.put(None)
        self._thread.join(_CLOSE_SECONDS_MAX)


def file_spans(directory: Path, service: str) -> tuple[SpanProcessor, TraceFile]:
    """Writes each span, as it ends, as one JSON line of `{directory}/{service}-{pid}-….jsonl`."""
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    directory.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in service)
    file = TraceFile(directory / f"{name}-{os.getpid()}-{new_id()[:6]}.jsonl")
    out: Any = file  # the exporter asks for an IO but uses only write() and flush()
    return SimpleSpanProcessor(ConsoleSpanExporter(out=out, formatter=span_line)), file


def span_line(span: ReadableSpan) -> str:
    """One span as a JSON line; `lath.telemetry.tracetree` reads it."""
    context = span.get_span_context()
    resource = span.resource.attributes
    line = {
        "trace_id": f"{context.trace_id:032x}" if context else "",
        "span_id": f"{context.span_id:016x}" if context else "",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else "",
        "name": span.name,
        "kind": span.kind.name.lower(),
        "service": resource.get("service.name", ""),
        "instance": resource.get("service.instance.id", ""),
        "host": resource.get("lath.host", ""),
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "status": span.status.status_code.name.lower(),
        "error": span.status.description or "",
        "attributes": dict(span.attributes or {}),
    }
    return json.dumps(line, separators=(",", ":"), default=str) + "\n"
