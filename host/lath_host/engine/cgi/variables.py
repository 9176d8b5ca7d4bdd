"""What a CGI program is told of its request: the meta-variables of RFC 3875, 4.1.

Header fields become `HTTP_*` where no other field could become the same: a name with anything but letters,
digits and `-` is left out, or `X_Real_IP` could pass for `X-Real-IP`. Left out are also `proxy`, which would
become `HTTP_PROXY` ("httpoxy"), and what is between the client and the server alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from lath.http import Header, HttpRequest

GATEWAY_INTERFACE: Final = "CGI/1.1"
_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9-]+\Z")
_LENGTH: Final = re.compile(r"[0-9]+\Z")
_LEFT_OUT: Final = frozenset(
    {
        "connection", "content-length", "content-type", "host", "http2-settings", "keep-alive", "proxy",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""`host` comes from the request's authority."""
_PORTS: Final = {"http": "80", "https": "443"}
_NO_TEXT: Final = re.compile(r"[\x00\r\n]")


class CannotTell(Exception):
    """A request that no CGI program can be told of; the message says why."""


def variables(request: HttpRequest, software: str) -> dict[str, str]:
    """The meta-variables of a request.

    Args:
        request: The request.
        software: Who serves it.

    Raises:
        CannotTell: A path that is no text once it is decoded, or a field with a line's end in it.
    """
    path, _, query = request.path_with_query.partition("?")
    name, port = _host_and_port(request.authority)
    peer, peer_port = _host_and_port(request.peer)
    told = {
        "GATEWAY_INTERFACE": GATEWAY_INTERFACE,
        "SERVER_SOFTWARE": software,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": name,
        "SERVER_PORT": port or _PORTS.get(request.scheme, ""),
        "REQUEST_METHOD": request.method,
        "REQUEST_SCHEME": request.scheme,
        "REQUEST_URI": request.path_with_query,
        "SCRIPT_NAME": "",
        "PATH_INFO": _decoded(path),
        "QUERY_STRING": query,
        "REMOTE_ADDR": peer.strip("[]"),
    }
    if request.scheme == "https":
        told["HTTPS"] = "on"
    if peer_port:
        told["REMOTE_PORT"] = peer_port
    if request.authority:
        told["HTTP_HOST"] = request.authority
    fields = _joined(request.headers)
    if request.body is not None:
        told |= _of_body(request.body, fields)
    for field, value in fields.items():
        if field not in _LEFT_OUT:
            told["HTTP_" + field.upper().replace("-", "_")] = value
    for variable, value in told.items():
        if _NO_TEXT.search(value):
            raise CannotTell(f"{variable} would have the end of a line or of a text in it")
    return told


def _of_body(body: object, fields: Mapping[str, str]) -> dict[str, str]:
    """Its length, where that is known from the start, and its type."""
    told = {}
    if isinstance(body, bytes):
        told["CONTENT_LENGTH"] = str(len(body))
    elif _LENGTH.match(fields.get("content-length", "")):
        told["CONTENT_LENGTH"] = fields["content-length"]
    if "content-type" in fields:
        told["CONTENT_TYPE"] = fields["content-type"]
    return told


def _joined(headers: list[Header]) -> dict[str, str]:
    """The fields by their names in lower case, several of a name as one (RFC 9110, 5.3)."""
    fields: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if _FIELD_NAME.match(name):
            text = _text(value)
            between = "; " if lower == "cookie" else ", "
            fields[lower] = f"{fields[lower]}{between}{text}" if lower in fields else text
    return fields


def _text(value: bytes) -> str:
    """A field's value: UTF-8 if it can be, else as HTTP/1.1 once had it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _decoded(path: str) -> str:
    try:
        return unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise CannotTell("the path is not UTF-8 once it is decoded") from None


def _host_and_port(authority: str) -> tuple[str, str]:
    """`[::1]:80` is `[::1]` and `80`."""
    host, _, port = authority.rpartition(":")
    return (host, port) if host and _LENGTH.match(port) else (authority, "")
