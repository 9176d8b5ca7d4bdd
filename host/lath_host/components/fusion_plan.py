"""Which components become one: worked out from links, types and limits, with a reason for each that does not.

A pure function of what it is given, so that a plan can be made again after every change and compared: two
plans are equal when the same instances of the same limits are joined at the same places.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Final

from lath.errors import InvalidArgument, NotFound
from lath.model import FuseMode
from lath.names import DEFAULT_LINK, InterfaceName
from lath.wit.types import World
from lath_host.components import link_choice
from lath_host.components.deployment import Settings
from lath_host.components.fusion_types import missing_function, passes_on
from lath_host.components.offered import Offered
from lath_host.engine.cgi.handler import run_interface
from lath_host.engine.compose.fuse import Join
from lath_host.engine.engine import CompiledComponent
from lath_host.engine.limits import Limits
from lath_host.engine.wasi import native_interface

_NOT_COMPARED: Final = frozenset({"max_instances", "timeout_ms", "reuse", "warm_instances", "idle_seconds"})
"""Limits of a callee that change no result, or that are looked at on their own."""
_DEFAULTS: Final = Limits()
_LOOKS_AT: Final = {
    "env": "wasi:cli/environment@",
    "allowed_hosts": "wasi:http/outgoing-handler@",
    "allowed_sockets": "wasi:sockets/",
}
"""Which imports make a setting matter. The parts of a fused component have those of its root."""


@dataclass(frozen=True, slots=True)
class Member:
    """A component that runs on this host, as far as plans go.

    Attributes:
        id: Its id.
        instance_id: Of this run of it: another after an update.
        limits: What its instances may use.
        timeout_ms: Its own limit of one call; None: it has none but its callers'.
        fuse: What its owner allows.
        settings: What it is given beside its code.
        compiled: Its code.
        offered: Its exports.
    """

    id: str
    instance_id: str
    limits: Limits
    timeout_ms: int | None
    fuse: FuseMode
    settings: Settings
    compiled: CompiledComponent = field(compare=False)
    offered: Offered = field(compare=False)

    @property
    def world(self) -> World:
        """Its types."""
        return self.compiled.world


@dataclass(frozen=True, slots=True)
class Plan:
    """What one component is to be fused with.

    Attributes:
        parts: The component itself, then those that its calls, and theirs, lead to.
        joins: Where they are joined.
        unfused: Why not, by target, where a link leads to a component beside it and is not joined.
        looked_at: Ids whose links or presence here the plan follows from: a change of others changes nothing.
    """

    parts: tuple[Member, ...]
    joins: tuple[Join, ...]
    unfused: Mapping[str, str] = field(compare=False)
    looked_at: frozenset[str] = field(compare=False)


TargetOf = Callable[[str, InterfaceName, str], str | None]
"""Where a link leads: (source, interface, link name) -> target id; None where there is no active link."""


def plan(root: Member, beside: Mapping[str, Member], target_of: TargetOf) -> Plan:
    """Works out what the calls of one component can be joined with.

    Args:
        root: Whose calls.
        beside: What takes calls on this host, by id.
        target_of: The links.
    """
    return _Planning(root, beside, target_of).plan()


class _Planning:
    """One run of `plan`: breadth first from the root, so that a chain is joined from its near end."""

    def __init__(self, root: Member, beside: Mapping[str, Member], target_of: TargetOf) -> None:
        self._root = root
        self._beside = beside
        self._target_of = target_of
        self._parts = {root.id: root}
        self._joins: list[Join] = []
        self._unfused: dict[str, str] = {}
        self._looked_at = {root.id}

    def plan(self) -> Plan:
        left = deque([self._root])
        while left:
            caller = left.popleft()
            for name, interface, link_name in linkable_imports(caller):
                callee = self._callee(caller, interface, link_name)
                if callee is None:
                    continue
                join, reason = self._join(caller, name, interface, callee)
                if join is None:
                    self._unfused.setdefault(callee.id, reason)
                    continue
                self._joins.append(join)
                if callee.id not in self._parts:
                    self._parts[callee.id] = callee
                    left.append(callee)
        return Plan(
            tuple(self._parts.values()),
            tuple(self._joins),
            MappingProxyType(self._unfused),
            frozenset(self._looked_at),
        )

    def _callee(self, caller: Member, interface: InterfaceName, link_name: str) -> Member | None:
        target = self._target_of(caller.id, interface, link_name)
        if target is None:
            return None
        self._looked_at.add(target)
        return self._beside.get(target)

    def _join(
        self, caller: Member, import_name: str, interface: InterfaceName, callee: Member
    ) -> tuple[Join | None, str]:
        reason = self._refusal(caller, callee)
        if reason:
            return None, reason
        try:
            export_name = callee.offered.version_of(interface)
        except NotFound as error:
            return None, error.message
        imported, exported = caller.world.imports[import_name], callee.world.exports[export_name]
        function = missing_function(imported, exported)
        if function is not None:
            return None, (
                f"{callee.id} does not export {function} of {export_name} of the type that "
                f"{caller.id} imports"
            )
        if passes_on(self._root.world, self._imports_from(callee)):
            return None, (
                f"{self._root.id} passes handles of resources of {callee.id} on to its callers, or from them"
            )
        return Join(caller.id, import_name, callee.id, export_name), ""

    def _imports_from(self, callee: Member) -> list[str]:
        """The root's imports that a component answers."""
        return [
            name
            for name, interface, link_name in linkable_imports(self._root)
            if self._target_of(self._root.id, interface, link_name) == callee.id
        ]

    def _refusal(self, caller: Member, callee: Member) -> str | None:
        for member in (caller, callee):
            if member.fuse == "never":
                return f"{member.id} was started with fuse: never"
            if any(link_choice.is_link_choice(interface) for _, interface, _ in linkable_imports(member)):
                return f"{member.id} chooses its links by name while it runs"
        if callee.id == self._root.id or self._leads(callee.id, caller.id):
            return f"{callee.id} calls {caller.id} in turn: one of the two ways stays unfused"
        if run_interface(callee.world.exports) is not None and callee.settings.run_as != "cgi":
            return f"{callee.id} is a service, which runs by itself"
        return (
            self._refusal_by_settings(callee)
            or self._refusal_by_reuse(callee)
            or self._refusal_by_limits(callee)
        )

    def _leads(self, start: str, goal: str) -> bool:
        """Whether calls of one part reach another over joins that there are."""
        reached = {start}
        for _ in self._joins:
            reached |= {join.callee for join in self._joins if join.caller in reached}
        return goal in reached

    def _refusal_by_settings(self, callee: Member) -> str | None:
        for setting, imported in _LOOKS_AT.items():
            looks = any(name.startswith(imported) for name in callee.world.imports)
            if looks and getattr(callee.settings, setting) != getattr(self._root.settings, setting):
                return f"{callee.id} has another {setting} than {self._root.id}"
        return None

    def _refusal_by_reuse(self, callee: Member) -> str | None:
        if callee.fuse == "always":
            return None
        for member in (callee, self._root):
            if not member.limits.reuse:
                return (
                    f"{member.id} gets a fresh instance for every call: start it with reuse, "
                    f"or {callee.id} with fuse: always"
                )
        return None

    def _refusal_by_limits(self, callee: Member) -> str | None:
        theirs, ours = callee.limits, self._root.limits
        if callee.timeout_ms is not None:
            return f"{callee.id} has a limit of its own, timeout_ms {callee.timeout_ms}"
        for limit in fields(Limits):
            value = getattr(theirs, limit.name)
            if limit.name not in _NOT_COMPARED and value != getattr(_DEFAULTS, limit.name):
                return f"{callee.id} has a limit of its own, {limit.name} {value}"
        if theirs.max_instances < ours.max_instances:
            return (
                f"{callee.id} allows {theirs.max_instances} calls at once (max_instances), "
                f"{self._root.id} {ours.max_instances}"
            )
        if callee.fuse == "always":
            return None
        if ours.fuel_max is not None:
            return f"{self._root.id} has a limit of its own, fuel_max {ours.fuel_max}, that would bound both"
        if ours.memory_bytes_max < theirs.memory_bytes_max:
            return (
                f"{self._root.id} has a limit of its own, memory_bytes_max {ours.memory_bytes_max}, "
                "that would bound both"
            )
        return None


def linkable_imports(member: Member) -> list[tuple[str, InterfaceName, str]]:
    """What of a component's imports a link can answer: the import's name, its interface, its link's name."""
    found = []
    for name, interface in member.world.imports.items():
        if ":" in interface.name and native_interface(interface.name) is None:
            try:
                parsed = InterfaceName.parse(interface.name)
            except InvalidArgument:  # a call of it says so
                continue
            found.append((name, parsed, interface.label or DEFAULT_LINK))
    return found
