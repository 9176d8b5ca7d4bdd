"""Operations about components: auction, scale, update, and lath's own describe."""

from __future__ import annotations

from lath.errors import InvalidArgument
from lath.model import AuctionRequest, Ctl, CtlReply, ScaleComponent, UpdateComponent
from lath.names import Target
from lath.wit import types_json
from lath_host import artifacts
from lath_host.control.operation import Operation, Request, check_configs, check_host, done
from lath_host.services import Services


class DescribeComponent(Ctl):
    """`component.describe.{host}`: asks for a component's imports and exports with their types."""

    component_id: Target


async def auction(host: Services, request: Request) -> CtlReply | None:
    """Bids, or stays silent: where a label does not match, or the id runs here already."""
    asked = request.read(AuctionRequest, "auction")
    if asked.component_id is None or asked.component_ref is None:
        raise InvalidArgument("a component auction needs component_ref and component_id")
    artifacts.check_ref(asked.component_ref)
    taken = asked.component_id in host.components or asked.component_id in host.providers
    if taken or not host.labels.match(asked.constraints):
        return None
    return done(response={**asked.model_dump(exclude_none=True), "host_id": host.identity.id})


async def scale(host: Services, request: Request) -> CtlReply:
    """Accepts; `component_scaled` or `component_scale_failed` tells the outcome. A count of 0 stops."""
    asked = request.read(ScaleComponent, "scale request")
    check_host(asked.host_id, host)
    host.components.check_scale(asked)
    if asked.count:
        await check_configs(asked.config, host)
    host.background(host.components.scale(asked))
    return done("accepted")


async def update(host: Services, request: Request) -> CtlReply:
    """Accepts; `component_scaled` or `component_scale_failed` tells the outcome."""
    asked = request.read(UpdateComponent, "update request")
    check_host(asked.host_id, host)
    host.components.check_update(asked)
    host.background(host.components.update(asked))
    return done("accepted")


async def describe(host: Services, request: Request) -> CtlReply:
    asked = request.read(DescribeComponent, "describe request")
    world = host.components.get(asked.component_id).compiled.world
    return done(response=types_json.to_json(world))


OPERATIONS = (
    Operation("component", "auction", "all", auction),
    Operation("component", "scale", "host", scale, takes_argument=True),
    Operation("component", "update", "host", update, takes_argument=True),
    Operation("component", "describe", "host", describe, takes_argument=True),
)
