"""A component in text form that keeps objects by `wasi:blobstore`: `keeper()`.

Each function of `test:blobs/keeper` takes the name of an object and a number, works on the container `c`, and
returns a number, or what went wrong.
"""

from __future__ import annotations

from typing import Final

KEEPER: Final = "test:blobs/keeper@1.0.0"
BLOCK_BYTES: Final = 65_536
"""What it writes in one go."""

_STREAMS: Final = """
  (import "wasi:io/error@0.2.1" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/poll@0.2.1" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.1" (instance $streams
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
      (result (result (error $stream-error)))))
    (export "[method]output-stream.blocking-splice" (func (param "self" (borrow $out))
      (param "src" (borrow $in)) (param "len" u64) (result (result u64 (error $stream-error)))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
"""
_TYPES: Final = """
  (import "wasi:blobstore/types@0.2.0-draft" (instance $types
    (alias outer 1 $input (type $outer-in)) (export "input-stream" (type $in (eq $outer-in)))
    (alias outer 1 $output (type $outer-out)) (export "output-stream" (type $out (eq $outer-out)))
    (type $raw-id (record (field "container" string) (field "object" string)))
    (export "object-id" (type $id (eq $raw-id)))
    (type $raw-info (record (field "name" string) (field "container" string) (field "created-at" u64)
      (field "size" u64)))
    (export "object-metadata" (type $info (eq $raw-info)))
    (export "outgoing-value" (type $outgoing (sub resource)))
    (export "incoming-value" (type $incoming (sub resource)))
    (export "[static]outgoing-value.new-outgoing-value" (func (result (own $outgoing))))
    (export "[method]outgoing-value.outgoing-value-write-body" (func (param "self" (borrow $outgoing))
      (result (result (own $out)))))
    (export "[static]outgoing-value.finish" (func (param "this" (own $outgoing))
      (result (result (error string)))))
    (export "[static]incoming-value.incoming-value-consume-sync" (func (param "this" (own $incoming))
      (result (result (list u8) (error string)))))
    (export "[static]incoming-value.incoming-value-consume-async" (func (param "this" (own $incoming))
      (result (result (own $in) (error string)))))
    (export "[method]incoming-value.size" (func (param "self" (borrow $incoming)) (result u64)))))
  (alias export $types "outgoing-value" (type $outgoing))
  (alias export $types "incoming-value" (type $incoming))
  (alias export $types "object-id" (type $object-id))
  (alias export $types "object-metadata" (type $object-metadata))
"""
_CONTAINER: Final = """
  (import "{container}" {implements_container} (instance $containers
    (alias outer 1 $outgoing (type $o1)) (export "outgoing-value" (type $value-out (eq $o1)))
    (alias outer 1 $incoming (type $o2)) (export "incoming-value" (type $value-in (eq $o2)))
    (alias outer 1 $object-metadata (type $o3)) (export "object-metadata" (type $info (eq $o3)))
    (export "container" (type $container (sub resource)))
    (export "stream-object-names" (type $names (sub resource)))
    (export "[method]container.get-data" (func (param "self" (borrow $container)) (param "name" string)
      (param "start" u64) (param "end" u64) (result (result (own $value-in) (error string)))))
    (export "[method]container.write-data" (func (param "self" (borrow $container)) (param "name" string)
      (param "data" (borrow $value-out)) (result (result (error string)))))
    (export "[method]container.list-objects" (func (param "self" (borrow $container))
      (result (result (own $names) (error string)))))
    (export "[method]container.has-object" (func (param "self" (borrow $container)) (param "name" string)
      (result (result bool (error string)))))
    (export "[method]container.object-info" (func (param "self" (borrow $container)) (param "name" string)
      (result (result $info (error string)))))
    (export "[method]stream-object-names.read-stream-object-names" (func (param "self" (borrow $names))
      (param "len" u64) (result (result (tuple (list string) bool) (error string)))))
    (export "[method]stream-object-names.skip-stream-object-names" (func (param "self" (borrow $names))
      (param "num" u64) (result (result (tuple u64 bool) (error string)))))))
  (alias export $containers "container" (type $container))
  (alias export $containers "stream-object-names" (type $names))
  (import "{blobstore}" {implements_blobstore} (instance $store
    (alias outer 1 $container (type $o1)) (export "container" (type $c (eq $o1)))
    (alias outer 1 $object-id (type $o2)) (export "object-id" (type $id (eq $o2)))
    (export "get-container" (func (param "name" string) (result (result (own $c) (error string)))))
    (export "copy-object" (func (param "src" $id) (param "dest" $id) (result (result (error string)))))
    (export "move-object" (func (param "src" $id) (param "dest" $id) (result (result (error string)))))))
"""
_LIBC: Final = """
  (core module $libc-module
    (memory (export "memory") 96)
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
_IMPORTED: Final = {
    # name in the code: (instance, function, core signature)
    "block": ("poll", "[method]pollable.block", "(param i32)"),
    "blocking-read": ("streams", "[method]input-stream.blocking-read", "(param i32 i64 i32)"),
    "subscribe": ("streams", "[method]output-stream.subscribe", "(param i32) (result i32)"),
    "check-write": ("streams", "[method]output-stream.check-write", "(param i32 i32)"),
    "write": ("streams", "[method]output-stream.write", "(param i32 i32 i32 i32)"),
    "splice": ("streams", "[method]output-stream.blocking-splice", "(param i32 i32 i64 i32)"),
    "new": ("types", "[static]outgoing-value.new-outgoing-value", "(result i32)"),
    "body": ("types", "[method]outgoing-value.outgoing-value-write-body", "(param i32 i32)"),
    "finish": ("types", "[static]outgoing-value.finish", "(param i32 i32)"),
    "consume-sync": ("types", "[static]incoming-value.incoming-value-consume-sync", "(param i32 i32)"),
    "consume": ("types", "[static]incoming-value.incoming-value-consume-async", "(param i32 i32)"),
    "size": ("types", "[method]incoming-value.size", "(param i32) (result i64)"),
    "get-data": ("containers", "[method]container.get-data", "(param i32 i32 i32 i64 i64 i32)"),
    "write-data": ("containers", "[method]container.write-data", "(param i32 i32 i32 i32 i32)"),
    "list": ("containers", "[method]container.list-objects", "(param i32 i32)"),
    "has": ("containers", "[method]container.has-object", "(param i32 i32 i32 i32)"),
    "info": ("containers", "[method]container.object-info", "(param i32 i32 i32 i32)"),
    "read-names": (
        "containers", "[method]stream-object-names.read-stream-object-names", "(param i32 i64 i32)",
    ),
    "skip-names": (
        "containers", "[method]stream-object-names.skip-stream-object-names", "(param i32 i64 i32)",
    ),
    "get-container": ("store", "get-container", "(param i32 i32 i32)"),
    "copy": ("store", "copy-object", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32)"),
    "move": ("store", "move-object", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32)"),
}  # fmt: skip
_DROPS: Final = ("input", "output", "pollable", "outgoing", "incoming", "container", "names")

_OPEN: Final = """
    (call $get-container (i32.const 1024) (i32.const 1) (i32.const 256))
    (if (i32.load8_u (i32.const 256)) (then (return (call $failed (i32.const 260)))))
    (local.set $c (i32.load (i32.const 260)))"""
"""`$c` is the container; what goes wrong is returned."""
_CHECK: Final = """
    (if (i32.load8_u (i32.const 256)) (then (return (call $failed (i32.const 260)))))"""
"""Returns the error of the last call, if it was one."""
_SEND: Final = f"""
    (call $write-data (local.get $c) (local.get $name) (local.get $len) (local.get $value)
      (i32.const 256)){_CHECK}"""
_BODY: Final = """
    (local.set $value (call $new))
    (call $body (local.get $value) (i32.const 256))
    (local.set $out (i32.load (i32.const 260)))"""
_POUR: Final = """
    (local.set $total (call $pour (local.get $out) (local.get $count)))"""
_FINISH: Final = f"""
    (call $drop-output (local.get $out))
    (call $finish (local.get $value) (i32.const 256)){_CHECK}
    (call $done (local.get $total))"""
_GET: Final = f"""
    (call $get-data (local.get $c) (local.get $name) (local.get $len) (i64.const 0) (i64.const -1)
      (i32.const 256)){_CHECK}
    (local.set $value (i32.load (i32.const 260)))"""
_STREAM: Final = f"""
    (call $consume (local.get $value) (i32.const 256)){_CHECK}
    (local.set $in (i32.load (i32.const 260)))"""
_READ: Final = """
    (block $ended
      (loop $more
        (call $reset)
        (call $blocking-read (local.get $in) (i64.const 1048576) (i32.const 256))
        (br_if $ended (i32.load8_u (i32.const 256)))
        (local.set $total (i64.add (local.get $total) (i64.extend_i32_u (i32.load (i32.const 264)))))
        (br $more)))
    ;; 260: 0 where it failed, 1 where it was at its end
    (if (i32.eqz (i32.load8_u (i32.const 260)))
      (then (i32.store (i32.const 256) (i32.const 1025)) (i32.store (i32.const 260) (i32.const 9))
        (return (call $failed (i32.const 256)))))
    (call $done (local.get $total))"""
"""Reads all; `broke off` is returned where that failed."""
_TO_COPY: Final = """
    (local.get $name) (local.get $len) (i32.const 1024) (i32.const 1) (i32.const 1034) (i32.const 4)
    (i32.const 256)"""

_FUNCTIONS: Final = {
    "write": f"{_OPEN}{_BODY}{_SEND}{_POUR}{_FINISH}",
    "write-late": f"{_OPEN}{_BODY}{_POUR}{_SEND}{_FINISH}",
    "write-nowhere": f"{_OPEN}{_BODY}{_POUR}{_FINISH}",
    "write-twice": f"{_OPEN}{_BODY}{_SEND}{_SEND}{_POUR}{_FINISH}",
    "write-and-drop": f"""{_OPEN}{_BODY}{_SEND}{_POUR}
    (call $drop-output (local.get $out))
    (call $drop-outgoing (local.get $value))
    (local.set $in (i32.const 20))
    (loop $more
      (call $has (local.get $c) (i32.const 1034) (i32.const 4) (i32.const 256)){_CHECK}
      (local.set $in (i32.sub (local.get $in) (i32.const 1)))
      (br_if $more (local.get $in)))
    (call $done (local.get $total))""",
    "write-and-return": f"{_OPEN}{_BODY}{_SEND}{_POUR}\n    (call $done (local.get $total))",
    "write-and-trap": f"{_OPEN}{_BODY}{_SEND}{_POUR}\n    (unreachable)",
    "write-and-loop": f"{_OPEN}{_BODY}{_SEND}{_POUR}\n    (loop $again (br $again))\n    (unreachable)",
    "finish-before-drop": f"""{_OPEN}{_BODY}{_SEND}
    (call $finish (local.get $value) (i32.const 256))
    (unreachable)""",
    "second-body": f"""{_BODY}
    (call $body (local.get $value) (i32.const 256))
    (call $done (i64.load8_u (i32.const 256)))""",
    "read": f"{_OPEN}{_GET}{_STREAM}{_READ}",
    "read-range": f"""{_OPEN}
    (call $get-data (local.get $c) (local.get $name) (local.get $len) (i64.const 10) (local.get $count)
      (i32.const 256)){_CHECK}
    (local.set $value (i32.load (i32.const 260))){_STREAM}{_READ}""",
    "read-sync": f"""{_OPEN}{_GET}
    (call $consume-sync (local.get $value) (i32.const 256)){_CHECK}
    (call $done (i64.extend_i32_u (i32.load (i32.const 264))))""",
    "read-some": f"""{_OPEN}{_GET}{_STREAM}
    (call $blocking-read (local.get $in) (i64.const 1000) (i32.const 256))
    (call $drop-input (local.get $in))
    (call $done (i64.extend_i32_u (i32.load (i32.const 264))))""",
    "read-and-trap": f"""{_OPEN}{_GET}{_STREAM}
    (call $blocking-read (local.get $in) (i64.const 1000) (i32.const 256))
    (unreachable)""",
    "size": f"""{_OPEN}{_GET}
    (local.set $total (call $size (local.get $value)))
    (call $drop-incoming (local.get $value))
    (call $done (local.get $total))""",
    "through": f"""{_OPEN}{_GET}{_STREAM}{_BODY}
    (call $write-data (local.get $c) (i32.const 1034) (i32.const 4) (local.get $value)
      (i32.const 256)){_CHECK}
    (loop $more
      (call $splice (local.get $out) (local.get $in) (i64.const 1048576) (i32.const 256))
      (br_if $more (i32.eqz (i32.load8_u (i32.const 256))))){_FINISH}""",
    "list": f"""{_OPEN}
    (call $list (local.get $c) (i32.const 256)){_CHECK}
    (local.set $value (i32.load (i32.const 260)))
    (loop $more
      (call $reset)
      (call $read-names (local.get $value) (local.get $count) (i32.const 256)){_CHECK}
      (local.set $total (i64.add (local.get $total) (i64.load32_u (i32.const 264))))
      (br_if $more (i32.eqz (i32.load8_u (i32.const 268)))))
    (call $drop-names (local.get $value))
    (call $done (local.get $total))""",
    "skip": f"""{_OPEN}
    (call $list (local.get $c) (i32.const 256)){_CHECK}
    (local.set $value (i32.load (i32.const 260)))
    (call $skip-names (local.get $value) (local.get $count) (i32.const 256))
    (call $drop-names (local.get $value))
    (call $done (i64.load (i32.const 264)))""",
    "list-one": f"""{_OPEN}
    (call $list (local.get $c) (i32.const 256)){_CHECK}
    (call $read-names (i32.load (i32.const 260)) (i64.const 1) (i32.const 256)){_CHECK}
    (call $done (i64.load32_u (i32.const 264)))""",
    "has": f"""{_OPEN}
    (call $has (local.get $c) (local.get $name) (local.get $len) (i32.const 256)){_CHECK}
    (call $done (i64.load8_u (i32.const 260)))""",
    "info": f"""{_OPEN}
    (call $info (local.get $c) (local.get $name) (local.get $len) (i32.const 256))
    (if (i32.load8_u (i32.const 256)) (then (return (call $failed (i32.const 264)))))
    (call $done (i64.load (i32.const 288)))""",
    "copy": f"(call $copy (i32.const 1024) (i32.const 1) {_TO_COPY}){_CHECK}\n    (call $done (i64.const 0))",
    "move": f"(call $move (i32.const 1024) (i32.const 1) {_TO_COPY}){_CHECK}\n    (call $done (i64.const 0))",
}
_SIGNATURE: Final = '(param "name" string) (param "count" u64) (result (result u64 (error string)))'


def keeper(container: str = "", blobstore: str = "") -> str:
    """The component.

    Args:
        container: What the import of `wasi:blobstore/container` is called, where it says what it implements.
        blobstore: Likewise of `wasi:blobstore/blobstore`.
    """
    imports = {}
    for key, label in (("container", container), ("blobstore", blobstore)):
        interface = f"wasi:blobstore/{key}@0.2.0-draft"
        imports[key] = label or interface
        imports[f"implements_{key}"] = f'(implements "{interface}")' if label else ""
    lowered = "\n".join(
        f'  (core func ${name} (canon lower (func ${instance} "{function}") {_CANONICAL}))'
        for name, (instance, function, _) in _IMPORTED.items()
    )
    drops = "\n".join(f"  (core func $drop-{name} (canon resource.drop ${name}))" for name in _DROPS)
    imported = "\n".join(
        f'    (import "host" "{name}" (func ${name} {core}))' for name, (_, _, core) in _IMPORTED.items()
    )
    dropped = "\n".join(
        f'    (import "host" "drop-{name}" (func $drop-{name} (param i32)))' for name in _DROPS
    )
    names = [*_IMPORTED, *(f"drop-{each}" for each in _DROPS)]
    given = " ".join(f'(export "{name}" (func ${name}))' for name in names)
    functions = "\n".join(
        f"""    (func (export "{name}") (param $name i32) (param $len i32) (param $count i64) (result i32)
      (local $c i32) (local $value i32) (local $out i32) (local $in i32) (local $total i64)
      {code})"""
        for name, code in _FUNCTIONS.items()
    )
    lifted = "\n".join(
        f'  (func $f-{name} {_SIGNATURE} (canon lift (core func $guest "{name}") {_CANONICAL}'
        ' (post-return (core func $guest "after"))))'
        for name in _FUNCTIONS
    )
    exports = " ".join(f'(export "{name}" (func $f-{name}))' for name in _FUNCTIONS)
    return f"""
(component
  {_STREAMS}{_TYPES}{_CONTAINER.format(**imports)}{_LIBC}
{lowered}
{drops}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
{imported}
{dropped}
    (data (i32.const 1024) "cbroke offcopy")
    ;; The error whose text is told of at $at.
    (func $failed (param $at i32) (result i32)
      (i32.store (i32.const 0) (i32.const 1))
      (i64.store (i32.const 8) (i64.load align=4 (local.get $at)))
      (i32.const 0))
    (func $done (param $total i64) (result i32)
      (i32.store (i32.const 0) (i32.const 0))
      (i64.store (i32.const 8) (local.get $total))
      (i32.const 0))
    ;; Writes $count times the letter a, as there is room, or until it is refused; how many it wrote.
    (func $pour (param $out i32) (param $count i64) (result i64)
      (local $room i64) (local $left i64) (local $pollable i32)
      (memory.fill (i32.const 4194304) (i32.const 97) (i32.const {BLOCK_BYTES}))
      (local.set $left (local.get $count))
      (block $ended
        (loop $more
          (br_if $ended (i64.eqz (local.get $left)))
          (call $check-write (local.get $out) (i32.const 256))
          (br_if $ended (i32.load8_u (i32.const 256)))
          (local.set $room (i64.load (i32.const 264)))
          (if (i64.eqz (local.get $room))
            (then
              (local.set $pollable (call $subscribe (local.get $out)))
              (call $block (local.get $pollable))
              (call $drop-pollable (local.get $pollable))
              (br $more)))
          (if (i64.gt_u (local.get $room) (local.get $left)) (then (local.set $room (local.get $left))))
          (if (i64.gt_u (local.get $room) (i64.const {BLOCK_BYTES}))
            (then (local.set $room (i64.const {BLOCK_BYTES}))))
          (call $write (local.get $out) (i32.const 4194304) (i32.wrap_i64 (local.get $room)) (i32.const 256))
          (br_if $ended (i32.load8_u (i32.const 256)))
          (local.set $left (i64.sub (local.get $left) (local.get $room)))
          (br $more)))
      (i64.sub (local.get $count) (local.get $left)))
{functions}
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "host" (instance {given}))))
{lifted}
  (instance $out {exports})
  (export "{KEEPER}" (instance $out)))
"""
