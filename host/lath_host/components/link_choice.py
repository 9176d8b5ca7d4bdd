"""`wasmcloud:bus/lattice` for components, answered by the host: a guest chooses the links of its next calls.

The choice overrides the link name `default`, from when it is made until the guest's call has ended; an import
that says what it `implements` goes by its label all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from msgpack import ExtType

from lath.codec import PROVIDER_RESOURCE
from lath.errors import InvalidArgument, LimitExceeded, LinkFailed, NotFound
from lath.names import InterfaceName, check_name, check_wit_id, shown
from lath_host.engine.linkage import Import

CHOICES_MAX: Final = 1_000
"""Interfaces with a chosen link in one call: far more than a component imports, so that one which makes names
up does not fill the host's memory."""

FindLink = Callable[[InterfaceName, str], object]
"""Finds the guest's link for an interface by its name; raises `LinkNotFound`, `LinkFailed` if it is held."""


def is_link_choice(interface: InterfaceName) -> bool:
    """Whether an imported interface is the one that this module answers."""
    return (interface.namespace, interface.package, interface.interface) == ("wasmcloud", "bus", "lattice")


def answer(wanted: Import, params: list[Any], choices: dict[str, str], find: FindLink) -> Any:
    """Answers one call; wire values in and out.

    Args:
        wanted: The function. `set-link-name` has a result from version 2.0.0 on, and only then tells of links
            that are not there; before, the calls that follow do.
        params: The parameters.
        choices: Link names by interface, without a version; changed by `set-link-name`.
        find: Looks for a link.

    Raises:
        InvalidArgument: A name is not valid; nothing was chosen.
        LinkNotFound: There is no such link; nothing was chosen.
        NotFound: There is no such function.
    """
    match wanted.function, params:
        case "[constructor]call-target-interface", [namespace, package, interface]:
            return ExtType(PROVIDER_RESOURCE, str(_named(namespace, package, interface)).encode())
        case "set-link-name", [name, list() as handles]:
            link_name = check_name(name, "link name")
            interfaces = [_interface_of(handle) for handle in handles]
            if wanted.func.result is not None:
                for interface in interfaces:
                    with suppress(LinkFailed):  # it is there: the calls that take it are told
                        find(interface, link_name)
            _choose(choices, interfaces, link_name)
            return {"ok": None} if wanted.func.result is not None else None
    raise NotFound(
        f"wasmcloud:bus/lattice has no function {wanted.function} of {len(params)} such parameters"
    )


def _named(namespace: object, package: object, interface: object) -> InterfaceName:
    return InterfaceName(
        check_wit_id(namespace, "namespace"),
        check_wit_id(package, "package"),
        check_wit_id(interface, "interface"),
    )


def _interface_of(handle: Any) -> InterfaceName:
    """What a handle stands for. Who calls the component may have made it up."""
    if not isinstance(handle, ExtType):
        raise InvalidArgument(f"{shown(handle)} is no call-target-interface")
    return InterfaceName.parse(handle.data.decode(errors="replace"))


def _choose(choices: dict[str, str], interfaces: list[InterfaceName], link_name: str) -> None:
    chosen = {interface.unversioned: link_name for interface in interfaces}
    if len(choices.keys() | chosen.keys()) > CHOICES_MAX:
        raise LimitExceeded(f"links were chosen for more than {CHOICES_MAX} interfaces in one call")
    choices.update(chosen)
