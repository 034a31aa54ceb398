//! Never ends: `spinner [SECONDS]`; with an argument, spins until that much wall-clock time is over.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Turns between two looks at the clock: a millisecond or so, and the clock costs nothing beside them.
const TURNS: u64 = 1_000_000;

fn main() -> ExitCode {
    support::run(|args| {
        let Some(text) = args.first() else { spin_for_ever() };
        let wanted = text
            .parse()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| format!("{text:?} is not a number of seconds"))?;
        println!("{} turns", spin_for(wanted));
        Ok(())
    })
}

fn spin_for_ever() -> ! {
    loop {
        turn();
    }
}

fn spin_for(wanted: Duration) -> u64 {
    let started = Instant::now();
    let mut turns = 0;
    while started.elapsed() < wanted {
        turn();
        turns += TURNS;
    }
    turns
}

fn turn() {
    let mut state = 1_u64;
    for turn in 0..TURNS {
        state = black_box(state.rotate_left(5) ^ turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_spins_for_as_long_as_it_is_told() {
        let started = Instant::now();

        let turns = spin_for(Duration::from_millis(5));

        assert!(started.elapsed() >= Duration::from_millis(5));
        assert!(turns >= TURNS);
    }
}
