"""Reads the head of a request: what the parsers of HTTP/1.1 and HTTP/2 let pass is looked at here."""

from __future__ import annotations

import re
from typing import Final

from lath.http import Header
from lath_providers.http_server.exchange import Refusal, RequestHead
from lath_providers.http_server.fields import sorted_out
from lath_providers.http_server.routes import request_host

_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)([^#]*)\Z", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\d{1,18}\Z")


def head_of(
    *, version: str, method: str, scheme: str, target: bytes, headers: list[Header], peer: str, local: str
) -> RequestHead:
    """The head of a request of HTTP/1.x.

    Args:
        version: As the parser has read it.
        method: Likewise.
        scheme: Of the connection.
        target: The request line's.
        headers: Names in lower case.
        peer: The client.
        local: Where the connection came to: the authority of a request of HTTP/1.0 that names none.

    Raises:
        Refusal: It breaks RFC 9110 or 9112, or asks for what is not served here.
    """
    if version != "1.1" and version != "1.0":
        raise Refusal(505, "this server speaks HTTP/1.0, 1.1 and 2")
    if method == "CONNECT":
        raise Refusal(501, "this server is no proxy")
    kept, read = sorted_out(headers)
    hosts = read.get("host", [])
    if len(hosts) != 1 and (hosts or version == "1.1"):
        raise Refusal(400, "a request has one host header")
    authority, path = _parts(target.decode("latin-1"), method)
    if authority is None:
        authority = hosts[0].decode("latin-1") if hosts else local
    length = _content_length(read["content-length"]) if "content-length" in read else None
    chunked = "transfer-encoding" in read
    if chunked:
        _check_coding(read["transfer-encoding"], version)
    has_body = chunked or bool(length)
    # In order, as wherever requests are made: a class takes names by way of a dictionary, twice as slow.
    return RequestHead(
        version, method, scheme, authority, _host_of(authority), path, kept, read, length, has_body, peer
    )


def head_of_fields(
    fields: list[tuple[bytes, bytes]], *, scheme: str, ended: bool, peer: str, bytes_max: int
) -> RequestHead:
    """The head of a request of HTTP/2; h2 has checked it for what RFC 9113 calls malformed.

    Args:
        fields: Pseudo headers and headers.
        scheme: Of the connection.
        ended: Whether no body follows.
        peer: The client.
        bytes_max: Of all of it.

    Raises:
        Refusal: It is too large, or asks for what is not served here.
    """
    if sum(len(name) + len(value) for name, value in fields) > bytes_max:
        raise Refusal(431, "the request's headers are too large")
    pseudo = {name: value.decode("latin-1") for name, value in fields if name.startswith(b":")}
    headers = [(name.decode("latin-1"), value) for name, value in fields if not name.startswith(b":")]
    if pseudo.get(b":method") == "CONNECT":
        raise Refusal(501, "this server is no proxy")
    kept, read = sorted_out(headers)
    authority = pseudo.get(b":authority")
    if authority is None:
        authority = read["host"][0].decode("latin-1") if "host" in read else ""
    _, target = _parts(pseudo.get(b":path", ""), pseudo.get(b":method", ""))
    return RequestHead(
        version="2",
        method=pseudo.get(b":method", ""),
        scheme=scheme,
        authority=authority,
        host=_host_of(authority),
        target=target,
        headers=_one_cookie(kept),
        read=read,
        content_length=_content_length(read["content-length"]) if "content-length" in read else None,
        has_body=not ended,
        peer=peer,
    )


def _parts(target: str, method: str) -> tuple[str | None, str]:
    """Authority, where the target has one, and path with query."""
    if target[:1] == "/" and "#" not in target:
        return None, target
    if target == "*" and method == "OPTIONS":
        return None, target
    absolute = _ABSOLUTE.match(target)
    if absolute is None or not absolute[1]:
        raise Refusal(400, "the request's target is malformed")
    path = absolute[2]
    return absolute[1], path if path.startswith("/") else f"/{path}"


def _host_of(authority: str) -> str:
    host = request_host(authority) if authority else ""
    if host is None:
        raise Refusal(400, "the request's host is malformed")
    return host


def _content_length(lengths: list[bytes]) -> int:
    if len(lengths) > 1 or not _LENGTH.match(lengths[0]):
        raise Refusal(400, "the request's content-length is malformed")
    return int(lengths[0])


def _check_coding(codings: list[bytes], version: str) -> None:
    if version == "1.0":
        raise Refusal(400, "HTTP/1.0 has no transfer-encoding")
    if [coding.strip().lower() for coding in codings] != [b"chunked"]:
        raise Refusal(501, "the only transfer-encoding served is chunked")


def _one_cookie(headers: list[Header]) -> list[Header]:
    """Joins what HTTP/2 lets clients split (RFC 9113, 8.2.3)."""
    cookies = [value for name, value in headers if name == "cookie"]
    if len(cookies) < 2:
        return headers
    return [*((name, value) for name, value in headers if name != "cookie"), ("cookie", b"; ".join(cookies))]
