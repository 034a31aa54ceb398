//! Every bug that is put back is found.

use haggle_sim::bugs::{self, Bug};
use haggle_sim::run;

/// Seeds within which a bug has to be found.
const SEEDS: u64 = 10_000;

/// Alone in its file: what is planted is planted in the whole process.
#[test]
fn each_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut hidden = Vec::new();
    println!("{:<28} {:>6}  how it shows", "bug", "seeds");
    for &bug in Bug::ALL {
        bugs::plant(Some(bug));
        match (0..SEEDS).map(|seed| run(seed, false)).find(|report| report.broken.is_some()) {
            Some(report) => {
                println!("{:<28} {:>6}  {}", format!("{bug:?}"), report.seed + 1, report.broken.unwrap_or_default());
            }
            None => {
                println!("{:<28} {:>6}", format!("{bug:?}"), "none");
                hidden.push(bug);
            }
        }
    }
    bugs::plant(None);

    assert_eq!(hidden, [], "not found within {SEEDS} seeds");
}
