//! Every bug that is put back is found.

use std::sync::atomic::{AtomicU64, Ordering};

use haggle_core::planted::{self, Bug};
use haggle_sim::run;

/// Seeds within which a bug has to be found.
const SEEDS: u64 = 10_000;

/// Alone in its file: what is planted is planted in the whole process. `HAGGLE_PLANTED` names the bugs that are tried,
/// separated by commas; all of them unless it is set.
#[test]
fn each_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let named = std::env::var("HAGGLE_PLANTED").ok();
    let is_named =
        |bug: &Bug| named.as_ref().is_none_or(|named| named.split(',').any(|name| name == format!("{bug:?}")));
    let mut hidden = Vec::new();
    println!("{:<24} {:>6}  how it shows", "bug", "seeds");
    for &bug in Bug::ALL.iter().filter(|bug| is_named(bug)) {
        planted::plant(Some(bug));
        let name = format!("{bug:?}");
        match first_broken() {
            Some(seed) => println!("{name:<24} {:>6}  {}", seed + 1, run(seed, false).broken.unwrap_or_default()),
            None => {
                println!("{name:<24}   none");
                hidden.push(bug);
            }
        }
    }
    planted::plant(None);

    assert_eq!(hidden, [], "not found within {SEEDS} seeds");
}

/// The first seed that breaks a promise, looked for on all cores.
fn first_broken() -> Option<u64> {
    let (next, first) = (AtomicU64::new(0), AtomicU64::new(SEEDS));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first.load(Ordering::Relaxed) {
                        return;
                    }
                    if run(seed, false).broken.is_some() {
                        first.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    Some(first.into_inner()).filter(|&seed| seed < SEEDS)
}
