"""The config of a link of the HTTP server."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lath.model import describe
from lath_providers.http_server import HttpServerConfig
from lath_providers.http_server.config import Address, ListenerSettings


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        ("LocalHost:0", Address("localhost", 0)),
        ("[::1]:8080", Address("::1", 8080)),
        ("*:443", Address("", 443)),
        (":443", Address("", 443)),
    ],
)
def test_addresses_are_read_and_shown(text: str, address: Address) -> None:
    read = HttpServerConfig.model_validate({"address": text}).address
    assert read == address
    assert HttpServerConfig.model_validate({"address": str(read)}).address == address


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"address": "localhost"}, "address"),
        ({"address": "localhost:http"}, "address"),
        ({"address": "localhost:65536"}, "address"),
        ({"address": "::1:80"}, "address"),
        ({"hosts": "example.org:80"}, "hosts"),
        ({"hosts": "a, *.*.b"}, "hosts"),
        ({"hosts": ","}, "hosts"),
        ({"hosts": "*."}, "hosts"),
        ({"path": "api"}, "path"),
        ({"path": "/a/../b"}, "path"),
        ({"path": "/a?b"}, "path"),
        ({"path": "/a%20b"}, "path"),
        ({"methods": "GET POST"}, "methods"),
        ({"methods": "CONNECT"}, "methods"),
        ({"tls_cert": "/cert.pem"}, "tls_key"),
        ({"tls_key": "/key.pem"}, "tls_cert"),
        ({"timeout_ms": "0"}, "timeout_ms"),
        ({"timeout_ms": "soon"}, "timeout_ms"),
        ({"body_bytes_max": "-1"}, "body_bytes_max"),
        ({"header_bytes_max": "10"}, "header_bytes_max"),
        ({"access_log": "perhaps"}, "access_log"),
        ({"adress": "localhost:80"}, "adress"),
    ],
)
def test_a_wrong_value_is_refused_naming_the_field(config: dict[str, str], named: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpServerConfig.model_validate(config)
    assert named in describe(caught.value)


def test_hosts_and_methods_are_lists_parted_by_commas() -> None:
    config = HttpServerConfig.model_validate(
        {"hosts": "A.org., *.b.org,*", "methods": "get, Post", "path": "/a"}
    )
    assert (config.hosts, config.methods, config.path) == (("a.org", "*.b.org", "*"), ("GET", "POST"), "/a/")


def test_links_differ_in_what_is_the_listeners_by_name() -> None:
    one = HttpServerConfig.model_validate({"idle_timeout_ms": "1", "path": "/one"})
    two = HttpServerConfig.model_validate({"connections_max": "7", "path": "/two"})
    assert one.listener.differences(two) == ["idle_timeout_ms", "connections_max"]
    assert one.listener.differences(one) == []
    assert set(ListenerSettings.model_fields) < set(HttpServerConfig.model_fields)
