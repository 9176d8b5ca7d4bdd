"""Spans: made only where something records them and the trace is sampled; the context is forwarded anyway."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from traceback import format_exception
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from lath.errors import LathError
from lath.redact import scrubbed
from lath.telemetry.context import TraceContext, _current

if TYPE_CHECKING:
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import SpanContext, Tracer

SpanKind: TypeAlias = Literal["client", "server", "internal"]
AttributeValue: TypeAlias = str | bool | int | float

ERROR_KIND: Final = "lath.error.kind"
"""The attribute that holds the kind of the error that ended a span."""


class Span(Protocol):
    """What a `with span(…)` block is given: a real span, or one that ignores everything."""

    def __enter__(self) -> Span: ...
    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...
    def set(self, name: str, value: AttributeValue) -> None:
        """Sets an attribute."""

    def fail(self, kind: str, message: str) -> None:
        """Marks the span as failed with an error kind, where no exception passes through it."""


class _NoSpan:
    """Stands where no span is made. One object for all."""

    __slots__ = ()

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        pass

    def set(self, name: str, value: AttributeValue) -> None:
        pass

    def fail(self, kind: str, message: str) -> None:
        pass


NO_SPAN: Final = _NoSpan()
_current_span: ContextVar[Span] = ContextVar("lath_span", default=NO_SPAN)


class _RecordedSpan:
    """A span of the SDK while it is current."""

    __slots__ = ("_context", "_outer", "_span", "_token")

    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        self._context = _context_of(span.get_span_context())
        self._token: Token[TraceContext | None] | None = None
        self._outer: Token[Span] | None = None

    def __enter__(self) -> Span:
        self._token = _current.set(self._context)
        self._outer = _current_span.set(self)
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        if self._outer is not None:
            _current_span.reset(self._outer)
        if error is not None and isinstance(error, LathError):
            self.fail(error.kind, error.message)
        elif error is not None and isinstance(error, Exception):
            told = {
                "exception.message": scrubbed(str(error)),
                "exception.stacktrace": scrubbed("".join(format_exception(error))),
            }
            self._span.record_exception(error, attributes=told)
            self.fail("internal", repr(error))
        elif error is not None:
            self.fail("cancelled", repr(error))
        self._span.end()

    def set(self, name: str, value: AttributeValue) -> None:
        self._span.set_attribute(name, value)

    def fail(self, kind: str, message: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute(ERROR_KIND, kind)
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, scrubbed(message)))


class _Recorder:
    """What records spans in this process; None until `setup` found an exporter."""

    tracer: Tracer | None = None


recorder: Final = _Recorder()


def recording() -> bool:
    """Whether this process has an exporter."""
    return recorder.tracer is not None


def sampled() -> bool:
    """Whether a span that begins now would be recorded: there is an exporter, and the trace is sampled.

    Hot paths ask before they build names and attributes.
    """
    if recorder.tracer is None:
        return False
    context = _current.get()
    return context is None or context.sampled


def current_span() -> Span:
    """The span around what runs now, for attributes that are known only later.

    Where none is recorded it is one that ignores them.
    """
    return _current_span.get()


def span(
    name: str, kind: SpanKind = "internal", attributes: Mapping[str, AttributeValue] | None = None
) -> Span:
    """Starts a span as a child of the current trace context, or as a root.

    Use it in a `with` block: inside, the span is the current trace context; an exception that leaves the
    block is recorded with its kind. Without an exporter, and in a trace that is not sampled, no span object
    is made and the trace context stays as it is.

    Args:
        name: For a call `{namespace}:{package}/{interface}.{function}`.
        kind: The side of a call that it is on.
        attributes: Set at the start; samplers see them.
    """
    tracer = recorder.tracer
    if tracer is None:
        return NO_SPAN
    parent = _current.get()
    if parent is not None and not parent.sampled:
        return NO_SPAN
    return _start(tracer, parent, name, kind, attributes)


def _start(
    tracer: Tracer,
    parent: TraceContext | None,
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, AttributeValue] | None,
) -> Span:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind as OtelKind
    from opentelemetry.trace import set_span_in_context

    context = Context() if parent is None else set_span_in_context(_remote_parent(parent), Context())
    kinds = {"client": OtelKind.CLIENT, "server": OtelKind.SERVER, "internal": OtelKind.INTERNAL}
    return _RecordedSpan(tracer.start_span(name, context=context, kind=kinds[kind], attributes=attributes))


def _remote_parent(parent: TraceContext) -> OtelSpan:
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

    return NonRecordingSpan(
        SpanContext(
            trace_id=int(parent.trace_id, 16),
            span_id=int(parent.span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(int(parent.traceparent[53:55], 16)),
            trace_state=TraceState.from_header([parent.tracestate]) if parent.tracestate else None,
        )
    )


def _context_of(context: SpanContext) -> TraceContext:
    return TraceContext(
        f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}",
        context.trace_state.to_header() if context.trace_state else "",
    )
