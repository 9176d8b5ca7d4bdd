"""HTTP through the built-in server, beside the same handlers in uvicorn and Starlette, without a sandbox.

A component in JavaScript stands beside `jco serve` on the same file.

The server is built into the component's host, so that one process does all of it, as one process of uvicorn
does. Requests per second are wrk's, 16 connections, each with one request at a time; a body is 10 MiB. Where
other processes want the cores as well, the processor time per request says more than the rate.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from bench.child import child
from bench.guests import HERE, hello_javascript, hello_python, text_file, why_no_javascript
from bench.guests.http_text import BODY_BYTES, DOWNLOAD, UPLOAD
from bench.lattice import Lattice, lattice
from bench.machine import cpu_seconds
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from bench.peers.jco_serve import jco_peer, why_no_jco
from bench.peers.starlette_app import PIECE_BYTES, why_no_starlette
from lath.model import LinkSpec
from lath.testing import eventually

_CONNECTIONS: Final = 16
_WARM_INSTANCES: Final = 16
_WAIT_MS: Final = 60_000
_STARLETTE: Final = "starlette"
_HELLOS: Final = {
    _STARLETTE: "uvicorn and Starlette, no sandbox",
    "text_reuse": "a component (component text), instances reused",
    "text_fresh": "a component (component text), a fresh instance per request",
    "python_reuse": "a component (Python), instances reused",
    "python_fresh": "a component (Python), a fresh instance per request",
}
_JAVASCRIPT: Final = {
    "jco_serve": "jco serve, a fresh instance per request",
    "javascript_fresh": "the same component (JavaScript) here, a fresh instance per request",
}
_JAVASCRIPT_SECONDS: Final = 5.0
"""A sample's length at least: a request at `jco serve` takes most of a second with so many beside it."""
_BODIES: Final = {_STARLETTE: "uvicorn and Starlette, no sandbox", "text": "a component (component text)"}
_WAYS: Final = {"upload": "a request's body of 10 MiB", "download": "a response's body of 10 MiB"}
_TEXTS: Final = {"upload": UPLOAD, "download": DOWNLOAD}
_PIECE: Final = bytes(range(256)) * (PIECE_BYTES // 256)
_REQUESTS: Final = re.compile(r"(\d+) requests in")
_RATE: Final = re.compile(r"Requests/sec: +([\d.]+)")
_WRONG: Final = re.compile(r"Non-2xx.*|Socket errors.*")


def _declare() -> tuple[Measurement, ...]:
    found = []
    for name, what in _HELLOS.items():
        for figure, unit, better in (("requests_per_s", "calls/s", "higher"), ("cpu_us", "us", "lower")):
            of = "" if name == _STARLETTE else f"http.{_STARLETTE}.{figure}"
            found.append(Measurement(f"http.{name}.{figure}", unit, better, f"hello world: {what}", of))
    for name, what in _JAVASCRIPT.items():
        of = "" if name == "jco_serve" else "http.jco_serve.requests_per_s"
        found.append(
            Measurement(f"http.{name}.requests_per_s", "calls/s", "higher", f"hello world: {what}", of)
        )
    for way, said in _WAYS.items():
        for name, what in _BODIES.items():
            of = "" if name == _STARLETTE else f"http.{way}.{_STARLETTE}.mb_per_s"
            found.append(Measurement(f"http.{way}.{name}.mb_per_s", "MB/s", "higher", f"{said}: {what}", of))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Served:
    """Where something is served, and by which process."""

    url: str
    pid: int


async def _wrk(url: str, seconds: float) -> tuple[int, float]:
    """So many requests, so many a second."""
    process = await asyncio.create_subprocess_exec(
        "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(seconds))}s", url, stdout=PIPE
    )
    said = (await process.communicate())[0].decode()
    requests, rate = _REQUESTS.search(said), _RATE.search(said)
    if requests is None or rate is None or (wrong := _WRONG.search(said)):
        raise RuntimeError(f"wrk at {url}: {wrong[0] if requests and rate else said}")
    return int(requests[1]), float(rate[1])


def _hello(name: str, served: _Served, seconds: float) -> Probe:
    async def probe() -> Values:
        before = cpu_seconds(served.pid)
        requests, rate = await _wrk(served.url, seconds)
        used = cpu_seconds(served.pid) - before
        return {f"http.{name}.requests_per_s": rate, f"http.{name}.cpu_us": used / requests * 1e6}

    return probe


def _javascript_hello(name: str, url: str, seconds: float) -> Probe:
    async def probe() -> Values:
        return {f"http.{name}.requests_per_s": (await _wrk(url, max(seconds, _JAVASCRIPT_SECONDS)))[1]}

    return probe


async def _pieces() -> AsyncIterator[bytes]:
    for _ in range(BODY_BYTES // PIECE_BYTES):
        yield _PIECE


def _body(way: str, name: str, url: str, session: aiohttp.ClientSession) -> Probe:
    async def probe() -> Values:
        began = time.perf_counter()
        asked = session.post(url, data=_pieces()) if way == "upload" else session.get(url)
        async with asked as response:
            response.raise_for_status()
            received = 0
            async for chunk in response.content.iter_any():
                received += len(chunk)
        if received != (BODY_BYTES if way == "download" else 0):
            raise RuntimeError(f"{url} answered with {received} bytes")
        return {f"http.{way}.{name}.mb_per_s": BODY_BYTES / 1e6 / (time.perf_counter() - began)}

    return probe


async def _serve(on: Lattice, name: str, file: Path, **limits: object) -> _Served:
    """Starts a component, and links the server of its host to it at a port of its own."""
    await on.start(name, file, host="a", count=_CONNECTIONS * 4, **limits)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = f"web-{name}"
    await on.client.configs.put(config, {"address": f"127.0.0.1:{port}", "access_log": "false"})
    spec = LinkSpec(
        source_id="web", target=name, name=name, wit_namespace="wasi", wit_package="http",
        interfaces=("incoming-handler",), source_config=(config,),
    )  # fmt: skip
    await on.client.links.put_and_wait(spec, wait_ms=_WAIT_MS)
    url = f"http://127.0.0.1:{port}/"
    await eventually(lambda: _answers(port), _WAIT_MS / 1000, what=url)
    return _Served(url, on.pid("a"))


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _hellos(on: Lattice) -> dict[str, _Served]:
    """The components that say hello, started."""
    files = {"text": HERE / "hello_http.wat", "python": await hello_python()}
    found = {}
    for language, file in files.items():
        found[f"{language}_reuse"] = await _serve(on, f"{language}-reuse", file, reuse=True)
        found[f"{language}_fresh"] = await _serve(
            on, f"{language}-fresh", file, warm_instances=_WARM_INSTANCES
        )
    return found


async def _javascript_hellos(
    on: Lattice, settings: Settings, opened: Opened, stack: AsyncExitStack
) -> dict[str, str]:
    """Where the component in JavaScript is served: here, and by its peer."""
    if why := why_no_javascript():
        opened.notes.append(why)
        return {}
    file = await hello_javascript()
    urls = {"javascript_fresh": (await _serve(on, "javascript-fresh", file)).url}
    if why := why_no_jco():
        opened.notes.append(why)
    elif settings.peers:
        urls["jco_serve"] = await stack.enter_async_context(jco_peer(file))
    return urls


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    opened = Opened()
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(lattice(settings, "a"))
        await on.client.providers.start("builtin:http-server", provider_id="web", host="a", wait_ms=_WAIT_MS)
        hellos = await _hellos(on)
        bodies = {
            (way, "text"): (await _serve(on, way, text_file(on.folder, way, text))).url
            for way, text in _TEXTS.items()
        }
        if why := why_no_starlette():
            opened.notes.append(why)
        elif settings.peers:
            peer = await stack.enter_async_context(child("bench.peers.starlette_app"))
            url = f"http://127.0.0.1:{peer.ready['port']}/"
            hellos = {_STARLETTE: _Served(url, peer.pid), **hellos}
            bodies |= {(way, _STARLETTE): url + way for way in _WAYS}
        session = await stack.enter_async_context(aiohttp.ClientSession())
        if shutil.which("wrk"):
            opened.probes += [_hello(name, served, settings.seconds) for name, served in hellos.items()]
            scripts = await _javascript_hellos(on, settings, opened, stack)
            opened.probes += [_javascript_hello(name, url, settings.seconds) for name, url in scripts.items()]
        else:
            opened.notes.append("no wrk on PATH, which asks for hello worlds")
        opened.probes += [_body(way, name, url, session) for (way, name), url in bodies.items()]
        yield opened


HTTP = Rig(
    "http", "HTTP through the built-in server, beside uvicorn and Starlette, jco serve", _declare(), _open
)
