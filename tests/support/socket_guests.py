"""An instance that does with sockets what it is told, and what its tests have in common.

`await told("start-connect", socket, network, address)` calls `[method]tcp-socket.start-connect`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final

from engine_guests import no_imports

from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool
from lath_host.engine.sockets.network import Network
from lath_host.engine.surroundings import Surroundings
from lath_host.outbound.resolver import ComponentLookups, Find, Resolver, system_find
from lath_host.outbound.socket_rules import SocketRules

CALL_TIMEOUT_MS: Final = 20_000


def address(host: str, port: int) -> dict[str, Any]:
    """An `ip-socket-address`."""
    parsed = ip_address(host)
    if parsed.version == 4:
        return {"ipv4": {"port": port, "address": list(parsed.packed)}}
    hextets = [int.from_bytes(parsed.packed[at : at + 2], "big") for at in range(0, 16, 2)]
    return {"ipv6": {"port": port, "flow-info": 0, "address": hextets, "scope-id": 0}}


class Told:
    """An instance that does what it is told.

    Args:
        pool: Runs it; reuses instances, has one.
        engine: Of the pool.
    """

    def __init__(self, pool: InstancePool, engine: Engine) -> None:
        self.pool = pool
        self.engine = engine
        self.network = 0

    async def __call__(self, function: str, *params: Any, timeout_ms: int = CALL_TIMEOUT_MS) -> Any:
        """Calls an export, and gives what it gives: `ok` values as they are, `err` values as they are."""
        result = await self.pool.call(
            "", function, list(params), context=CallContext(), timeout_ms=timeout_ms
        )
        if isinstance(result, dict) and len(result) == 1:
            ((case, value),) = result.items()
            return value if case in ("ok", "err") else result
        return result

    async def wait(self, subscribe: str, handle: int) -> None:
        """Blocks on what `subscribe` gives for a handle."""
        pollable = await self(subscribe, handle)
        await self("block", pollable)
        await self("drop-pollable", pollable)

    async def tcp(self, family: str = "ipv4") -> int:
        """A new TCP socket."""
        handle: int = await self("create-tcp-socket", family)
        return handle

    async def udp(self, host: str = "0.0.0.0", port: int = 0) -> int:
        """A new UDP socket that is bound."""
        handle: int = await self("create-udp-socket", "ipv6" if ":" in host else "ipv4")
        assert await self("udp-socket-start-bind", handle, self.network, address(host, port)) is None
        assert await self("udp-socket-finish-bind", handle) is None
        return handle

    async def connect(self, host: str, port: int, handle: int | None = None) -> Any:
        """Connects; (socket, input, output), or the error code."""
        handle = handle or await self.tcp("ipv6" if ":" in host else "ipv4")
        code = await self("start-connect", handle, self.network, address(host, port))
        if code is not None:
            return code
        await self.wait("tcp-socket-subscribe", handle)
        streams = await self("finish-connect", handle)
        return streams if isinstance(streams, str) else (handle, *streams)

    async def listen(self, host: str, port: int = 0) -> tuple[int, int]:
        """A socket that listens, and its port."""
        handle = await self.tcp("ipv6" if ":" in host else "ipv4")
        assert await self("tcp-socket-start-bind", handle, self.network, address(host, port)) is None
        assert await self("tcp-socket-finish-bind", handle) is None
        assert await self("start-listen", handle) is None
        assert await self("finish-listen", handle) is None
        ((_, fields),) = (await self("tcp-socket-local-address", handle)).items()
        return handle, fields["port"]

    async def accept(self, listener: int) -> tuple[int, int, int]:
        """The next connection: (socket, input, output)."""
        await self.wait("tcp-socket-subscribe", listener)
        accepted = await self("accept", listener)
        return (accepted[0], accepted[1], accepted[2])

    async def read_all(self, source: int) -> bytes:
        """All that comes until the stream is closed."""
        data = b""
        while isinstance(more := await self("blocking-read", source, 65_536), bytes):
            data += more
        assert more == {"closed": None}
        return data

    async def look_up(self, name: str) -> Any:
        """The addresses of a name, or the error code."""
        stream = await self("resolve-addresses", self.network, name)
        if isinstance(stream, str):
            return stream
        await self.wait("resolve-address-stream-subscribe", stream)
        found = []
        while (told := await self("resolve-next-address", stream)) is not None:
            if isinstance(told, str):
                return told
            ((case, parts),) = told.items()
            raw = bytes(parts) if case == "ipv4" else b"".join(part.to_bytes(2, "big") for part in parts)
            found.append(str(ip_address(raw)))
        await self("drop-resolve-address-stream", stream)
        return found


@asynccontextmanager
async def telling(
    engine: Engine, compiled: CompiledComponent, *patterns: str, find: Find = system_find
) -> AsyncIterator[Told]:
    """An instance of `socket_component` that may do what `patterns` say.

    Args:
        engine: Where it runs.
        compiled: The component.
        patterns: Of `allowed_sockets`.
        find: Looks names up.
    """
    limits = Limits(reuse=True, max_instances=1)
    network = Network("told", SocketRules(patterns), engine.sockets, ComponentLookups(Resolver(find)))
    async with InstancePool(
        engine, compiled, limits, no_imports, name="told", surroundings=Surroundings(sockets=network)
    ) as pool:
        told = Told(pool, engine)
        told.network = await told("instance-network")
        yield told
    network.close()
