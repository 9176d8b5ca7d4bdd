"""Python components, built once per machine: each takes 17 s to build on one core, and as long to compile.

So there are few of them, and what several tests need stands in one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

WIT: Final = """
package demo:app@0.1.0;
interface store { get: func(key: string) -> option<list<u8>>; }
interface greet {
  record req { name: string, n: u32 }
  record resp { text: string, items: list<u32> }
  hello: func(name: string) -> string;
  run: func(r: req) -> result<resp, string>;
  via: func(key: string) -> string;
  echo: func(b: list<u8>) -> list<u8>;
  spin: func(n: u32) -> u32;
  sleep: func(ms: u32);
  fill: func(mib: u32) -> u32;
}
world app { import store; export greet; }
"""
SOURCE: Final = """
import sys
import time
from wit_world.exports import greet as types
from wit_world.imports import store

class Greet:
    def hello(self, name):
        return "hello " + name

    def run(self, r):
        print("running", r.name)
        print("oh", file=sys.stderr)
        return types.Resp(r.name, list(range(r.n)))

    def via(self, key):
        value = store.get(key)
        return value.decode() if value is not None else "none"

    def echo(self, b):
        return b

    def spin(self, n):
        x = 0
        for i in range(n):
            x = (x * 31 + i) & 0xFFFFFFFF
        return x

    def sleep(self, ms):
        time.sleep(ms / 1000)

    def fill(self, mib):
        return len(bytearray(mib << 20))
"""

PARTNER_WIT: Final = """
package demo:app@0.1.4;
interface store { get: func(key: string) -> option<list<u8>>; }
interface audit { record seen { key: string, times: u32 } note: func(what: seen) -> result<_, string>; }
world app {
  import audit;
  import demo:app/greet@0.1.0;
  export store;
  export test:words/front@1.0.0;
}
package demo:app@0.1.0 {
  interface greet {
    record req { name: string, n: u32 }
    record resp { text: string, items: list<u32> }
    hello: func(name: string) -> string;
    run: func(r: req) -> result<resp, string>;
    echo: func(b: list<u8>) -> list<u8>;
  }
}
package test:words@1.0.0 { interface front { say: func(text: string) -> string; } }
"""
PARTNER_SOURCE: Final = """
import random
import sys
from wit_world.imports import audit, greet

times = 0

class Store:
    def get(self, key):
        global times
        times += 1
        print("asked for", key)
        random.SystemRandom().random()
        if key == "raise":
            raise KeyError(key)
        audit.note(audit.Seen(key, times))
        return f"kept {key}".encode() if key != "absent" else None

class Front:
    def say(self, text):
        told = greet.run(greet.Req(text, 3))
        return f"{greet.hello(text)}; {told.text} {list(told.items)}; {len(greet.echo(bytes(3)))} bytes back"
"""
"""Answers what the guest above imports, at a later version, and tells its import `audit`; and calls it."""

LATER_WIT: Final = """
package test:later@1.0.0;
interface far { ask: async func(key: string) -> string; }
interface greet { hello: async func(name: string) -> string; }
world app { import far; export greet; }
"""
LATER_SOURCE: Final = """
from wit_world import exports
from wit_world.imports import far

class Greet(exports.Greet):
    async def hello(self, name):
        return await far.ask(name) + " and " + await far.ask(name + "'s friend")
"""
"""An async function that awaits two async imports."""


def cache_directory() -> Path:
    """Where built guests are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lath-tests"


def build_python_guest(wit: str = WIT, source: str = SOURCE) -> bytes:
    """The component, built now or before. Blocks; safe to call from several processes at once.

    Args:
        wit: Has a world `app`.
        source: The module that answers it.
    """
    key = hashlib.sha256("\0".join([wit, source, version("componentize-py")]).encode()).hexdigest()[:16]
    directory = cache_directory() / f"python-guest-{key}"
    directory.mkdir(parents=True, exist_ok=True)
    built = directory / "app.wasm"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            (directory / "app.wit").write_text(wit)
            (directory / "guest_app.py").write_text(source)
            tool = Path(sys.executable).with_name("componentize-py")
            partial = directory / "partial.wasm"
            subprocess.run(
                [tool, "-d", "app.wit", "-w", "app", "componentize", "guest_app", "-o", partial.name],
                cwd=directory, check=True, capture_output=True,
            )  # fmt: skip
            partial.rename(built)
    return built.read_bytes()
