"""What is commonly wrong with a lattice, looked for one by one; each finding with its fix."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from lath import subjects
from lath.bus import Bus, jetstream
from lath.bus.buckets import stream_config
from lath.errors import LathError
from lath.model import HostInventory, Link, LinkReport, PingReport
from lath_control.client import digests
from lath_control.client.ctl import NoLattice
from lath_control.client.models import DoctorReport, Finding

if TYPE_CHECKING:
    from lath_control.client import Client

SLOW_BUS_MS: Final = 500
"""A round trip to the bus above this makes every call slow."""
VERSION: Final = importlib.metadata.version("lath")
EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "build": ("componentize_py",),
    "http": ("aiohttp", "httptools", "hypercorn", "uvicorn"),
    "otlp": ("opentelemetry.exporter.otlp.proto.http",),
    "postgres": ("asyncpg",),
    "redis": ("redis",),
    "s3": ("obstore",),
    "schedule": ("cronsim",),
}
"""The extras of lath that change what it can do, with what each installs."""
NAMED_MAX: Final = 10
"""More links than these are counted, not listed one by one."""


async def examine(client: Client) -> DoctorReport:
    """See `Client.doctor`."""
    findings: list[Finding] = []
    for check in (_bus, _buckets, _hosts, _components, _links, _configs, _extras):
        try:
            findings += [finding async for finding in check(client)]
        except (LathError, NatsError, JetStreamError) as e:
            name = check.__name__.removeprefix("_")
            findings.append(
                _problem(name, f"could not be looked at: {e}", "put the findings above right first")
            )
    return DoctorReport(lattice=client.lattice, nats_url=client.nats_url, findings=tuple(findings))


def unreachable(lattice: str, nats_url: str, error: NoLattice) -> DoctorReport:
    """The report where there is nothing to look at."""
    fix = f"start it, or name another: --nats-url, LATH_NATS_URL, a context (now {nats_url})"
    return DoctorReport(
        lattice=lattice, nats_url=nats_url, findings=(_problem("lattice", error.message, fix),)
    )


def _ok(check: str, message: str) -> Finding:
    return Finding(check=check, level="ok", message=message)


def _warning(check: str, message: str, fix: str) -> Finding:
    return Finding(check=check, level="warning", message=message, fix=fix)


def _problem(check: str, message: str, fix: str) -> Finding:
    return Finding(check=check, level="problem", message=message, fix=fix)


async def _extras(client: Client) -> AsyncIterator[Finding]:
    """What is installed where this runs, which may be another machine than that of a host."""
    missing = await asyncio.to_thread(_missing_extras)
    there = ", ".join(sorted(EXTRAS.keys() - missing)) or "none"
    rest = (
        f"; not installed: {', '.join(missing)} (pip install 'lath[{','.join(missing)}]')" if missing else ""
    )
    yield _ok("extras", f"installed on this machine: {there}{rest}")


def _missing_extras() -> list[str]:
    return [extra for extra, modules in sorted(EXTRAS.items()) if not all(map(_is_installed, modules))]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package that it would be in
        return False


async def _bus(client: Client) -> AsyncIterator[Finding]:
    started = time.perf_counter()
    await client.bus.flush()
    round_trip_ms = (time.perf_counter() - started) * 1000
    where = f"{client.nats_url} (nats-server {_server_version(client.bus)})"
    if round_trip_ms > SLOW_BUS_MS:
        yield _warning(
            "bus", f"{where} took {round_trip_ms:.0f} ms to answer", "look at its load and network"
        )
    else:
        yield _ok("bus", f"{where} answers in {round_trip_ms:.1f} ms")
    account = await client.bus.nc.jetstream().account_info()
    yield _ok("jetstream", f"on, {account.streams} streams, {account.memory + account.storage} bytes")


def _server_version(bus: Bus) -> str:
    version = bus.nc.connected_server_version
    return f"{version.major}.{version.minor}.{version.patch}"


async def _buckets(client: Client) -> AsyncIterator[Finding]:
    looked_at = [await _bucket_problem(client.bus, kind) for kind in subjects.BUCKET_KINDS]
    problems = [problem for problem in looked_at if problem]
    for problem in problems:
        yield _problem("buckets", problem, "a host makes and repairs buckets when it starts: restart one")
    if not problems:
        yield _ok("buckets", "present, with the right settings")


async def _bucket_problem(bus: Bus, kind: subjects.BucketKind) -> str:
    name = subjects.bucket(kind, bus.lattice)
    try:
        info = await jetstream.call(bus, f"STREAM.INFO.{subjects.stream(kind, bus.lattice)}")
    except (LathError, jetstream.JetStreamError) as e:
        return f"bucket {name} cannot be read: {e}"
    actual = info["config"]
    wanted = stream_config(kind, bus.lattice)
    del wanted["num_replicas"]  # the hosts' choice, by what the cluster is
    wrong = [
        f"{key} is {actual.get(key)}, not {value}"
        for key, value in wanted.items()
        if _differs(actual.get(key), value)
    ]
    return f"bucket {name} has other settings: {'; '.join(wrong)}" if wrong else ""


def _differs(actual: object, wanted: object) -> bool:
    return (actual or None) != (wanted or None)  # the server leaves out what is false or 0


async def _hosts(client: Client) -> AsyncIterator[Finding]:
    statuses = await client.hosts.list()
    if not statuses:
        yield _problem(
            "hosts",
            "no host is in the lattice",
            "start one: 'lath host run', or 'lath up' for a local lattice",
        )
        return
    silent = [status for status in statuses if status.state == "silent"]
    for status in silent:
        yield _problem(
            "hosts",
            f"host {status.friendly_name} ({status.id}) is present and does not answer",
            "look at its process: it may be stopped or blocked; its presence ends within 15 s if it died",
        )
    if not silent:
        yield _ok("hosts", f"{len(statuses)} answer: {', '.join(s.friendly_name for s in statuses)}")
    for finding in _versions({status.friendly_name: status.version for status in statuses}):
        yield finding
    for inventory in await client.hosts.inventories():
        for finding in _inventory(inventory):
            yield finding


def _versions(by_host: dict[str, str]) -> list[Finding]:
    versions = {*by_host.values(), VERSION}
    if len(versions) == 1:
        return [_ok("versions", f"every host and this client run lath {VERSION}")]
    listed = ", ".join(f"{name} {version}" for name, version in sorted(by_host.items()))
    return [_warning("versions", f"they differ: {listed}; this client {VERSION}", "install one version")]


def _inventory(inventory: HostInventory) -> list[Finding]:
    findings = []
    seen = inventory.incarnations or ()
    if len(seen) > 1:
        lost_at = datetime.fromtimestamp(seen[-1] / 1e9, UTC).isoformat(timespec="seconds")
        findings.append(
            _problem(
                "state",
                f"the bus lost its state: host {inventory.friendly_name} has seen {len(seen)} stores, the "
                f"newest made at {lost_at}; links and configs from before are gone",
                "put links and configs again; keep nats-server's store on a disk that lasts",
            )
        )
    for provider in inventory.providers:
        if provider.status in ("backoff", "failed"):
            findings.append(
                _problem(
                    "providers",
                    f"provider {provider.id} on {inventory.friendly_name} is in {provider.status} after "
                    f"{provider.restarts or 0} restarts: {provider.last_error or 'no reason known'}",
                    "put its reason right; 'lath stop provider' and 'lath start provider' begin anew",
                )
            )
    return findings


async def _components(client: Client) -> AsyncIterator[Finding]:
    found = await client.components.list()
    differing = digests.differing(found)
    for component_id, by_digest in differing.items():
        yield _warning("components", digests.in_words(component_id, by_digest), digests.way_out(component_id))
    if not differing:
        yield _ok("components", f"{len({c.id for c in found})}, each from the same bytes on all its hosts")


async def _links(client: Client) -> AsyncIterator[Finding]:
    listing = await client.links.list()
    for key, reason in listing.unreadable.items():
        yield _problem(
            "links",
            f"the stored value of {key} is no link: {reason}",
            "put that link again, or delete it: 'lath link del'",
        )
    report = await client.links.ping()
    for finding in _participants(report):
        yield finding
    bad = [link for link in report.links if link.verdict != "live"]
    for link in bad[:NAMED_MAX]:
        yield _problem("links", _link_line(link), _link_fix(link))
    if len(bad) > NAMED_MAX:
        yield _problem("links", f"{len(bad) - NAMED_MAX} more links are not live", "see 'lath link ping'")
    if not bad:
        yield _ok("links", f"{len(report.links)} links, all live")


def _participants(report: PingReport) -> list[Finding]:
    findings = [
        _problem(
            "participants",
            f"{report.names.get(instance, instance)} should answer and is silent",
            "look at its process; 'lath get providers' tells where it runs",
        )
        for instance in report.silent
    ]
    findings += [
        _problem(
            "participants",
            f"{report.names.get(orphan.instance_id, orphan.participant)} holds {orphan.key}: not in KV",
            "'lath link purge' makes it let go",
        )
        for orphan in report.orphans
        if orphan.kind != "kv"
    ]
    if not findings:
        findings.append(_ok("participants", f"all {len(report.answered)} answered"))
    return findings


def _link_line(link: LinkReport) -> str:
    why = f": {link.reason}" if link.reason else ""
    return (
        f"{link.source_id} -> {link.target} ({link.wit_namespace}:{link.wit_package}, {link.name}) "
        f"is {link.verdict}{why}"
    )


def _link_fix(link: LinkReport) -> str:
    return {
        "unserved": f"'lath start component … --id {link.target}', or 'lath start provider'",
        "failed": "correct its config ('lath config put'): it is tried again by itself",
        "silent": "look at the participant that is silent",
        "stale": "'lath link pull' has participants read it again",
        "purged": "'lath link pull' opens it again",
    }.get(link.verdict, "wait a moment; if it stays, 'lath link pull'")


async def _configs(client: Client) -> AsyncIterator[Finding]:
    listing = await client.config_store.list()
    for name, reason in listing.unreadable.items():
        yield _problem("configs", f"the stored value of {name} is no config: {reason}", "put it again")
    missing: dict[str, list[str]] = {}
    outdated = []
    for key, link in (await client.links.list()).links.items():
        named = (*link.source_config, *link.target_config)
        for name in named:
            if name not in listing.configs:
                missing.setdefault(name, []).append(key)
        if all(name in listing.configs for name in named) and _outdated(link, listing.configs):
            outdated.append(key)
    for name, keys in sorted(missing.items()):
        yield _problem(
            "configs",
            f"config {name} does not exist and is named by {', '.join(keys)}",
            f"'lath config put {name} KEY=VALUE', or put the link without it",
        )
    for key in outdated:
        yield _problem(
            "configs",
            f"link {key} carries older values of its config",
            "a host repairs this within seconds: is one running? else put the link again",
        )
    if not missing and not outdated and not listing.unreadable:
        yield _ok("configs", f"{len(listing.configs)} configs, and links name no other")


def _outdated(link: Link, configs: Mapping[str, Mapping[str, str]]) -> bool:
    def merged(names: Sequence[str]) -> dict[str, str]:
        return {key: value for name in names for key, value in configs[name].items()}

    return (
        merged(link.source_config) != link.source_config_values
        or merged(link.target_config) != link.target_config_values
    )
