"""Turns telemetry on for a process, by its environment, and off again."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lath.telemetry import metrics
from lath.telemetry.exporters import (
    ENV_TRACE_DIR,
    TraceFile,
    file_spans,
    otlp_metrics,
    otlp_spans,
    wants_otlp,
)
from lath.telemetry.spans import recorder

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

_SCOPE: Final = "lath"


class _Running:
    """What `setup` started, for `shutdown`."""

    lock: Final = threading.Lock()
    on = False
    tracers: TracerProvider | None = None
    meters: MeterProvider | None = None
    file: TraceFile | None = None


_running: Final = _Running()


def setup(service_name: str, *, instance_id: str = "", host: str = "") -> None:
    """Turns on what the environment asks for. A second call before `shutdown` does nothing.

    Read are the `OTEL_*` variables that OpenTelemetry defines (`OTEL_EXPORTER_OTLP_ENDPOINT` turns on traces
    and metrics, `OTEL_TRACES_SAMPLER` chooses which roots are recorded), and `LATH_TRACE_DIR`, a folder for
    spans as JSON lines. With neither, nothing of the SDK is loaded. It reads and opens files: call it before
    the event loop runs.

    Args:
        service_name: What this process is: `lath-host`, a provider's id. `OTEL_SERVICE_NAME` goes before it.
        instance_id: Which one of them.
        host: The id of the host that it belongs to.

    Raises:
        InvalidArgument: An OTLP endpoint is set and the extra `otlp` is not installed.
    """
    with _running.lock:
        if _running.on:
            return
        directory = os.environ.get(ENV_TRACE_DIR, "")
        processors: list[SpanProcessor] = []
        file: TraceFile | None = None
        if wants_otlp("traces"):
            processors.append(otlp_spans())
        if directory:
            processor, file = file_spans(Path(directory), service_name)
            processors.append(processor)
        if processors:
            _start_tracing(processors, _resource(service_name, instance_id, host))
        if wants_otlp("metrics"):
            _start_metrics(_resource(service_name, instance_id, host))
        _running.file = file
        _running.on = True
        atexit.register(shutdown)


def shutdown() -> None:
    """Sends what is still held and stops. Calling it twice is fine; `setup` may be called again afterwards.

    It waits for the receiver (OpenTelemetry's own time-outs apply), so call it after the event loop has
    ended or through `asyncio.to_thread`.
    """
    with _running.lock:
        if not _running.on:
            return
        recorder.tracer = None
        if _running.tracers is not None:
            _running.tracers.shutdown()
        if _running.meters is not None:
            _running.meters.shutdown()  # reads what was counted, for the last time
        metrics.install(None)
        if _running.file is not None:
            _running.file.close()
        _running.tracers, _running.meters, _running.file = None, None, None
        _running.on = False
        atexit.unregister(shutdown)


def _resource(service_name: str, instance_id: str, host: str) -> Resource:
    from opentelemetry.sdk.resources import Resource

    attributes: dict[str, str | int] = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or service_name,
        "service.namespace": "lath",
        "process.pid": os.getpid(),
    }
    if instance_id:
        attributes["service.instance.id"] = instance_id
    if host:
        attributes["lath.host"] = host
    return Resource.create(attributes)


def _start_tracing(processors: list[SpanProcessor], resource: Resource) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    _running.tracers = provider
    recorder.tracer = provider.get_tracer(_SCOPE)


def _start_metrics(resource: Resource) -> None:
    from opentelemetry.sdk.metrics import MeterProvider

    provider = MeterProvider(metric_readers=[otlp_metrics()], resource=resource, shutdown_on_exit=False)
    _running.meters = provider
    metrics.install(provider.get_meter(_SCOPE))
