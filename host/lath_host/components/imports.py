"""What happens when a guest calls an import: the link is looked up, and the call goes to its target.

Locally where the target runs in this process and has room, else over the bus. All that does not change from
call to call is worked out once per import.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lath import subjects
from lath.codec import (
    ComponentHandle,
    component_handles_in_params,
    component_handles_in_result,
    params_packer,
    size_check,
    unpack_for_type,
)
from lath.codec.handles import FindHandles, home_of
from lath.errors import (
    DeadlineExceeded,
    DidNotRun,
    Draining,
    Internal,
    InvalidArgument,
    LinkFailed,
    LinkNotFound,
    NotFound,
    Overloaded,
    Unavailable,
)
from lath.model import Link
from lath.names import InterfaceName, check_function, check_name
from lath.rpc import TIMEOUT_MS_DEFAULT, Caller, FailedAttempt, may_retry
from lath.streamed import StreamedFunction
from lath_host.components import link_choice
from lath_host.components.held import HeldHandles
from lath_host.components.local import LocalCall, LocalTarget, LocalTargets, call_locally
from lath_host.components.own_interfaces import OwnAnswer, OwnInterfaces
from lath_host.components.routes import Routes
from lath_host.components.streamed_way import StreamedCall, StreamedWay, streamed_function
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.usage import Usage

ENDLESS: Final = float("inf")
"""The deadline of what runs for as long as it is deployed."""
_CHOSEN_MAX: Final = 1024
"""Routes kept by the names that guests choose: what a guest makes up must not stay."""


@dataclass(slots=True)
class GuestCall(CallContext):
    """What travels with a guest's call, to every import that it makes.

    Attributes:
        deadline: When it must be done, in the loop's time (seconds). `ENDLESS`: never, and each of its
            imports has the default time-out.
        app_version: Of the app that the request belongs to; empty outside an app.
        choices: The link names that the guest has chosen meanwhile, by interface without a version
            (`link_choice`); None where it chose none.
        made: Of each component, the resource that the guest got last; None where it got none.
        hops: How many calls in a row, this one included, have not left the process.
    """

    deadline: float
    app_version: str = ""
    choices: dict[str, str] | None = None
    made: dict[str, ComponentHandle] | None = None
    hops: int = 0


@dataclass(frozen=True, slots=True)
class _Route:
    """What is the same for every call of one import.

    Attributes:
        interface: What it calls, with the version that the component was built against.
        link_name: The link that it goes by, where the guest has not chosen another.
        fixed: Whether a label names that link, so that no choice changes it.
        function: The function's WIT name.
        tail: Of the call's subject.
        pack: Packs the parameters.
        check: Refuses parameters that are too large to be sent, without packing them; None where none can be.
        chooses: Whether it is the import by which a guest chooses links.
        named: Finds the handles of components' resources in the parameters; None where none can be.
        made: Likewise in the result.
        own: What answers where there is no link; None: nothing does.
        streamed: How it is called where something of it travels as a stream; None: nothing does.
    """

    interface: InterfaceName
    link_name: str
    fixed: bool
    function: str
    tail: str
    pack: Callable[[Any], bytes]
    check: Callable[[Any], None] | None
    chooses: bool
    named: FindHandles | None
    made: FindHandles | None
    own: OwnAnswer | None
    streamed: StreamedFunction | None


class Imports:
    """The imports of one component.

    Args:
        source: The component's id.
        routes: Links.
        targets: What runs in this process.
        caller: Calls over the bus.
        lattice: The lattice's name, for spans.
        holdings: Tells of handles that are nobody's any more.
        own: What the host itself answers, where no link does.
        streamed_way: Makes the calls to which, or from which, a stream goes on.
        usage: Counts the bytes that go over the bus.
    """

    def __init__(
        self,
        source: str,
        routes: Routes,
        targets: LocalTargets,
        caller: Caller,
        lattice: str,
        holdings: HeldHandles,
        own: OwnInterfaces,
        streamed_way: StreamedWay,
        usage: Usage,
    ) -> None:
        self._source = source
        self._routes = routes
        self._targets = targets
        self._caller = caller
        self._lattice = lattice
        self._holdings = holdings
        self._own = own
        self._streamed_way = streamed_way
        self._usage = usage
        self._known: dict[tuple[str, str], _Route] = {}
        self._chosen: dict[tuple[str, str, str], _Route] = {}

    async def __call__(self, wanted: Import, context: CallContext, params: list[Any]) -> Any:
        """Runs one import of a guest; wire values in and out.

        Raises:
            LinkNotFound: No link is there for it; at once.
            LinkFailed: The link is there and not active.
            LathError: What the call came to.
        """
        if not isinstance(context, GuestCall):
            raise Internal(f"a call into {self._source} was made without its context")
        route = self._known.get((wanted.name, wanted.function)) or self._learn(wanted)
        if route.chooses:
            return self._choose(wanted, context, params)
        if context.choices is not None and not route.fixed:
            route = self._choice(wanted, route, context.choices)
        interface = route.interface
        try:
            link = self._find(interface, route.link_name)
        except LinkNotFound:
            if route.own is not None:
                return route.own(params)
            self._drop_given_away(route, params)
            raise
        except LinkFailed:
            self._drop_given_away(route, params)
            raise
        # The engine awaits this in the task of the guest's call, so the trace is the current one already.
        if route.streamed is not None:
            return await self._call_streamed(link, route, route.streamed, context, params)
        if route.named is not None or route.made is not None:
            return await self._call_with_handles(link, route, context, params)
        return await self._call(link, route, context, params)

    async def _call(
        self,
        link: Link,
        route: _Route,
        context: GuestCall,
        params: list[Any],
        at: ComponentHandle | None = None,
    ) -> Any:
        """Makes a call, at the instance that `at` lives in, or at any."""
        context = _within_time(context)
        local = self._targets.homes.get(at.instance) if at else self._targets.find(link.target)
        if local is not None:
            return await self._call_here(local, link, route, context, params, at)
        return await self._call_over_bus(link, route, context, params, at=at)

    async def _call_streamed(
        self, link: Link, route: _Route, streamed: StreamedFunction, context: GuestCall, params: list[Any]
    ) -> Any:
        """Makes a call to which, or from which, a stream goes on."""
        at = home_of(route.named(params), link.target) if route.named is not None else None
        call = self._local_call(link, route, _within_time(context), params, at)
        return await self._streamed_way.call(StreamedCall(link, streamed, route.tail, call, at))

    # -- handles of components' resources --------------------------------------------------------------------

    async def _call_with_handles(
        self, link: Link, route: _Route, context: GuestCall, params: list[Any]
    ) -> Any:
        """A call whose types have resources in them: it goes to the instance that the target's live in.

        What it makes lives beside the last that the guest got in its call, where that can be.
        """
        named = list(route.named(params)) if route.named is not None else []
        try:
            at = home_of(named, link.target)
            if at is None and route.made is not None and context.made and link.target in context.made:
                result = await self._call_near(link, route, context, params, context.made[link.target])
            else:
                result = await self._call(link, route, context, params, at)
        except BaseException as error:
            unsent = isinstance(error, DidNotRun)
            for each in named:
                if each.mode == "own" and (unsent or each.handle.component == link.target):
                    self._holdings.ended(each.handle)  # given away, and taken by nobody else
            raise
        try:
            for each in route.made(result) if route.made is not None else ():
                context.made = {**(context.made or {}), each.handle.component: each.handle}
        except InvalidArgument as error:  # the call has run
            raise Internal(f"the answer of {link.target} is malformed: {error.message}") from error
        return result

    def _drop_given_away(self, route: _Route, params: list[Any]) -> None:
        """The guest has given handles away, and its call goes to nobody."""
        for each in route.named(params) if route.named is not None else ():
            if each.mode == "own":
                self._holdings.ended(each.handle)

    async def _call_near(
        self, link: Link, route: _Route, context: GuestCall, params: list[Any], near: ComponentHandle
    ) -> Any:
        """A call to the instance that `near` lives in, or, where that cannot be, to any."""
        try:
            return await self._call(link, route, context, params, near)
        except (NotFound, Unavailable, Draining, Overloaded):
            return await self._call(link, route, context, params)

    # -- ways ------------------------------------------------------------------------------------------------

    async def _call_here(
        self,
        target: LocalTarget,
        link: Link,
        route: _Route,
        context: GuestCall,
        params: list[Any],
        at: ComponentHandle | None,
    ) -> Any:
        if route.check is not None:
            route.check(params)
        call = self._local_call(link, route, context, params, at)
        try:
            return await call_locally(target, link.target, call)
        except DidNotRun as error:
            if at is not None or not may_retry(error, 1, isinstance(error, Overloaded)):
                raise
            earlier = FailedAttempt(target.instance_id, error)
        return await self._call_over_bus(link, route, context, params, earlier)

    def _local_call(
        self,
        link: Link,
        route: _Route,
        context: GuestCall,
        params: list[Any],
        at: ComponentHandle | None,
    ) -> LocalCall:
        return LocalCall(
            source=self._source,
            link_name=route.link_name,
            interface=route.interface,
            function=route.function,
            params=params,
            deadline=context.deadline,
            revision=link.revision,
            app_version=context.app_version,
            lattice=self._lattice,
            hops=context.hops + 1,
            near=at.token if at else b"",
        )

    async def _call_over_bus(
        self,
        link: Link,
        route: _Route,
        context: GuestCall,
        params: list[Any],
        earlier: FailedAttempt | None = None,
        at: ComponentHandle | None = None,
    ) -> Any:
        left_ms = int((context.deadline - asyncio.get_running_loop().time()) * 1000)
        if left_ms <= 0:
            raise DeadlineExceeded(
                f"the time-out passed before {route.interface}.{route.function} of {link.target} was called"
            )
        payload = route.pack(params)
        self._usage.bytes_out += len(payload)
        reply = await self._caller.call(
            link.target,
            route.tail,
            payload,
            timeout_ms=left_ms,
            linked=True,
            revision=link.revision,
            interface_version=route.interface.version,
            app_version=context.app_version,
            earlier=earlier,
            at=at,
        )
        self._usage.bytes_in += len(reply)
        try:
            return unpack_for_type(reply)
        except InvalidArgument as error:  # the call has run
            raise Internal(f"the answer of {link.target} is malformed: {error.message}") from error

    def _choose(self, wanted: Import, context: GuestCall, params: list[Any]) -> Any:
        if context.choices is None:
            context.choices = {}
        return link_choice.answer(wanted, params, context.choices, self._find)

    def _find(self, interface: InterfaceName, link_name: str) -> Link:
        return self._routes.find(
            self._source, interface.namespace, interface.package, link_name, interface.interface
        )

    def _choice(self, wanted: Import, route: _Route, choices: Mapping[str, str]) -> _Route:
        """The route of an import, by the link that the guest has chosen for its interface, if it has."""
        link_name = choices.get(route.interface.unversioned, route.link_name)
        if link_name == route.link_name:
            return route
        key = (wanted.name, wanted.function, link_name)
        chosen = self._chosen.get(key)
        if chosen is None:
            tail = subjects.call_tail(self._source, link_name, route.interface, route.function)
            chosen = replace(route, link_name=link_name, tail=tail)
            if len(self._chosen) < _CHOSEN_MAX:
                self._chosen[key] = chosen
        return chosen

    def _learn(self, wanted: Import) -> _Route:
        if ":" not in wanted.interface.name:
            raise LinkNotFound(
                f"import {wanted.name or 'of the world'} {wanted.function} of {self._source} is of no "
                "interface, so that no link can name it"
            )
        interface = InterfaceName.parse(wanted.interface.name)
        link_name = check_name(wanted.link_name, "link name")
        function = check_function(wanted.function)
        route = _Route(
            interface=interface,
            link_name=link_name,
            fixed=wanted.interface.label is not None,
            function=function,
            tail=subjects.call_tail(self._source, link_name, interface, function),
            pack=params_packer(wanted.func),
            check=size_check([param.type for param in wanted.func.params]),
            chooses=link_choice.is_link_choice(interface),
            named=component_handles_in_params(wanted.func),
            made=component_handles_in_result(wanted.func),
            own=self._own.find(interface, function, wanted.func),
            streamed=streamed_function(interface, function),
        )
        self._known[wanted.name, wanted.function] = route
        return route


def _within_time(context: GuestCall) -> GuestCall:
    """What travels with a call, whose imports have a time-out of their own where it has none."""
    if context.deadline != ENDLESS:
        return context
    now = asyncio.get_running_loop().time()
    return GuestCall(now + TIMEOUT_MS_DEFAULT / 1000, context.app_version, hops=context.hops)
