"""Calls that a provider itself makes, by the links of which it is the source."""

from __future__ import annotations

from typing import Any

from lath import subjects, wit
from lath.bus import Bus
from lath.codec import Err, FuncCodec, Ok, component_handles_in_params
from lath.codec.handles import FindHandles, home_of
from lath.errors import NotFound
from lath.names import InterfaceName
from lath.provider.errors import OpError
from lath.provider.link import Link
from lath.rpc import Caller

TIMEOUT_MS: int = 10_000
"""A missing time-out means this, as everywhere."""


class OutgoingCalls:
    """Calls the other ends of a provider's links.

    It knows no instances of them (a provider may not read the presence of others), so calls go to the
    target's queue group; those with handles of a component's resources go to the instance that these name.
    """

    def __init__(self, bus: Bus, provider_id: str) -> None:
        self._caller = Caller(bus, None, provider_id)
        self._codecs: dict[tuple[str, str], tuple[InterfaceName, FuncCodec, FindHandles | None]] = {}

    async def call(
        self,
        link: Link,
        interface: str,
        function: str,
        *args: Any,
        timeout_ms: int = TIMEOUT_MS,
        version: str | None = None,
    ) -> Any:
        """Calls `function` of `interface` at the target of `link`.

        Args:
            link: A link of which this provider is the source.
            interface: `namespace:package/interface`, known to `lath.wit`.
            function: Its name in the WIT.
            args: Its arguments, in the friendly form of `lath.codec`.
            timeout_ms: How long the call may take.
            version: Of the interface, to ask for another than the one that `lath.wit` knows.

        Returns:
            Its result; where that is a `result<…>`, what `ok` carries.

        Raises:
            OpError: The call answered `err`.
            NotFound: There is no such interface or function.
            LathError: The call failed; see `lath.errors`.
        """
        name, codec, handles = self._codec(interface, function)
        params = codec.params_to_wire(args)
        answer = await self._caller.call(
            link.target,
            subjects.call_tail(link.source_id, link.name, name, function),
            codec.pack_params(params),
            timeout_ms=timeout_ms,
            linked=True,
            revision=link.revision,
            interface_version=name.version if version is None else version,
            at=home_of(handles(params), link.target) if handles is not None else None,
        )
        result = codec.decode_result(answer)
        if isinstance(result, Err):
            raise OpError(result.error)
        return result.value if isinstance(result, Ok) else result

    async def close(self) -> None:
        """Ends the calls that run."""
        await self._caller.close()

    def _codec(self, interface: str, function: str) -> tuple[InterfaceName, FuncCodec, FindHandles | None]:
        known = self._codecs.get((interface, function))
        if known is None:
            described = wit.load(interface)
            func = described.functions.get(function)
            if func is None:
                raise NotFound(f"{described.name} has no function {function!r}")
            handles = component_handles_in_params(func)
            known = InterfaceName.parse(described.name), FuncCodec(func), handles
            self._codecs[interface, function] = known
        return known
