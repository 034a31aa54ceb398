(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1 16) (table 2 funcref) (global (mut i32) (i32.const 3))
  (elem (i32.const 0) $f) (data (i32.const 0) "\08\00\00\00\03\00\00\00abc")
  (func $f (param i32) (result i32) (local i64 f64 v128) (i32.mul (local.get 0) (i32.const 3)))
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (block (loop (br_table 0 1 0 (i32.const 1))))
    (loop (br_if 0 (i32.lt_s (call $f (global.get 0)) (i32.const 2))))))
