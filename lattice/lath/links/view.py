"""A mirror of links, read: what hosts route by and providers serve."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from lath.errors import InvalidArgument
from lath.links.record import read_link
from lath.mirror import Change, Mirror
from lath.model import Link
from lath.telemetry import get_logger

_log = get_logger("lath.links")

_Route: TypeAlias = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A link that changed. `new` is None when it was deleted, or became unreadable."""

    key: str
    old: Link | None
    new: Link | None


LinkCallback = Callable[[Sequence[LinkChange]], None]


class LinkView:
    """The links of a mirror of the bucket of links. The mirror is started and closed by its owner.

    Args:
        mirror: Of the bucket `links`, with whatever filters.

    Attributes:
        links: By key. A view: it changes with the mirror.
        unreadable: By key, what is wrong with a value that is no link.
    """

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self._links: dict[str, Link] = {}
        self._unreadable: dict[str, str] = {}
        self._by_source: dict[str, dict[str, Link]] = {}
        self._routes: dict[_Route, dict[str, Link]] = {}
        self._callbacks: list[LinkCallback] = []
        self.links: Mapping[str, Link] = MappingProxyType(self._links)
        self.unreadable: Mapping[str, str] = MappingProxyType(self._unreadable)
        self._undo = mirror.on_change(self._changed)
        self._changed([Change(key, None, entry) for key, entry in mirror.entries.items()])

    @property
    def synced(self) -> bool:
        return self.mirror.synced

    def on_change(self, callback: LinkCallback) -> Callable[[], None]:
        """Has `callback` called with the links that changed, on the loop; returns what undoes this."""
        self._callbacks.append(callback)

        def remove() -> None:
            with contextlib.suppress(ValueError):
                self._callbacks.remove(callback)

        return remove

    def find(self, source: str, namespace: str, package: str, name: str, interface: str) -> Link | None:
        """The link that a call of `source` goes by; None when there is none."""
        links = self._routes.get((source, namespace, package, name, interface))
        if not links:
            return None
        if len(links) == 1:
            return next(iter(links.values()))
        # Two targets for a moment: one was deleted, and the news of it is on its way. The newer one counts.
        return max(links.values(), key=lambda link: link.revision)

    def for_source(self, source: str) -> Sequence[Link]:
        """The links of one source, by key."""
        links = self._by_source.get(source, {})
        return [links[key] for key in sorted(links)]

    def close(self) -> None:
        """Stops following the mirror."""
        self._undo()

    def _changed(self, changes: Sequence[Change]) -> None:
        told = []
        for change in changes:
            old, new = self._links.get(change.key), self._read(change)
            if old is not None:
                self._drop(old)
            if new is not None:
                self._add(new)
            if old is not None or new is not None:
                told.append(LinkChange(change.key, old, new))
        if not told:
            return
        for callback in list(self._callbacks):
            try:
                callback(told)
            except Exception:
                _log.exception("a callback for links failed")

    def _read(self, change: Change) -> Link | None:
        self._unreadable.pop(change.key, None)
        if change.new is None:
            return None
        try:
            return read_link(change.new)
        except InvalidArgument as e:
            self._unreadable[change.key] = e.message
            _log.warning("a stored value is no link", key=change.key, reason=e.message)
            return None

    def _add(self, link: Link) -> None:
        self._links[link.key] = link
        self._by_source.setdefault(link.source_id, {})[link.key] = link
        for route in _routes_of(link):
            self._routes.setdefault(route, {})[link.key] = link

    def _drop(self, link: Link) -> None:
        del self._links[link.key]
        _remove(self._by_source, link.source_id, link.key)
        for route in _routes_of(link):
            _remove(self._routes, route, link.key)


def _routes_of(link: Link) -> Sequence[_Route]:
    source, namespace, package, name = link.source_id, link.wit_namespace, link.wit_package, link.name
    return [(source, namespace, package, name, interface) for interface in link.interfaces]


def _remove(index: dict[str, dict[str, Link]] | dict[_Route, dict[str, Link]], at: object, key: str) -> None:
    links = index[at]  # type: ignore[index]  # either kind of index, with its own kind of place
    links.pop(key, None)
    if not links:
        del index[at]  # type: ignore[arg-type]
