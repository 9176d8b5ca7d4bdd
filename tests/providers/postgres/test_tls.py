"""TLS to PostgreSQL: where it is asked for, and with whom."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from http_tls import CERT, KEY
from postgres_databases import config_of
from postgres_server import Cluster, PostgresServer

from lath.testing.postgres_contract import QUERY
from lath.testing.provider import ProviderTest
from lath_providers.postgres.config import PostgresConfig, TlsMode

SETTINGS: Final = (
    "-c ssl=on -c ssl_cert_file=cert.pem -c ssl_key_file=key.pem -c listen_addresses=127.0.0.1,127.0.0.2"
)
ELSEWHERE: Final = "127.0.0.2"
"""An address of it that its certificate does not name."""
ENCRYPTED: Final = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that speaks TLS, as 127.0.0.1 and under another name too."""
    cluster = Cluster()
    try:
        cluster.make()
        cluster.put("cert.pem", CERT)
        cluster.put("key.pem", KEY)
        cluster.start(SETTINGS)
        yield cluster.server
        cluster.stop()
    finally:
        cluster.remove()


async def encrypted(provider: ProviderTest, config: dict[str, str], name: str = "default") -> bool:
    """Whether a link's connections are."""
    linked = await provider.link(name=name, namespace="wasmcloud", package="postgres", config=config)
    ((entry,),) = await linked.call(QUERY, "query", ENCRYPTED, [])
    found: bool = entry.value.payload
    return found


async def reason(provider: ProviderTest, config: dict[str, str], name: str = "default") -> str:
    """Why a link with a config fails."""
    link = await provider.put(name=name, namespace="wasmcloud", package="postgres", config=config)
    held = await provider.settled(link)
    assert held.state == "failed"
    return held.error or ""


async def test_connections_are_encrypted_as_the_link_says(
    provider: ProviderTest, server: PostgresServer, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(CERT)
    configs: list[tuple[dict[str, str], bool]] = [
        ({}, True),
        ({"tls": "prefer"}, True),
        ({"tls": "disable"}, False),
        ({"tls": "require", "host": ELSEWHERE}, True),
        ({"tls": "verify-ca", "tls_ca": CERT, "host": ELSEWHERE}, True),
        ({"tls": "verify-full", "tls_ca": CERT}, True),
        ({"tls": "verify-full", "tls_ca_path": str(path)}, True),
    ]
    for number, (config, expected) in enumerate(configs):
        whole = {**config_of(server, "postgres"), **config}
        assert await encrypted(provider, whole, f"link-{number}") is expected, config


@pytest.mark.parametrize("tls", ["verify-ca", "verify-full"])
def test_certificates_that_are_given_are_trusted_in_place_of_the_systems(tls: TlsMode) -> None:
    context = PostgresConfig(host="127.0.0.1", user="lath", tls=tls, tls_ca=CERT).tls_context()
    assert context is not None
    assert context.cert_store_stats()["x509"] == CERT.count("BEGIN CERTIFICATE") == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, tls == "verify-full")


async def test_a_server_that_is_not_who_it_should_be_fails_the_link(
    provider: ProviderTest, server: PostgresServer
) -> None:
    configs = [
        ({"tls": "verify-ca"}, r"self.signed"),
        ({"tls": "verify-full"}, r"self.signed"),
        ({"tls": "verify-full", "tls_ca": CERT, "host": ELSEWHERE}, "IP address mismatch"),
        ({"tls": "verify-full", "tls_ca": "nonsense"}, "tls_ca: no certificates"),
        ({"tls": "verify-full", "tls_ca_path": "/nowhere/ca.pem"}, "tls_ca_path: no certificates"),
        ({"tls": "verify-full", "tls_ca": CERT, "tls_ca_path": "/ca.pem"}, "use one of them"),
        ({"tls": "always"}, "tls"),
    ]
    for number, (config, says) in enumerate(configs):
        whole = {**config_of(server, "postgres"), **config}
        assert re.search(says, await reason(provider, whole, f"link-{number}")), config


async def test_a_server_without_tls_is_refused_where_it_is_required_and_taken_where_it_is_preferred(
    provider: ProviderTest, postgres: PostgresServer
) -> None:
    config = config_of(postgres, "postgres")
    assert "rejected SSL upgrade" in await reason(provider, {**config, "tls": "require"}, "strict")
    assert not await encrypted(provider, {**config, "tls": "prefer"})
