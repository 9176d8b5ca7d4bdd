"""A call from one process to another: lath's components beside bare NATS, gRPC, Ray and `wasmtime serve`.

Every contender answers with the 66 bytes of a string of 64 characters, and each has a process of its own on
either side (and nats-server between, where it uses it). Three figures each: 64 calls in flight, one at a
time, and, for fresh instances beside reused ones, at half load: an open loop at half the rate that the fresh
instances reach, the same rate for both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from bench.guests import (
    ECHO,
    TEXT_ECHO,
    javascript_echo,
    python_echo,
    text_file,
    why_no_javascript,
)
from bench.lattice import Lattice, lattice
from bench.load import open_loop
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from bench.peers import PARAMS, Contender, contender
from bench.peers.python import python_peers
from bench.peers.ray_actor import NAME as RAY
from bench.peers.ray_actor import ray_peer, why_no_ray
from bench.peers.wasmtime_serve import NAME as WASMTIME
from bench.peers.wasmtime_serve import wasmtime_peer, why_no_wasmtime

IN_FLIGHT: Final = 64
LANGUAGES: Final = {"text": "component text", "python": "Python", "javascript": "JavaScript"}
_MODES: Final = {"reuse": "instances reused", "fresh": "a fresh instance per call"}
_PEERS: Final = {
    "raw": "nats-py request and respond",
    "raw_header": "nats-py with lath's header",
    "lath_rpc": "lath's Caller to its CallServer, no component behind",
    "grpc_aio": "grpc.aio, a plain handler",
    RAY: "a Ray actor (no broker, its own wire)",
    WASMTIME: "wasmtime serve: HTTP, an instance a request (no broker, no routing)",
}
_WARM_UP_SECONDS: Final = 0.3
_WARM_INSTANCES: Final = {"text": 64, "python": 8, "javascript": 8}
"""Made ahead for fresh calls: more would be memory that is not a default's."""


def _named(language: str, mode: str) -> str:
    return f"{language}_{mode}"


_OURS: Final = {
    _named(language, mode): f"a component ({text}), {how}"
    for language, text in LANGUAGES.items()
    for mode, how in _MODES.items()
}


def _declare() -> tuple[Measurement, ...]:
    found = []
    for name, what in (_PEERS | _OURS).items():
        of = "" if name == "raw_header" else "crosshost.raw_header"
        rates = f"{of}.calls_per_s" if of else ""
        alone = f"{of}.alone_p50_us" if of else ""
        found += [
            Measurement(f"crosshost.{name}.calls_per_s", "calls/s", "higher", f"{what}; 64 in flight", rates),
            Measurement(f"crosshost.{name}.p99_us", "us", "lower", f"{what}; 64 in flight"),
            Measurement(f"crosshost.{name}.alone_p50_us", "us", "lower", f"{what}; one at a time", alone),
        ]
    for language in LANGUAGES:
        reuse = f"crosshost.{_named(language, 'reuse')}.half_load_p50_us"
        for mode, how in _MODES.items():
            name = f"crosshost.{_named(language, mode)}.half_load"
            what = f"a component ({LANGUAGES[language]}), {how}; at half of the fresh ones' rate"
            found += [
                Measurement(f"{name}_p50_us", "us", "lower", what, reuse if mode == "fresh" else ""),
                Measurement(f"{name}_p99_us", "us", "lower", what),
            ]
    return tuple(found)


def _closed(each: Contender, seconds: float) -> Probe:
    async def probe() -> Values:
        many = await each.closed(IN_FLIGHT, seconds)
        one = await each.closed(1, seconds)
        return {
            f"crosshost.{each.name}.calls_per_s": many.calls_per_s,
            f"crosshost.{each.name}.p99_us": many.p99_us,
            f"crosshost.{each.name}.alone_p50_us": one.p50_us,
        }

    return probe


def _half_load(language: str, ours: Mapping[str, Contender], seconds: float) -> Probe:
    """Fresh and reused instances of one language, at half the rate that the fresh ones reach right now."""

    async def probe() -> Values:
        fresh = ours[_named(language, "fresh")]
        rate = (await fresh.closed(IN_FLIGHT, seconds)).calls_per_s / 2
        found: dict[str, float] = {}
        for mode in _MODES:
            each = ours[_named(language, mode)]
            assert each.call is not None
            load = await open_loop(each.call, rate, seconds)
            found[f"crosshost.{each.name}.half_load_p50_us"] = load.p50_us
            found[f"crosshost.{each.name}.half_load_p99_us"] = load.p99_us
        return found

    return probe


async def _components(on: Lattice, language: str) -> dict[str, Contender]:
    """The components of one language, started, as contenders."""
    if language == "text":
        file = text_file(on.folder, "echo", TEXT_ECHO)
    else:
        file = await (python_echo() if language == "python" else javascript_echo())
    found = {}
    for mode in _MODES:
        name = _named(language, mode)
        limits = {"reuse": True} if mode == "reuse" else {"warm_instances": _WARM_INSTANCES[language]}
        await on.start(name, file, host="a", count=IN_FLIGHT, **limits)
        found[name] = contender(name, partial(on.call, name, ECHO, "echo", PARAMS))
    return found


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    opened = Opened()
    languages = [each for each in LANGUAGES if each != "javascript" or not why_no_javascript()]
    if "javascript" not in languages:
        opened.notes.append(why_no_javascript())
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(lattice(settings, "a"))
        ours: dict[str, Contender] = {}
        for language in languages:
            ours |= await _components(on, language)
        peers: list[Contender] = []
        if settings.peers:
            peers += await stack.enter_async_context(python_peers(on.url))
            for why, peer in ((why_no_wasmtime(), wasmtime_peer(on.folder)), (why_no_ray(), ray_peer())):
                if why:
                    opened.notes.append(why)
                else:
                    peers.append(await stack.enter_async_context(peer))
        everybody = [*peers, *ours.values()]
        for each in everybody:
            await each.closed(IN_FLIGHT, _WARM_UP_SECONDS)
        opened.probes += [_closed(each, settings.seconds) for each in everybody]
        opened.probes += [_half_load(language, ours, settings.seconds) for language in languages]
        yield opened


CROSSHOST = Rig("crosshost", "a call between two processes, beside its peers", _declare(), _open)
