;; What is called first in a module that has a snapshot: four functions, and the numbers of others that they call.
(module
  (memory 1)

  ;; Whether the task is one that a snapshot is right for: `NAME /SCRIPT ...` with no more folders than the snapshot had, and
  ;; without a variable that the interpreter reads while it gets ready. What is packed into the module counts folders only once,
  ;; and a script's path cannot be told from an option otherwise.
  (func $fits (result i32)
    (local $left i32) (local $at i32) (local $text i32)
    (if (call FD_PRESTAT_GET (i32.const 3) (i32.const ROOM)) (then (return (i32.const 0))))
    (local.set $at (i32.const 3))
    (block $all (loop $folders
      (br_if $all (call FD_PRESTAT_GET (local.get $at) (i32.const ROOM)))
      (if (i32.ge_u (local.get $at) (i32.const FOLDERS_END)) (then (return (i32.const 0))))
      ;; Of two folders of the same name the C library takes the one that it heard of last. That is the packed one, "/usr", and
      ;; would be the task's.
      (local.set $left (i32.load (i32.const ROOM_NEXT)))
      (if (i32.gt_u (local.get $left) (i32.const TEXT_MAX)) (then (return (i32.const 0))))
      (local.set $text (i32.const TEXT))
      (i32.store (i32.add (local.get $text) (local.get $left)) (i32.const 0))
      (if (call FD_PRESTAT_DIR_NAME (local.get $at) (local.get $text) (local.get $left)) (then (return (i32.const 0))))
      (block $named (loop $before
        (br_if $named (i32.gt_u
          (i32.sub (i32.load8_u (local.get $text)) (i32.const 46))
          (i32.const 1)))
        (local.set $text (i32.add (local.get $text) (i32.const 1)))
        (br $before)))
      ;; "us", "r"
      (if (i32.and
            (i32.eq (i32.load16_u align=1 (local.get $text)) (i32.const 0x7375))
            (i32.eq (i32.load8_u offset=2 (local.get $text)) (i32.const 0x72)))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $folders)))
    (if (call ARGS_SIZES_GET (i32.const ROOM) (i32.const ROOM_NEXT)) (then (return (i32.const 0))))
    (if (i32.lt_u (i32.load (i32.const ROOM)) (i32.const 2)) (then (return (i32.const 0))))
    (if (i32.gt_u (i32.load (i32.const ROOM)) (i32.const WORDS_MAX)) (then (return (i32.const 0))))
    (if (i32.gt_u (i32.load (i32.const ROOM_NEXT)) (i32.const TEXT_MAX)) (then (return (i32.const 0))))
    (if (call ARGS_GET (i32.const WORDS) (i32.const TEXT)) (then (return (i32.const 0))))
    (if (i32.ne (i32.load8_u (i32.load offset=4 (i32.const WORDS))) (i32.const 47)) (then (return (i32.const 0))))

    (if (call ENVIRON_SIZES_GET (i32.const ROOM) (i32.const ROOM_NEXT)) (then (return (i32.const 0))))
    (if (i32.gt_u (i32.load (i32.const ROOM)) (i32.const WORDS_MAX)) (then (return (i32.const 0))))
    (if (i32.gt_u (i32.load (i32.const ROOM_NEXT)) (i32.const TEXT_MAX)) (then (return (i32.const 0))))
    (if (call ENVIRON_GET (i32.const WORDS) (i32.const TEXT)) (then (return (i32.const 0))))
    (local.set $at (i32.const WORDS))
    (local.set $left (i32.load (i32.const ROOM)))
    (block $done (loop $each
      (br_if $done (i32.eqz (local.get $left)))
      (local.set $text (i32.load (local.get $at)))
      ;; "PYTH", "ON"
      (if (i32.and
            (i32.eq (i32.load align=1 (local.get $text)) (i32.const 0x48545950))
            (i32.eq (i32.load16_u offset=4 align=1 (local.get $text)) (i32.const 0x4e4f))) (then
        (if (i32.eqz (i32.or
              ;; "PATH", "="
              (i32.and
                (i32.eq (i32.load offset=6 align=1 (local.get $text)) (i32.const 0x48544150))
                (i32.eq (i32.load8_u offset=10 (local.get $text)) (i32.const 61)))
              ;; "UNBUFFER", "ED="
              (i32.and
                (i64.eq (i64.load offset=6 align=1 (local.get $text)) (i64.const 0x5245464655424e55))
                (i32.and
                  (i32.eq (i32.load16_u offset=14 align=1 (local.get $text)) (i32.const 0x4445))
                  (i32.eq (i32.load8_u offset=16 (local.get $text)) (i32.const 61))))))
          (then (return (i32.const 0))))))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $each)))
    (i32.const 1))

  ;; Gives the interpreter a secret of its own, and whatever was laid out by the snapshot's the place that it has by this.
  (func $rehash
    (local $at i32) (local $from i32) (local $left i32) (local $hash i32)
    (local $table i32) (local $mask i32) (local $width i32) (local $entry i32) (local $number i32) (local $key i32)
    (local $slot i32) (local $rest i32) (local $is_general i32) (local $place i32) (local $probes i32)
    (drop (call RANDOM_GET (i32.const SECRET) (i32.const SECRET_SIZE)))

    ;; Texts: where the hash is kept, where the bytes are, and how many.
    (local.set $at (i32.const TEXTS))
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $at) (i32.const TEXTS_END)))
      (local.set $from (i32.load offset=4 (local.get $at)))
      (local.set $left (i32.load offset=8 (local.get $at)))
      (local.set $hash (i32.xor
        (i32.load (i32.const SECRET))
        (i32.shl (i32.load8_u (local.get $from)) (i32.const 7))))
      (block $last (loop $blocks
        (br_if $last (i32.le_u (local.get $left) (i32.const 4)))
        (local.set $hash (i32.xor
          (i32.mul (local.get $hash) (i32.const 1000003))
          (i32.load align=1 (local.get $from))))
        (local.set $from (i32.add (local.get $from) (i32.const 4)))
        (local.set $left (i32.sub (local.get $left) (i32.const 4)))
        (br $blocks)))
      (loop $bytes
        (local.set $hash (i32.xor
          (i32.mul (local.get $hash) (i32.const 1000003))
          (i32.load8_u (local.get $from))))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br_if $bytes (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (local.set $hash (i32.xor
        (i32.xor (local.get $hash) (i32.load offset=8 (local.get $at)))
        (i32.load offset=4 (i32.const SECRET))))
      (if (i32.eq (local.get $hash) (i32.const -1)) (then (local.set $hash (i32.const -2))))
      (i32.store (i32.load (local.get $at)) (local.get $hash))
      (local.set $at (i32.add (local.get $at) (i32.const 12)))
      (br $each)))

    ;; Keys of dictionaries: their index, filled anew in the order of the entries.
    (local.set $at (i32.const TABLES))
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $at) (i32.const TABLES_END)))
      (local.set $table (i32.load (local.get $at)))
      (local.set $width (i32.sub (i32.load8_u offset=5 (local.get $table)) (i32.load8_u offset=4 (local.get $table))))
      (local.set $mask (i32.sub (i32.shl (i32.const 1) (i32.load8_u offset=4 (local.get $table))) (i32.const 1)))
      (local.set $is_general (i32.eqz (i32.load8_u offset=6 (local.get $table))))
      (local.set $left (i32.shl (i32.const 1) (i32.load8_u offset=5 (local.get $table))))
      (memory.fill (i32.add (local.get $table) (i32.const 20)) (i32.const 255) (local.get $left))
      (local.set $entry (i32.add (i32.add (local.get $table) (i32.const 20)) (local.get $left)))
      (local.set $number (i32.const 0))
      (block $all (loop $entries
        (br_if $all (i32.ge_u (local.get $number) (i32.load offset=16 (local.get $table))))
        (local.set $key (i32.load (i32.add (local.get $entry) (i32.shl (local.get $is_general) (i32.const 2)))))
        (if (local.get $key) (then
          (local.set $hash (i32.load offset=12 (local.get $key)))
          (if (local.get $is_general) (then
            (if (i32.or
                  (i32.eq (i32.load offset=4 (local.get $key)) (i32.const STR))
                  (i32.eq (i32.load offset=4 (local.get $key)) (i32.const BYTES)))
              (then (i32.store (local.get $entry) (local.get $hash)))
              (else (local.set $hash (i32.load (local.get $entry)))))))
          (local.set $rest (local.get $hash))
          (local.set $slot (i32.and (local.get $hash) (local.get $mask)))
          (block $free (loop $probe
            (local.set $place (i32.add
              (i32.add (local.get $table) (i32.const 20))
              (i32.shl (local.get $slot) (local.get $width))))
            ;; An index that is free has all bits set, and a number has its highest bit clear.
            (br_if $free (i32.ge_u
              (if (result i32) (i32.eqz (local.get $width))
                (then (i32.load8_u (local.get $place)))
                (else (if (result i32) (i32.eq (local.get $width) (i32.const 1))
                  (then (i32.shr_u (i32.load16_u align=1 (local.get $place)) (i32.const 8)))
                  (else (i32.shr_u (i32.load align=1 (local.get $place)) (i32.const 24))))))
              (i32.const 128)))
            (local.set $rest (i32.shr_u (local.get $rest) (i32.const 5)))
            (local.set $slot (i32.and
              (i32.add (i32.add (i32.mul (local.get $slot) (i32.const 5)) (local.get $rest)) (i32.const 1))
              (local.get $mask)))
            (br $probe)))
          (if (i32.eqz (local.get $width))
            (then (i32.store8 (local.get $place) (local.get $number)))
            (else (if (i32.eq (local.get $width) (i32.const 1))
              (then (i32.store16 align=1 (local.get $place) (local.get $number)))
              (else (i32.store align=1 (local.get $place) (local.get $number))))))))
        (local.set $entry (i32.add
          (i32.add (local.get $entry) (i32.const 8))
          (i32.shl (local.get $is_general) (i32.const 2))))
        (local.set $number (i32.add (local.get $number) (i32.const 1)))
        (br $entries)))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br $each)))

    ;; Sets: their entries, which are put aside first. Those that were removed are left out.
    (local.set $at (i32.const SETS))
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $at) (i32.const SETS_END)))
      (local.set $from (i32.load (local.get $at)))
      (local.set $mask (i32.load offset=16 (local.get $from)))
      (local.set $table (i32.load offset=20 (local.get $from)))
      (i32.store offset=8 (local.get $from) (i32.load offset=12 (local.get $from)))
      (i32.store offset=24 (local.get $from) (i32.const -1))
      (local.set $left (i32.shl (i32.add (local.get $mask) (i32.const 1)) (i32.const 3)))
      (memory.copy (i32.const ROOM) (local.get $table) (local.get $left))
      (memory.fill (local.get $table) (i32.const 0) (local.get $left))
      (local.set $entry (i32.const ROOM))
      (local.set $left (i32.add (local.get $left) (i32.const ROOM)))
      (loop $entries
        (local.set $key (i32.load (local.get $entry)))
        (local.set $hash (i32.load offset=4 (local.get $entry)))
        (if (i32.and (i32.ne (local.get $key) (i32.const 0)) (i32.ne (local.get $hash) (i32.const -1))) (then
          (if (i32.or
                (i32.eq (i32.load offset=4 (local.get $key)) (i32.const STR))
                (i32.eq (i32.load offset=4 (local.get $key)) (i32.const BYTES)))
            (then (local.set $hash (i32.load offset=12 (local.get $key)))))
          (local.set $rest (local.get $hash))
          (local.set $slot (i32.and (local.get $hash) (local.get $mask)))
          (block $free (loop $probe
            (local.set $place (i32.add (local.get $table) (i32.shl (local.get $slot) (i32.const 3))))
            (local.set $probes (select (i32.const 10) (i32.const 1)
              (i32.le_u (i32.add (local.get $slot) (i32.const 9)) (local.get $mask))))
            (loop $neighbours
              (br_if $free (i32.eqz (i32.load (local.get $place))))
              (local.set $place (i32.add (local.get $place) (i32.const 8)))
              (br_if $neighbours (local.tee $probes (i32.sub (local.get $probes) (i32.const 1)))))
            (local.set $rest (i32.shr_u (local.get $rest) (i32.const 5)))
            (local.set $slot (i32.and
              (i32.add (i32.add (i32.mul (local.get $slot) (i32.const 5)) (i32.const 1)) (local.get $rest))
              (local.get $mask)))
            (br $probe)))
          (i32.store (local.get $place) (local.get $key))
          (i32.store offset=4 (local.get $place) (local.get $hash))))
        (local.set $entry (i32.add (local.get $entry) (i32.const 8)))
        (br_if $entries (i32.lt_u (local.get $entry) (local.get $left))))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br $each))))

  ;; Leaves everything as it was before the snapshot was taken.
  (func $restore
    (memory.fill (i32.const 0) (i32.const 0) (i32.const END))
    PIECES
    GLOBALS)

  (func $start
    (if (call FITS) (then (call REHASH)) (else (call RESTORE)))
    (call START)))
