;; demo:text/stats, in the component model's text form: one core module, lifted.
;; `lath build` turns it into a binary with wasmtime's own parser; nothing else is needed.
(component
  (core module $Main
    (memory (export "memory") 1)

    ;; A bump allocator: arguments and results of one call lie behind each other. `done`, which the host
    ;; calls once it has read a result, starts again from the bottom, so that an instance may be reused.
    (global $bottom i32 (i32.const 16))
    (global $top (mut i32) (i32.const 16))

    (func $alloc (param $bytes i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $top))
      (global.set $top ;; kept a multiple of 8
        (i32.and (i32.add (i32.add (local.get $at) (local.get $bytes)) (i32.const 7)) (i32.const -8)))
      (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
        (then
          (if (i32.eq (i32.const -1)
                (memory.grow
                  (i32.add (i32.const 1)
                    (i32.shr_u
                      (i32.sub (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
                      (i32.const 16)))))
            (then (unreachable)))))
      (local.get $at))

    ;; Hosts only ask for fresh memory here (there is no list that grows), so the old block is left alone.
    (func (export "realloc") (param $old i32) (param $old_bytes i32) (param $align i32) (param $bytes i32)
      (result i32)
      (call $alloc (local.get $bytes)))

    (func (export "done") (param $result i32)
      (global.set $top (global.get $bottom)))

    ;; A result of two words, and where it stands: (letters, words) or (pointer, bytes).
    (func $pair (param $first i32) (param $second i32) (result i32)
      (local $at i32)
      (local.set $at (call $alloc (i32.const 8)))
      (i32.store (local.get $at) (local.get $first))
      (i32.store offset=4 (local.get $at) (local.get $second))
      (local.get $at))

    ;; Space, tab, line feed, carriage return.
    (func $is_space (param $byte i32) (result i32)
      (i32.or
        (i32.eq (local.get $byte) (i32.const 0x20))
        (i32.or
          (i32.eq (local.get $byte) (i32.const 0x09))
          (i32.or
            (i32.eq (local.get $byte) (i32.const 0x0a))
            (i32.eq (local.get $byte) (i32.const 0x0d))))))

    ;; Whether a byte continues a character of UTF-8: 10xxxxxx.
    (func $continues (param $byte i32) (result i32)
      (i32.eq (i32.and (local.get $byte) (i32.const 0xc0)) (i32.const 0x80)))

    (func (export "count") (param $text i32) (param $bytes i32) (result i32)
      (local $end i32) (local $byte i32) (local $letters i32) (local $words i32) (local $inside i32)
      (local.set $end (i32.add (local.get $text) (local.get $bytes)))
      (block $finished
        (loop $next
          (br_if $finished (i32.ge_u (local.get $text) (local.get $end)))
          (local.set $byte (i32.load8_u (local.get $text)))
          (local.set $text (i32.add (local.get $text) (i32.const 1)))
          (br_if $next (call $continues (local.get $byte)))
          (if (call $is_space (local.get $byte))
            (then (local.set $inside (i32.const 0)))
            (else
              (local.set $letters (i32.add (local.get $letters) (i32.const 1)))
              (if (i32.eqz (local.get $inside))
                (then (local.set $words (i32.add (local.get $words) (i32.const 1)))))
              (local.set $inside (i32.const 1))))
          (br $next)))
      (call $pair (local.get $letters) (local.get $words)))

    ;; In place: the argument's memory belongs to the callee.
    (func (export "shout") (param $text i32) (param $bytes i32) (result i32)
      (local $at i32) (local $end i32) (local $byte i32)
      (local.set $at (local.get $text))
      (local.set $end (i32.add (local.get $text) (local.get $bytes)))
      (block $finished
        (loop $next
          (br_if $finished (i32.ge_u (local.get $at) (local.get $end)))
          (local.set $byte (i32.load8_u (local.get $at)))
          (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 0x61)) (i32.const 26)) ;; a to z
            (then (i32.store8 (local.get $at) (i32.sub (local.get $byte) (i32.const 0x20)))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next)))
      (call $pair (local.get $text) (local.get $bytes)))

    ;; From the front, one character at a time, into a second buffer that is filled from its end.
    (func (export "reverse") (param $text i32) (param $bytes i32) (result i32)
      (local $out i32) (local $to i32) (local $from i32) (local $end i32) (local $width i32)
      (local.set $out (call $alloc (local.get $bytes)))
      (local.set $to (i32.add (local.get $out) (local.get $bytes)))
      (local.set $from (local.get $text))
      (local.set $end (i32.add (local.get $text) (local.get $bytes)))
      (block $finished
        (loop $next
          (br_if $finished (i32.ge_u (local.get $from) (local.get $end)))
          (local.set $width (i32.const 1))
          (block $whole
            (loop $wider
              (br_if $whole
                (i32.ge_u (i32.add (local.get $from) (local.get $width)) (local.get $end)))
              (br_if $whole
                (i32.eqz (call $continues
                  (i32.load8_u (i32.add (local.get $from) (local.get $width))))))
              (local.set $width (i32.add (local.get $width) (i32.const 1)))
              (br $wider)))
          (local.set $to (i32.sub (local.get $to) (local.get $width)))
          (memory.copy (local.get $to) (local.get $from) (local.get $width))
          (local.set $from (i32.add (local.get $from) (local.get $width)))
          (br $next)))
      (call $pair (local.get $out) (local.get $bytes))))

  (core instance $main (instantiate $Main))
  (alias core export $main "memory" (core memory $memory))
  (alias core export $main "realloc" (core func $realloc))
  (alias core export $main "done" (core func $done))
  (alias core export $main "count" (core func $core_count))
  (alias core export $main "shout" (core func $core_shout))
  (alias core export $main "reverse" (core func $core_reverse))

  (type $counts (record (field "letters" u32) (field "words" u32)))
  (type $count_type (func (param "text" string) (result $counts)))
  (type $turn_type (func (param "text" string) (result string)))
  (func $count (type $count_type)
    (canon lift (core func $core_count)
      (memory (core memory $memory)) (realloc (core func $realloc)) (post-return (core func $done))))
  (func $shout (type $turn_type)
    (canon lift (core func $core_shout)
      (memory (core memory $memory)) (realloc (core func $realloc)) (post-return (core func $done))))
  (func $reverse (type $turn_type)
    (canon lift (core func $core_reverse)
      (memory (core memory $memory)) (realloc (core func $realloc)) (post-return (core func $done))))

  ;; The exported interface: an instance that names its record type beside the functions that use it.
  (component $Stats
    (type $shape (record (field "letters" u32) (field "words" u32)))
    (import "counts" (type $counts (eq $shape)))
    (import "count" (func $count (param "text" string) (result $counts)))
    (import "shout" (func $shout (param "text" string) (result string)))
    (import "reverse" (func $reverse (param "text" string) (result string)))
    (export $exported "counts" (type $counts))
    (export "count" (func $count) (func (param "text" string) (result $exported)))
    (export "shout" (func $shout))
    (export "reverse" (func $reverse)))
  (instance $stats
    (instantiate $Stats
      (with "counts" (type $counts))
      (with "count" (func $count))
      (with "shout" (func $shout))
      (with "reverse" (func $reverse))))
  (export "demo:text/stats@0.1.0" (instance $stats)))
