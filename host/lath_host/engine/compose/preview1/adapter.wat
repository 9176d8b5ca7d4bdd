;; What answers WASI preview 1, by WASI 0.2 (`command.py` puts it between the two).
;;
;; `$guest` is the memory of the module that is adapted; `$own` is the adapter's: what crosses the component's
;; boundary lies there, so nothing is ever written to the guest but what it asked for. In it
;;     0 …      results of host functions
;;     4,096 …  a piece that is written
;;     65,536 … what was read of stdin and is not yet used up
;;     131,072 … lists, forgotten at the next call that makes some
;; Errors are numbered as preview 1 numbers them, and named where they are given.
(module
  (import "guest" "memory" (memory $guest 0))
  (import "guest" "_start" (func $start))
  (import "own" "memory" (memory $own 3))
  (import "own" "top" (global $top (mut i32)))
  (import "own" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
  (import "host" "get-environment" (func $get-environment (param i32)))
  (import "host" "get-arguments" (func $get-arguments (param i32)))
  (import "host" "get-stdin" (func $get-stdin (result i32)))
  (import "host" "get-stdout" (func $get-stdout (result i32)))
  (import "host" "get-stderr" (func $get-stderr (result i32)))
  (import "host" "exit-with-code" (func $exit-with-code (param i32)))
  (import "host" "monotonic-now" (func $monotonic-now (result i64)))
  (import "host" "monotonic-resolution" (func $monotonic-resolution (result i64)))
  (import "host" "subscribe-instant" (func $subscribe-instant (param i64) (result i32)))
  (import "host" "subscribe-duration" (func $subscribe-duration (param i64) (result i32)))
  (import "host" "wall-now" (func $wall-now (param i32)))
  (import "host" "wall-resolution" (func $wall-resolution (param i32)))
  (import "host" "get-random-bytes" (func $get-random-bytes (param i64 i32)))
  (import "host" "blocking-read" (func $blocking-read (param i32 i64 i32)))
  (import "host" "blocking-write-and-flush" (func $write-and-flush (param i32 i32 i32 i32)))
  (import "host" "check-write" (func $check-write (param i32 i32)))
  (import "host" "write" (func $write (param i32 i32 i32 i32)))
  (import "host" "block" (func $block (param i32)))
  (import "host" "subscribe-input" (func $subscribe-input (param i32) (result i32)))
  (import "host" "subscribe-output" (func $subscribe-output (param i32) (result i32)))
  (import "host" "poll" (func $poll (param i32 i32 i32)))
  (import "host" "drop-input" (func $drop-input (param i32)))
  (import "host" "drop-output" (func $drop-output (param i32)))
  (import "host" "drop-pollable" (func $drop-pollable (param i32)))
  (import "host" "drop-error" (func $drop-error (param i32)))

  (global $lists i32 (i32.const 131072))
  (global $closed (mut i32) (i32.const 0)) ;; a bit for each of 0, 1 and 2
  (global $stdin (mut i32) (i32.const -1)) ;; handles, once they have been asked for
  (global $stdout (mut i32) (i32.const -1))
  (global $stderr (mut i32) (i32.const -1))
  (global $read-at (mut i32) (i32.const 0)) ;; what was read of stdin and is not yet used up
  (global $read-end (mut i32) (i32.const 0))

  (func (export "run") (result i32) (call $start) (i32.const 0))

  ;; -- descriptors: 0, 1 and 2 are all that there is ---------------------------------------------------------

  (func $is-open (param $fd i32) (result i32)
    (if (i32.ge_u (local.get $fd) (i32.const 3)) (then (return (i32.const 0))))
    (i32.eqz (i32.and (global.get $closed) (i32.shl (i32.const 1) (local.get $fd)))))

  ;; `$error` where the descriptor is open, else 8, badf
  (func $refuse (export "refuse") (param $fd i32) (param $error i32) (result i32)
    (select (local.get $error) (i32.const 8) (call $is-open (local.get $fd))))

  (func $input (result i32)
    (if (i32.eq (global.get $stdin) (i32.const -1)) (then (global.set $stdin (call $get-stdin))))
    (global.get $stdin))

  (func $output (param $fd i32) (result i32)
    (if (i32.eq (local.get $fd) (i32.const 1)) (then
      (if (i32.eq (global.get $stdout) (i32.const -1)) (then (global.set $stdout (call $get-stdout))))
      (return (global.get $stdout))))
    (if (i32.eq (global.get $stderr) (i32.const -1)) (then (global.set $stderr (call $get-stderr))))
    (global.get $stderr))

  (func (export "fd_close") (param $fd i32) (result i32)
    (if (i32.eqz (call $is-open (local.get $fd))) (then (return (i32.const 8))))
    (global.set $closed (i32.or (global.get $closed) (i32.shl (i32.const 1) (local.get $fd))))
    (if (i32.eqz (local.get $fd))
      (then (call $drop-input (call $input)))
      (else (call $drop-output (call $output (local.get $fd)))))
    (i32.const 0))

  ;; neither a file nor a terminal; it may be read or written, and waited for
  (func (export "fd_fdstat_get") (param $fd i32) (param $out i32) (result i32)
    (if (i32.eqz (call $is-open (local.get $fd))) (then (return (i32.const 8))))
    (memory.fill $guest (local.get $out) (i32.const 0) (i32.const 24))
    (i64.store $guest offset=8 (local.get $out)
      (select (i64.const 0x8000040) (i64.const 0x8000002) (local.get $fd)))
    (i32.const 0))

  ;; flags that change nothing here may be set; 58, notsup: not to block (4)
  (func (export "fd_fdstat_set_flags") (param $fd i32) (param $flags i32) (result i32)
    (call $refuse (local.get $fd)
      (select (i32.const 58) (i32.const 0) (i32.and (local.get $flags) (i32.const 4)))))

  (func (export "fd_filestat_get") (param $fd i32) (param $out i32) (result i32)
    (if (i32.eqz (call $is-open (local.get $fd))) (then (return (i32.const 8))))
    (memory.fill $guest (local.get $out) (i32.const 0) (i32.const 64))
    (i32.const 0))

  (func (export "fd_renumber") (param $from i32) (param $to i32) (result i32)
    (if (i32.eqz (call $is-open (local.get $to))) (then (return (i32.const 8))))
    (call $refuse (local.get $from)
      (select (i32.const 58) (i32.const 0) (i32.ne (local.get $from) (local.get $to)))))

  ;; -- reading and writing ------------------------------------------------------------------------------------

  ;; what a failed stream says, at `$at`: 64, pipe, where it is closed, else 29, io
  (func $stream-error (param $at i32) (result i32)
    (if (i32.load8_u $own (local.get $at)) (then (return (i32.const 64))))
    (call $drop-error (i32.load $own offset=4 (local.get $at)))
    (i32.const 29))

  ;; has something of stdin at hand, unless it is at its end (64) or has failed
  (func $fill (result i32)
    (block $some
      (loop $again
        (br_if $some (i32.lt_u (global.get $read-at) (global.get $read-end)))
        (global.set $top (i32.const 65536))
        (call $blocking-read (call $input) (i64.const 65536) (i32.const 0))
        (global.set $top (global.get $lists))
        (if (i32.load8_u $own (i32.const 0)) (then (return (call $stream-error (i32.const 4)))))
        (global.set $read-at (i32.load $own (i32.const 4)))
        (global.set $read-end (i32.add (global.get $read-at) (i32.load $own (i32.const 8))))
        (br $again)))
    (i32.const 0))

  (func (export "fd_read") (param $fd i32) (param $at i32) (param $count i32) (param $out i32) (result i32)
    (local $total i32) (local $size i32) (local $error i32)
    (if (i32.or (local.get $fd) (i32.eqz (call $is-open (i32.const 0)))) (then (return (i32.const 8))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $size (i32.load $guest offset=4 (local.get $at)))
        (if (local.get $size) (then
          (if (i32.eq (global.get $read-at) (global.get $read-end)) (then
            (br_if $done (local.get $total)) ;; more might have to be waited for
            (local.set $error (call $fill))
            (br_if $done (i32.eq (local.get $error) (i32.const 64)))
            (if (local.get $error) (then (return (local.get $error))))))
          (if (i32.gt_u (local.get $size) (i32.sub (global.get $read-end) (global.get $read-at)))
            (then (local.set $size (i32.sub (global.get $read-end) (global.get $read-at)))))
          (memory.copy $guest $own
            (i32.load $guest (local.get $at)) (global.get $read-at) (local.get $size))
          (global.set $read-at (i32.add (global.get $read-at) (local.get $size)))
          (local.set $total (i32.add (local.get $total) (local.get $size)))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store $guest (local.get $out) (local.get $total))
    (i32.const 0))

  ;; writes some of the `$left` bytes at `$from`, and says in `$piece` how many. Few are written in one call of
  ;; the host, as many as a blocking write may have; of more as many as there is room for, in two
  (global $piece (mut i32) (i32.const 0))
  (func $write-some (param $to i32) (param $from i32) (param $left i32) (result i32)
    (local $room i64)
    (global.set $piece (local.get $left))
    (if (i32.le_u (local.get $left) (i32.const 4096)) (then
      (memory.copy $own $guest (i32.const 4096) (local.get $from) (local.get $left))
      (call $write-and-flush (local.get $to) (i32.const 4096) (local.get $left) (i32.const 0)))
    (else
      (local.set $room (call $room-for (local.get $to)))
      (if (i64.eqz (local.get $room)) (then (return (call $stream-error (i32.const 8)))))
      (if (i64.gt_u (local.get $room) (i64.const 61440)) (then (local.set $room (i64.const 61440))))
      (if (i64.lt_u (local.get $room) (i64.extend_i32_u (local.get $left)))
        (then (global.set $piece (i32.wrap_i64 (local.get $room)))))
      (memory.copy $own $guest (i32.const 4096) (local.get $from) (global.get $piece))
      (call $write (local.get $to) (i32.const 4096) (global.get $piece) (i32.const 0))))
    (if (i32.load8_u $own (i32.const 0)) (then (return (call $stream-error (i32.const 4)))))
    (i32.const 0))

  ;; how much a stream takes, once it takes something; 0: it has failed, as stands at 8
  (func $room-for (param $to i32) (result i64)
    (local $pollable i32)
    (loop $again
      (call $check-write (local.get $to) (i32.const 0))
      (if (i32.load8_u $own (i32.const 0)) (then (return (i64.const 0))))
      (if (i64.eqz (i64.load $own (i32.const 8))) (then
        (local.set $pollable (call $subscribe-output (local.get $to)))
        (call $block (local.get $pollable))
        (call $drop-pollable (local.get $pollable))
        (br $again))))
    (i64.load $own (i32.const 8)))

  ;; writes all of it
  (func (export "fd_write") (param $fd i32) (param $at i32) (param $count i32) (param $out i32) (result i32)
    (local $total i32) (local $from i32) (local $left i32) (local $error i32)
    (if (i32.or (i32.eqz (local.get $fd)) (i32.eqz (call $is-open (local.get $fd))))
      (then (return (i32.const 8))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $from (i32.load $guest (local.get $at)))
        (local.set $left (i32.load $guest offset=4 (local.get $at)))
        (block $written
          (loop $piece
            (br_if $written (i32.eqz (local.get $left)))
            (local.set $error
              (call $write-some (call $output (local.get $fd)) (local.get $from) (local.get $left)))
            (if (local.get $error) (then
              (br_if $done (local.get $total))
              (return (local.get $error))))
            (local.set $from (i32.add (local.get $from) (global.get $piece)))
            (local.set $left (i32.sub (local.get $left) (global.get $piece)))
            (local.set $total (i32.add (local.get $total) (global.get $piece)))
            (br $piece)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store $guest (local.get $out) (local.get $total))
    (i32.const 0))

  ;; -- arguments and environment ------------------------------------------------------------------------------

  (func (export "args_sizes_get") (param $count-out i32) (param $size-out i32) (result i32)
    (local $at i32) (local $count i32) (local $size i32)
    (global.set $top (global.get $lists))
    (call $get-arguments (i32.const 0))
    (local.set $at (i32.load $own (i32.const 0)))
    (local.set $count (i32.load $own (i32.const 4)))
    (i32.store $guest (local.get $count-out) (local.get $count))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $size
          (i32.add (local.get $size) (i32.add (i32.load $own offset=4 (local.get $at)) (i32.const 1))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store $guest (local.get $size-out) (local.get $size))
    (i32.const 0))

  (func (export "args_get") (param $pointers i32) (param $texts i32) (result i32)
    (local $at i32) (local $count i32)
    (global.set $top (global.get $lists))
    (call $get-arguments (i32.const 0))
    (local.set $at (i32.load $own (i32.const 0)))
    (local.set $count (i32.load $own (i32.const 4)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (i32.store $guest (local.get $pointers) (local.get $texts))
        (local.set $texts (call $text (local.get $texts) (local.get $at) (i32.const 0)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $pointers (i32.add (local.get $pointers) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  (func (export "environ_sizes_get") (param $count-out i32) (param $size-out i32) (result i32)
    (local $at i32) (local $count i32) (local $size i32)
    (global.set $top (global.get $lists))
    (call $get-environment (i32.const 0))
    (local.set $at (i32.load $own (i32.const 0)))
    (local.set $count (i32.load $own (i32.const 4)))
    (i32.store $guest (local.get $count-out) (local.get $count))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $size (i32.add (local.get $size) (i32.add (i32.const 2)
          (i32.add (i32.load $own offset=4 (local.get $at)) (i32.load $own offset=12 (local.get $at))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store $guest (local.get $size-out) (local.get $size))
    (i32.const 0))

  (func (export "environ_get") (param $pointers i32) (param $texts i32) (result i32)
    (local $at i32) (local $count i32)
    (global.set $top (global.get $lists))
    (call $get-environment (i32.const 0))
    (local.set $at (i32.load $own (i32.const 0)))
    (local.set $count (i32.load $own (i32.const 4)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (i32.store $guest (local.get $pointers) (local.get $texts))
        (local.set $texts (call $text (local.get $texts) (local.get $at) (i32.const 61))) ;; =
        (local.set $texts
          (call $text (local.get $texts) (i32.add (local.get $at) (i32.const 8)) (i32.const 0)))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (local.set $pointers (i32.add (local.get $pointers) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; gives the guest a text, whose address and length stand at `$at`, and a byte behind it; where that ends
  (func $text (param $to i32) (param $at i32) (param $behind i32) (result i32)
    (local $size i32)
    (local.set $size (i32.load $own offset=4 (local.get $at)))
    (memory.copy $guest $own (local.get $to) (i32.load $own (local.get $at)) (local.get $size))
    (local.set $to (i32.add (local.get $to) (local.get $size)))
    (i32.store8 $guest (local.get $to) (local.get $behind))
    (i32.add (local.get $to) (i32.const 1)))

  ;; -- time and chance ----------------------------------------------------------------------------------------

  (func $wall-ns (result i64)
    (call $wall-now (i32.const 0))
    (call $nanoseconds))

  ;; of the seconds and nanoseconds at 0
  (func $nanoseconds (result i64)
    (i64.add (i64.mul (i64.load $own (i32.const 0)) (i64.const 1000000000))
      (i64.load32_u $own (i32.const 8))))

  ;; 0 is the time of day, 1 the monotonic clock. 58, notsup: those of processes; 28, inval: others
  (func $no-clock (param $clock i32) (result i32)
    (select (i32.const 58) (i32.const 28) (i32.le_u (local.get $clock) (i32.const 3))))

  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $out i32) (result i32)
    (if (i32.ge_u (local.get $clock) (i32.const 2)) (then (return (call $no-clock (local.get $clock)))))
    (if (local.get $clock)
      (then (i64.store $guest (local.get $out) (call $monotonic-now)))
      (else (i64.store $guest (local.get $out) (call $wall-ns))))
    (i32.const 0))

  (func (export "clock_res_get") (param $clock i32) (param $out i32) (result i32)
    (if (i32.ge_u (local.get $clock) (i32.const 2)) (then (return (call $no-clock (local.get $clock)))))
    (if (local.get $clock)
      (then (i64.store $guest (local.get $out) (call $monotonic-resolution)))
      (else
        (call $wall-resolution (i32.const 0))
        (i64.store $guest (local.get $out) (call $nanoseconds))))
    (i32.const 0))

  (func (export "random_get") (param $to i32) (param $left i32) (result i32)
    (local $size i32)
    (block $done
      (loop $piece
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $size
          (select (local.get $left) (i32.const 65536) (i32.lt_u (local.get $left) (i32.const 65536))))
        (global.set $top (global.get $lists))
        (call $get-random-bytes (i64.extend_i32_u (local.get $size)) (i32.const 0))
        (memory.copy $guest $own (local.get $to) (i32.load $own (i32.const 0)) (local.get $size))
        (local.set $to (i32.add (local.get $to) (local.get $size)))
        (local.set $left (i32.sub (local.get $left) (local.get $size)))
        (br $piece)))
    (i32.const 0))

  ;; -- waiting ------------------------------------------------------------------------------------------------

  ;; A subscription: at 0 the guest's own number, at 8 its kind (0 a clock, 1 to read, 2 to write), at 16 the
  ;; clock or the descriptor, at 24 the time, at 40 whether that is a point in time.

  ;; the error of a subscription that need not be waited for, 0 where it is ready; -1: it has to be waited for
  (func $at-once (param $at i32) (result i32)
    (local $kind i32) (local $what i32)
    (local.set $kind (i32.load8_u $guest offset=8 (local.get $at)))
    (local.set $what (i32.load $guest offset=16 (local.get $at)))
    (if (i32.gt_u (local.get $kind) (i32.const 2)) (then (return (i32.const 28))))
    (if (i32.eqz (local.get $kind)) (then
      (if (i32.ge_u (local.get $what) (i32.const 2)) (then (return (call $no-clock (local.get $what)))))
      (return (i32.const -1))))
    (if (i32.eqz (call $is-open (local.get $what))) (then (return (i32.const 8))))
    (if (i32.eq (i32.eqz (local.get $what)) (i32.ne (local.get $kind) (i32.const 1)))
      (then (return (i32.const 8))))
    (if (i32.eqz (local.get $what)) (then
      (if (i32.lt_u (global.get $read-at) (global.get $read-end)) (then (return (i32.const 0))))))
    (i32.const -1))

  (func $pollable (param $at i32) (result i32)
    (local $what i32) (local $time i64) (local $now i64)
    (local.set $what (i32.load $guest offset=16 (local.get $at)))
    (if (i32.load8_u $guest offset=8 (local.get $at)) (then
      (if (local.get $what)
        (then (return (call $subscribe-output (call $output (local.get $what)))))
        (else (return (call $subscribe-input (call $input)))))))
    (local.set $time (i64.load $guest offset=24 (local.get $at)))
    (if (i32.and (i32.load16_u $guest offset=40 (local.get $at)) (i32.const 1)) (then
      (if (local.get $what) (then (return (call $subscribe-instant (local.get $time)))))
      (local.set $now (call $wall-ns))
      (local.set $time (select
        (i64.sub (local.get $time) (local.get $now)) (i64.const 0)
        (i64.gt_u (local.get $time) (local.get $now))))))
    (call $subscribe-duration (local.get $time)))

  ;; An event: at 0 the number of its subscription, at 8 the error, at 10 the kind, at 16 the bytes to be read
  (func $event (param $out i32) (param $at i32) (param $error i32)
    (memory.fill $guest (local.get $out) (i32.const 0) (i32.const 32))
    (i64.store $guest (local.get $out) (i64.load $guest (local.get $at)))
    (i32.store16 $guest offset=8 (local.get $out) (local.get $error))
    (i32.store8 $guest offset=10 (local.get $out) (i32.load8_u $guest offset=8 (local.get $at)))
    (if (i32.eqz (local.get $error)) (then
      (if (i32.load8_u $guest offset=8 (local.get $at)) (then
        (i64.store $guest offset=16 (local.get $out) (i64.const 1)))))))

  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $count i32) (param $events i32)
    (result i32)
    (local $index i32) (local $error i32) (local $ready i32) (local $list i32) (local $at i32)
    (if (i32.eqz (local.get $count)) (then (return (i32.const 28))))
    (local.set $at (local.get $in))
    (loop $next
      (local.set $error (call $at-once (local.get $at)))
      (if (i32.ne (local.get $error) (i32.const -1)) (then
        (call $event
          (i32.add (local.get $out) (i32.shl (local.get $ready) (i32.const 5)))
          (local.get $at) (local.get $error))
        (local.set $ready (i32.add (local.get $ready) (i32.const 1)))))
      (local.set $at (i32.add (local.get $at) (i32.const 48)))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $index) (local.get $count))))
    (if (i32.eqz (local.get $ready)) (then
      (local.set $ready (call $wait (local.get $in) (local.get $out) (local.get $count)))))
    (i32.store $guest (local.get $events) (local.get $ready))
    (i32.const 0))

  ;; waits until one of the subscriptions is ready, writes their events, and says how many there are
  (func $wait (param $in i32) (param $out i32) (param $count i32) (result i32)
    (local $index i32) (local $list i32) (local $found i32) (local $ready i32)
    (global.set $top (global.get $lists))
    (local.set $list (call $room (i32.shl (local.get $count) (i32.const 2))))
    (loop $next
      (i32.store $own
        (i32.add (local.get $list) (i32.shl (local.get $index) (i32.const 2)))
        (call $pollable (i32.add (local.get $in) (i32.mul (local.get $index) (i32.const 48)))))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $index) (local.get $count))))
    (call $poll (local.get $list) (local.get $count) (i32.const 0))
    (local.set $found (i32.load $own (i32.const 0)))
    (local.set $ready (i32.load $own (i32.const 4)))
    (local.set $index (i32.const 0))
    (loop $next
      (call $event
        (i32.add (local.get $out) (i32.shl (local.get $index) (i32.const 5)))
        (i32.add (local.get $in) (i32.mul (i32.const 48)
          (i32.load $own (i32.add (local.get $found) (i32.shl (local.get $index) (i32.const 2))))))
        (i32.const 0))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $index) (local.get $ready))))
    (local.set $index (i32.const 0))
    (loop $next
      (call $drop-pollable
        (i32.load $own (i32.add (local.get $list) (i32.shl (local.get $index) (i32.const 2)))))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $index) (local.get $count))))
    (local.get $ready))

  (func $room (param $size i32) (result i32)
    (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $size)))

  ;; -- the process --------------------------------------------------------------------------------------------

  (func (export "proc_exit") (param $code i32)
    (call $exit-with-code
      (select (local.get $code) (i32.const 255) (i32.lt_u (local.get $code) (i32.const 255))))
    (unreachable))

  (func (export "sched_yield") (result i32) (i32.const 0))
)
