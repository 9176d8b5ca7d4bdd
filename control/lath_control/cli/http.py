"""`lath http`: has a component answer an HTTP request, and prints its response."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from lath.errors import InvalidArgument, NotFound
from lath.http import Header, HttpRequest, HttpResponse
from lath.names import check_target, shown
from lath_control.cli import completion
from lath_control.cli.params import duration_ms
from lath_control.cli.session import Session, command
from lath_control.client import CALL_MS

_READ_BYTES: Final = 256 * 1024
"""Of a file that is sent: as much as goes in one message."""
_REFUSED_STATUS: Final = 400
"""From here on a status says that the answer is no."""

root = typer.Typer()


@command(root, "http", rich_help_panel="Use")
def http(
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
    words: Annotated[
        list[str],
        typer.Argument(
            help="The path, with a method before it if that is not GET (POST with --data).",
            metavar="[METHOD] PATH",
            show_default=False,
        ),
    ],
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="NAME:VALUE", help="Of the request; may be repeated."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", metavar="TEXT", help="The body; @FILE sends a file, @- stdin."),
    ] = None,
    include: Annotated[
        bool, typer.Option("--include", "-i", help="Print status and headers too, before the body.")
    ] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="Until the response must have begun.")
    ] = f"{CALL_MS // 1000}s",
) -> Awaitable[bool]:
    """Has a component answer an HTTP request, over the bus; prints the body of its response as it comes.

    The component exports wasi:http/incoming-handler; no server is needed, and no link:
    lath http site POST /orders -H content-type:application/json --data @order.json

    Exits with 1 when there is no response, when it breaks off, or when its status is 400 or more.
    """
    check_target(component, "component id")
    method, path = _method_and_path(words, data is not None)
    request = HttpRequest(
        method=method,
        authority=component,
        path_with_query=path,
        headers=[_header(text) for text in header or ()],
        body=_body(data) if data is not None else None,
    )
    return _ask(session, component, request, include, duration_ms(timeout, "--timeout"))


async def _ask(
    session: Session, component: str, request: HttpRequest, include: bool, timeout_ms: int
) -> bool:
    async with session.client() as client:
        response = await client.http(component, request, timeout_ms=timeout_ms)
        if session.out.is_text:
            await _print(response, include)
        else:
            session.out.one(await _as_json(response), "")
    return response.status < _REFUSED_STATUS


async def _print(response: HttpResponse, include: bool) -> None:
    out = sys.stdout.buffer
    if include:
        await _write(out, f"HTTP {response.status}\n".encode() + _lines(response.headers) + b"\n")
    async for chunk in response.body:
        await _write(out, chunk)
    if include and response.trailers:
        await _write(out, b"\n" + _lines(response.trailers))


async def _as_json(response: HttpResponse) -> dict[str, Any]:
    body = b"".join([chunk async for chunk in response.body])
    shown_body: dict[str, Any]
    try:
        shown_body = {"body": body.decode()}
    except UnicodeDecodeError:
        shown_body = {"body_base64": base64.b64encode(body).decode()}
    return {
        "status": response.status,
        "headers": _pairs(response.headers),
        **shown_body,
        "trailers": _pairs(response.trailers),
    }


async def _write(out: BinaryIO, data: bytes) -> None:
    """In a thread: whoever reads a pipe may be slow."""

    def write() -> None:
        out.write(data)
        out.flush()

    await asyncio.to_thread(write)


def _lines(headers: list[Header]) -> bytes:
    return b"".join(name.encode() + b": " + value + b"\n" for name, value in headers)


def _pairs(headers: list[Header]) -> list[list[str]]:
    return [[name, value.decode("latin-1")] for name, value in headers]


def _method_and_path(words: list[str], has_body: bool) -> tuple[str, str]:
    method, path = ("POST" if has_body else "GET", words[0]) if len(words) == 1 else (words[0], words[1])
    if len(words) > 2:
        raise InvalidArgument(f"{shown(words[2])} is too much: expected [METHOD] PATH")
    if not path.startswith("/"):
        raise InvalidArgument(f"path {shown(path)} does not begin with /")
    return method.upper(), path


def _header(text: str) -> Header:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise InvalidArgument(f"--header {shown(text)} is not of the form NAME:VALUE")
    return name.strip(), value.strip().encode()


def _body(data: str) -> AsyncIterator[bytes] | bytes:
    if not data.startswith("@"):
        return data.encode()
    if data == "@-":
        return _read(sys.stdin.buffer)
    path = Path(data[1:])
    if not path.is_file():
        raise NotFound(f"--data names {shown(data[1:])}, which is no file")
    return _read(path.open("rb"))


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _READ_BYTES):
            yield chunk
