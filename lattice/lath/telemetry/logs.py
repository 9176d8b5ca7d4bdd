"""Logs: structlog over the standard library's logging, to stderr, with the ids of the current trace.

Nothing is printed on stdout, and structlog's global configuration is left to the application.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any, Final, Literal, TypeAlias

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, WrappedLogger

from lath.errors import InvalidArgument
from lath.redact import scrubbed
from lath.telemetry.context import current

LogFormat: TypeAlias = Literal["json", "console"]
ENV_LEVEL: Final = "LATH_LOG_LEVEL"
ENV_FORMAT: Final = "LATH_LOG_FORMAT"
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_QUIET: Final = ("nats", "asyncio", "urllib3", "opentelemetry")
"""Libraries that are told at `warning` what they say at `debug`, unless the level is `debug` itself."""


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    context = current()
    if context is not None:
        event["trace_id"] = context.trace_id
        event["span_id"] = context.span_id
    return event


_SHARED: Final[list[structlog.typing.Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    _add_trace,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A structured logger: `log.info("link opened", link=key)`.

    Args:
        name: The module's name, or `lath.` and a room.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        cache_logger_on_first_use=True,
    )
    return logger


class _StderrHandler(logging.Handler):
    """Writes to whatever `sys.stderr` is at that moment, without the secrets that this process has opened."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(scrubbed(self.format(record)) + "\n")
            sys.stderr.flush()
        except Exception as error:
            self._tell(record, error)

    def _tell(self, record: logging.LogRecord, error: Exception) -> None:
        """Says that a line could not be written. `handleError` would show all that is in it."""
        with suppress(Exception):
            where = f"{record.name} {record.filename}:{record.lineno}"
            sys.stderr.write(f"a log line of {where} could not be written: {type(error).__name__}\n")


def configure_logging(level: str | None = None, format: LogFormat | None = None) -> None:
    """Sends the logs of this process to stderr. Calling it again replaces what was configured.

    Args:
        level: `debug`, `info`, `warning`, `error` or `critical`; else `LATH_LOG_LEVEL`, else `info`.
        format: `json` or `console`; else `LATH_LOG_FORMAT`, else `console` on a terminal, `json` elsewhere.

    Raises:
        InvalidArgument: An unknown level or format; the message lists the known ones.
    """
    level_name = (level or os.environ.get(ENV_LEVEL) or "info").lower()
    if level_name not in _LEVELS:
        raise InvalidArgument(f"log level {level_name!r} is unknown: use one of {', '.join(_LEVELS)}")
    format_name = (
        format or os.environ.get(ENV_FORMAT) or ("console" if sys.stderr.isatty() else "json")
    ).lower()
    if format_name not in ("json", "console"):
        raise InvalidArgument(f"log format {format_name!r} is unknown: use json or console")
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _StderrHandler)]:
        root.removeHandler(handler)
    handler = _StderrHandler()
    handler.setFormatter(_formatter(format_name))
    root.addHandler(handler)
    number: int = getattr(logging, level_name.upper())
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(number if number == logging.DEBUG else max(number, logging.WARNING))


def _formatter(format_name: str) -> logging.Formatter:
    # Never the local variables of a traceback's frames, which structlog adds unless told not to: they hold
    # payloads, config values and passwords.
    processors: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if format_name == "json":
        processors += [
            structlog.processors.StackInfoRenderer(),
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(default=repr),
        ]
    else:
        processors += [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=processors)
