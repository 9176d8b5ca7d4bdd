"""Routes: which link takes a request, by its host, path and method.

Of all routes that take a request the one with the most specific host goes first (a name, then the longest
suffix, then any), of those the one with the longest path, of those the one that names the method.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from lath.errors import Conflict
from lath_providers.http_server.config import ANY, is_host

_DOTS: Final = re.compile(r"/\.{1,2}(?:/|\Z)")
_PORT: Final = re.compile(r":\d{0,5}\Z")
_ROOT: Final = ("/",)
_HOSTS_KEPT: Final = 1024
"""Hosts are the clients' to make up."""

AUTHORITY_CHARS_MAX: Final = 260
"""A DNS name has 253 characters at most, and a port five."""


class Routed(Protocol):
    """What a route leads to."""

    @property
    def key(self) -> str:
        """Names it in messages."""

    @property
    def hosts(self) -> tuple[str, ...]: ...

    @property
    def path(self) -> str:
        """Ends with a slash."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Empty: any."""

    @property
    def leaving(self) -> bool:
        """Whether it takes requests only to say that it goes, and lets others have its routes."""


R = TypeVar("R", bound=Routed)


class NoRoute(Exception):
    """No route takes the request.

    Args:
        allowed: The methods of those that would take it but for its method, sorted; none: there are none.
    """

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(allowed)
        self.allowed = allowed


class Routes(Generic[R]):
    """The routes of one listener."""

    def __init__(self) -> None:
        self._by_host: dict[str, dict[str, dict[str, R]]] = {}
        self._matching: dict[str, tuple[dict[str, dict[str, R]], ...]] = {}
        """The routes of the hosts that match one, most specific first; of those asked for lately."""
        self._routed: list[R] = []
        self._depth_max = 0

    def __len__(self) -> int:
        return len(self._routed)

    def __iter__(self) -> Iterator[R]:
        """What the routes lead to, in the order in which it was added."""
        return iter(self._routed)

    def add(self, routed: R) -> None:
        """Adds all of its routes, or none.

        Raises:
            Conflict: Another has one of them; the message names both.
        """
        for host, path, method in _routes_of(routed):
            other = self._by_host.get(host, {}).get(path, {}).get(method)
            if other is not None and not other.leaving:
                raise Conflict(
                    f"host {host}, path {path}, method {method} is taken by link {other.key}:"
                    " change hosts, path or methods of one of them"
                )
        for host, path, method in _routes_of(routed):
            self._by_host.setdefault(host, {}).setdefault(path, {})[method] = routed
        self._routed.append(routed)
        self._changed()

    def remove(self, routed: R) -> None:
        """Removes all of its routes; nothing where it is not there."""
        if routed not in self._routed:
            return
        self._routed.remove(routed)
        for host, path, method in _routes_of(routed):
            paths = self._by_host[host]
            if paths[path][method] is not routed:
                continue  # another has it by now
            del paths[path][method]
            if not paths[path]:
                del paths[path]
            if not paths:
                del self._by_host[host]
        self._changed()

    def find(self, host: str, path: str, method: str) -> R:
        """What takes a request.

        Args:
            host: As `request_host` gives it.
            path: As `route_path` gives it.
            method: As sent.

        Raises:
            NoRoute: Nothing does.
        """
        allowed: set[str] = set()
        for paths in self._matching.get(host) or self._match(host):
            for prefix in self._prefixes(path):
                methods = paths.get(prefix)
                if methods is None:
                    continue
                found = methods.get(method) or methods.get(ANY)
                if found is not None:
                    return found
                allowed.update(methods)
        raise NoRoute(tuple(sorted(allowed)))

    def _match(self, host: str) -> tuple[dict[str, dict[str, R]], ...]:
        names = [host]
        _, dot, rest = host.partition(".")
        while dot:
            names.append(f"*.{rest}")
            _, dot, rest = rest.partition(".")
        names.append(ANY)
        found = tuple(self._by_host[name] for name in names if name in self._by_host)
        if len(self._matching) >= _HOSTS_KEPT:
            self._matching.clear()
        self._matching[host] = found
        return found

    def _prefixes(self, path: str) -> Sequence[str]:
        """The whole segments that the path begins with, longest first, as deep as routes go."""
        if not self._depth_max:
            return _ROOT
        segments = path.split("/", self._depth_max + 1)[1 : self._depth_max + 1]
        counts = range(len(segments), -1, -1)
        return ["/" + "".join(f"{segment}/" for segment in segments[:count]) for count in counts]

    def _changed(self) -> None:
        """A path of ten thousand slashes is looked at no deeper than any route goes."""
        self._matching.clear()
        self._depth_max = max((routed.path.count("/") - 1 for routed in self._routed), default=0)


def request_host(authority: str) -> str | None:
    """The host of an authority (`host` or `:authority`): lower case, no port, no dot at its end.

    Returns:
        None where it is none, or an empty one.
    """
    return _host(authority) if len(authority) <= AUTHORITY_CHARS_MAX else None


@functools.lru_cache(maxsize=_HOSTS_KEPT)
def _host(authority: str) -> str | None:
    """Asked of each request, mostly for the same few."""
    name = _PORT.sub("", authority.lower()).removesuffix(".")
    return name if is_host(name) else None


def route_path(path: str) -> str:
    """A request's path as routes are looked up by: decoded but for slashes, `.` and `..` resolved.

    What guests get is the path as it was sent.
    """
    if "%" in path:
        kept = path.replace("%2F", "%252F").replace("%2f", "%252f")
        path = unquote_to_bytes(kept).decode("latin-1")
    if "/." not in path or _DOTS.search(path) is None:
        return path
    resolved: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del resolved[-1:]
        elif segment != ".":
            resolved.append(segment)
    return "/" + "/".join(resolved)


def _routes_of(routed: Routed) -> Iterator[tuple[str, str, str]]:
    methods = dict.fromkeys(routed.methods)
    if "GET" in methods:
        methods["HEAD"] = None
    for host in dict.fromkeys(routed.hosts):
        for method in methods or (ANY,):
            yield host, routed.path, method
