"""`lath link`: put, get, delete links; ping, purge and pull what participants hold."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType

from lath.errors import InvalidArgument
from lath.model import LinkSelector, LinkSpec, PingReport, parse
from lath_control.cli import completion, tables
from lath_control.cli.get import link_values
from lath_control.cli.params import (
    NameFilter,
    PackageArgument,
    PackageFilter,
    ParticipantFilter,
    SourceArgument,
    SourceFilter,
    TargetArgument,
    TargetFilter,
    TimeoutOption,
    WatchOption,
    YesOption,
    duration_ms,
    in_words,
    package,
    selector,
)
from lath_control.cli.session import Session, command
from lath_control.cli.watch import watch as keep_watching
from lath_control.client import Client
from lath_control.client.links import APPLY_MS, VERB_MS

app = typer.Typer(help="Links: what joins a source to a target.", no_args_is_help=True)

NameOption = Annotated[str, typer.Option("--name", help="The link's name, as the source's import has it.")]
SideConfig = "A config by name; may be repeated, a later one wins."
SideSecret = "A field of its config whose value is a secret of its own (lath secret); may be repeated."


def _timeout_ms(timeout: str | None, default: int) -> int:
    return default if timeout is None else duration_ms(timeout, "--timeout")


def _secrets(texts: list[str] | None) -> dict[str, str]:
    """Reads `FIELD=NAME`; a bare `FIELD` is the secret of the same name."""
    return {field: name or field for field, _, name in (text.partition("=") for text in texts or ())}


@command(app, "put")
async def put(
    session: Session,
    source: SourceArgument,
    target: TargetArgument,
    package_: PackageArgument,
    interface: Annotated[
        list[str],
        typer.Option("--interface", "-i", help="An interface; may be repeated.", show_default=False),
    ],
    name: NameOption = "default",
    source_config: Annotated[
        list[str] | None,
        typer.Option("--source-config", help=SideConfig, autocompletion=completion.configs),
    ] = None,
    target_config: Annotated[
        list[str] | None,
        typer.Option("--target-config", help=SideConfig, autocompletion=completion.configs),
    ] = None,
    source_secret: Annotated[
        list[str] | None, typer.Option("--source-secret", metavar="FIELD[=NAME]", help=SideSecret)
    ] = None,
    target_secret: Annotated[
        list[str] | None, typer.Option("--target-secret", metavar="FIELD[=NAME]", help=SideSecret)
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until every participant has applied it.")
    ] = False,
    timeout: TimeoutOption = None,
) -> bool:
    """Writes a link: SOURCE may call these interfaces of TARGET.

    With --wait it ends when all participants have applied it, and exits with 1, saying why, when one could
    not or nobody serves the target.
    """
    namespace, wit_package = package(package_)
    if timeout is not None and not wait:
        raise InvalidArgument("--timeout says how long --wait waits: give --wait too")
    spec = parse(
        LinkSpec,
        {
            "source_id": source,
            "target": target,
            "name": name,
            "wit_namespace": namespace,
            "wit_package": wit_package,
            "interfaces": tuple(interface),
            "source_config": tuple(source_config or ()),
            "target_config": tuple(target_config or ()),
            "source_secrets": _secrets(source_secret),
            "target_secrets": _secrets(target_secret),
        },
        "link",
    )
    async with session.client() as client:
        if not wait:
            link = await client.links.put(spec)
            session.out.done(
                {"key": link.key, "revision": str(link.revision)}, f"link {source} → {target} written"
            )
            return True
        with session.out.errors.status("waiting until it is applied …"):
            report = await client.links.put_and_wait(spec, wait_ms=_timeout_ms(timeout, APPLY_MS))
    if report.verdict == "live":
        session.out.done(report, f"link {source} → {target} is live")
        return True
    why = f": {report.reason}" if report.reason else ""
    session.out.one(report, f"link {source} → {target} is {report.verdict}{why}")
    return False


@command(app, "get")
async def get(
    session: Session,
    source: SourceFilter = None,
    target: TargetFilter = None,
    package_: PackageFilter = None,
    name: NameFilter = None,
    participant: ParticipantFilter = None,
) -> None:
    """Lists links as they stand in KV."""
    wanted = selector(source, target, package_, name=name, participant=participant)
    async with session.client() as client:
        listing = await client.links.list(wanted)
    session.out.many(link_values(listing), tables.links(listing.links.values(), listing.unreadable))


@command(app, "del")
async def delete(
    session: Session,
    source: SourceArgument,
    package_: PackageArgument,
    name: NameOption = "default",
    target: Annotated[
        str | None,
        typer.Option(
            "--target", help="Only if it goes to this target.", autocompletion=completion.participants
        ),
    ] = None,
    yes: YesOption = False,
) -> None:
    """Deletes a link: every participant lets go of it."""
    namespace, wit_package = package(package_)
    session.confirm(f"Delete link {name} of {source} for {package_}?", yes)
    async with session.client() as client:
        removed = await client.links.delete(source, namespace, wit_package, name=name, target=target)
    session.out.done({"deleted": removed.key}, f"link {source} → {removed.target} deleted")


async def _ping(
    session: Session, wanted: LinkSelector, *, deep: bool, values: bool, timeout_ms: int, watching: bool
) -> bool:
    async def look(client: Client) -> PingReport:
        if values:
            return await client.links.vping(wanted, timeout_ms=timeout_ms)
        return await client.links.ping(wanted, deep=deep, timeout_ms=timeout_ms)

    async with session.client() as client:
        if watching:
            session.until_interrupted()

            async def view() -> tuple[PingReport, RenderableType]:
                report = await look(client)
                return report, tables.ping(report)

            await keep_watching(client, session.out, view)
        report = await look(client)
    session.out.one(report, tables.ping(report))
    return report.healthy


@command(app, "ping")
async def ping(
    session: Session,
    source: SourceFilter = None,
    target: TargetFilter = None,
    package_: PackageFilter = None,
    name: NameFilter = None,
    participant: ParticipantFilter = None,
    deep: Annotated[bool, typer.Option("--deep", help="Check each link's backend too.")] = False,
    timeout: TimeoutOption = None,
    watch: WatchOption = False,
) -> bool:
    """Asks every participant for its links, and joins that with KV: a verdict per link.

    Exits with 1 unless every link is live and everybody answered.
    """
    wanted = selector(source, target, package_, name=name, participant=participant)
    ms = _timeout_ms(timeout, VERB_MS)
    return await _ping(session, wanted, deep=deep, values=False, timeout_ms=ms, watching=watch)


@command(app, "vping")
async def vping(
    session: Session,
    source: SourceFilter = None,
    target: TargetFilter = None,
    package_: PackageFilter = None,
    name: NameFilter = None,
    participant: ParticipantFilter = None,
    timeout: TimeoutOption = None,
) -> bool:
    """Like ping, with the resolved config values of each link, secrets redacted."""
    wanted = selector(source, target, package_, name=name, participant=participant)
    ms = _timeout_ms(timeout, VERB_MS)
    return await _ping(session, wanted, deep=False, values=True, timeout_ms=ms, watching=False)


@command(app, "purge")
async def purge(
    session: Session,
    source: SourceFilter = None,
    target: TargetFilter = None,
    package_: PackageFilter = None,
    name: NameFilter = None,
    participant: ParticipantFilter = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Leave them purged: calls fail until 'lath link pull'.")
    ] = False,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
) -> bool:
    """Has participants drop all that they hold for links, and open them again at once.

    Exits with 1 when somebody did not do it.
    """
    wanted = selector(source, target, package_, name=name, participant=participant)
    then = "hold them purged until 'lath link pull'" if hold else "open them again at once"
    if session.must_ask(f"Purge {in_words(wanted)} and {then}?", yes):
        async with session.client() as client:
            count = len((await client.links.list(wanted)).links)
        session.confirm(f"Purge {in_words(wanted, count)} and {then}?", yes)
    async with session.client() as client:
        report = await client.links.purge(wanted, hold=hold, timeout_ms=_timeout_ms(timeout, VERB_MS))
    session.out.one(report, tables.verb(report))
    return report.complete


@command(app, "pull")
async def pull(
    session: Session,
    source: SourceFilter = None,
    target: TargetFilter = None,
    package_: PackageFilter = None,
    name: NameFilter = None,
    participant: ParticipantFilter = None,
    timeout: TimeoutOption = None,
) -> bool:
    """Has participants read links from KV again, and open what is purged or failed.

    Exits with 1 when somebody did not do it.
    """
    wanted = selector(source, target, package_, name=name, participant=participant)
    async with session.client() as client:
        report = await client.links.pull(wanted, timeout_ms=_timeout_ms(timeout, VERB_MS))
    session.out.one(report, tables.verb(report))
    return report.complete
