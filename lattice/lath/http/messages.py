"""HTTP requests and responses as lath hands them on: to a component, over the bus, from a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

Header = tuple[str, bytes]
"""A field of a header or a trailer: (name, value)."""
Trailers = Callable[[], list[Header]]
"""Gives the trailers of a body that has been read to its end."""


@dataclass(slots=True)
class HttpRequest:
    """What a component is asked.

    Attributes:
        method: `GET`, or any other.
        scheme: `http` or `https`.
        authority: What the `host` header says; empty: nothing.
        path_with_query: `/a?b=c`.
        headers: All but those of the connection, which guests do not see.
        body: All of it; or its chunks, of any size, fetched as the guest reads them. What they raise reaches
            the guest as an error of its stream. None: there is no body.
        trailers: Asked for once the body has been read; None: there are none.
        peer: The client's address and port, `127.0.0.1:4711` or `[::1]:4711`, where they are known.
    """

    method: str = "GET"
    scheme: str = "http"
    authority: str = ""
    path_with_query: str = "/"
    headers: list[Header] = field(default_factory=list)
    body: AsyncIterator[bytes] | bytes | None = None
    trailers: Trailers | None = None
    peer: str = ""


class ResponseBody(Protocol):
    """The chunks of a body. Iterate it to its end, or close it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """Wants no more of it: whoever makes it is cancelled."""


class WholeBody:
    """A body of which all is there (`ResponseBody`).

    Args:
        data: All of it.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """Wants no more of it."""
        self._data = b""


@dataclass(slots=True)
class HttpResponse:
    """What a component answers.

    Attributes:
        status: 100 to 599.
        headers: All that the guest has set.
        body: Its chunks as the guest writes them; raises `LathError` where the guest fails midway.
        trailers: Complete once the body has ended.
        whole: All of the body, where it was there when the response began. Whoever takes it from here need
            neither iterate `body` nor close it.
    """

    status: int
    headers: list[Header]
    body: ResponseBody
    trailers: list[Header] = field(default_factory=list)
    whole: bytes | None = None
