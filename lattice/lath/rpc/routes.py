"""Subjects of calls, made once: string work per call is what makes calls slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lath.errors import InvalidArgument
from lath.names import NO_LINK, shown
from lath.subjects import CANCEL_FUNCTION, CallSubject, call_any, call_instance, parse_call

ROUTES_MAX: Final = 16_384
INSTANCES_MAX: Final = 4_096
"""Remembered at once. Beyond, everything is forgotten and made again: names may come from outside."""


class Route:
    """One function of one target, as one source reaches it over one link.

    Attributes:
        name: The span's name, `{namespace}:{package}/{interface}.{function}`.
        interface: `namespace:package/interface`; empty for a function of the world.
        attributes: What spans of these calls carry.
    """

    __slots__ = (
        "_instances", "_lattice", "attributes", "function", "interface", "link", "name", "source", "tail",
        "target",
    )  # fmt: skip

    def __init__(self, lattice: str, target: str, tail: str) -> None:
        self.target = target
        self.tail = tail
        self._lattice = lattice
        subject = call_any(lattice, target, tail)
        if any(c in tail for c in "*> \t\r\n"):
            raise InvalidArgument(f"{shown(tail)} is not the tail of a call's subject")
        parts = parse_call(subject)
        self.function = parts.function
        self.source = parts.source
        self.link = parts.link
        self.interface = (
            "" if parts.interface == NO_LINK else f"{parts.namespace}:{parts.package}/{parts.interface}"
        )
        self.name = f"{self.interface}.{self.function}" if self.interface else self.function
        self.attributes: Mapping[str, str] = {
            "rpc.system": "lath",
            "rpc.service": self.interface,
            "rpc.method": self.function,
            "lath.lattice": lattice,
            "lath.source": parts.source,
            "lath.target": target,
            "lath.link": parts.link,
        }
        self._instances: dict[str, str] = {"": subject}

    def subject(self, instance: str) -> str:
        """Where a call to `instance` goes; to the queue group when it is empty."""
        subject = self._instances.get(instance)
        if subject is None:
            if len(self._instances) > INSTANCES_MAX:
                self._instances = {"": self._instances[""]}
            subject = call_instance(self._lattice, self.target, instance, self.tail)
            self._instances[instance] = subject
        return subject

    def cancel_subject(self, instance: str) -> str:
        """Where a cancel of such a call goes."""
        return f"{self.subject(instance).rpartition('.')[0]}.{CANCEL_FUNCTION}"


class RouteCache:
    """The routes of one lattice."""

    def __init__(self, lattice: str) -> None:
        self._lattice = lattice
        self._routes: dict[tuple[str, str], Route] = {}

    def get(self, target: str, tail: str) -> Route:
        """The route to a function.

        Raises:
            InvalidArgument: `target` or `tail` cannot be part of a call's subject.
        """
        route = self._routes.get((target, tail))
        if route is None:
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            route = self._routes[target, tail] = Route(self._lattice, target, tail)
        return route


class SubjectCache:
    """Subjects of incoming calls, taken apart once each."""

    def __init__(self) -> None:
        self._subjects: dict[str, CallSubject] = {}

    def parse(self, subject: str) -> CallSubject:
        """Like `lath.subjects.parse_call`.

        Raises:
            InvalidArgument: It is not a call's subject.
        """
        parsed = self._subjects.get(subject)
        if parsed is None:
            if len(self._subjects) >= ROUTES_MAX:
                self._subjects.clear()
            parsed = self._subjects[subject] = parse_call(subject)
        return parsed
