;; The functions that stand for long bulk operators, each with the operands of its operator, of which the last, the
;; length, is more than one piece.
;;
;; An operator that reaches out of bounds traps before it changes anything. So the first piece is the one that lies
;; highest, and where that cannot be, the last bytes are looked at before. What does not even fit 32 bits is left to
;; the operator itself, which traps. (Where all of 4 GiB are there, it does them all at once.)
(module
  (memory 1)

  (func $fill (param $to i32) (param $value i32) (param $length i32)
    (if (i32.ge_u (i32.add (local.get $to) (i32.sub (local.get $length) (i32.const 1))) (local.get $to)) (then
      (loop $more
        (local.set $length (i32.sub (local.get $length) (i32.const PIECE)))
        (memory.fill
          (i32.add (local.get $to) (local.get $length))
          (local.get $value)
          (i32.const PIECE))
        (br_if $more (i32.gt_u (local.get $length) (i32.const PIECE))))))
    (memory.fill (local.get $to) (local.get $value) (local.get $length)))

  (func $copy (param $to i32) (param $from i32) (param $length i32)
    (if (i32.and
          (i32.ge_u (i32.add (local.get $to) (i32.sub (local.get $length) (i32.const 1))) (local.get $to))
          (i32.ge_u (i32.add (local.get $from) (i32.sub (local.get $length) (i32.const 1))) (local.get $from))) (then
      ;; Where both overlap, no piece may overwrite what a later one reads.
      (if (i32.lt_u (local.get $to) (local.get $from))
        (then
          (drop (i32.load8_u (i32.add (local.get $to) (i32.sub (local.get $length) (i32.const 1)))))
          (drop (i32.load8_u (i32.add (local.get $from) (i32.sub (local.get $length) (i32.const 1)))))
          (loop $more
            (memory.copy (local.get $to) (local.get $from) (i32.const PIECE))
            (local.set $to (i32.add (local.get $to) (i32.const PIECE)))
            (local.set $from (i32.add (local.get $from) (i32.const PIECE)))
            (local.set $length (i32.sub (local.get $length) (i32.const PIECE)))
            (br_if $more (i32.gt_u (local.get $length) (i32.const PIECE)))))
        (else
          (loop $more
            (local.set $length (i32.sub (local.get $length) (i32.const PIECE)))
            (memory.copy
              (i32.add (local.get $to) (local.get $length))
              (i32.add (local.get $from) (local.get $length))
              (i32.const PIECE))
            (br_if $more (i32.gt_u (local.get $length) (i32.const PIECE))))))))
    (memory.copy (local.get $to) (local.get $from) (local.get $length)))

  (func $init (param $to i32) (param $from i32) (param $length i32)
    (if (i32.and
          (i32.ge_u (i32.add (local.get $to) (i32.sub (local.get $length) (i32.const 1))) (local.get $to))
          (i32.ge_u (i32.add (local.get $from) (i32.sub (local.get $length) (i32.const 1))) (local.get $from))) (then
      (loop $more
        (local.set $length (i32.sub (local.get $length) (i32.const PIECE)))
        (memory.init SEGMENT
          (i32.add (local.get $to) (local.get $length))
          (i32.add (local.get $from) (local.get $length))
          (i32.const PIECE))
        (br_if $more (i32.gt_u (local.get $length) (i32.const PIECE))))))
    (memory.init SEGMENT (local.get $to) (local.get $from) (local.get $length))))
