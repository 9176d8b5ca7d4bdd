"""What guests ask of others over HTTP, what they are answered, and how either fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from lath.errors import Trap
from lath.http import Header, Trailers


class RequestBody(Protocol):
    """The chunks of a body as a guest writes them. Iterate it to its end, or close it."""

    @property
    def empty(self) -> bool:
        """Whether its reader has to wait for the guest."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    def close(self) -> None:
        """Wants no more of it: the guest that writes is told."""


@dataclass(slots=True)
class OutgoingRequest:
    """What a guest asks of others: of an `HttpClient`.

    Attributes:
        method: `GET`, or any other.
        scheme: `http`, `https` or any other.
        authority: Name or address, and port; empty: the guest has set none.
        path_with_query: `/a?b=c`; empty: the guest has set none.
        headers: All that the guest has set.
        body: Raises `HttpFailure` where the guest breaks off. None: there is none.
        trailers: Complete once the body has ended.
        connect_timeout_ms: How long connecting may take; None: as long as the client lets it.
        first_byte_timeout_ms: How long the response may take to begin.
        between_bytes_timeout_ms: How long the response's body may pause.
    """

    method: str
    scheme: str
    authority: str
    path_with_query: str
    headers: list[Header]
    body: RequestBody | None
    trailers: list[Header]
    connect_timeout_ms: int | None = None
    first_byte_timeout_ms: int | None = None
    between_bytes_timeout_ms: int | None = None


@dataclass(slots=True)
class IncomingResponse:
    """What others answer to a guest.

    Attributes:
        status: 100 to 599.
        headers: All that came.
        body: Its chunks, fetched as the guest reads them; None: there is no body.
        trailers: Asked for once the body has been read; None: there are none.
    """

    status: int
    headers: list[Header]
    body: AsyncIterator[bytes] | None = None
    trailers: Trailers | None = None


class HttpClient(Protocol):
    """Sends the requests of a component's guests."""

    async def send(self, request: OutgoingRequest) -> IncomingResponse:
        """Sends a request and returns once the response has begun.

        Cancelled when the guest wants no answer any more.

        Raises:
            HttpFailure: There is no response; it says why.
        """


class HttpFailure(Exception):
    """Why there is no response, or no more of a body, in the terms of `wasi:http`.

    Args:
        case: A case of `error-code`: `connection-refused`.
        payload: What the case carries, as a wire value.
    """

    def __init__(self, case: str, payload: Any = None) -> None:
        super().__init__(case if payload is None else f"{case} ({payload})")
        self.code: dict[str, Any] = {case: payload}


class NoResponse(Trap):
    """A guest has answered a request with an error code in place of a response.

    Args:
        message: Names the component and the code.
        code: The `error-code`, as a wire value.
    """

    def __init__(self, message: str, code: dict[str, Any]) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: BaseException) -> dict[str, Any]:
    """The `error-code` that tells a guest of `error`, as a wire value."""
    return error.code if isinstance(error, HttpFailure) else {"internal-error": str(error) or None}
