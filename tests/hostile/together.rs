//! All hostile guests at once, beside honest neighbours.

use std::collections::HashMap;

use haggle_core::{Bytes, TaskState};

use crate::kit::{Bench, Ends, Guest, check, exit, wat};
use crate::{cpu, disk, host_calls, links, memory, modules, output};

/// Beside what its tasks were promised, the process holds the engine, compiled modules, and what a compiler needs
/// while it compiles the largest of them.
const OVERHEAD: Bytes = Bytes::from_mib(1024);

/// Adds up what one honest task does, and exits with it.
fn honest() -> Guest {
    wat(r#"(memory (export "memory") 4)
        (func (export "_start") (local $i i32) (local $sum i32)
            (loop $more
                (i32.store (i32.and (local.get $i) (i32.const 0xfffc)) (local.get $i))
                (local.set $sum (i32.add (local.get $sum)
                    (i32.load (i32.and (local.get $i) (i32.const 0xfffc)))))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))
            (call $exit (i32.rem_u (local.get $sum) (i32.const 251))))"#)
}

fn answer() -> i32 {
    let sum = (0..100_000_u32).fold(0_u32, u32::wrapping_add);
    i32::try_from(sum % 251).unwrap()
}

#[test]
fn all_at_once_harm_neither_the_host_nor_their_neighbours() {
    let mut bench = Bench::new();
    let before = resident();
    let hostile: Vec<(&str, Guest, Ends)> =
        [cpu::all(), memory::all(), disk::all(), links::all(), output::all(), host_calls::all(), modules::all()]
            .into_iter()
            .flatten()
            .collect();
    let mut running: HashMap<_, (&str, Guest, Ends)> = HashMap::new();
    for (number, row) in hostile.into_iter().enumerate() {
        if number % 5 == 0 {
            let honest = honest();
            running.insert(bench.launch(&honest), ("an honest neighbour", honest, exit(answer())));
        }
        running.insert(bench.launch(&row.1), row);
    }
    let promised: u64 = running.values().map(|(_, guest, _)| guest.mem_promised()).sum();
    let count = running.len();
    assert!(count > 100);

    let mut most = before;
    while !running.is_empty() {
        let (task, ending) = bench.ended();
        most = most.max(resident());
        let (name, guest, ends) = running.remove(&task).expect("a task ends once");
        check(name, &guest, &ending, &ends);
        assert_ne!(ending.state, TaskState::Lost);
    }

    bench.assert_clean();
    let bound = before + promised + OVERHEAD.get();
    assert!(most < bound, "{count} tasks made the process hold {most} bytes, {bound} at most were promised");
}

/// Bytes of memory that this process holds, where the system tells.
fn resident() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
}
