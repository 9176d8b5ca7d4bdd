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
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal
from weakref import finalize

from wasmtime import Config, WasmtimeError, wat2wasm
from wasmtime import Engine as WasmEngine
from wasmtime import _ffi as ffi
from wasmtime import component as stock

from lath.errors import InvalidArgument
from lath.wit.types import World
from lath_host.engine import capi
from lath_host.engine.allocation import INSTANCES_MAX, has_address_space, use_slots
from lath_host.engine.background import Background
from lath_host.engine.budget import WarmBudget
from lath_host.engine.compile_cache import CompileCache
from lath_host.engine.compose.around import bridges_around
from lath_host.engine.compose.bridge import crossings_of, needed_of
from lath_host.engine.compose.fuse import Join
from lath_host.engine.compose.names import BRIDGE_VERSION, bridged_name, drop_name
from lath_host.engine.compose.preview1.command import ADAPTER_VERSION, component_of, is_module
from lath_host.engine.digests import cores, digest_of
from lath_host.engine.epochs import Epochs
from lath_host.engine.features import WasmFeatures
from lath_host.engine.fusing import Fitted, fuse_what_compiles
from lath_host.engine.reflect import Reflected, reflect
from lath_host.engine.sockets.network import SocketBudget
from lath_host.engine.threads import NICE, NICE_CROWDED, FairThreads, lower_priority

TICK_MS: Final = 2
"""How finely busy guests are sliced. The loop waits at most two ticks for one."""
_WASM_MAGIC: Final = b"\0asm"
_SETTINGS_VERSION: Final = 1
"""Goes up when the engine's settings change, so that the cache tells the files apart."""


class CompiledComponent:
    """A component, compiled. Made by `Engine.compile`.

    Attributes:
        world: What it imports and exports.
        digest: SHA-256 of its source, in hex.
        source: Its bytes, or its text.
        size_bytes: The size of that.
    """

    def __init__(
        self, engine: Engine, source: bytes, digest: str, component: stock.Component, reflected: Reflected
    ) -> None:
        self.digest = digest
        self.size_bytes = len(source)
        self._engine = engine
        self.source = source
        self._component = component
        self._metered: stock.Component | None = None
        self._reflected = reflected

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

    async def prepared(self, *, metered: bool) -> stock.Component:
        """The component for the engine that counts fuel, or for the one that does not."""
        if not metered:
            return self._component
        if self._metered is None:
            self._metered = await self._engine.compile_metered(self.source)
        return self._metered


class Engine:
    """Compiles components and keeps what all guests share: clock and threads. An async context manager.

    Args:
        cache_dir: Where compiled components are kept; None: nowhere.
        tick_ms: How finely busy guests are sliced, in milliseconds.
        threads: How many busy guests may run at once, beside the loop; None: one per core.
        bridge: Whether components get a bridge, by which `list<u8>` crosses in bulk. Results are the same.
        nice: How much less the priority of these threads is than the loop's; see `FairThreads`. Compiling has
            at most `NICE_CROWDED`, since nothing would notice that it starves.
        warm: What instances that wait for calls may have; None: `WarmBudget`'s defaults.
        instances_max: Instances that there may be at once of components without fuel, in slots that are kept
            ready; None, or where a sandbox forbids the address space: unbounded, and made from nothing.
        features: Which WebAssembly proposals are on; None: wasmtime's own choice.

    Attributes:
        slots: How many slots there are; None: instances are made from nothing.
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
        slots = instances_max if instances_max and has_address_space(instances_max) else None
        self.slots = slots
        self.wasm = _wasm_engine(self.features, metered=False, slots=slots)
        self.epochs.add(capi.pointer_value(self.wasm.ptr()))
        self._metered: WasmEngine | None = None
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
        self._carried = crossings_of if bridge else needed_of
        self._settings = f"{_SETTINGS_VERSION}-{'bridge' if bridge else 'needed'}{BRIDGE_VERSION}"
        self._settings += f"adapter{ADAPTER_VERSION}{self.features.key}"
        self._plain = "slots" if slots else "plain"
        # also for one that nobody closes: a clock that outlives its engine would touch what is freed
        self._end = finalize(self, _stop, self.threads, self.epochs, self._background, self._compilers)

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def metered(self) -> WasmEngine:
        """The engine that counts fuel, which slows guests down: made when first asked for."""
        if self._metered is None:
            self._metered = _wasm_engine(self.features, metered=True, slots=None)
            self.epochs.add(capi.pointer_value(self._metered.ptr()))
        return self._metered

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

    async def compile_metered(self, source: bytes) -> stock.Component:
        """Compiles for the engine that counts fuel."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._compilers, self._compile_metered, self.metered, source)

    async def close(self) -> None:
        """Ends the clock and the threads. Close what runs guests first. Closing twice is fine."""
        await asyncio.to_thread(self._end)
        await asyncio.to_thread(self._compilers.shutdown)

    def _compile(self, source: bytes) -> CompiledComponent:
        if self._cache is None:
            component = self._make(self.wasm, source)
            sha256, reflected = hashlib.sha256(source).hexdigest(), reflect(component, self.wasm)
        else:
            digest, settings = digest_of(source), f"{self._plain}{self._settings}"
            component = self._cache.component(
                self.wasm, digest, settings, lambda: self._make(self.wasm, source)
            )
            sha256, reflected = self._cache.description(
                source, digest, settings, lambda: reflect(component, self.wasm)
            )
        return CompiledComponent(self, source, sha256, component, reflected)

    def _compile_metered(self, engine: WasmEngine, source: bytes) -> stock.Component:
        if self._cache is None:
            return self._make(engine, source)
        settings = f"metered{self._settings}"
        return self._cache.component(engine, digest_of(source), settings, lambda: self._make(engine, source))

    def _fuse(
        self, parts: Mapping[str, CompiledComponent], joins: Sequence[Join]
    ) -> tuple[CompiledComponent | None, Fitted]:
        binaries = {name: _binary(part.source) for name, part in parts.items()}
        return fuse_what_compiles(binaries, joins, self._compile)

    def _make(self, engine: WasmEngine, source: bytes) -> stock.Component:
        """Compiles a component, in its bridge where it has one."""
        try:
            wasm = _binary(source)
            return self._bridged(engine, wasm) or stock.Component(engine, wasm)
        except WasmtimeError as error:
            reasons = ": ".join(filter(None, (self.features.advice(str(error)), str(error))))
            raise InvalidArgument(f"not a component that can run: {reasons}") from None

    def _bridged(self, engine: WasmEngine, wasm: bytes) -> stock.Component | None:
        """The component in its bridge; None where it has none, or wasmtime does not take it."""
        for source in bridges_around(engine, wasm, self._carried):
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


def _wasm_engine(features: WasmFeatures, *, metered: bool, slots: int | None) -> WasmEngine:
    config = Config()
    if slots is not None:
        use_slots(config, slots)
    config.epoch_interruption = True
    config.consume_fuel = metered
    pointer: Any = config.ptr()
    ffi.wasmtime_config_wasm_component_model_implements_set(pointer, True)
    ffi.wasmtime_config_wasm_component_model_map_set(pointer, True)
    features.apply(pointer)
    return WasmEngine(config)
