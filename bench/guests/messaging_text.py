"""A component in component text that handles messages: it looks at each and returns ok."""

from __future__ import annotations

from typing import Final

TEXT_HANDLER: Final = """
(component
  (import "wasmcloud:messaging/types@0.2.0" (instance $types
    (type $raw (record (field "subject" string) (field "body" (list u8)) (field "reply-to" (option string))))
    (export "broker-message" (type (eq $raw)))))
  (alias export $types "broker-message" (type $message))
  (core module $libc-module
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    (func (export "reset") (global.set $next (i32.const 4096))))
  (core instance $libc (instantiate $libc-module))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (func (export "handle") (param $subject i32) (param i32) (param $body i32) (param $size i32)
      (param i32 i32 i32) (result i32)
      (i32.store (i32.const 0) (i32.eqz (local.get $size)))
      (i32.store (i32.const 4) (i32.const 1024)) (i32.store (i32.const 8) (i32.const 5))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset))
    (data (i32.const 1024) "empty"))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))))
  (type $handle (func (param "msg" $message) (result (result (error string)))))
  (func $handle-message (type $handle) (canon lift (core func $guest "handle")
    (memory $memory) (realloc $realloc) (post-return (core func $guest "after"))))
  (instance $handler (export "handle-message" (func $handle-message)))
  (export "wasmcloud:messaging/handler@0.2.0" (instance $handler)))
"""
"""`handle-message` returns ok, and an error for an empty body."""
