"""What a component is, and whether the right things are configured for it to work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lath.errors import InvalidArgument
from lath.model import Link, LinkReport, LinkSelector
from lath.names import DEFAULT_LINK, InterfaceName
from lath.wit.text import func_text, render
from lath.wit.types import Interface, World
from lath_control.client.models import (
    ComponentInspection,
    ComponentOnHost,
    FunctionView,
    ImportStatus,
    InterfaceView,
)

if TYPE_CHECKING:
    from lath_control.client import Client


async def inspect_component(client: Client, component_id: str, *, whole: bool) -> ComponentInspection:
    """See `Components.inspect`."""
    instances = await client.components.where(component_id)
    world = await client.components.describe(component_id)
    linked = World(
        imports={name: each for name, each in world.imports.items() if _needs_link(each, instances)},
        exports={name: each for name, each in world.exports.items() if ":" in name or not each.name},
    )
    links = (await client.links.list(LinkSelector(source_id=component_id))).links
    report = await client.links.ping(LinkSelector(participant=component_id))
    status = [
        _import_status(client, interface, component_id, list(links.values()))
        for interface in linked.imports.values()
        if interface.functions
    ]
    return ComponentInspection(
        id=component_id,
        exports=tuple(_interface_view(name, each) for name, each in linked.exports.items()),
        imports=tuple(_interface_view(name, each) for name, each in linked.imports.items()),
        instances=tuple(instances),
        import_status=tuple(status),
        problems=tuple(_problems(component_id, status, report.links)),
        wit=render(world if whole else linked),
        native_imports=tuple(
            sorted(each.name for name, each in world.imports.items() if name not in linked.imports)
        ),
    )


def _needs_link(interface: Interface, instances: Iterable[ComponentOnHost]) -> bool:
    """Whether a host says so: what it provides itself, it knows best."""
    shown = f"{interface.name} ({interface.label or DEFAULT_LINK})"
    return any(shown in (instance.imports or ()) for instance in instances)


def _interface_view(name: str, interface: Interface) -> InterfaceView:
    functions = tuple(
        FunctionView(name=function, signature=func_text(func))
        for function, func in interface.functions.items()
    )
    return InterfaceView(name=interface.name or name, functions=functions, label=interface.label)


def _import_status(
    client: Client, interface: Interface, component_id: str, links: list[Link]
) -> ImportStatus:
    link_name = interface.label or DEFAULT_LINK
    try:
        name = InterfaceName.parse(interface.name)
    except InvalidArgument:  # functions of the world itself have no interface to link by
        return ImportStatus(interface=interface.name, link_name=link_name, provided="missing")
    for link in links:
        same_package = (link.wit_namespace, link.wit_package) == (name.namespace, name.package)
        if same_package and link.name == link_name and name.interface in link.interfaces:
            return ImportStatus(
                interface=interface.name,
                link_name=link_name,
                provided="link",
                target=link.target,
                link=link.key,
            )
    return ImportStatus(interface=interface.name, link_name=link_name, provided="missing")


def _problems(component_id: str, status: list[ImportStatus], reports: tuple[LinkReport, ...]) -> list[str]:
    problems = [
        f"import {each.interface} has no link {each.link_name}: {_put_command(component_id, each)}"
        for each in status
        if each.provided == "missing"
    ]
    for report in reports:
        if report.verdict != "live":
            why = f": {report.reason}" if report.reason else ""
            problems.append(
                f"link {report.source_id} -> {report.target} ({report.wit_namespace}:{report.wit_package}, "
                f"{report.name}) is {report.verdict}{why}"
            )
    return problems


def _put_command(component_id: str, status: ImportStatus) -> str:
    try:
        name = InterfaceName.parse(status.interface)
    except InvalidArgument:
        return "functions outside an interface cannot be linked"
    link_name = "" if status.link_name == DEFAULT_LINK else f" --name {status.link_name}"
    return (
        f"lath link put {component_id} TARGET {name.namespace}:{name.package} "
        f"--interface {name.interface}{link_name}"
    )
