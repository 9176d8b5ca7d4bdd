"""Components in text form that serve HTTP: `serving(code)` has all imports, its `code` is the handler's.

With `outgoing` it has those for asking others too.
"""

from __future__ import annotations

from typing import Final

_IMPORTS: Final = """
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))
    (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.5" (instance $streams
    (alias outer 1 $io-error (type $outer-error)) (export "error" (type $e (eq $outer-error)))
    (alias outer 1 $pollable (type $outer-pollable)) (export "pollable" (type $p (eq $outer-pollable)))
    (type $raw (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $raw)))
    (export "input-stream" (type $in (sub resource)))
    (export "output-stream" (type $out (sub resource)))
    (export "[method]input-stream.read" (func (param "self" (borrow $in)) (param "len" u64)
      (result (result (list u8) (error $stream-error)))))
    (export "[method]input-stream.blocking-read" (func (param "self" (borrow $in)) (param "len" u64)
      (result (result (list u8) (error $stream-error)))))
    (export "[method]input-stream.subscribe" (func (param "self" (borrow $in)) (result (own $p))))
    (export "[method]output-stream.subscribe" (func (param "self" (borrow $out)) (result (own $p))))
    (export "[method]output-stream.check-write" (func (param "self" (borrow $out))
      (result (result u64 (error $stream-error)))))
    (export "[method]output-stream.write" (func (param "self" (borrow $out)) (param "contents" (list u8))
      (result (result (error $stream-error)))))
    (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $out))
      (param "contents" (list u8)) (result (result (error $stream-error)))))
    (export "[method]output-stream.blocking-splice" (func (param "self" (borrow $out))
      (param "src" (borrow $in)) (param "len" u64) (result (result u64 (error $stream-error)))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:http/types@0.2.3" (instance $types
    (alias outer 1 $input (type $outer-in)) (export "input-stream" (type $in (eq $outer-in)))
    (alias outer 1 $output (type $outer-out)) (export "output-stream" (type $out (eq $outer-out)))
    (type $raw (variant (case "configuration-error") (case "HTTP-response-body-size" (option u64))
      (case "internal-error" (option string)) (case "HTTP-request-denied")
      (case "destination-IP-prohibited")))
    (export "error-code" (type $error-code (eq $raw)))
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type $request (sub resource)))
    (export "incoming-body" (type $body-in (sub resource)))
    (export "future-trailers" (type $trailers (sub resource)))
    (export "outgoing-response" (type $response (sub resource)))
    (export "outgoing-body" (type $body-out (sub resource)))
    (export "response-outparam" (type $outparam (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))
    (type $raw-header (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $raw-header)))
    (export "[method]fields.append" (func (param "self" (borrow $fields)) (param "name" string)
      (param "value" (list u8)) (result (result (error $header-error)))))
    (export "[method]incoming-request.consume" (func (param "self" (borrow $request))
      (result (result (own $body-in)))))
    (export "[method]incoming-body.stream" (func (param "self" (borrow $body-in))
      (result (result (own $in)))))
    (export "[static]incoming-body.finish" (func (param "this" (own $body-in)) (result (own $trailers))))
    (export "[constructor]outgoing-response" (func (param "headers" (own $fields)) (result (own $response))))
    (export "[method]outgoing-response.body" (func (param "self" (borrow $response))
      (result (result (own $body-out)))))
    (export "[method]outgoing-body.write" (func (param "self" (borrow $body-out))
      (result (result (own $out)))))
    (export "[static]outgoing-body.finish" (func (param "this" (own $body-out))
      (param "trailers" (option (own $fields))) (result (result (error $error-code)))))
    (export "[static]response-outparam.set" (func (param "param" (own $outparam))
      (param "response" (result (own $response) (error $error-code)))))))
  (alias export $types "fields" (type $fields))
  (alias export $types "outgoing-response" (type $response))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
  (alias export $types "outgoing-body" (type $body-out))
  (alias export $types "incoming-body" (type $body-in))
  (alias export $types "future-trailers" (type $trailers))
"""
_ASKING_TYPES: Final = """
    (alias outer 1 $pollable (type $outer-p)) (export "pollable" (type $pollable-here (eq $outer-p)))
    (export "outgoing-request" (type $asked (sub resource)))
    (export "request-options" (type $options (sub resource)))
    (export "incoming-response" (type $answered (sub resource)))
    (export "future-incoming-response" (type $future (sub resource)))
    (type $raw-scheme (variant (case "HTTP") (case "HTTPS") (case "other" string)))
    (export "scheme" (type $scheme (eq $raw-scheme)))
    (type $raw-method (variant (case "get") (case "head") (case "post") (case "put") (case "delete")
      (case "connect") (case "options") (case "trace") (case "patch") (case "other" string)))
    (export "method" (type $method (eq $raw-method)))
    (export "[constructor]outgoing-request" (func (param "headers" (own $fields)) (result (own $asked))))
    (export "[method]outgoing-request.set-method" (func (param "self" (borrow $asked))
      (param "method" $method) (result (result))))
    (export "[method]outgoing-request.set-scheme" (func (param "self" (borrow $asked))
      (param "scheme" (option $scheme)) (result (result))))
    (export "[method]outgoing-request.set-authority" (func (param "self" (borrow $asked))
      (param "authority" (option string)) (result (result))))
    (export "[method]outgoing-request.body" (func (param "self" (borrow $asked))
      (result (result (own $body-out)))))
    (export "[method]future-incoming-response.subscribe" (func (param "self" (borrow $future))
      (result (own $pollable-here))))
    (export "[method]future-incoming-response.get" (func (param "self" (borrow $future))
      (result (option (result (result (own $answered) (error $error-code)))))))
    (export "[method]incoming-response.consume" (func (param "self" (borrow $answered))
      (result (result (own $body-in)))))
"""
_ASKING: Final = """
  (alias export $types "error-code" (type $error-code))
  (alias export $types "outgoing-request" (type $asked))
  (alias export $types "request-options" (type $options))
  (alias export $types "incoming-response" (type $answered))
  (alias export $types "future-incoming-response" (type $future))
  (import "wasi:http/outgoing-handler@0.2.0" (instance $outgoing
    (alias outer 1 $asked (type $o1)) (export "outgoing-request" (type $r (eq $o1)))
    (alias outer 1 $options (type $o2)) (export "request-options" (type $p (eq $o2)))
    (alias outer 1 $future (type $o3)) (export "future-incoming-response" (type $f (eq $o3)))
    (alias outer 1 $error-code (type $o4)) (export "error-code" (type $e (eq $o4)))
    (export "handle" (func (param "request" (own $r)) (param "options" (option (own $p)))
      (result (result (own $f) (error $e)))))))
"""
_LIBC: Final = """
  (core module $libc-module
    (memory (export "memory") 64)
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    (func (export "reset") (global.set $next (i32.const 65536))))
  (core instance $libc (instantiate $libc-module))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
"""
_CANONICAL: Final = "(memory $memory) (realloc $realloc)"
_FUNCTIONS: Final = {
    # name in the code: (instance, function, core signature)
    "block": ("poll", "[method]pollable.block", "(param i32)"),
    "read": ("streams", "[method]input-stream.read", "(param i32 i64 i32)"),
    "blocking-read": ("streams", "[method]input-stream.blocking-read", "(param i32 i64 i32)"),
    "subscribe-in": ("streams", "[method]input-stream.subscribe", "(param i32) (result i32)"),
    "subscribe-out": ("streams", "[method]output-stream.subscribe", "(param i32) (result i32)"),
    "check-write": ("streams", "[method]output-stream.check-write", "(param i32 i32)"),
    "write": ("streams", "[method]output-stream.write", "(param i32 i32 i32 i32)"),
    "blocking-write": (
        "streams", "[method]output-stream.blocking-write-and-flush", "(param i32 i32 i32 i32)",
    ),
    "splice": ("streams", "[method]output-stream.blocking-splice", "(param i32 i32 i64 i32)"),
    "append": ("types", "[method]fields.append", "(param i32 i32 i32 i32 i32 i32)"),
    "fields": ("types", "[constructor]fields", "(result i32)"),
    "consume": ("types", "[method]incoming-request.consume", "(param i32 i32)"),
    "stream": ("types", "[method]incoming-body.stream", "(param i32 i32)"),
    "finish-in": ("types", "[static]incoming-body.finish", "(param i32) (result i32)"),
    "response": ("types", "[constructor]outgoing-response", "(param i32) (result i32)"),
    "body": ("types", "[method]outgoing-response.body", "(param i32 i32)"),
    "write-body": ("types", "[method]outgoing-body.write", "(param i32 i32)"),
    "finish": ("types", "[static]outgoing-body.finish", "(param i32 i32 i32 i32)"),
    "set": ("types", "[static]response-outparam.set", "(param i32 i32 i32 i32 i64 i32)"),
}  # fmt: skip
_ASKING_FUNCTIONS: Final = {
    "asked": ("types", "[constructor]outgoing-request", "(param i32) (result i32)"),
    "set-method": ("types", "[method]outgoing-request.set-method", "(param i32 i32 i32 i32) (result i32)"),
    "set-scheme": (
        "types", "[method]outgoing-request.set-scheme", "(param i32 i32 i32 i32 i32) (result i32)",
    ),
    "set-authority": (
        "types", "[method]outgoing-request.set-authority", "(param i32 i32 i32 i32) (result i32)",
    ),
    "asked-body": ("types", "[method]outgoing-request.body", "(param i32 i32)"),
    "ask": ("outgoing", "handle", "(param i32 i32 i32 i32)"),
    "subscribe-future": ("types", "[method]future-incoming-response.subscribe", "(param i32) (result i32)"),
    "get": ("types", "[method]future-incoming-response.get", "(param i32 i32)"),
    "consume-answer": ("types", "[method]incoming-response.consume", "(param i32 i32)"),
}  # fmt: skip
_DROPS: Final = (
    "fields", "request", "response", "outparam", "body-out", "body-in", "input", "output", "pollable",
    "trailers",
)  # fmt: skip
_HANDLER: Final = "wasi:http/incoming-handler@0.2.0"


def serving(code: str, *, data: str = "", outgoing: bool = False) -> bytes:
    """A component whose handler is `code`, core text with `$request` and `$out`.

    It may call each import by its name above, `$drop-…`, `$reset` (the allocator), and these helpers:
    `$answer` sets a response with status 200 and gives its body's handle, `$sink` and `$source` give the
    streams of a body that goes out and of the request. Results that pass through memory lie at 0.

    Args:
        code: Core text.
        data: At address 1024.
        outgoing: Whether it has what it takes to ask others.
    """
    functions = _FUNCTIONS | (_ASKING_FUNCTIONS if outgoing else {})
    imports = _IMPORTS
    if outgoing:
        last = '    (export "[static]response-outparam.set"'
        imports = imports.replace(last, _ASKING_TYPES + last) + _ASKING
    lowered = "\n".join(
        f'  (core func ${name} (canon lower (func ${instance} "{function}") {_CANONICAL}))'
        for name, (instance, function, _) in functions.items()
    )
    drops = "\n".join(f"  (core func $drop-{name} (canon resource.drop ${name}))" for name in _DROPS)
    imported = "\n".join(
        f'    (import "host" "{name}" (func ${name} {core}))' for name, (_, _, core) in functions.items()
    )
    dropped = "\n".join(
        f'    (import "host" "drop-{name}" (func $drop-{name} (param i32)))' for name in _DROPS
    )
    given = " ".join(
        f'(export "{name}" (func ${name}))' for name in [*functions, *(f"drop-{each}" for each in _DROPS)]
    )
    return f"""
(component
  {imports}
  {_LIBC}
{lowered}
{drops}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
{imported}
{dropped}
    (data (i32.const 1024) "{data}")
    (func $answer (param $out i32) (result i32) (local $response i32) (local $body i32)
      (local.set $response (call $response (call $fields)))
      (call $body (local.get $response) (i32.const 0))
      (local.set $body (i32.load (i32.const 4)))
      (call $set (local.get $out) (i32.const 0) (local.get $response)
        (i32.const 0) (i64.const 0) (i32.const 0))
      (local.get $body))
    (func $sink (param $body i32) (result i32)
      (call $write-body (local.get $body) (i32.const 0)) (i32.load (i32.const 4)))
    (func $source (param $request i32) (result i32)
      (call $consume (local.get $request) (i32.const 0))
      (call $stream (i32.load (i32.const 4)) (i32.const 0)) (i32.load (i32.const 4)))
    (func $end (param $body i32) (param $sink i32)
      (call $drop-output (local.get $sink))
      (call $finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 0)))
    (func (export "handle") (param $request i32) (param $out i32)
      (local $body i32) (local $sink i32) (local $source i32) (local $pollable i32)
      (local $at i32) (local $size i32) (local $room i32)
      {code}))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "host" (instance {given}))))
  (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $guest "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "{_HANDLER}" (instance $handler)))
""".encode()


ANSWER: Final = """
    (local.set $body (call $answer (local.get $out)))
    (local.set $sink (call $sink (local.get $body)))"""
"""Core text for `serving`: answers with status 200, and has `$sink` take the body."""
_PASS_ON: Final = """
    (loop $more
      (call $splice (local.get $sink) (local.get $source) (i64.const 1048576) (i32.const 0))
      (br_if $more (i32.eqz (i32.load8_u (i32.const 0)))))
    (call $end (local.get $body) (local.get $sink))"""
"""Gives `$sink` all that `$source` has."""
_SOURCE: Final = """
    (local.set $source (call $source (local.get $request)))"""
"""Reads the request's body."""

HELLO: Final = serving(
    f"""{ANSWER}
    (call $blocking-write (local.get $sink) (i32.const 1024) (i32.const 5) (i32.const 0))
    (call $end (local.get $body) (local.get $sink))
    (call $drop-request (local.get $request))""",
    data="hello",
)
"""Answers `hello`."""

ECHO: Final = serving(f"""{ANSWER}{_SOURCE}
    (block $ended
      (loop $more
        (call $reset)
        (call $blocking-read (local.get $source) (i64.const 1048576) (i32.const 0))
        (br_if $ended (i32.load8_u (i32.const 0)))
        (local.set $at (i32.load (i32.const 4)))
        (local.set $size (i32.load (i32.const 8)))
        (loop $rest
          (call $check-write (local.get $sink) (i32.const 0))
          (if (i32.load8_u (i32.const 0)) (then (unreachable)))
          (local.set $room (i32.load (i32.const 8)))
          (if (i32.eqz (local.get $room))
            (then
              (local.set $pollable (call $subscribe-out (local.get $sink)))
              (call $block (local.get $pollable))
              (call $drop-pollable (local.get $pollable)))
            (else
              (if (i32.gt_u (local.get $room) (local.get $size)) (then (local.set $room (local.get $size))))
              (call $write (local.get $sink) (local.get $at) (local.get $room) (i32.const 0))
              (local.set $at (i32.add (local.get $at) (local.get $room)))
              (local.set $size (i32.sub (local.get $size) (local.get $room)))))
          (br_if $rest (local.get $size)))
        (br $more)))
    (call $end (local.get $body) (local.get $sink))""")
"""Answers with the request's body, piece by piece."""

SPLICE: Final = serving(f"{ANSWER}{_SOURCE}{_PASS_ON}")
"""The same, without having the bytes pass through it."""


def relay(authority: str) -> bytes:
    """Posts the request's body to `authority` as it comes, and answers with what is answered there."""
    return serving(
        f"""
    (local.set $at (call $asked (call $fields)))
    (drop (call $set-method (local.get $at) (i32.const 2) (i32.const 0) (i32.const 0)))
    (drop (call $set-scheme (local.get $at) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
    (drop (call $set-authority (local.get $at) (i32.const 1) (i32.const 1024) (i32.const {len(authority)})))
    (call $asked-body (local.get $at) (i32.const 0))
    (local.set $body (i32.load (i32.const 4)))
    (call $ask (local.get $at) (i32.const 0) (i32.const 0) (i32.const 0))
    (local.set $at (i32.load (i32.const 8)))
    (local.set $sink (call $sink (local.get $body))){_SOURCE}{_PASS_ON}
    (local.set $pollable (call $subscribe-future (local.get $at)))
    (call $block (local.get $pollable))
    (call $drop-pollable (local.get $pollable))
    (call $get (local.get $at) (i32.const 0))
    (if (i32.load8_u (i32.const 16)) (then (unreachable)))
    (call $consume-answer (i32.load (i32.const 24)) (i32.const 0))
    (call $stream (i32.load (i32.const 4)) (i32.const 0))
    (local.set $source (i32.load (i32.const 4))){ANSWER}{_PASS_ON}""",
        data=authority,
        outgoing=True,
    )
