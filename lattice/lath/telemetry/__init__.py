"""Traces, metrics and logs. Import from here: `from lath import telemetry`."""

from lath.telemetry.context import TraceContext, current, extract, inject, replace_current, use
from lath.telemetry.logs import configure_logging, get_logger
from lath.telemetry.metrics import measuring, read_active, read_usage, record_call
from lath.telemetry.setup import setup, shutdown
from lath.telemetry.spans import NO_SPAN, Span, current_span, recording, sampled, span

__all__ = [
    "NO_SPAN",
    "Span",
    "TraceContext",
    "configure_logging",
    "current",
    "current_span",
    "extract",
    "get_logger",
    "inject",
    "measuring",
    "read_active",
    "read_usage",
    "record_call",
    "recording",
    "replace_current",
    "sampled",
    "setup",
    "shutdown",
    "span",
    "use",
]
