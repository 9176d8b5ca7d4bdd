"""HTTP components in text form that take bodies, and give them."""

from __future__ import annotations

from typing import Final

BODY_BYTES: Final = 10 << 20
"""What `DOWNLOAD` gives, and what is sent to `UPLOAD`: half of its bytes are ASCII."""
_PIECE_BYTES: Final = 65_536

_IMPORTS: Final = """
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $io-error (type $outer-error)) (export "error" (type $e (eq $outer-error)))
    (alias outer 1 $pollable (type $outer-pollable)) (export "pollable" (type $p (eq $outer-pollable)))
    (type $raw (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $raw)))
    (export "input-stream" (type $in (sub resource)))
    (export "output-stream" (type $out (sub resource)))
    (export "[method]input-stream.blocking-read" (func (param "self" (borrow $in)) (param "len" u64)
      (result (result (list u8) (error $stream-error)))))
    (export "[method]output-stream.subscribe" (func (param "self" (borrow $out)) (result (own $p))))
    (export "[method]output-stream.check-write" (func (param "self" (borrow $out))
      (result (result u64 (error $stream-error)))))
    (export "[method]output-stream.write" (func (param "self" (borrow $out)) (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:http/types@0.2.0" (instance $types
    (alias outer 1 $input (type $outer-in)) (export "input-stream" (type $in (eq $outer-in)))
    (alias outer 1 $output (type $outer-out)) (export "output-stream" (type $out (eq $outer-out)))
    (type $raw (variant (case "configuration-error") (case "internal-error" (option string))))
    (export "error-code" (type $error-code (eq $raw)))
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type $request (sub resource)))
    (export "incoming-body" (type $body-in (sub resource)))
    (export "outgoing-response" (type $response (sub resource)))
    (export "outgoing-body" (type $body-out (sub resource)))
    (export "response-outparam" (type $outparam (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]incoming-request.consume" (func (param "self" (borrow $request))
      (result (result (own $body-in)))))
    (export "[method]incoming-body.stream" (func (param "self" (borrow $body-in))
      (result (result (own $in)))))
    (export "[constructor]outgoing-response" (func (param "headers" (own $fields)) (result (own $response))))
    (export "[method]outgoing-response.body" (func (param "self" (borrow $response))
      (result (result (own $body-out)))))
    (export "[method]outgoing-body.write" (func (param "self" (borrow $body-out))
      (result (result (own $out)))))
    (export "[static]outgoing-body.finish" (func (param "this" (own $body-out))
      (param "trailers" (option (own $fields))) (result (result (error $error-code)))))
    (export "[static]response-outparam.set" (func (param "param" (own $outparam))
      (param "response" (result (own $response) (error $error-code)))))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
"""
_FUNCTIONS: Final = {
    # name in the code: (instance, function, core signature)
    "block": ("poll", "[method]pollable.block", "(param i32)"),
    "read": ("streams", "[method]input-stream.blocking-read", "(param i32 i64 i32)"),
    "subscribe": ("streams", "[method]output-stream.subscribe", "(param i32) (result i32)"),
    "check-write": ("streams", "[method]output-stream.check-write", "(param i32 i32)"),
    "write": ("streams", "[method]output-stream.write", "(param i32 i32 i32 i32)"),
    "fields": ("types", "[constructor]fields", "(result i32)"),
    "consume": ("types", "[method]incoming-request.consume", "(param i32 i32)"),
    "stream": ("types", "[method]incoming-body.stream", "(param i32 i32)"),
    "response": ("types", "[constructor]outgoing-response", "(param i32) (result i32)"),
    "body": ("types", "[method]outgoing-response.body", "(param i32 i32)"),
    "sink": ("types", "[method]outgoing-body.write", "(param i32 i32)"),
    "finish": ("types", "[static]outgoing-body.finish", "(param i32 i32 i32 i32)"),
    "set": ("types", "[static]response-outparam.set", "(param i32 i32 i32 i32 i32 i32)"),
}
_DROPS: Final = {"pollable": "$pollable", "output": "$output"}


def _serving(code: str) -> str:
    """A component whose handler is `code`; results that pass through memory lie at 0."""
    names = [*_FUNCTIONS, *(f"drop-{name}" for name in _DROPS)]
    canonical = "(memory $memory) (realloc $realloc)"
    lowered = [
        f'(core func ${name} (canon lower (func ${instance} "{function}") {canonical}))'
        for name, (instance, function, _) in _FUNCTIONS.items()
    ] + [f"(core func $drop-{name} (canon resource.drop {type_}))" for name, type_ in _DROPS.items()]
    imported = [
        f'(import "host" "{name}" (func ${name} {core}))' for name, (_, _, core) in _FUNCTIONS.items()
    ]
    imported += [f'(import "host" "drop-{name}" (func $drop-{name} (param i32)))' for name in _DROPS]
    given = " ".join(f'(export "{name}" (func ${name}))' for name in names)
    return f"""
(component
  {_IMPORTS}
  (core module $libc-module
    (memory (export "memory") 64)
    (global $next (mut i32) (i32.const 131072))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    (func (export "reset") (global.set $next (i32.const 131072))))
  (core instance $libc (instantiate $libc-module))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  {" ".join(lowered)}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    {" ".join(imported)}
    (func $answer (param $out i32) (result i32) (local $response i32) (local $body i32)
      (local.set $response (call $response (call $fields)))
      (call $body (local.get $response) (i32.const 0))
      (local.set $body (i32.load (i32.const 4)))
      (call $set (local.get $out) (i32.const 0) (local.get $response)
        (i32.const 0) (i32.const 0) (i32.const 0))
      (local.get $body))
    (func $end (param $body i32)
      (call $finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 0)))
    (func (export "handle") (param $request i32) (param $out i32)
      (local $stream i32) (local $body i32) (local $left i32) (local $room i32) (local $pollable i32)
      {code}))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "host" (instance {given}))))
  (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $guest "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
"""


UPLOAD: Final = _serving("""
      (call $consume (local.get $request) (i32.const 0))
      (call $stream (i32.load (i32.const 4)) (i32.const 0))
      (local.set $stream (i32.load (i32.const 4)))
      (loop $more
        (call $reset)
        (call $read (local.get $stream) (i64.const 1048576) (i32.const 0))
        (br_if $more (i32.eqz (i32.load8_u (i32.const 0)))))
      (call $end (call $answer (local.get $out)))""")
"""Reads the request's body to its end, then answers without one."""

DOWNLOAD: Final = _serving(f"""
      (memory.fill (i32.const 65536) (i32.const 233) (i32.const {_PIECE_BYTES // 2}))
      (local.set $body (call $answer (local.get $out)))
      (call $sink (local.get $body) (i32.const 0))
      (local.set $stream (i32.load (i32.const 4)))
      (local.set $left (i32.const {BODY_BYTES // _PIECE_BYTES}))
      (loop $more
        (call $check-write (local.get $stream) (i32.const 0))
        (if (i32.load8_u (i32.const 0)) (then (unreachable)))
        (if (i64.lt_u (i64.load (i32.const 8)) (i64.const {_PIECE_BYTES}))
          (then
            (local.set $pollable (call $subscribe (local.get $stream)))
            (call $block (local.get $pollable))
            (call $drop-pollable (local.get $pollable)))
          (else
            (call $write (local.get $stream) (i32.const {_PIECE_BYTES // 2}) (i32.const {_PIECE_BYTES})
              (i32.const 0))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))))
        (br_if $more (local.get $left)))
      (call $drop-output (local.get $stream))
      (call $end (local.get $body))""")
"""Answers with 10 MiB."""
