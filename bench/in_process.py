"""The engine in this process, with pools of the bench's guests: for figures without a bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from bench.guests import ECHO, RELAY, VERSION
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

_ECHO: Final = f"{ECHO}@{VERSION}"
_RELAY: Final = f"{RELAY}@{VERSION}"
_CONTEXT: Final = CallContext()
OnImport = Callable[[Import, CallContext, list[Any]], Awaitable[Any]]


async def give_back(wanted: Import, context: CallContext, params: list[Any]) -> Any:
    """Answers an import with its first parameter."""
    return params[0]


class Pool:
    """A component that can be called. `open_pool` makes one.

    Attributes:
        instances: The engine's own.
    """

    def __init__(self, instances: InstancePool) -> None:
        self.instances = instances

    async def echo(self, value: Any, function: str = "echo") -> Any:
        """Calls a function of the echo: `echo`, `bytes` or `numbers`."""
        return await self.instances.call(_ECHO, function, [value], context=_CONTEXT, timeout_ms=120_000)

    async def relay(self, text: str, imports: int) -> Any:
        """Calls the relay, which makes so many imports."""
        return await self.instances.call(_RELAY, "run", [text, imports], context=_CONTEXT)

    async def spin(self) -> None:
        """Computes until the pool is closed."""
        await self.instances.call(_ECHO, "spin", [], context=_CONTEXT)


async def open_pool(
    stack: AsyncExitStack,
    engine: Engine,
    compiled: CompiledComponent,
    *,
    on_import: OnImport = give_back,
    **limits: Any,
) -> Pool:
    """A pool that closes with `stack`; `limits` are those of `lath_host.engine.limits`."""
    instances = InstancePool(engine, compiled, Limits(**limits), on_import, name="bench")
    await stack.enter_async_context(instances)
    await instances.start()
    return Pool(instances)
