"""The guests: small components in component text, and an echo in Python and in JavaScript.

Text components stand here rather than in files because the sizes of their loops and their imports are what
is measured: one look shows what a call does.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
from pathlib import Path
from typing import Final

from lath.names import InterfaceName
from lath_control.build import build

HERE: Final = Path(__file__).parent
ECHO: Final = InterfaceName("bench", "echo", "echo")
RELAY: Final = InterfaceName("bench", "relay", "relay")
VERSION: Final = "0.1.0"
"""Of both interfaces."""

LIBC: Final = """
  (core module $libc-module
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (block $enough
        (br_if $enough (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))))
      (local.get $at))
    (func (export "mark") (result i32) (global.get $next))
    (func (export "rewind") (param i32) (global.set $next (local.get 0)))
    (func (export "reset") (global.set $next (i32.const 4096))))
  (core instance $libc (instantiate $libc-module))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
"""
_CANONICAL: Final = "(memory $memory) (realloc $realloc)"
_AFTER: Final = f'{_CANONICAL} (post-return (core func $guest "after"))'

TEXT_ECHO: Final = f"""
(component
  {LIBC}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) (i32.const 0))
    (func (export "spin") (loop $forever (br $forever)))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))))
  (func $echo (param "text" string) (result string) (canon lift (core func $guest "echo") {_AFTER}))
  (func $bytes (param "data" (list u8)) (result (list u8))
    (canon lift (core func $guest "echo") {_AFTER}))
  (func $numbers (param "data" (list u32)) (result (list u32))
    (canon lift (core func $guest "echo") {_AFTER}))
  (func $spin (canon lift (core func $guest "spin")))
  (instance $out
    (export "echo" (func $echo)) (export "bytes" (func $bytes))
    (export "numbers" (func $numbers)) (export "spin" (func $spin)))
  (export "{ECHO}@{VERSION}" (instance $out)))
"""
"""`echo`, `bytes` and `numbers` give back what they get; `spin` computes for ever."""

TEXT_TRAP: Final = f"""
(component
  {LIBC}
  (core module $guest
    (func (export "echo") (param i32 i32) (result i32) unreachable))
  (core instance $guest (instantiate $guest))
  (func $echo (param "text" string) (result string) (canon lift (core func $guest "echo") {_CANONICAL}))
  (instance $out (export "echo" (func $echo)))
  (export "{ECHO}@{VERSION}" (instance $out)))
"""
"""Its `echo` traps."""

TEXT_RELAY: Final = f"""
(component
  (import "{ECHO}@{VERSION}" (instance $far
    (export "echo" (func (param "text" string) (result string)))))
  {LIBC}
  (core func $echo (canon lower (func $far "echo") {_CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "mark" (func $mark (result i32)))
    (import "libc" "rewind" (func $rewind (param i32)))
    (import "libc" "reset" (func $reset))
    (import "far" "echo" (func $echo (param i32 i32 i32)))
    (func (export "run") (param $at i32) (param $size i32) (param $n i32) (result i32)
      (local $mark i32)
      (local.set $mark (call $mark))
      (i32.store (i32.const 0) (local.get $at))
      (i32.store (i32.const 4) (local.get $size))
      (block $done
        (loop $next
          (br_if $done (i32.eqz (local.get $n)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (call $rewind (local.get $mark))
          (call $echo (local.get $at) (local.get $size) (i32.const 0))
          (br $next)))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "far" (instance (export "echo" (func $echo))))))
  (func $run (param "text" string) (param "n" u32) (result string)
    (canon lift (core func $guest "run") {_AFTER}))
  (instance $out (export "run" (func $run)))
  (export "{RELAY}@{VERSION}" (instance $out)))
"""
"""`run` calls its import `echo` `n` times with `text`, and gives back the last answer."""

_WASI_OF_JAVASCRIPT: Final = ("stdio", "random", "clocks", "http", "fetch-event")
"""What an echo does without."""
_serial = itertools.count()


def text_file(folder: Path, name: str, source: str) -> Path:
    """A component's text as a file."""
    path = folder / f"{name}.wat"
    path.write_text(source)
    return path


def never_seen(source: str) -> str:
    """The same component under another digest, so that no cache has it."""
    return f"{source};; {next(_serial)}\n"


def never_seen_binary(source: bytes) -> bytes:
    """The same for a binary: with a custom section more, which means nothing."""
    name = f"bench-{next(_serial)}".encode()
    return source + bytes([0, len(name) + 1, len(name)]) + name


async def python_echo() -> Path:
    """The echo in Python, 18 MB: built now, or taken from an earlier build."""
    return Path((await build(HERE / "echo", output=HERE / "built" / "echo_python.wasm")).path)


async def hello_python() -> Path:
    """The component in Python that says hello over HTTP, 18 MB: built now, or taken from an earlier build."""
    return Path((await build(HERE / "hello", output=HERE / "built" / "hello_python.wasm")).path)


def why_no_javascript() -> str:
    """Why there can be no guest in JavaScript here; empty where there can."""
    if shutil.which("componentize-js"):
        return ""
    return "no JavaScript guest: npm install -g @bytecodealliance/componentize-js"


async def javascript_echo() -> Path:
    """The echo in JavaScript, 12 MB: built now, or taken from an earlier build.

    Raises:
        RuntimeError: It does not build; the message has the tool's words.
    """
    without = [option for feature in _WASI_OF_JAVASCRIPT for option in ("--disable", feature)]
    return await _javascript("echo", "echo.js", "guest", "echo_javascript.wasm", *without)


async def hello_javascript() -> Path:
    """The component in JavaScript that says hello over HTTP, 12 MB: built now or earlier.

    Raises:
        RuntimeError: It does not build; the message has the tool's words.
    """
    return await _javascript("hello_js", "hello.js", "hello", "hello_javascript.wasm")


async def _javascript(folder: str, source: str, world: str, name: str, *options: str) -> Path:
    output = HERE / "built" / name
    if await asyncio.to_thread(output.exists):
        return output
    await asyncio.to_thread(output.parent.mkdir, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        "componentize-js", "--wit", "wit", "--world-name", world, *options, "--out", str(output), source,
        cwd=HERE / folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{HERE / folder / source} does not build: {said.decode(errors='replace')}")
    return output
