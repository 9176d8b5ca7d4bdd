"""`lath inspect`: everything about one host, component, provider or link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from lath.model import LinkSelector, ServiceDescription
from lath_control.cli import tables
from lath_control.cli.output import fields, human_duration, table
from lath_control.cli.params import (
    ComponentArgument,
    HostArgument,
    NameFilter,
    PackageFilter,
    ProviderArgument,
    SourceArgument,
    TargetFilter,
    selector,
)
from lath_control.cli.session import Session, command
from lath_control.client import ComponentInspection
from lath_control.client.models import ComponentOnHost

app = typer.Typer(
    help="Shows everything about one thing, and whether the right things are configured.",
    no_args_is_help=True,
)


@command(app, "host")
async def host(session: Session, host: HostArgument) -> None:
    """Shows a host: labels, components, providers."""
    async with session.client() as client:
        inventory = await client.hosts.get(host)
    name = inventory.friendly_name
    head = fields(
        [
            ("host", Text(name, style="bold")),
            ("id", inventory.host_id),
            ("version", inventory.version),
            ("uptime", inventory.uptime_human),
            ("wasm", ", ".join(inventory.wasm_features or ()) or None),
            ("labels", "\n".join(f"{k}={v}" for k, v in sorted(inventory.labels.items()))),
        ]
    )
    components = table(
        ["COMPONENT", "MAX", "EXPORTS", "REF"],
        ([c.id, str(c.max_instances), ", ".join(c.exports or ()), c.image_ref] for c in inventory.components),
        empty="No components.",
    )
    providers = table(
        ["PROVIDER", "STATUS", "PID", "RESTARTS", "LAST ERROR"],
        (
            [p.id, tables.state(p.status), str(p.pid or "-"), str(p.restarts or 0), p.last_error or ""]
            for p in inventory.providers
        ),
        empty="No providers.",
    )
    session.out.one(inventory, Group(head, Text(), components, Text(), providers))


@command(app, "component")
async def component(
    session: Session,
    component: ComponentArgument,
    whole: Annotated[
        bool, typer.Option("--all", help="Show what the host itself provides in the WIT too.")
    ] = False,
) -> bool:
    """Shows a component: its WIT, where it runs, its limits, and the links that it needs.

    Exits with 1 when something is missing for it to work.
    """
    async with session.client() as client:
        found = await client.components.inspect(component, whole=whole)
    session.out.one(found, _component_text(found))
    return not found.problems


def _component_text(found: ComponentInspection) -> RenderableType:
    parts: list[RenderableType] = [
        Text.assemble(("component ", "bold"), (found.id, "bold cyan")),
        Text(),
        table(
            ["HOST", "MAX", "CALLS", "RUNNING", "QUEUED", "FUSED WITH"],
            (
                [
                    each.host_name,
                    str(each.max_instances),
                    *(str((each.stats or {}).get(key, "-")) for key in ("calls", "running", "queued")),
                    tables.fused_with(each),
                ]
                for each in found.instances
            ),
            empty="Runs nowhere.",
        ),
        *(_limits_text(each.host_name, each.limits) for each in found.instances if each.limits),
        *(text for each in found.instances for text in _settings_texts(each)),
        Text(),
        table(
            ["IMPORT", "LINK", "PROVIDED BY"],
            (
                [
                    each.interface,
                    each.link_name,
                    f"link to {each.target}" if each.target else Text("missing", style="red"),
                ]
                for each in found.import_status
            ),
            empty="Needs no links.",
        ),
        Text(),
        Text(found.wit.rstrip()),
        Text(f"and {len(found.native_imports)} interfaces that the host itself provides", style="dim"),
        Text(),
    ]
    for each in found.instances:
        if each.service is not None:
            parts.append(_service_text(each.host_name, each.service))
        for target, reason in (each.unfused or {}).items():
            parts.append(Text(f"not fused with {target} on {each.host_name}: {reason}", style="dim"))
    for problem in found.problems:
        parts.append(Text(f"✗ {problem}", style="red"))
    if not found.problems:
        parts.append(Text("✓ everything it needs is there", style="green"))
    return Group(*parts)


def _limits_text(host: str, limits: Mapping[str, object]) -> Text:
    return Text(f"limits on {host}: " + ", ".join(f"{k}={v}".lower() for k, v in limits.items()), style="dim")


def _settings_texts(found: ComponentOnHost) -> Iterator[Text]:
    """What it is given on one host, and whom it may reach; a line each, where there is something."""
    settings = {
        "environment": found.env,
        "allowed hosts": found.allowed_hosts,
        "allowed sockets": found.allowed_sockets,
        "runs as": (found.run_as,) if found.run_as else None,
    }
    for what, values in settings.items():
        if values:
            yield Text(f"{what} on {found.host_name}: " + ", ".join(values), style="dim")


def _service_text(host: str, service: ServiceDescription) -> Text:
    text = f"service on {host}: {service.status}, {service.restarts} restarts"
    if service.last_error is not None:
        text += f"; its last run: {service.last_error}"
    return Text(text, style="yellow" if service.status == "backoff" else "")


@command(app, "provider")
async def provider(session: Session, provider: ProviderArgument) -> bool:
    """Shows a provider: its instances, what they serve, and its links.

    Exits with 1 when one of its links is not live.
    """
    async with session.client() as client:
        instances = await client.providers.where(provider)
        report = await client.links.ping(LinkSelector(participant=provider))
        serves = {p.instance_id: p.interfaces for p in client.presence.instances(provider)}
        uptimes = {p.instance_id or "": client.providers.uptime_ms(p) for p in instances}
    interfaces = sorted({name for names in serves.values() for name in names})
    value = {
        "id": provider,
        "interfaces": interfaces,
        "instances": [each.model_dump(mode="json", exclude_none=True) for each in instances],
        "links": [link.model_dump(mode="json", exclude_none=True) for link in report.links],
    }
    text = Group(
        Text.assemble(("provider ", "bold"), (provider, "bold cyan")),
        Text("serves " + (", ".join(interfaces) or "nothing")),
        Text(),
        tables.providers(instances),
        Text("up " + ", ".join(human_duration(each) for each in uptimes.values()), style="dim"),
        Text(),
        tables.ping(report),
    )
    session.out.one(value, text)
    return report.healthy


@command(app, "link")
async def link(
    session: Session,
    source: SourceArgument,
    target: TargetFilter = None,
    package: PackageFilter = None,
    name: NameFilter = None,
) -> bool:
    """Shows links of a source with what every participant says of them.

    Exits with 1 when one of them is not live.
    """
    wanted = selector(source, target, package, name=name, participant=None)
    async with session.client() as client:
        stored = await client.links.list(wanted)
        report = await client.links.ping(wanted, deep=True)
    session.out.one(
        report, Group(tables.links(stored.links.values(), stored.unreadable), Text(), tables.ping(report))
    )
    return report.healthy and bool(report.links)
