"""`lath start`, `stop`, `scale`, `update`: components, providers and hosts."""

from __future__ import annotations

from typing import Annotated

import typer

from lath.errors import InvalidArgument
from lath.model import FuseMode
from lath.names import check_target
from lath_control.cli import tables
from lath_control.cli.limits import limits
from lath_control.cli.params import (
    AllowHostOption,
    AllowSocketOption,
    AnnotationOption,
    ComponentArgument,
    ConfigOption,
    EnvOption,
    HostArgument,
    HostOption,
    LabelOption,
    NoAllowHostOption,
    NoAllowSocketOption,
    NoEnvOption,
    ProviderArgument,
    RunAsOption,
    TimeoutOption,
    WaitOption,
    YesOption,
    duration_ms,
    pairs,
    settings,
)
from lath_control.cli.session import Session, command
from lath_control.client.components import COUNT_DEFAULT
from lath_control.client.outcome import WAIT_MS

start = typer.Typer(help="Starts a component or a provider.", no_args_is_help=True)
stop = typer.Typer(help="Stops a component, a provider or a host.", no_args_is_help=True)
root = typer.Typer()
"""`lath scale` and `lath update` stand at the top level."""

_LIMITS = "Limits"
LocalOption = Annotated[
    bool, typer.Option("--local", help="Pass the path on instead of uploading: for hosts on this machine.")
]
ComponentRef = Annotated[
    str,
    typer.Argument(
        help="A .wasm or .wat path, which is uploaded; or bus:sha256:…, file://…",
        metavar="REF",
        show_default=False,
    ),
]


def _wait_ms(wait: bool, timeout: str | None) -> int | None:
    if not wait:
        if timeout is not None:
            raise InvalidArgument("--timeout says how long to wait, and --no-wait does not: give one of them")
        return None
    return WAIT_MS if timeout is None else duration_ms(timeout, "--timeout")


@command(start, "component")
async def start_component(
    session: Session,
    ref: ComponentRef,
    id: Annotated[str, typer.Option("--id", help="What it is called in the lattice.", show_default=False)],
    host: HostOption = None,
    label: LabelOption = None,
    count: Annotated[
        int, typer.Option("--count", min=1, help="Most calls at once on that host.")
    ] = COUNT_DEFAULT,
    config: ConfigOption = None,
    env: EnvOption = None,
    allow_host: AllowHostOption = None,
    allow_socket: AllowSocketOption = None,
    run_as: RunAsOption = None,
    annotation: AnnotationOption = None,
    local: LocalOption = False,
    allow_update: Annotated[
        bool, typer.Option("--allow-update", help="Also where that id runs from other bytes.")
    ] = False,
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="Of one instance.", rich_help_panel=_LIMITS)
    ] = None,
    call_timeout: Annotated[
        str | None,
        typer.Option(
            "--call-timeout",
            metavar="DURATION",
            help="Of one call, where its caller would wait longer.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    fuel: Annotated[int | None, typer.Option("--fuel", help="Of one call.", rich_help_panel=_LIMITS)] = None,
    queue: Annotated[
        int | None, typer.Option("--queue", help="Calls that may wait.", rich_help_panel=_LIMITS)
    ] = None,
    warm: Annotated[
        int | None, typer.Option("--warm", help="Instances kept ready.", rich_help_panel=_LIMITS)
    ] = None,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Use an instance for many calls.", rich_help_panel=_LIMITS)
    ] = False,
    calls_max: Annotated[
        int | None,
        typer.Option("--calls-max", help="Calls before a reused one is replaced.", rich_help_panel=_LIMITS),
    ] = None,
    idle: Annotated[
        str | None,
        typer.Option(
            "--idle", metavar="DURATION", help="How long a reused one may wait.", rich_help_panel=_LIMITS
        ),
    ] = None,
    cpu_weight: Annotated[
        int | None,
        typer.Option("--cpu-weight", help="Its share when many are busy.", rich_help_panel=_LIMITS),
    ] = None,
    fuse: Annotated[
        FuseMode | None,
        typer.Option("--fuse", help="Run it as one with those beside it.", rich_help_panel=_LIMITS),
    ] = None,
    lease: Annotated[
        str | None,
        typer.Option(
            "--lease", metavar="DURATION", help="How long unused handles live.", rich_help_panel=_LIMITS
        ),
    ] = None,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
) -> None:
    """Starts a component on a host.

    Without --host an auction chooses: among the hosts that have every --label, the least busy one.
    """
    check_target(id, "--id")
    wait_ms = _wait_ms(wait, timeout)
    given = settings(env, allow_host, allow_socket, run_as=run_as)
    async with session.client() as client:
        with session.out.errors.status(f"starting {id} …"):
            started = await client.components.start(
                ref,
                component_id=id,
                host=host,
                constraints=pairs(label or (), "--label"),
                count=count,
                config=config or (),
                settings=given,
                limits=limits(
                    memory=memory,
                    timeout=call_timeout,
                    fuel=fuel,
                    queue=queue,
                    warm=warm,
                    reuse=reuse,
                    calls=calls_max,
                    idle=idle,
                    weight=cpu_weight,
                    fuse=fuse,
                    lease=lease,
                ),
                annotations=pairs(annotation or (), "--annotation"),
                local=local,
                allow_update=allow_update,
                wait_ms=wait_ms,
            )
    session.out.one(started, tables.started([started], "started"))


@command(start, "provider")
async def start_provider(
    session: Session,
    ref: Annotated[
        str,
        typer.Argument(
            help="python:some.module, builtin:NAME, or a .py path.", metavar="REF", show_default=False
        ),
    ],
    id: Annotated[str, typer.Option("--id", help="What it is called in the lattice.", show_default=False)],
    host: HostOption = None,
    label: LabelOption = None,
    config: ConfigOption = None,
    annotation: AnnotationOption = None,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
) -> None:
    """Starts a provider, supervised by a host.

    Without --host an auction chooses: among the hosts that have every --label, the least busy one.
    """
    check_target(id, "--id")
    wait_ms = _wait_ms(wait, timeout)
    async with session.client() as client:
        with session.out.errors.status(f"starting {id} …"):
            started = await client.providers.start(
                ref,
                provider_id=id,
                host=host,
                constraints=pairs(label or (), "--label"),
                config=config or (),
                annotations=pairs(annotation or (), "--annotation"),
                wait_ms=wait_ms,
            )
    session.out.one(started, tables.started([started], "started"))


@command(stop, "component")
async def stop_component(
    session: Session,
    component: ComponentArgument,
    host: HostOption = None,
    yes: YesOption = False,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
) -> None:
    """Stops a component on every host that runs it, or on one. Running calls finish first."""
    wait_ms = _wait_ms(wait, timeout)
    session.confirm(f"Stop component {component} on {host or 'every host'}?", yes)
    async with session.client() as client:
        stopped = await client.components.stop(component, host=host, wait_ms=wait_ms)
    session.out.many(stopped, tables.started(stopped, "stopped"))


@command(stop, "provider")
async def stop_provider(
    session: Session,
    provider: ProviderArgument,
    host: HostOption = None,
    yes: YesOption = False,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
) -> None:
    """Stops a provider on every host that supervises it, or on one."""
    wait_ms = _wait_ms(wait, timeout)
    session.confirm(f"Stop provider {provider} on {host or 'every host'}?", yes)
    async with session.client() as client:
        stopped = await client.providers.stop(provider, host=host, wait_ms=wait_ms)
    session.out.many(stopped, tables.started(stopped, "stopped"))


@command(stop, "host")
async def stop_host(
    session: Session,
    host: HostArgument,
    drain: Annotated[
        str | None,
        typer.Option("--drain", metavar="DURATION", help="How long running calls may take to finish."),
    ] = None,
    yes: YesOption = False,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
) -> None:
    """Stops a host with everything on it. Running calls finish first."""
    wait_ms = _wait_ms(wait, timeout)
    drain_ms = None if drain is None else duration_ms(drain, "--drain")
    session.confirm(f"Stop host {host} with everything on it?", yes)
    async with session.client() as client:
        stopped = await client.hosts.stop(host, drain_ms=drain_ms, wait_ms=wait_ms)
    session.out.done({"host_id": stopped.id}, f"host {stopped.friendly_name} stopped")


@command(root, "scale", rich_help_panel="Change")
async def scale(
    session: Session,
    component: ComponentArgument,
    count: Annotated[int, typer.Argument(help="Most calls at once, on each host; 0 stops it.", min=0)],
    host: HostOption = None,
    env: EnvOption = None,
    no_env: NoEnvOption = False,
    allow_host: AllowHostOption = None,
    no_allow_host: NoAllowHostOption = False,
    allow_socket: AllowSocketOption = None,
    no_allow_socket: NoAllowSocketOption = False,
    run_as: RunAsOption = None,
    yes: YesOption = False,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
) -> None:
    """Changes how many calls at once a component takes, and its settings.

    Settings that are not mentioned stay as they are. Where one changes, the component is started beside
    itself, and the old one finishes its calls.
    """
    wait_ms = _wait_ms(wait, timeout)
    given = settings(
        env,
        allow_host,
        allow_socket,
        no_env=no_env,
        no_allow_host=no_allow_host,
        no_allow_socket=no_allow_socket,
        run_as=run_as,
    )
    if count == 0:
        session.confirm(f"Stop component {component} on {host or 'every host'}?", yes)
    async with session.client() as client:
        scaled = await client.components.scale(
            component,
            count,
            host=host,
            settings=given,
            wait_ms=wait_ms,
        )
    session.out.many(scaled, tables.started(scaled, f"scaled to {count}"))


@command(root, "update", rich_help_panel="Change")
async def update(
    session: Session,
    component: ComponentArgument,
    ref: ComponentRef,
    host: HostOption = None,
    env: EnvOption = None,
    no_env: NoEnvOption = False,
    allow_host: AllowHostOption = None,
    no_allow_host: NoAllowHostOption = False,
    allow_socket: AllowSocketOption = None,
    no_allow_socket: NoAllowSocketOption = False,
    run_as: RunAsOption = None,
    local: LocalOption = False,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
) -> None:
    """Replaces a running component's code, one host after the other.

    Settings that are not mentioned stay as they are.
    """
    wait_ms = _wait_ms(wait, timeout)
    given = settings(
        env,
        allow_host,
        allow_socket,
        no_env=no_env,
        no_allow_host=no_allow_host,
        no_allow_socket=no_allow_socket,
        run_as=run_as,
    )
    async with session.client() as client:
        with session.out.errors.status(f"updating {component} …"):
            updated = await client.components.update(
                component,
                ref,
                host=host,
                settings=given,
                local=local,
                wait_ms=wait_ms,
            )
    session.out.many(updated, tables.started(updated, "updated"))
