"""`lath call`: calls a function and prints what it returned."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.text import Text

from lath.errors import InvalidArgument
from lath.names import check_target, parse_function_path, shown
from lath_control.cli import completion
from lath_control.cli.output import Format
from lath_control.cli.params import duration_ms
from lath_control.cli.session import Session, command
from lath_control.client.calls import CALL_MS

root = typer.Typer()


@command(root, "call", rich_help_panel="Use")
async def call(
    session: Session,
    component: Annotated[
        str,
        typer.Argument(
            help="The id of a component or provider.",
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
) -> bool:
    """Calls a function of a component or provider; prints the result as JSON.

    Each argument is JSON; one that is not is taken as text, so that quotes are not needed around a word:
    lath call greeter demo:greeter/greet.hello Ada

    Exits with 1 when the call fails, or returns the error of a result.
    """
    check_target(component, "component id")
    parse_function_path(function)
    values = [_argument(text) for text in arguments or ()]
    async with session.client() as client:
        result = await client.call_json(
            component, function, values, timeout_ms=duration_ms(timeout, "--timeout")
        )
    if trace:
        session.out.note(f"trace {result.trace_id}  ({result.elapsed_ms} ms)")
    indent = None if session.out.format is Format.jsonl else 2
    text = Text(json.dumps(result.value, ensure_ascii=False, indent=indent))
    session.out.one(result.value, text)
    return not _is_error(result.value)


def _argument(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if text[:1] in ("{", "[", '"'):
            raise InvalidArgument(f"argument {shown(text)} begins like JSON and is not") from None
        return text


def _is_error(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"err"}
