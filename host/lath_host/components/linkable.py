"""What of a component links can join: its exports where it is the target, its imports where it calls."""

from __future__ import annotations

from lath.model import Link
from lath.names import DEFAULT_LINK, InterfaceName
from lath.wit.types import World
from lath_host.components import link_choice
from lath_host.components.offered import Offered
from lath_host.components.own_interfaces import needs_no_link
from lath_host.engine.engine import CompiledComponent
from lath_host.engine.wasi import native_interface


def fault_of_link(target: str, offered: Offered, compiled: CompiledComponent, link: Link) -> str | None:
    """Why a component, as the target of `link`, cannot serve it; None when it can.

    Args:
        target: The component's id.
        offered: What it exports.
        compiled: Its code.
        link: Any link to it.
    """
    for interface in link.interfaces:
        if not offered.offers(link.wit_namespace, link.wit_package, interface):
            wanted = f"{link.wit_namespace}:{link.wit_package}/{interface}"
            exported = ", ".join(offered.interfaces) or "no interface"
            return f"component {target} does not export {wanted}; it exports {exported}"
    package = f"{link.wit_namespace}:{link.wit_package}/"
    linked = {package + interface for interface in link.interfaces}
    for name in offered.interfaces:
        reason = compiled.unsupported(name)
        if reason is not None and name.partition("@")[0] in linked:
            return f"component {target} cannot be called at {name} {reason}"
    return None


def linked_imports(world: World) -> tuple[str, ...]:
    """What needs a link, with its name: every import that neither wasmtime nor the host itself answers."""
    found = []
    for interface in world.imports.values():
        if ":" in interface.name and not native_interface(interface.name):
            name = InterfaceName.parse(interface.name)
            if not (needs_no_link(name) or link_choice.is_link_choice(name)):
                found.append(f"{name} ({interface.label or DEFAULT_LINK})")
    return tuple(sorted(found))
