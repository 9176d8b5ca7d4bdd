"""What the tests of fusion share: components fused and called, and what answers their imports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge_components import FAR, NEAR
from engine_guests import MISCHIEF, no_imports
from fuse_components import ATOMICS, STORE, Passed, front
from wasmtime import wat2wasm

from lath.wit.types import Field, Func, ListOf, Primitive, Record
from lath_host.engine import Engine
from lath_host.engine.compose.fuse import Fused, Join, Part, fuse
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool
from lath_host.engine.wasi import native_interface

CONTEXT = CallContext()
REUSE = Limits(reuse=True)
BYTES = ListOf(Primitive("u8"))
STRING = Primitive("string")
U32 = Primitive("u32")
ASK = Func((Field("key", STRING),), STRING)
HELLO = Func((Field("name", STRING),), STRING)
COUNT = Func((), U32)
DEEP = "lath:test/deep@1.0.0"
FRONT = "lath:test/front@1.0.0"
MISCHIEF_NAME = "lath:test/mischief@1.2.0"
ACCOUNT = Record((Field("id", STRING), Field("inner", Record((Field("key", BYTES),)))))
JOINED_STORE = ("user", STORE, "keeper", STORE)
JOINED_ATOMICS = ("user", ATOMICS, "keeper", ATOMICS)


def fused(sources: dict[str, bytes], *joins: tuple[str, str, str, str]) -> Fused:
    """Components in text form, fused by (caller, import, callee, export)."""
    parts = [Part(name, bytes(wat2wasm(source))) for name, source in sources.items()]
    return fuse(parts, [Join(*join) for join in joins], is_native)


def is_native(name: str) -> bool:
    return native_interface(name) is not None


def renamed(source: bytes, **names: str) -> bytes:
    """A relay with another import (`far`) or another export (`near`)."""
    return (
        source.replace(NEAR.encode(), b"<near>")
        .replace(FAR.encode(), names.get("far", FAR).encode())
        .replace(b"<near>", names.get("near", NEAR).encode())
    )


async def call(
    engine: Engine,
    outcome: Fused,
    calls: Sequence[tuple[str, str, list[Any]]],
    on_import: Callable[..., Any] = no_imports,
    limits: Limits = REUSE,
) -> list[Any]:
    """The results of some calls, made one after the other."""
    compiled = await engine.compile(outcome.source)
    async with InstancePool(engine, compiled, limits, on_import, name="fused") as pool:
        return [await pool.call(*each, context=CONTEXT) for each in calls]


def mischievous(*functions: tuple[str, Func]) -> Fused:
    """A front of `MISCHIEF`, with that fused to it."""
    passed = [Passed(f'"{MISCHIEF_NAME}"', name, func, name) for name, func in functions]
    return fused(
        {"front": front(FRONT, passed), "mischief": MISCHIEF},
        ("front", MISCHIEF_NAME, "mischief", MISCHIEF_NAME),
    )


class Answers:
    """Answers imports, and remembers which were asked for."""

    def __init__(self, answer: Callable[[Import, list[Any]], Any]) -> None:
        self.asked: list[tuple[str, str]] = []
        self._answer = answer

    async def __call__(self, import_: Import, context: CallContext, params: list[Any]) -> Any:
        self.asked.append((import_.name, import_.function))
        return self._answer(import_, params)
