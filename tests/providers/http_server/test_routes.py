"""Routes: which of several links takes a request."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lath.errors import Conflict
from lath_providers.http_server.config import HttpServerConfig
from lath_providers.http_server.routes import NoRoute, Routes, request_host, route_path


@dataclass(eq=False)
class Leads:
    key: str
    hosts: tuple[str, ...]
    path: str
    methods: tuple[str, ...]
    leaving: bool = False


def leads(key: str, **config: str) -> Leads:
    checked = HttpServerConfig.model_validate(config)
    return Leads(key, checked.hosts, checked.path, checked.methods)


def routes(**links: dict[str, str]) -> Routes[Leads]:
    made: Routes[Leads] = Routes()
    for key, config in links.items():
        made.add(leads(key, **config))
    return made


def test_the_most_specific_host_goes_before_the_longest_path_before_the_method() -> None:
    found = routes(
        any={},
        suffix={"hosts": "*.example.org"},
        longer={"hosts": "*.eu.example.org"},
        name={"hosts": "a.eu.example.org, b.example.org"},
        path={"path": "/api"},
        deep={"path": "/api/v1"},
        method={"path": "/api/v1", "methods": "post"},
    )
    for host, path, method, expected in [
        ("x.org", "/", "GET", "any"),
        ("example.org", "/", "GET", "any"),
        ("b.example.org", "/", "GET", "name"),
        ("c.example.org", "/", "GET", "suffix"),
        ("c.d.example.org", "/", "GET", "suffix"),
        ("c.eu.example.org", "/", "GET", "longer"),
        ("a.eu.example.org", "/api/v1", "POST", "name"),
        ("x.org", "/api", "GET", "path"),
        ("x.org", "/api/", "GET", "path"),
        ("x.org", "/api/v", "GET", "path"),
        ("x.org", "/apis", "GET", "any"),
        ("x.org", "/api/v1/x/y/z", "GET", "deep"),
        ("x.org", "/api/v1", "POST", "method"),
    ]:
        assert found.find(host, path, method).key == expected, (host, path, method)


def test_a_request_that_the_best_route_does_not_take_goes_to_the_next() -> None:
    found = routes(reads={"path": "/a", "methods": "GET"}, rest={"path": "/"})
    assert found.find("h", "/a", "POST").key == "rest"
    assert found.find("h", "/a", "HEAD").key == "reads"


def test_what_no_route_takes_says_which_methods_would_be_taken() -> None:
    found = routes(reads={"path": "/a", "methods": "GET"}, writes={"path": "/", "methods": "PUT, DELETE"})
    with pytest.raises(NoRoute) as caught:
        found.find("h", "/a", "POST")
    assert caught.value.allowed == ("DELETE", "GET", "HEAD", "PUT")
    with pytest.raises(NoRoute) as caught:
        routes(named={"hosts": "x.org"}).find("y.org", "/", "GET")
    assert caught.value.allowed == ()


def test_equal_routes_are_refused_naming_the_other_and_change_nothing() -> None:
    found = routes(one={"path": "/a", "methods": "GET"})
    with pytest.raises(Conflict, match="one"):
        found.add(leads("two", hosts="x.org, *", path="/a/", methods="POST,HEAD"))
    with pytest.raises(NoRoute):
        found.find("x.org", "/a", "POST")
    found.add(leads("three", path="/a"))
    assert found.find("h", "/a", "POST").key == "three"


def test_a_route_that_is_removed_is_gone_and_may_be_taken_by_another() -> None:
    found = routes(other={"path": "/b"})
    one, two = leads("one", path="/a"), leads("two", path="/a")
    found.add(one)
    one.leaving = True
    found.add(two)
    found.remove(one)
    found.remove(one)
    assert found.find("h", "/a", "GET") is two
    found.remove(two)
    with pytest.raises(NoRoute):
        found.find("h", "/a", "GET")
    assert [each.key for each in found] == ["other"]


@pytest.mark.parametrize(
    ("sent", "looked_up"),
    [
        ("/a/b", "/a/b"),
        ("/%61/b", "/a/b"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a/../b", "/b"),
        ("/a/%2e%2e/b/./c/", "/b/c/"),
        ("/../../b", "/b"),
        ("/a/..", "/"),
        ("/a..b", "/a..b"),
        ("*", "*"),
    ],
)
def test_paths_are_looked_up_decoded_and_resolved(sent: str, looked_up: str) -> None:
    assert route_path(sent) == looked_up


@given(st.text("/.%2eEfFaA*", max_size=40))
def test_no_path_gets_out_of_its_route_by_dots(path: str) -> None:
    resolved = route_path("/" + path)
    assert not any(segment in (".", "..") for segment in resolved.split("/"))


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("Example.ORG", "example.org"),
        ("example.org:8080", "example.org"),
        ("example.org.", "example.org"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("a b", None),
        ("a/b", None),
        ("user@a", None),
        ("::1", None),
        ("", None),
        ("a..b", None),
    ],
)
def test_the_host_of_an_authority(authority: str, host: str | None) -> None:
    assert request_host(authority) == host


def test_a_path_of_many_slashes_is_looked_at_as_deep_as_routes_go() -> None:
    found = routes(root={}, deep={"path": "/a/b"})
    assert found.find("h", "/" * 100_000, "GET").key == "root"
    assert len(list(found._prefixes("/" * 100_000))) == 3
