"""A component in text form that handles messages: it passes each on, to its reply subject or to `done`."""

from __future__ import annotations

from typing import Final

from engine_components import CANONICAL, LIBC

_AFTER: Final = f'{CANONICAL} (post-return (core func $guest "after"))'
_MESSAGE: Final = "(param i32 i32 i32 i32 i32 i32 i32)"

FORWARD: Final = f"""
(component
  (import "wasmcloud:messaging/types@0.2.0" (instance $types
    (type $raw (record (field "subject" string) (field "body" (list u8)) (field "reply-to" (option string))))
    (export "broker-message" (type (eq $raw)))))
  (alias export $types "broker-message" (type $message))
  (import "wasmcloud:messaging/consumer@0.2.0" (instance $consumer
    (alias outer 1 $message (type $outer)) (export "broker-message" (type $m (eq $outer)))
    (export "publish" (func (param "msg" $m) (result (result (error string)))))))
  {LIBC}
  (core func $publish (canon lower (func $consumer "publish") {CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "far" "publish" (func $publish {_MESSAGE[:-1]} i32)))
    (func (export "handle") (param $subject i32) (param $subject-size i32) (param $body i32) (param $size i32)
      (param $replies i32) (param $reply i32) (param $reply-size i32) (result i32)
      (if (i32.eqz (local.get $replies))
        (then (local.set $reply (i32.const 1024)) (local.set $reply-size (i32.const 4))))
      (call $publish (local.get $reply) (local.get $reply-size) (local.get $body) (local.get $size)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset))
    (data (i32.const 1024) "done"))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))
    (with "far" (instance (export "publish" (func $publish))))))
  (func $handle (param "msg" $message) (result (result (error string)))
    (canon lift (core func $guest "handle") {_AFTER}))
  (instance $handler (export "handle-message" (func $handle)))
  (export "wasmcloud:messaging/handler@0.2.0" (instance $handler)))
"""
