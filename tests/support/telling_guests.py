"""A guest in text form that tells what it was given: environment, arguments, folder and config."""

from __future__ import annotations

from typing import Final

from guests import LIBC

ABOUT: Final = "test:words/about@1.0.0"
_MEMORY: Final = "(memory $memory) (realloc $realloc)"
_PAIRS: Final = "(list (tuple string string))"
_TYPES: Final = {
    "env": f"(result {_PAIRS})",
    "args": "(result (list string))",
    "cwd": "(result (option string))",
    "config": f"(result (result {_PAIRS} (error $error)))",
}
"""The functions of `ABOUT`. None takes a parameter."""


def teller(wasi: str = "0.2.6") -> str:
    """Exports `ABOUT`, each function of which passes on what the host answers.

    Args:
        wasi: The version of `wasi:cli` that it imports.
    """
    lifted = "\n".join(
        f'(func ${name} {type_} (canon lift (core func $guest "{name}") {_MEMORY}))'
        for name, type_ in _TYPES.items()
    )
    told = "\n".join(
        f'(func (export "{name}") (result i32) (call ${name} (i32.const 8)) (i32.const 8))' for name in _TYPES
    )
    imported = "\n".join(f'(import "wasi" "{name}" (func ${name} (param i32)))' for name in _TYPES)
    given = " ".join(f'(export "{name}" (func ${name}-core))' for name in _TYPES)
    exports = " ".join(f'(export "{name}" (func ${name}))' for name in _TYPES)
    return f"""
(component
  (import "wasi:cli/environment@{wasi}" (instance $environment
    (export "get-environment" (func {_TYPES["env"]}))
    (export "get-arguments" (func {_TYPES["args"]}))
    (export "initial-cwd" (func {_TYPES["cwd"]}))))
  (import "wasi:config/store@0.2.0-rc.1" (instance $config
    (type $raw (variant (case "upstream" string) (case "io" string)))
    (export "error" (type $error (eq $raw)))
    (export "get-all" (func {_TYPES["config"]}))))
  (alias export $config "error" (type $error))
  {LIBC}
  (core func $env-core (canon lower (func $environment "get-environment") {_MEMORY}))
  (core func $args-core (canon lower (func $environment "get-arguments") {_MEMORY}))
  (core func $cwd-core (canon lower (func $environment "initial-cwd") {_MEMORY}))
  (core func $config-core (canon lower (func $config "get-all") {_MEMORY}))
  (core module $guest
    {imported}
    {told})
  (core instance $guest (instantiate $guest (with "wasi" (instance {given}))))
  {lifted}
  (instance $about {exports})
  (export "{ABOUT}" (instance $about)))
"""
