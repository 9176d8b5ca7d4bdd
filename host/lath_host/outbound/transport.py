"""The connections of one component, by aiohttp. Needs the extra `lath[http]`.

Connections are pooled per component and reused for the same scheme, host and port, so that none serves a
component that could not have opened it. aiohttp follows no redirect, keeps no cookies, asks no proxy and
decompresses nothing here: what comes is what the guest sees.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from contextvars import ContextVar
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from lath.http import Header
from lath_host.engine.http.messages import HttpFailure, IncomingResponse, OutgoingRequest
from lath_host.engine.sockets.codes import SocketFailure
from lath_host.engine.sockets.network import SocketBudget
from lath_host.outbound.addresses import Address, resolved
from lath_host.outbound.attempt import Attempt
from lath_host.outbound.failures import dns_failure, failure_of
from lath_host.outbound.resolver import ComponentLookups, Resolver
from lath_host.outbound.uploads import Patience, Upload

CONNECT_MS: Final = 10_000
"""How long a connection may take, look-up and TLS included, where the guest says nothing."""
FIRST_BYTE_MS: Final = 60_000
"""How long a server may take to go on, where the guest says nothing; a call's own time mostly ends before."""
BETWEEN_BYTES_MS: Final = 60_000
CONNECTIONS_MAX: Final = 256
"""Of one component, in all. Each is a file descriptor of the host."""
CONNECTIONS_PER_TARGET_MAX: Final = 64
"""Of one component to one scheme, host and port."""
KEPT_SECONDS: Final = 15
"""How long a connection waits for the next request: less than servers commonly do."""
FIELD_BYTES_MAX: Final = 32 * 1024
FIELDS_MAX: Final = 256
"""Lines in the header of a response: with the above, what fits into what a host keeps for one guest."""
_AUTOMATIC: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What aiohttp would add to a request, and a guest has not asked for."""
_SWITCHING_PROTOCOLS: Final = 101

_attempt: ContextVar[Attempt] = ContextVar("lath_outbound_attempt")
"""That of the running task, through aiohttp, which hands on nothing else to who resolves and connects."""


class Transport:
    """What sends the requests of one component. Make it on the loop, and close it.

    Args:
        resolver: Looks names up.
        tls: What connections are made with over TLS.
        budget: What the host's guests may have open together.
    """

    def __init__(self, resolver: Resolver, tls: ssl.SSLContext, budget: SocketBudget) -> None:
        self._budget = budget
        self._lookups = ComponentLookups(resolver)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=tls,
                resolver=_PermittedAddresses(self._lookups),
                use_dns_cache=False,  # each connection is made to what its own look-up gave
                limit=CONNECTIONS_MAX,
                limit_per_host=CONNECTIONS_PER_TARGET_MAX,
                keepalive_timeout=KEPT_SECONDS,
                socket_factory=self._socket_to,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=_AUTOMATIC,
            max_line_size=FIELD_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=FIELDS_MAX,
            trace_configs=[_tracing()],
            request_class=_OnCleanConnection,
        )

    async def close(self) -> None:
        """Closes every connection, those in use as well."""
        self._lookups.close()
        await self._session.close()

    async def send(
        self, request: OutgoingRequest, headers: list[tuple[str, str]], path: str, attempt: Attempt
    ) -> IncomingResponse:
        """Sends a request and returns once the response has begun.

        Args:
            request: What to send, for all but the next two.
            headers: Its header.
            path: `/a?b=c`.
            attempt: Where it goes to.

        Raises:
            HttpFailure: There is no response.
        """
        clock = asyncio.timeout(None)
        patience = Patience(clock, (request.first_byte_timeout_ms or FIRST_BYTE_MS) / 1000)
        upload = Upload(request, patience) if request.body is not None else None
        token = _attempt.set(attempt)
        try:
            async with clock:
                response = await self._session.request(
                    request.method,
                    URL(f"{attempt.destination}{path}", encoded=True),
                    headers=headers,
                    data=upload,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(connect=(request.connect_timeout_ms or CONNECT_MS) / 1000),
                    trace_request_ctx=patience,
                )
                patience.end()
        except BaseException as error:
            if upload is not None:
                upload.stop()
            if not isinstance(error, Exception):
                raise
            raise _failure(error, attempt, upload) from error
        finally:
            _attempt.reset(token)
        between_s = (request.between_bytes_timeout_ms or BETWEEN_BYTES_MS) / 1000
        body = Download(response, upload, between_s)
        if response.status == _SWITCHING_PROTOCOLS:
            await body.aclose()
            raise HttpFailure("HTTP-upgrade-failed")
        return IncomingResponse(response.status, _headers(response), body)

    def _socket_to(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for a connection, where it may lead. The address here is the one that is connected to."""
        family, kind, proto, _, (host, *_) = info
        attempt = _attempt.get()
        address = resolved(host)
        if not attempt.permits(address):
            attempt.refused([address])
            raise PermissionError(errno.EACCES, f"{address} is not permitted")
        try:
            self._budget.check()
        except SocketFailure:
            raise OSError(errno.EMFILE, "the host's guests have too much open") from None
        attempt.waits_for = "connection-timeout"
        return _CountedSocket(family, kind, proto, self._budget)


class _CountedSocket(socket.socket):
    """The socket of a connection. It counts until it is closed.

    Args:
        family: As for `socket.socket`.
        kind: Likewise.
        proto: Likewise.
        budget: Among what.
    """

    def __init__(self, family: int, kind: int, proto: int, budget: SocketBudget) -> None:
        self._budget: SocketBudget | None = None
        super().__init__(family, kind, proto)
        self._budget = budget
        budget.open += 1

    def close(self) -> None:
        """Closes it, once."""
        if self._budget is not None:
            self._budget.open -= 1
            self._budget = None
        super().close()


class _OnCleanConnection(aiohttp.ClientRequest):
    """A request that takes no connection on which something has come that nobody asked for.

    It would be taken for the answer (RFC 9112, 9.2 has clients close such a connection; aiohttp does not).
    """

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        protocol = conn.protocol
        if protocol is not None and protocol.exception() is None and protocol.should_close:
            raise aiohttp.ServerDisconnectedError("a response that nobody had asked for has come")
        return await super().send(conn)


class Download:
    """The body of a response.

    Args:
        response: Whose.
        upload: The request's body, which ends with it.
        between_s: How long it may pause, seconds.
    """

    def __init__(self, response: aiohttp.ClientResponse, upload: Upload | None, between_s: float) -> None:
        self._response = response
        self._upload = upload
        self._between_s = between_s
        if upload is not None:
            response.content.on_eof(upload.stop)

    def __aiter__(self) -> Download:
        return self

    async def __anext__(self) -> bytes:
        content = self._response.content
        try:
            if not (chunk := content.read_nowait()) and not content.at_eof():
                async with asyncio.timeout(self._between_s):
                    chunk = await content.readany()
        except TimeoutError:
            await self.aclose()
            raise HttpFailure("connection-read-timeout") from None
        except Exception as error:
            await self.aclose()
            failure = self._upload.failure if self._upload is not None else None
            raise failure or failure_of(error) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Wants no more of it: the connection is closed, unless all has come."""
        self._response.close()
        if self._upload is not None:
            self._upload.stop()


class _PermittedAddresses(AbstractResolver):
    """Looks names up for aiohttp, and leaves of the answers what the attempt permits.

    Args:
        lookups: Those of the component.
    """

    def __init__(self, lookups: ComponentLookups) -> None:
        self._lookups = lookups

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        attempt = _attempt.get()
        attempt.waits_for = "DNS-timeout"
        try:
            found = await self._lookups.look_up(host)
        except OSError as error:
            raise dns_failure(error) from error
        if not found:
            raise HttpFailure("DNS-error", {"rcode": "NOERROR", "info-code": None})
        permitted = list(filter(attempt.permits, found))
        if not permitted:
            attempt.refused(found)
            raise HttpFailure("destination-IP-prohibited")
        attempt.waits_for = "connection-timeout"
        return [_result(host, port, address) for address in permitted]

    async def close(self) -> None:
        """Nothing here is open."""


def _result(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=str(address), port=port, family=family, proto=0, flags=flags)


def _tracing() -> aiohttp.TraceConfig:
    """Has the other side's turn begin once the header is sent."""

    async def sent(session: object, context: Any, params: object) -> None:
        context.trace_request_ctx.start()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(sent)
    return config


def _headers(response: aiohttp.ClientResponse) -> list[Header]:
    return [(name.decode("latin-1"), value) for name, value in response.raw_headers]


def _failure(error: Exception, attempt: Attempt, upload: Upload | None) -> HttpFailure:
    if upload is not None and upload.failure is not None:
        return upload.failure
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return HttpFailure(attempt.waits_for)
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
        writing = upload is not None and not upload.written
        return HttpFailure("connection-write-timeout" if writing else "connection-read-timeout")
    return failure_of(error)
