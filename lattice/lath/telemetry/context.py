"""The trace context that travels with a call: W3C `traceparent` and `tracestate`, carried in a contextvar.

It is carried and forwarded byte for byte whether anything in this process records spans or not.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from lath.subjects import HEADER_TRACEPARENT, HEADER_TRACESTATE

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]*)?\Z"
)
"""W3C Trace Context, level 1: version ff is invalid, as are ids of zeros; upper case is not allowed."""
_VERSION_0_CHARS: Final = 55
"""A traceparent of version 00 has exactly this length; later versions may append `-…`."""
TRACEPARENT_CHARS_MAX: Final = 256
TRACESTATE_CHARS_MAX: Final = 4096
"""The specification asks to forward 512 at least; more would crowd everybody's headers."""
_TRACESTATE_MEMBERS_MAX: Final = 32
_KEY: Final = r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
_VALUE: Final = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER: Final = re.compile(rf"[ \t]*(?:{_KEY}={_VALUE})?[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where in which trace a piece of work belongs.

    Attributes:
        traceparent: The header's text, valid by the W3C rules.
        tracestate: What vendors added; empty where there is none.
    """

    traceparent: str
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        """16 hex digits: the span that is the parent of what happens now."""
        return self.traceparent[36:52]

    @property
    def sampled(self) -> bool:
        """Whether this trace is recorded. Flags other than the lowest bit say nothing about it."""
        return self.traceparent[54] in "13579bdf"


_current: ContextVar[TraceContext | None] = ContextVar("lath_trace", default=None)


def current() -> TraceContext | None:
    """The trace context of the running task, or None."""
    return _current.get()


def replace_current(context: TraceContext | None) -> None:
    """Sets the trace context for the rest of the running task: for whoever owns that task."""
    _current.set(context)


@contextlib.contextmanager
def use(context: TraceContext | None) -> Iterator[None]:
    """Makes `context` the current one inside the `with` block."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def extract(headers: Mapping[str, str] | None) -> TraceContext | None:
    """Reads the trace context of a message's headers. What is malformed is ignored, as W3C asks.

    A malformed `traceparent` discards both; a malformed `tracestate` only itself.
    """
    if not headers:
        return None
    traceparent = headers.get(HEADER_TRACEPARENT)
    if traceparent is None or not valid_traceparent(traceparent):
        return None
    tracestate = headers.get(HEADER_TRACESTATE, "")
    return TraceContext(traceparent, tracestate if not tracestate or valid_tracestate(tracestate) else "")


def inject(headers: MutableMapping[str, str]) -> None:
    """Adds the current trace context to `headers`; nothing when there is none."""
    context = _current.get()
    if context is not None:
        headers[HEADER_TRACEPARENT] = context.traceparent
        if context.tracestate:
            headers[HEADER_TRACESTATE] = context.tracestate


def valid_traceparent(text: str) -> bool:
    """Whether `text` is a traceparent that may be used and forwarded."""
    if len(text) > TRACEPARENT_CHARS_MAX or not _TRACEPARENT.match(text):
        return False
    return len(text) == _VERSION_0_CHARS or not text.startswith("00")


def valid_tracestate(text: str) -> bool:
    """Whether `text` is a list of at most 32 `key=value` members."""
    if len(text) > TRACESTATE_CHARS_MAX:
        return False
    members = text.split(",")
    return len(members) <= _TRACESTATE_MEMBERS_MAX and all(_MEMBER.match(member) for member in members)
