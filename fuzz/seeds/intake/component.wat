(component
  (core module $m (memory (export "memory") 1) (func (export "run") (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (component $c (core module $n) (core instance (instantiate $n)))
  (instance (instantiate $c)) (instance (instantiate $c))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $export (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $export)))
