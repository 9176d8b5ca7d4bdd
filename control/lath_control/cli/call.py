"""`lath call`: calls a function and prints what it returned."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable
from typing import Annotated, Any

import typer
from rich.text import Text

from lath import telemetry
from lath.errors import InvalidArgument
from lath.names import check_target, parse_function_path, shown
from lath.subjects import HEADER_TRACEPARENT, HEADER_TRACESTATE
from lath.telemetry import TraceContext
from lath_control.cli import completion
from lath_control.cli.output import Format
from lath_control.cli.params import duration_ms
from lath_control.cli.session import Session, command
from lath_control.client.calls import CALL_MS

root = typer.Typer()


@command(root, "call", rich_help_panel="Use")
def call(
    session: Session,
    component: Annotated[
        str,
        typer.Argument(
            help="The id of a component.",
            metavar="COMPONENT",
            autocompletion=completion.components,
            show_default=False,
        ),
    ],
    function: Annotated[
        str,
        typer.Argument(
            help="namespace:package/interface.function, or with a version …@1.2.3#function.",
            metavar="INTERFACE.FUNCTION",
            autocompletion=completion.functions,
            show_default=False,
        ),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="A JSON value for each parameter.", metavar="[JSON]...", show_default=False),
    ] = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="Until the call fails.")
    ] = f"{CALL_MS // 1000}s",
    trace: Annotated[bool, typer.Option("--trace", help="Print the trace id, on stderr.")] = False,
) -> Awaitable[bool]:
    """Calls a function of a component; prints the result as JSON.

    A provider is called by the components that are linked to it, not from here.

    Each argument is JSON; one that is not is taken as text, so that quotes are not needed around a word:
    lath call greeter demo:greeter/greet.hello Ada

    Exits with 1 when the call fails, or returns the error of a result.

    OTEL_EXPORTER_OTLP_ENDPOINT sends its spans there; TRACEPARENT has it join a trace.
    """
    check_target(component, "component id")
    parse_function_path(function)
    values = [_argument(text) for text in arguments or ()]
    timeout_ms = duration_ms(timeout, "--timeout")
    try:
        telemetry.setup("lath-call")  # sends what it has as the process ends
    except InvalidArgument as e:
        session.out.note(f"no spans of this call are sent: {e.message}")
    return _call(session, component, function, values, timeout_ms, trace)


async def _call(
    session: Session, component: str, function: str, values: list[Any], timeout_ms: int, trace: bool
) -> bool:
    async with session.client() as client:
        with telemetry.use(_trace_of_environment()):
            result = await client.call_json(component, function, values, timeout_ms=timeout_ms)
    if trace:
        session.out.note(f"trace {result.trace_id}  ({result.elapsed_ms} ms)")
    indent = None if session.out.format is Format.jsonl else 2
    text = Text(json.dumps(result.value, ensure_ascii=False, indent=indent))
    session.out.one(result.value, text)
    return not _is_error(result.value)


def _trace_of_environment() -> TraceContext | None:
    """The trace that whoever runs this command has put into its environment, as OpenTelemetry defines it."""
    return telemetry.extract(
        {
            HEADER_TRACEPARENT: os.environ.get("TRACEPARENT", ""),
            HEADER_TRACESTATE: os.environ.get("TRACESTATE", ""),
        }
    )


def _argument(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if text[:1] in ("{", "[", '"'):
            raise InvalidArgument(f"argument {shown(text)} begins like JSON and is not") from None
        return text


def _is_error(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"err"}
