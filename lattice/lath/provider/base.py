"""The base class of capability providers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypeAlias

from lath import wit
from lath.bus import Credentials
from lath.codec import Err, FuncCodec, Wire
from lath.errors import InvalidArgument
from lath.http import HttpRequest, HttpResponse
from lath.names import InterfaceName
from lath.provider.annotations import Annotations, annotations_of, contradictions
from lath.provider.call import Call
from lath.provider.errors import OpError
from lath.provider.interceptor import Interceptor, intercepted
from lath.provider.link import Link
from lath.provider.operation import check_signature, find, interface_of, marked, wit_name
from lath.provider.pins import Pins
from lath.provider.records import record_lifter
from lath.provider.resource import Convert, lifter, lower, mentions_handle, resource_name
from lath.rpc import IncomingCall
from lath.streamed import streaming_of
from lath.streamed.serving import arguments_here, arguments_of, begun
from lath.wit.text import func_text
from lath.wit.types import Func

OPEN_TIMEOUT_S: Final = 30.0
"""A backend that needs longer to be reached than this is as good as down; the link is tried again."""
CLOSE_TIMEOUT_S: Final = 10.0
"""Closing should be quick; a purge waits for it."""
CHECK_TIMEOUT_S: Final = 5.0
"""As long as a ping waits by default."""

OperationKey: TypeAlias = tuple[str, str, str, str]
"""Namespace, package, interface, function."""
Caller: TypeAlias = Callable[..., Awaitable[Any]]


class HttpAsker(Protocol):
    """Has the component at the target of a link answer a request."""

    async def __call__(
        self, link: Link, request: HttpRequest, *, timeout_ms: float = ...
    ) -> HttpResponse: ...


class LossTeller(Protocol):
    """Tells lath that the backend of a link is gone."""

    def __call__(self, link: Link, held: Any, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """Where a provider runs. `self.context` has it from before `start` on.

    Attributes:
        lattice: The lattice's name.
        provider_id: What links name.
        instance_id: This run of it.
        host_id: The host that it runs on; empty when it stands alone.
        nats_url: The lattice's own bus.
        credentials: The provider's own, for that bus.
        config: What it was started with.
        call: Calls the other end of a link of which the provider is the source:
            `await self.context.call(link, "acme:app/handler", "handle", argument)`.
        http: Has the component at the other end of such a link answer a request:
            `response = await self.context.http(link, HttpRequest(path_with_query="/"), timeout_ms=5_000)`;
            see `lath.provider.outgoing.OutgoingCalls.http`.
        lost: Says, from outside of any call, that the backend behind what a link holds is gone, as an
            operation says by raising `BackendLost`: `self.context.lost(link, held, "the server closed it")`.
            Said of what the link no longer holds it does nothing. To be called on the provider's loop.
        pins: Handles of what lives in this instance and cannot leave it; see `lath.provider.pins`.
    """

    lattice: str
    provider_id: str
    instance_id: str
    host_id: str
    nats_url: str = field(repr=False)
    credentials: Credentials | None = field(repr=False)
    config: Mapping[str, str] = field(repr=False)
    call: Caller = field(repr=False)
    http: HttpAsker = field(repr=False)
    lost: LossTeller = field(repr=False)
    pins: Pins = field(repr=False)


class Operation:
    """A method that serves a function of an interface, with all that a call of it needs, compiled once.

    Attributes:
        attribute: The method's name.
        interface: The interface with the version that is served.
        function: The function's name in the WIT.
        title: Both, for messages.
        streaming: What of it travels as a stream; None: nothing.
        codec: The function's codec; of what it is as it travels.
    """

    def __init__(
        self,
        attribute: str,
        interface: InterfaceName,
        function: str,
        func: Func,
        resources: Mapping[str, type[Any]],
        annotations: Annotations,
    ) -> None:
        self.attribute = attribute
        self.interface = interface
        self.function = function
        self.title = f"{interface}.{function}"
        self.streaming = streaming_of(func)
        self.codec = FuncCodec(self.streaming.func if self.streaming else func)
        self._lifts: list[tuple[int, Convert]] = [
            (place, lift)
            for place, (param, own) in enumerate(zip(func.params, annotations.params, strict=True))
            if (lift := lifter(param.type, resources) or record_lifter(own.means, param.type)) is not None
        ]
        self._lowers = mentions_handle(func.result)

    def args_of_call(self, call: IncomingCall) -> list[Any]:
        """The arguments of a call that came over the bus."""
        if self.streaming is not None:
            return self._lift(arguments_of(self.streaming, self.codec, call))
        return self._lift(self.codec.decode_params(call.payload))

    def args_of_wire(self, params: Sequence[Wire]) -> list[Any]:
        """The arguments of a call from the same process."""
        if self.streaming is not None:
            return self._lift(arguments_here(self.streaming, self.codec, list(params)))
        return self._lift(self.codec.params_from_wire(list(params)))

    async def run(self, provider: Provider, call: Call[Any], args: Sequence[Any]) -> Any:
        """Calls the method, through the provider's interceptors. An `OpError` becomes the result's `err`.

        A stream that it returns has begun.
        """
        method = getattr(provider, self.attribute)
        try:
            if provider.interceptors:
                result = await intercepted(provider.interceptors, method, call, self, args)
            else:
                result = await method(call, *args)
            if self.streaming is not None and self.streaming.result is not None:
                return await begun(self.streaming.result, result)
        except OpError as e:
            return Err(e.payload)
        return lower(result) if self._lowers else result

    def _lift(self, args: list[Any]) -> list[Any]:
        for place, lift in self._lifts:
            args[place] = lift(args[place])
        return args


class Provider:
    """A capability provider: it opens links, and serves calls by them.

    Subclass it, and mark what serves calls with `@operation`; the class is checked against the WIT when it is
    defined. One object serves all links of one instance, on one event loop: nothing in it may block.

    What an `open_link` returns is handed to every call by that link as `call.held`, and to `close_link`
    exactly once: after a delete, before a changed link is opened anew, in a purge, and at the end.

    Attributes:
        wit: WIT text of interfaces that the provider brings itself, registered before the class is checked.
        interface: The interface of operations that name none.
        resources: The classes made by `@resource` that stand for the interface's resources.
        open_timeout_s: How long `open_link` may take; then the link is `failed` and is tried again.
        close_timeout_s: How long `close_link` may take.
        check_timeout_s: How long `check_link` may take.
        interceptors: What every call goes through, the first outermost; a class sets it, or an object in its
            `__init__`. See `lath.provider.interceptor`.
        operations: What is served, by namespace, package, interface and function. Made by lath.
    """

    wit: ClassVar[str] = ""
    interface: ClassVar[str] = ""
    resources: ClassVar[tuple[type[Any], ...]] = ()
    open_timeout_s: ClassVar[float] = OPEN_TIMEOUT_S
    close_timeout_s: ClassVar[float] = CLOSE_TIMEOUT_S
    check_timeout_s: ClassVar[float] = CHECK_TIMEOUT_S
    interceptors: Sequence[Interceptor] = ()
    operations: ClassVar[Mapping[OperationKey, Operation]] = {}

    context: ProviderContext

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("wit"):
            wit.register(cls.wit)
        cls.operations = _operations_of(cls)

    # --- what a provider may define ------------------------------------------------------------------

    async def start(self, config: Mapping[str, str]) -> None:
        """Called once, with the provider's own config, before any link is opened. Raising ends it all."""

    async def config_changed(self, config: Mapping[str, str]) -> None:
        """Called when the provider's own config changed while it runs; `self.context.config` has it too.

        It is cancelled when it takes longer than `open_timeout_s`.
        """

    async def drain(self) -> None:
        """Called when the instance stops gracefully, before its links are closed: finishes what it has begun.

        That is for sources of links, whose work does not come by calls. It is cancelled at the end of the
        drain time.
        """

    async def stop(self) -> None:
        """Called once, after every link was closed."""

    async def open_link(self, link: Link) -> Any:
        """Opens a link of which the provider is the target. Returns what the link holds.

        Raising makes the link `failed` with that reason; it is tried again with growing delays, and at once
        when its config changes. It is cancelled when it takes longer than `open_timeout_s`, or when the link
        changes meanwhile.
        """

    async def close_link(self, link: Link, held: Any) -> None:
        """Lets go of what `open_link` returned. It is called in any case, also on the way out."""

    async def check_link(self, link: Link, held: Any) -> None:
        """Asks the link's backend whether it works, for a deep ping. Raises when it does not.

        A `BackendLost` also makes the link `failed`.
        """

    async def open_source_link(self, link: Link) -> Any:
        """Like `open_link`, for a link of which the provider is the source: it calls `link.target`."""

    async def close_source_link(self, link: Link, held: Any) -> None:
        """Like `close_link`, for what `open_source_link` returned."""

    async def check_source_link(self, link: Link, held: Any) -> None:
        """Like `check_link`, for a link of which the provider is the source."""

    # --- running -------------------------------------------------------------------------------------

    @classmethod
    def interfaces(cls) -> tuple[str, ...]:
        """The interfaces served, with their versions, sorted."""
        return tuple(sorted({str(op.interface) for op in cls.operations.values()}))

    @classmethod
    def main(cls) -> None:
        """Runs the provider as this process: standing alone, or under the host that started it.

        Ends the process: 0 after a graceful stop, 1 when the provider itself failed, 2 for wrong usage, 3
        when no bus can be reached.
        """
        from lath.provider.runner import main  # here, since running needs instances, which need this class

        main(cls)


def _operations_of(cls: type[Provider]) -> dict[OperationKey, Operation]:
    resources = {resource_name(each): each for each in cls.resources}
    found: dict[OperationKey, Operation] = {}
    wrong: list[str] = []
    for attribute, mark in marked(cls):
        where = f"{cls.__qualname__}.{attribute}"
        described = wit.load(str(interface_of(cls, mark, where)))
        function = mark.function or wit_name(attribute)
        func = find(described, function, where)
        text = f"{described.name}.{function}: {func_text(func)}"
        method = getattr(cls, attribute)
        check_signature(method, function, func, where, text)
        annotations = annotations_of(method, vars(cls))
        lines = [f"{where}: {line}" for line in contradictions(annotations, func, resources)]
        if lines:
            wrong.append("\n".join([*lines, f"    {text}"]))
        interface = InterfaceName.parse(described.name)
        key = (interface.namespace, interface.package, interface.interface, function)
        if key in found:
            raise InvalidArgument(
                f"{where} and {found[key].attribute} both serve {described.name}.{function}"
            )
        if not lines:  # else they name classes that their values cannot be made into
            found[key] = Operation(attribute, interface, function, func, resources, annotations)
    if wrong:
        raise InvalidArgument("\n".join(wrong))
    return found
