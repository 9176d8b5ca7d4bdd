"""What a component exports, found by what a call asks for: interface, version, function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lath.codec import result_packer, size_check
from lath.errors import Internal, InvalidArgument, LimitExceeded, NotFound, PayloadTooLarge
from lath.names import NO_LINK, InterfaceName, versions_compatible
from lath.wit.types import Func, World
from lath_host.engine.http.exchange import incoming_handler
from lath_host.engine.values import ExportedHandle, handles_in

WORLD_LEVEL: Final = ""
"""The name of the export that holds the functions of the world itself."""
_ANSWERS_KEPT_MAX: Final = 4096
"""Each compatible version that somebody asks for counts apart, and versions are the callers' choice."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One exported function.

    Attributes:
        interface: The name of the export in the component, with its version.
        function: The function's WIT name.
        func: Its signature.
        pack: Packs the wire value of its result.
        check: Refuses a result that is too large to be sent, without packing it; None where none can be.
        owned: Whether its types mention resources that live in the component's own instances.
        http: Whether it answers HTTP requests, so that calls of it bring these.
    """

    interface: str
    function: str
    func: Func
    pack: Callable[[Any], bytes]
    check: Callable[[Any], None] | None
    owned: bool
    http: bool


class Offered:
    """The exports of one component. Answers are kept: a call looks them up in one step.

    Args:
        component_id: For messages.
        world: The component's world.
    """

    def __init__(self, component_id: str, world: World) -> None:
        self._id = component_id
        self._world = world
        self._by_path: dict[str, list[InterfaceName]] = {}
        for interface in world.exports.values():
            # componentize-py also exports an instance by the plain name "exports": no subject can name it.
            if interface.name != WORLD_LEVEL and ":" in interface.name:
                parsed = InterfaceName.parse(interface.name)
                self._by_path.setdefault(parsed.unversioned, []).append(parsed)
        self._found: dict[tuple[str, str, str, str, str], Offer] = {}

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Names of the exported interfaces, with versions."""
        return tuple(sorted(str(name) for names in self._by_path.values() for name in names))

    def offers(self, namespace: str, package: str, interface: str) -> bool:
        """Whether the interface is exported, at any version."""
        return f"{namespace}:{package}/{interface}" in self._by_path

    def find(self, namespace: str, package: str, interface: str, version: str, function: str) -> Offer:
        """The exported function that a call asks for.

        Args:
            namespace: Of the interface; `_` in all three for a function of the world itself.
            package: Likewise.
            interface: Likewise.
            version: The version that the caller was built against; empty for any.
            function: The function's WIT name.

        Raises:
            NotFound: The interface, a compatible version of it, or the function is not exported; the message
                names what was asked for and what there is.
        """
        key = (namespace, package, interface, version, function)
        found = self._found.get(key)
        if found is None:
            found = self._resolve(*key)
            if len(self._found) < _ANSWERS_KEPT_MAX:
                self._found[key] = found
        return found

    def _resolve(self, namespace: str, package: str, interface: str, version: str, function: str) -> Offer:
        if interface == NO_LINK:
            name = WORLD_LEVEL
            shown = f"component {self._id}"
        else:
            name = shown = self.version_of(InterfaceName(namespace, package, interface, version))
        there = self._world.exports.get(name)
        func = there.functions.get(function) if there else None
        if func is None:
            functions = ", ".join(sorted(there.functions)) if there else ""
            raise NotFound(
                f"{shown} as exported by {self._id} has no function {function}; it has: {functions or 'none'}"
            )
        types = [*(param.type for param in func.params), func.result]
        owned = any(isinstance(handle, ExportedHandle) for type_ in types for handle in handles_in(type_))
        http = incoming_handler([name]) is not None
        return Offer(name, function, func, result_packer(func), size_check(func.result), owned, http)

    def version_of(self, asked: InterfaceName) -> str:
        """The export that answers calls of an interface, by the name that it has in the component.

        Raises:
            NotFound: None of a compatible version is exported; the message names what is.
        """
        offered = self._by_path.get(asked.unversioned, [])
        for name in offered:
            if versions_compatible(asked.version, name.version):
                return str(name)
        if offered:
            there = " and ".join(str(name) for name in offered)
            raise NotFound(f"component {self._id} exports {there}, not a version compatible with {asked}")
        exported = ", ".join(self.interfaces) or "no interface"
        raise NotFound(f"component {self._id} does not export {asked}; it exports {exported}")


def sendable(take: Callable[[Any], Any], result: Any) -> Any:
    """Packs or checks a result, by `take`. The call has run, so what cannot be sent is no refusal.

    Raises:
        LimitExceeded: It is too large.
        Internal: It cannot be packed.
    """
    try:
        return take(result)
    except PayloadTooLarge as e:
        raise LimitExceeded(f"the result is too large: {e.message}") from None
    except InvalidArgument as e:
        raise Internal(f"the result cannot be sent: {e.message}") from None
