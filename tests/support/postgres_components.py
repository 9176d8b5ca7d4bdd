"""A component in text form that asks two databases, and one of them in a transaction."""

from __future__ import annotations

import re
from typing import Final

from engine_components import CANONICAL, LIBC, define

from lath import wit
from lath.wit.types import Type

_QUERY: Final = "wasmcloud:postgres/query@0.1.1-draft"
_TRANSACTIONS: Final = "lath:postgres/transactions@1.0.0"


def shop() -> str:
    """Exports functions of the world, and forwards each to what it imports.

    - `ask: func(query: string, params: list<pg-value>) -> result<list<result-row>, query-error>`
    - `ask-archive`: the same, of the import labelled `archive`.
    - `attempt: func(query: string, params: list<pg-value>, commit: bool) -> result<u64, query-error>`: in a
      transaction, which is committed or dropped.
    """
    query = wit.load(_QUERY).functions["query"]
    begin = wit.load(_TRANSACTIONS).functions["begin"]
    exec_ = wit.load(_TRANSACTIONS).functions["[method]transaction.exec"]
    commit = wit.load(_TRANSACTIONS).functions["[method]transaction.commit"]
    params, params_ref = _named(query.params[1].type, "p")
    rows, rows_ref = _named(_of(query.result), "r")
    options, options_ref = _named(begin.params[0].type, "o")
    count, count_ref = _named(_of(exec_.result), "c")
    nothing, nothing_ref = _named(_of(commit.result), "n")
    error, error_ref = _named(_of(exec_.result).err, "e")
    signature = f'(param "query" string) (param "params" {params_ref})'
    return f"""
(component
  (import "{_QUERY}" (instance $shop {params} {rows}
    (export "query" (func {signature} (result {rows_ref})))))
  (import "archive" (implements "{_QUERY}") (instance $archive {params} {rows}
    (export "query" (func {signature} (result {rows_ref})))))
  (import "{_TRANSACTIONS}" (instance $transactions {params} {options} {count} {nothing} {error}
    (export "transaction" (type $transaction (sub resource)))
    (export "begin" (func (param "options" {options_ref})
      (result (result (own $transaction) (error {error_ref})))))
    (export "[method]transaction.exec" (func (param "self" (borrow $transaction)) {signature}
      (result {count_ref})))
    (export "[method]transaction.commit" (func (param "self" (borrow $transaction)) (result {nothing_ref})))))
  {_aliases("shop", params, rows)} {_aliases("transactions", count)}
  (alias export $transactions "transaction" (type $transaction))
  {LIBC}
  (core func $ask (canon lower (func $shop "query") {CANONICAL}))
  (core func $ask-archive (canon lower (func $archive "query") {CANONICAL}))
  (core func $begin (canon lower (func $transactions "begin") {CANONICAL}))
  (core func $exec (canon lower (func $transactions "[method]transaction.exec") {CANONICAL}))
  (core func $commit (canon lower (func $transactions "[method]transaction.commit") {CANONICAL}))
  (core func $drop (canon resource.drop $transaction))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "ask" (func $ask (param i32 i32 i32 i32 i32)))
    (import "" "ask-archive" (func $ask-archive (param i32 i32 i32 i32 i32)))
    (import "" "begin" (func $begin (param i32 i32 i32)))
    (import "" "exec" (func $exec (param i32 i32 i32 i32 i32 i32)))
    (import "" "commit" (func $commit (param i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "ask") (param i32 i32 i32 i32) (result i32)
      (call $ask (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 0)) (i32.const 0))
    (func (export "ask-archive") (param i32 i32 i32 i32) (result i32)
      (call $ask-archive (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 0)) (i32.const 0))
    (func (export "attempt") (param i32 i32 i32 i32 i32) (result i32) (local $transaction i32)
      (call $begin (i32.const 2) (i32.const 0) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then unreachable))
      (local.set $transaction (i32.load (i32.const 68)))
      (call $exec (local.get $transaction)
        (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 0))
      (if (local.get 4) (then
        (call $commit (local.get $transaction) (i32.const 64))
        (if (i32.load8_u (i32.const 64)) (then unreachable))))
      (call $drop (local.get $transaction))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "ask" (func $ask)) (export "ask-archive" (func $ask-archive)) (export "begin" (func $begin))
    (export "exec" (func $exec)) (export "commit" (func $commit)) (export "drop" (func $drop))))))
  (func $ask-f {signature} (result {rows_ref}) (canon lift (core func $guest "ask") {_LIFTED}))
  (func $archive-f {signature} (result {rows_ref}) (canon lift (core func $guest "ask-archive") {_LIFTED}))
  (func $attempt-f {signature} (param "commit" bool) (result {count_ref})
    (canon lift (core func $guest "attempt") {_LIFTED}))
  (export "ask" (func $ask-f))
  (export "ask-archive" (func $archive-f))
  (export "attempt" (func $attempt-f)))
"""


_LIFTED: Final = f'{CANONICAL} (post-return (core func $guest "after"))'


def _of(type_: Type | None) -> Type:
    assert type_ is not None
    return type_


def _named(type_: Type, prefix: str) -> tuple[str, str]:
    """What defines a type within an instance, under names that begin with `prefix`, and the type."""
    definitions, name = define(type_, imported=True)
    return _renamed(definitions, prefix), _renamed(name, prefix)


def _renamed(text: str, prefix: str) -> str:
    text = re.sub(r"\$(t|raw)(\d)", rf"${prefix}\1\2", text)
    return re.sub(r'\(export "t(\d)', rf'(export "{prefix}t\1', text)


def _aliases(instance: str, *definitions: str) -> str:
    names = [name for each in definitions for name in re.findall(r'\(export "(\w+)"', each)]
    return " ".join(f'(alias export ${instance} "{name}" (type ${name}))' for name in names)
