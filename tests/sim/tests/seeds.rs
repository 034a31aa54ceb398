//! A few seeds, and that they can be played again. `cargo xtask sim` plays many.

use haggle_sim::run;

#[test]
fn every_seed_twice_gives_the_same_event_log() {
    for seed in 0..20 {
        let (first, second) = (run(seed, true), run(seed, true));

        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.lines, second.lines, "seed {seed}");
    }
}

#[test]
fn keeping_the_words_changes_nothing() {
    for seed in 0..10 {
        assert_eq!(run(seed, true).hash, run(seed, false).hash, "seed {seed}");
    }
}

#[test]
fn other_seeds_are_other_worlds() {
    assert_ne!(run(1, false).hash, run(2, false).hash);
}

#[test]
fn no_promise_is_broken_in_the_first_seeds() {
    let broken: Vec<_> =
        (0..50).map(|seed| run(seed, false)).filter_map(|report| Some((report.seed, report.broken?))).collect();

    assert_eq!(broken, []);
}
