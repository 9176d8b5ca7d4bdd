"""TLS is verified, always: by the system's authorities and those that a host was given."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from outbound_servers import Asking, Server, asking, ok, serving

from lath.errors import InvalidArgument
from lath_host.outbound.ways import WaysOut

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return path


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@asynccontextmanager
async def over_tls(
    context: ssl.SSLContext, ca_files: tuple[Path, ...] = (), host: str = "localhost"
) -> AsyncIterator[tuple[Asking, str, Server]]:
    async with serving(ok(b"sealed"), context) as server:
        ways = WaysOut(ca_files)
        await ways.start()
        origin = f"https://{host}:{server.port}"
        async with asking(origin, ways=ways) as component:
            yield component, origin, server


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_server_of_a_trusted_authority_is_talked_to(
    authority: trustme.CA, ca_file: Path, host: str
) -> None:
    context, asked = server_tls(authority, host), []
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with over_tls(context, (ca_file,), host) as (component, origin, server):
        assert await component.text(origin) == "sealed"
        assert server.requests[0].startswith("GET / HTTP/1.1\r\nHost: " + origin.removeprefix("https://"))
    assert asked == ["localhost" if host == "localhost" else None]


async def test_an_authority_that_was_not_given_is_not_trusted(authority: trustme.CA) -> None:
    async with over_tls(server_tls(authority, "localhost")) as (component, origin, server):
        assert await component.failure(origin) == "TLS-certificate-error"
        assert server.requests == []


async def test_a_certificate_for_another_name_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    async with over_tls(server_tls(authority, "example.com"), (ca_file,)) as (component, origin, server):
        assert await component.failure(origin) == "TLS-certificate-error"
        assert server.requests == []


@contextmanager
def shaking_hands(context: ssl.SSLContext) -> Iterator[str]:
    """A server that does nothing else, by sockets: those of asyncio keep to themselves why they refuse."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as thread:

        def serve() -> None:
            connection, _ = listening.accept()
            with suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

        thread.submit(serve)
        yield f"https://localhost:{listening.getsockname()[1]}"


async def test_an_old_protocol_is_refused(authority: trustme.CA) -> None:
    context = server_tls(authority, "localhost")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with shaking_hands(context) as origin:
        async with asking(origin) as component:
            assert await component.failure(origin) in ("TLS-alert-received", "TLS-protocol-error")


async def test_what_a_server_says_against_a_connection_is_told(authority: trustme.CA) -> None:
    context = server_tls(authority, "localhost")
    context.sni_callback = lambda *_: ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    with shaking_hands(context) as origin:
        async with asking(origin) as component:
            assert await component.error_code(origin) == {
                "TLS-alert-received": {"alert-id": 112, "alert-message": "unrecognized name"}
            }


async def test_plain_http_where_tls_is_awaited_is_told() -> None:
    async with serving(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        origin = server.origin.replace("http:", "https:")
        async with asking(origin) as component:
            assert await component.failure(origin, connect_timeout_ms=500) in (
                "TLS-protocol-error", "connection-timeout",
            )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read: No such file"), (b"nothing", "no certificate in PEM form")],
)
async def test_a_file_of_authorities_that_is_none_is_refused_by_name(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "extra.pem"
    if content is not None:
        path.write_bytes(content)
    ways = WaysOut([path])
    with pytest.raises(InvalidArgument, match=reason) as refused:
        await ways.start()
    assert str(path) in refused.value.message
