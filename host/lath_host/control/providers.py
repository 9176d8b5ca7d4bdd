"""Operations about providers: auction, start, stop."""

from __future__ import annotations

from lath.errors import InvalidArgument
from lath.model import AuctionRequest, CtlReply, StartProvider, StopProvider
from lath_host.control.operation import Operation, Request, check_configs, check_host, done
from lath_host.providers.provider_refs import check_provider_ref
from lath_host.services import Services


async def auction(host: Services, request: Request) -> CtlReply | None:
    """Bids, or stays silent: where a label does not match, or the id runs here already."""
    asked = request.read(AuctionRequest, "auction")
    if asked.provider_id is None or asked.provider_ref is None:
        raise InvalidArgument("a provider auction needs provider_ref and provider_id")
    check_provider_ref(asked.provider_ref)
    taken = asked.provider_id in host.components or asked.provider_id in host.providers
    if taken or not host.labels.match(asked.constraints):
        return None
    return done(response={**asked.model_dump(exclude_none=True), "host_id": host.identity.id})


async def start(host: Services, request: Request) -> CtlReply:
    """Accepts; `provider_started` or `provider_start_failed` tells the outcome."""
    asked = request.read(StartProvider, "provider start request")
    check_host(asked.host_id, host)
    await host.providers.check_start(asked)
    await check_configs(asked.config, host)
    host.background(host.providers.start(asked))
    return done("accepted")


async def stop(host: Services, request: Request) -> CtlReply:
    """Accepts; `provider_stopped` tells when it is through. Other hosts' instances go on."""
    asked = request.read(StopProvider, "provider stop request")
    check_host(asked.host_id, host)
    host.providers.check_stop(asked.provider_id)
    host.background(host.providers.stop(asked.provider_id, host.options.drain_ms, "asked to stop"))
    return done("accepted")


OPERATIONS = (
    Operation("provider", "auction", "all", auction),
    Operation("provider", "start", "host", start, takes_argument=True),
    Operation("provider", "stop", "host", stop, takes_argument=True),
)
