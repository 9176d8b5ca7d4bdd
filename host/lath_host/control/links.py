"""Operations about links: put, delete, list, and the link verbs. One host answers each."""

from __future__ import annotations

from lath.errors import LathError
from lath.model import CtlReply, DeleteLink, Link, LinkSpec, PingRequest, PullRequest, PurgeRequest
from lath_host.control.operation import Operation, Request, done
from lath_host.services import Services

_SPEC_FIELDS = set(LinkSpec.model_fields)
"""What of a stored link is told: resolved config stays out of it."""


async def put(host: Services, request: Request) -> CtlReply:
    spec = request.read(LinkSpec, "link")
    fields = spec.model_dump(mode="json")
    try:
        await host.links.put(spec)
    except LathError as e:
        await host.events.publish("linkdef_set_failed", {**fields, "error": str(e)})
        raise
    await host.events.publish("linkdef_set", fields)
    return done()


async def delete(host: Services, request: Request) -> CtlReply:
    """Deletes exactly the named link; one that is not there is no error, as the interface has it."""
    asked = request.read(DeleteLink, "link delete request")
    deleted = await host.links.delete(asked.source_id, asked.wit_namespace, asked.wit_package, asked.name)
    data: dict[str, object] = asked.model_dump(mode="json")
    if deleted is None:
        return done("there was no such link")
    data |= {"target": deleted.target, "interfaces": list(deleted.interfaces)}
    await host.events.publish("linkdef_deleted", data)
    return done()


async def get(host: Services, _request: Request) -> CtlReply:
    listing = await host.links.list()
    return done(response=[_told(link) for _, link in sorted(listing.links.items())])


def _told(link: Link) -> dict[str, object]:
    return link.model_dump(mode="json", include=_SPEC_FIELDS)


async def ping(host: Services, request: Request) -> CtlReply:
    asked = request.read(PingRequest, "link ping request")
    report = await host.link_ops.ping(asked.selector, deep=asked.deep, timeout_ms=asked.timeout_ms)
    return done(response=report)


async def vping(host: Services, request: Request) -> CtlReply:
    asked = request.read(PingRequest, "link vping request")
    report = await host.link_ops.vping(asked.selector, deep=asked.deep, timeout_ms=asked.timeout_ms)
    return done(response=report)


async def purge(host: Services, request: Request) -> CtlReply:
    asked = request.read(PurgeRequest, "link purge request")
    report = await host.link_ops.purge(asked.selector, hold=asked.hold, timeout_ms=asked.timeout_ms)
    return done(response=report)


async def pull(host: Services, request: Request) -> CtlReply:
    asked = request.read(PullRequest, "link pull request")
    return done(response=await host.link_ops.pull(asked.selector, timeout_ms=asked.timeout_ms))


OPERATIONS = (
    Operation("link", "put", "one", put),
    Operation("link", "del", "one", delete),
    Operation("link", "get", "one", get),
    Operation("link", "ping", "one", ping),
    Operation("link", "vping", "one", vping),
    Operation("link", "purge", "one", purge),
    Operation("link", "pull", "one", pull),
)
