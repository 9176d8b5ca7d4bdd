"""Operations about named config, and the claims that clients of the interface ask for. One host answers."""

from __future__ import annotations

from pydantic import RootModel

from lath.model import CtlReply
from lath.names import check_name
from lath_host.control.operation import Operation, Request, done
from lath_host.services import Services


class ConfigValues(RootModel[dict[str, str]]):
    """A flat map of string to string."""


async def put(host: Services, request: Request) -> CtlReply:
    name = check_name(request.argument, "config name")
    values = request.read(ConfigValues, f"config {name}").root
    await host.configs.put(name, values)
    await host.events.publish("config_set", {"config_name": name})
    return done()


async def get(host: Services, request: Request) -> CtlReply:
    """A config that is not there is success without a response, as the interface has it."""
    name = check_name(request.argument, "config name")
    values = await host.configs.get(name)
    return done(f"there is no config {name}") if values is None else done(response=dict(values))


async def delete(host: Services, request: Request) -> CtlReply:
    name = check_name(request.argument, "config name")
    if not await host.configs.delete(name):
        return done(f"there was no config {name}")
    await host.events.publish("config_deleted", {"config_name": name})
    return done()


async def claims(_host: Services, _request: Request) -> CtlReply:
    """Lath's components carry no signed claims."""
    return done(response=[])


OPERATIONS = (
    Operation("config", "put", "one", put, takes_argument=True),
    Operation("config", "get", "one", get, takes_argument=True),
    Operation("config", "del", "one", delete, takes_argument=True),
    Operation("claims", "get", "one", claims),
)
