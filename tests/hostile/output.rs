//! Guests that write without end, or nothing without end.

use haggle_core::Bytes;

use crate::kit::{exit, finished, for_ever, hostile, out_of_output, out_of_time, start, trap, wat};

const SMALL: Bytes = Bytes::from_kib(100);

hostile! {
    floods_standard_output: for_ever("(call $check (call $write (i32.const 1) (i32.const 0) (i32.const 50000)))")
        => out_of_output();
    floods_standard_error: for_ever("(call $check (call $write (i32.const 2) (i32.const 0) (i32.const 50000)))")
        => out_of_output();
    floods_as_a_component: for_ever("(call $check (call $write (i32.const 1) (i32.const 0) (i32.const 50000)))").component()
        => out_of_output();
    floods_and_is_cut_off_until_its_time_is_over:
        for_ever("(call $check (call $write (i32.const 1) (i32.const 0) (i32.const 50000)))").truncates().millis(60)
        => out_of_time();
    floods_and_is_cut_off_as_a_component:
        for_ever("(call $check (call $write (i32.const 1) (i32.const 0) (i32.const 50000)))").component().truncates()
        .millis(60) => out_of_time();
    floods_byte_by_byte_on_both:
        for_ever("(call $check (call $write (i32.const 1) (i32.const 0) (i32.const 1)))
            (call $check (call $write (i32.const 2) (i32.const 0) (i32.const 1)))").output(Bytes::from_kib(10))
        => out_of_output();
    writes_all_its_memory_at_once:
        wat(r#"(memory (export "memory") 250) (func (export "_start")
            (call $check (call $write (i32.const 1) (i32.const 0) (i32.const 16384000)))
            (call $check (call $write (i32.const 1) (i32.const 0) (i32.const 16384000))))"#) => out_of_output();
    writes_without_any_output: start("(call $check (call $write (i32.const 1) (i32.const 0) (i32.const 1)))")
        .output(Bytes::ZERO) => out_of_output();
    writes_nothing_for_ever: for_ever("(call $check (call $write (i32.const 1) (i32.const 0) (i32.const 0)))").millis(60)
        => out_of_time();
    writes_nothing_for_ever_as_a_component:
        for_ever("(call $check (call $write (i32.const 1) (i32.const 0) (i32.const 0)))").component().millis(60)
        => out_of_time();
    writes_a_thousand_empty_buffers_for_ever:
        for_ever("(call $check (call $fd_write (i32.const 1) (i32.const 1024) (i32.const 1024) (i32.const 8)))").millis(60)
        => out_of_time();
    writes_too_many_buffers:
        start("(call $check (call $fd_write (i32.const 1) (i32.const 1024) (i32.const 1025) (i32.const 8)))") => exit(28);
    writes_as_many_buffers_as_can_be_said:
        start("(call $check (call $fd_write (i32.const 1) (i32.const 1024) (i32.const -1) (i32.const 8)))") => exit(28);
    writes_what_is_not_there: start("(call $check (call $write (i32.const 1) (i32.const 65530) (i32.const 100)))")
        => trap("Pointer out of bounds");
    writes_all_there_can_be: start("(call $check (call $write (i32.const 1) (i32.const 1) (i32.const -1)))") => trap("Pointer out of bounds");
    names_buffers_that_are_not_there:
        start("(call $check (call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8)))") => trap("Pointer out of bounds");
    names_buffers_across_the_end:
        start("(call $check (call $fd_write (i32.const 1) (i32.const -4) (i32.const 2) (i32.const 8)))") => trap("Pointer out of bounds");
    writes_one_buffer_a_thousand_times:
        start("(loop $more
                (call $buffer (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 8))) (i32.const 0) (i32.const 65536))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1024))))
            (loop $more
                (call $check (call $fd_write (i32.const 1) (i32.const 1024) (i32.const 1024) (i32.const 8)))
                (br $more))").output(SMALL) => out_of_output();
    writes_at_a_place_in_its_output:
        start("(call $buffer (i32.const 0) (i32.const 0) (i32.const 9))
            (call $check (call $fd_pwrite (i32.const 1) (i32.const 0) (i32.const 1) (i64.const 7) (i32.const 8)))")
        => exit(70);
    writes_to_its_input: start("(call $check (call $write (i32.const 0) (i32.const 0) (i32.const 9)))") => exit(8);
    writes_after_closing:
        start("(call $check (call $fd_close (i32.const 1))) (call $check (call $fd_close (i32.const 2)))
            (call $refused (call $write (i32.const 1) (i32.const 0) (i32.const 9)))
            (call $refused (call $fd_close (i32.const 1)))") => finished();
    floods_through_another_descriptor:
        start("(call $check (call $fd_renumber (i32.const 1) (i32.const 0)))
            (loop $more (call $check (call $write (i32.const 0) (i32.const 0) (i32.const 5000))) (br $more))").output(SMALL)
        => out_of_output();
}
