"""wasmtime's engines: one for most components, and others, made when first needed, for those that need more.

What counts fuel slows guests down, and so does wasmtime's support for concurrent tasks, which only async
functions (WASI 0.3) need: with it a warm call and a fresh instance each take a tenth more instructions. Code
that was compiled for one engine runs in no other.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

from wasmtime import Config
from wasmtime import Engine as WasmEngine
from wasmtime import _ffi as ffi

from lath_host.engine import capi
from lath_host.engine.allocation import has_address_space, use_slots
from lath_host.engine.epochs import Epochs
from lath_host.engine.features import PROPOSALS, WasmFeatures

_ASYNC: Final = "component-model-async"
_BEYOND_ASYNC: Final = ("component-model-async-stackful", "component-model-more-async-builtins")
"""Where one of these is on, all components are for engines with concurrency: wasmtime wants it for them."""


@dataclass(frozen=True, slots=True)
class EngineKind:
    """What an engine can do.

    Attributes:
        metered: It counts fuel.
        concurrent: It runs async functions.
    """

    metered: bool = False
    concurrent: bool = False


class WasmEngines:
    """The engines of one process, by what they can do.

    Args:
        features: Which proposals are on.
        slots: Instances that an engine has slots for, those that count fuel aside, and where there is address
            space; None: they have none.
        epochs: The clock that each of them ticks along with.
    """

    def __init__(self, features: WasmFeatures, slots: int | None, epochs: Epochs) -> None:
        self._features = features
        self._slots = slots
        self._epochs = epochs
        self._made: dict[EngineKind, WasmEngine] = {}
        self._with_slots: set[EngineKind] = set()
        self._making = threading.Lock()

    @property
    def concurrencies(self) -> tuple[bool, ...]:
        """Whether engines for components are concurrent, the ones to try first first."""
        if not self._features.is_on(_ASYNC):
            return (False,)
        return (True,) if any(map(self._features.is_on, _BEYOND_ASYNC)) else (False, True)

    def of(self, kind: EngineKind) -> WasmEngine:
        """An engine of a kind: made when first asked for, in whichever thread."""
        with self._making:
            engine = self._made.get(kind)
            if engine is None:
                engine = self._made[kind] = self._make(kind)
                self._epochs.add(capi.pointer_value(engine.ptr()))
            return engine

    def key(self, kind: EngineKind) -> str:
        """Tells compiled code apart."""
        self.of(kind)
        made_from = "metered" if kind.metered else "slots" if kind in self._with_slots else "plain"
        return f"{made_from}{'-concurrent' if kind.concurrent else ''}"

    def _make(self, kind: EngineKind) -> WasmEngine:
        config = Config()
        if self._slots is not None and not kind.metered and has_address_space(self._slots):
            use_slots(config, self._slots)
            self._with_slots.add(kind)
        config.epoch_interruption = True
        config.consume_fuel = kind.metered
        pointer: Any = config.ptr()
        ffi.wasmtime_config_wasm_component_model_implements_set(pointer, True)
        ffi.wasmtime_config_wasm_component_model_map_set(pointer, True)
        self._features.apply(pointer)
        if not kind.concurrent:
            ffi.wasmtime_config_wasm_component_model_async_set(pointer, False)
            ffi.wasmtime_config_concurrency_support_set(pointer, False)
        return WasmEngine(config)


def needs_concurrency(refusal: str) -> bool:
    """Whether wasmtime says so of a component that it refuses."""
    return any(sign in refusal for sign in PROPOSALS[_ASYNC].signs)
