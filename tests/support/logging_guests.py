"""A guest in text form that logs through `wasi:logging`, and one that answers it."""

from __future__ import annotations

from typing import Final

from guests import LIBC

LOGGING: Final = "wasi:logging/logging@0.1.0-draft"
LEVELS: Final = ("trace", "debug", "info", "warn", "error", "critical")
SPEAKER: Final = "test:words/speaker@1.0.0"
_MEMORY: Final = "(memory $memory) (realloc $realloc)"
_LEVEL: Final = "(enum " + " ".join(f'"{level}"' for level in LEVELS) + ")"
_INTERFACE: Final = f"""(instance $logging
    (type $raw {_LEVEL})
    (export "level" (type $level (eq $raw)))
    (export "log" (func (param "level" $level) (param "context" string) (param "message" string))))"""


def speaker() -> str:
    """Exports `SPEAKER`: `log: func(level: u8, context: string, message: string)`, the level by its number.

    Also `flood: func(times: u32, message: string)`, which logs a message again and again at `info`.
    """
    return f"""
(component
  (import "{LOGGING}" {_INTERFACE})
  {LIBC}
  (core func $log-core (canon lower (func $logging "log") {_MEMORY}))
  (core module $guest
    (import "logging" "log" (func $log (param i32 i32 i32 i32 i32)))
    (func (export "log") (param i32 i32 i32 i32 i32)
      (call $log (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
    (func (export "flood") (param $times i32) (param i32 i32)
      (loop $again
        (call $log (i32.const 2) (i32.const 0) (i32.const 0) (local.get 1) (local.get 2))
        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
        (br_if $again (local.get $times)))))
  (core instance $guest (instantiate $guest
    (with "logging" (instance (export "log" (func $log-core))))))
  (func $log (param "level" u8) (param "context" string) (param "message" string)
    (canon lift (core func $guest "log") {_MEMORY}))
  (func $flood (param "times" u32) (param "message" string)
    (canon lift (core func $guest "flood") {_MEMORY}))
  (instance $out (export "log" (func $log)) (export "flood" (func $flood)))
  (export "{SPEAKER}" (instance $out)))
"""


def log_target() -> str:
    """Exports `wasi:logging/logging`: it traps, so that its caller hears that it was asked."""
    return f"""
(component
  (component $inner
    (type $raw {_LEVEL})
    (export $level "level" (type $raw))
    {LIBC}
    (core module $guest (func (export "log") (param i32 i32 i32 i32 i32) (unreachable)))
    (core instance $guest (instantiate $guest))
    (func $log (param "level" $level) (param "context" string) (param "message" string)
      (canon lift (core func $guest "log") {_MEMORY}))
    (export "log" (func $log)))
  (instance $out (instantiate $inner))
  (export "{LOGGING}" (instance $out)))
"""
