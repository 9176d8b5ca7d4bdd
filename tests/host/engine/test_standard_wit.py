"""The WIT that lath ships, held against the standard as wasmtime implements it: its linker compares types."""

from __future__ import annotations

import pytest
from socket_component import imported
from wasmtime import Engine, Store, WasiConfig, WasmtimeError
from wasmtime import _bindings as ffi
from wasmtime.component import Component, Linker

from lath import wit

IO = ("wasi:io/error", "wasi:io/poll", "wasi:io/streams")
SOCKETS = (
    *IO, "wasi:clocks/monotonic-clock", "wasi:sockets/network", "wasi:sockets/instance-network",
    "wasi:sockets/tcp", "wasi:sockets/tcp-create-socket", "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket", "wasi:sockets/ip-name-lookup",
)  # fmt: skip
HTTP = (*IO, "wasi:http/types", "wasi:http/outgoing-handler")


def importing(interfaces: tuple[str, ...]) -> str:
    """A component that imports every function of some interfaces, and has no code."""
    known: set[str] = set()
    return "\n".join(["(component", *(imported(wit.load(name), known) for name in interfaces), ")"])


def link(text: str) -> None:
    """Links a component to wasmtime's own WASI. Raises `WasmtimeError` where a type is another one."""
    engine = Engine()
    linker, store = Linker(engine), Store(engine)
    linker.add_wasip2()
    assert not ffi.wasmtime_component_linker_add_wasi_http(linker.ptr())
    store.set_wasi(WasiConfig())
    linker.instantiate(store, Component(engine, text.encode()))


@pytest.mark.parametrize("interfaces", [SOCKETS, HTTP], ids=["sockets", "http"])
def test_every_function_has_the_signature_of_the_standard(interfaces: tuple[str, ...]) -> None:
    link(importing(interfaces))


def test_another_signature_would_be_found() -> None:
    with pytest.raises(WasmtimeError, match="expected variant case named connection-timeout"):
        link(importing(HTTP).replace('"connection-timeout"', '"connection-time-out"'))
