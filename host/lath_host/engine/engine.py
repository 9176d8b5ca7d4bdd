"""The engine: compiles components, keeps time for busy guests, and lends the threads that they continue in.

One per process. A component is compiled once (and cached on disk), its types are read once;
`lath_host.engine.pool` runs it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal
from weakref import finalize

from wasmtime import Engine as WasmEngine
from wasmtime import WasmtimeError, wat2wasm
from wasmtime import component as stock

from lath.errors import InvalidArgument
from lath.wit.types import World
from lath_host.engine.allocation import INSTANCES_MAX, has_address_space
from lath_host.engine.background import Background
from lath_host.engine.budget import WarmBudget
from lath_host.engine.compile_cache import CompileCache
from lath_host.engine.compose.around import components_around, reflect_code_free
from lath_host.engine.compose.bridge import crossings_of, needed_of
from lath_host.engine.compose.fuse import Join
from lath_host.engine.compose.names import BRIDGE_VERSION, bridged_name, drop_name, numbered_name
from lath_host.engine.compose.preview1.command import ADAPTER_VERSION, component_of, is_module
from lath_host.engine.digests import cores, digest_of
from lath_host.engine.epochs import Epochs
from lath_host.engine.features import WasmFeatures
from lath_host.engine.fusing import Fitted, fuse_what_compiles
from lath_host.engine.reflect import Reflected, reflect
from lath_host.engine.sockets.network import SocketBudget
from lath_host.engine.threads import NICE, NICE_CROWDED, FairThreads, lower_priority
from lath_host.engine.wasi.answers import is_answered
from lath_host.engine.wasm_engines import EngineKind, WasmEngines, needs_concurrency

TICK_MS: Final = 2
"""How finely busy guests are sliced. The loop waits at most two ticks for one."""
_WASM_MAGIC: Final = b"\0asm"
_SETTINGS_VERSION: Final = 2
"""Goes up when the engine's settings change, so that the cache tells the files apart."""


class _NeedsConcurrency(Exception):
    """A component has async functions, and the engine that it is compiled for runs none."""


class CompiledComponent:
    """A component, compiled. Made by `Engine.compile`.

    Attributes:
        world: What it imports and exports.
        digest: SHA-256 of its source, in hex.
        source: Its bytes, or its text.
        size_bytes: The size of that.
    """

    def __init__(
        self,
        engine: Engine,
        source: bytes,
        digest: str,
        component: stock.Component,
        reflected: Reflected,
        concurrent: bool,
    ) -> None:
        self.digest = digest
        self.size_bytes = len(source)
        self._engine = engine
        self.source = source
        self._component = component
        self._metered: stock.Component | None = None
        self._reflected = reflected
        self._concurrent = concurrent

    @property
    def world(self) -> World:
        return self._reflected.world

    @property
    def refused_imports(self) -> Mapping[tuple[str, str], str]:
        """Reason by (import, function) for each import that cannot be carried."""
        return MappingProxyType(self._reflected.refused_imports)

    @property
    def uncrossable_exports(self) -> Mapping[tuple[str, str], str]:
        """Reason by (export, function) for each export that the component may not start with."""
        return MappingProxyType(self._reflected.uncrossable_exports)

    @property
    def aliased_resources(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """(interface, resource) that an import only uses -> the import that defines it."""
        return MappingProxyType(self._reflected.aliased_resources)

    def twin(self, direction: Literal["export", "import"], interface: str, function: str) -> str | None:
        """The world's function that takes the place of another, with `list<u8>` in bulk; None without one."""
        name = bridged_name(direction, interface, function)
        return name if name in self._reflected.twins else None

    def numbered(self, direction: Literal["export", "import"], interface: str, function: str) -> str | None:
        """The world's function that takes the place of another, with handles as numbers; None without one."""
        name = numbered_name(direction, interface, function)
        return name if name in self._reflected.twins else None

    @property
    def has_keeper(self) -> bool:
        """Whether it has a keeper."""
        return self._reflected.has_keeper

    def drop(self, interface: str, resource: str) -> str | None:
        """The world's function that drops a handle of an exported resource; None without one."""
        name = drop_name(interface, resource)
        return name if name in self._reflected.twins else None

    def unsupported(self, interface: str, function: str | None = None) -> str | None:
        """Why a function of an export, or any function of it, cannot be called; None when it can."""
        for (name, refused), reason in self._reflected.refused_exports.items():
            if name == interface and function in (None, refused):
                return f"{refused}: {reason}"
        return None

    def wasm(self, *, metered: bool) -> WasmEngine:
        """The engine that runs it."""
        return self._engine.engines.of(EngineKind(metered, self._concurrent))

    async def prepared(self, *, metered: bool) -> stock.Component:
        """The component for the engine that counts fuel, or for the one that does not."""
        if not metered:
            return self._component
        if self._metered is None:
            kind = EngineKind(metered=True, concurrent=self._concurrent)
            self._metered = await self._engine.compile_for(kind, self.source)
        return self._metered


class Engine:
    """Compiles components and keeps what all guests share: clock and threads. An async context manager.

    Args:
        cache_dir: Where compiled components are kept; None: nowhere.
        tick_ms: How finely busy guests are sliced, in milliseconds.
        threads: How many busy guests may run at once, beside the loop; None: one per core.
        bridge: Whether components get a bridge, by which `list<u8>` crosses in bulk, and those of HTTP a
            keeper, by which handles cross as numbers. Results are the same.
        nice: How much less the priority of these threads is than the loop's; see `FairThreads`. Compiling has
            at most `NICE_CROWDED`, since nothing would notice that it starves.
        warm: What instances that wait for calls may have; None: `WarmBudget`'s defaults.
        instances_max: Instances that there may be at once of components without fuel, in slots that are kept
            ready; None, or where a sandbox forbids the address space: unbounded, and made from nothing.
        features: Which WebAssembly proposals are on; None: wasmtime's own choice.

    Attributes:
        slots: How many slots each engine has; None: instances are made from nothing.
        engines: wasmtime's own.
        features: Which proposals are on.
        sockets: What the sockets of all guests share.
    """

    def __init__(
        self,
        *,
        cache_dir: Path | None = None,
        tick_ms: int = TICK_MS,
        threads: int | None = None,
        bridge: bool = True,
        nice: int = NICE,
        warm: WarmBudget | None = None,
        instances_max: int | None = INSTANCES_MAX,
        features: WasmFeatures | None = None,
    ) -> None:
        self.features = features or WasmFeatures()
        self.warm = warm or WarmBudget()
        self.sockets = SocketBudget()
        self.epochs = Epochs(tick_ms)
        self.slots = instances_max if instances_max and has_address_space(instances_max) else None
        self.engines = WasmEngines(self.features, self.slots, self.epochs)
        self.engines.of(EngineKind(concurrent=self.engines.concurrencies[0]))  # takes its address space
        self.threads = FairThreads(threads or cores(), nice=nice)
        # wasmtime compiles in threads of its own, which the first compilation starts: they inherit this
        # one's priority
        self._compilers = ThreadPoolExecutor(
            1,
            thread_name_prefix="lath-compile",
            initializer=lower_priority,
            initargs=(min(nice, NICE_CROWDED),),
        )
        # apart: whoever starts a component waits for it to be compiled, and nobody waits for a fused one
        self._background = Background("lath-fuse", min(nice, NICE_CROWDED))
        self._cache = CompileCache(cache_dir) if cache_dir else None
        self._answered = is_answered if bridge else None
        self._carried = crossings_of if bridge else needed_of
        self._settings = f"{_SETTINGS_VERSION}-{'bridge' if bridge else 'needed'}{BRIDGE_VERSION}"
        self._settings += f"adapter{ADAPTER_VERSION}{self.features.key}"
        # also for one that nobody closes: a clock that outlives its engine would touch what is freed
        self._end = finalize(self, _stop, self.threads, self.epochs, self._background, self._compilers)

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def compile(self, source: bytes) -> CompiledComponent:
        """Compiles a component, off the loop.

        Args:
            source: A component's bytes, or its text; or a command for WASI preview 1.

        Raises:
            InvalidArgument: It is not a component that wasmtime takes; the message has its reason.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._compilers, self._compile, bytes(source))

    async def fuse(
        self, parts: Mapping[str, CompiledComponent], joins: Sequence[Join]
    ) -> tuple[CompiledComponent | None, Fitted]:
        """Makes one component of several, and compiles it; off the loop, and behind no component's start.

        Args:
            parts: By name. What the first exports the fused one exports.
            joins: What of one is answered by another; see `fuse_what_compiles`.

        Returns:
            The component, None where nothing could be joined; and what is in it.
        """
        return await self._background.run(partial(self._fuse, dict(parts), tuple(joins)))

    async def compile_for(self, kind: EngineKind, source: bytes) -> stock.Component:
        """Compiles, for another engine, what has been compiled for one."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._compilers, lambda: self._component(kind, source, self._digest_of(source))
        )

    async def close(self) -> None:
        """Ends the clock and the threads. Close what runs guests first. Closing twice is fine."""
        await asyncio.to_thread(self._end)
        await asyncio.to_thread(self._compilers.shutdown)

    def _compile(self, source: bytes) -> CompiledComponent:
        digest = self._digest_of(source)
        *first, last = self.engines.concurrencies
        for concurrent in first:
            with suppress(_NeedsConcurrency):
                return self._compiled(source, digest, concurrent)
        return self._compiled(source, digest, last)

    def _compiled(self, source: bytes, digest: str, concurrent: bool) -> CompiledComponent:
        kind = EngineKind(concurrent=concurrent)
        component = self._component(kind, source, digest)

        def reflected() -> Reflected:
            engine = self.engines.of(kind)
            found = reflect(component, engine)
            return (
                replace(reflect_code_free(engine, _binary(source)), twins=found.twins)
                if found.has_keeper
                else found
            )

        if self._cache is None:
            sha256, described = hashlib.sha256(source).hexdigest(), reflected()
        else:
            settings = self._settings_of(kind)
            sha256, described = self._cache.description(source, digest, settings, reflected)
        return CompiledComponent(self, source, sha256, component, described, concurrent)

    def _component(self, kind: EngineKind, source: bytes, digest: str) -> stock.Component:
        def make() -> stock.Component:
            return self._make(kind, source)

        if self._cache is None:
            return make()
        return self._cache.component(self.engines.of(kind), digest, self._settings_of(kind), make)

    def _digest_of(self, source: bytes) -> str:
        """By which the cache finds it."""
        return digest_of(source) if self._cache else ""

    def _settings_of(self, kind: EngineKind) -> str:
        return f"{self.engines.key(kind)}{self._settings}"

    def _fuse(
        self, parts: Mapping[str, CompiledComponent], joins: Sequence[Join]
    ) -> tuple[CompiledComponent | None, Fitted]:
        binaries = {name: _binary(part.source) for name, part in parts.items()}
        return fuse_what_compiles(binaries, joins, self._compile)

    def _make(self, kind: EngineKind, source: bytes) -> stock.Component:
        """Compiles a component, with its keeper and in its bridge where it has them."""
        engine = self.engines.of(kind)
        try:
            wasm = _binary(source)
            return self._within(engine, wasm) or stock.Component(engine, wasm)
        except WasmtimeError as error:
            if kind.concurrent != self.engines.concurrencies[-1] and needs_concurrency(str(error)):
                raise _NeedsConcurrency from None
            reasons = ": ".join(filter(None, (self.features.advice(str(error)), str(error))))
            raise InvalidArgument(f"not a component that can run: {reasons}") from None

    def _within(self, engine: WasmEngine, wasm: bytes) -> stock.Component | None:
        """The component in what stands around it; None where nothing does, or wasmtime takes none of it."""
        for source in components_around(engine, wasm, self._carried, self._answered):
            with suppress(WasmtimeError):
                return stock.Component(engine, source)
        return None


def _stop(
    threads: FairThreads, epochs: Epochs, background: Background, compilers: ThreadPoolExecutor
) -> None:
    """Ends what an engine has started, in whichever thread the engine was forgotten."""
    threads.stop()  # before the clock, which ends the slices that run
    epochs.stop()
    background.stop()
    compilers.shutdown(wait=False, cancel_futures=True)


def _binary(source: bytes) -> bytes:
    """The bytes of the component that `source` is, or that a core module is run as."""
    wasm = source if source.startswith(_WASM_MAGIC) else bytes(wat2wasm(source))
    return component_of(wasm) if is_module(wasm) else wasm
