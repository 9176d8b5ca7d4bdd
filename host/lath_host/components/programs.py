"""How a component that exports `wasi:cli/run` runs: as a service, or, once for each request, through CGI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Final

from lath import wit
from lath.errors import InvalidArgument
from lath.wit.types import World
from lath_host.components.deployment import Deployment
from lath_host.components.http_way import HttpServing
from lath_host.engine.cgi.handler import RUN_INTERFACE, CgiHandler, run_interface
from lath_host.engine.http.exchange import INCOMING_HANDLER, HttpHandler, incoming_handler
from lath_host.engine.pool import InstancePool
from lath_host.identity import lath_version

_HANDLER_VERSION: Final = "0.2.0"
"""Links and calls may ask for any that is compatible."""


def check_program(deployment: Deployment, world: World) -> None:
    """Checks that a component can run as it is asked to.

    Raises:
        InvalidArgument: It cannot; the message says what is in the way.
    """
    run_as = deployment.settings.run_as
    if run_as is None:
        return
    if run_interface(world.exports) is None:
        exported = ", ".join(sorted(name for name in world.exports if ":" in name)) or "no interface"
        raise InvalidArgument(
            f"component {deployment.id} cannot run as {run_as}: it does not export {RUN_INTERFACE}; "
            f"it exports {exported}"
        )
    if run_as != "cgi":
        return
    handler = incoming_handler(world.exports)
    if handler is not None:
        raise InvalidArgument(
            f"component {deployment.id} exports {handler}, and answers HTTP by that: start it without "
            "run_as cgi"
        )
    if deployment.limits.reuse:
        raise InvalidArgument(
            f"component {deployment.id} runs as cgi, and ends with each request: start it without reuse"
        )


def offered_world(deployment: Deployment, world: World) -> World:
    """What others may call of a component: of a CGI program also that it answers HTTP."""
    if deployment.settings.run_as != "cgi":
        return world
    handler = wit.load(f"{INCOMING_HANDLER}@{_HANDLER_VERSION}")
    return replace(world, exports={**world.exports, handler.name: handler})


def service_of(deployment: Deployment, world: World) -> str | None:
    """The export by which a component is a service; None where it is none."""
    return run_interface(world.exports) if deployment.settings.run_as != "cgi" else None


def http_serving(deployment: Deployment, world: World, pool: InstancePool) -> Callable[[str], HttpServing]:
    """What answers HTTP for a component, by the name of what it offers for that."""
    run = run_interface(world.exports)
    if deployment.settings.run_as != "cgi" or run is None:
        return cache(partial(HttpHandler, pool))
    program = CgiHandler(pool, run, deployment.settings.env, f"lath/{lath_version()}")
    return lambda interface: program
