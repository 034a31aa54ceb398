//! How nice a compilation is: it is given what the task that waits for it was promised and does not use yet.

use haggle_core::MilliCpu;

/// What a thread weighs beside others that want the same CPU, by its niceness: Linux's own table (`sched_prio_to_weight`).
const WEIGHTS: [u64; 11] = [1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110];

/// For a task that was promised little or nothing, and for a module that nobody waits for any more: a tenth of what a
/// guest gets, so that it comes to its end on a machine whose guests leave nothing over.
pub(super) const NICEST: u8 = (WEIGHTS.len() - 1) as u8;

/// The least with which so many threads weigh no more together than this many CPUs, up to [`NICEST`]. So who is promised the
/// rest of the machine has it.
pub(super) fn niceness(share: MilliCpu, threads: usize) -> u8 {
    let fits = |weight: &u64| weight * 1000 * threads as u64 <= share.get().saturating_mul(WEIGHTS[0]);
    WEIGHTS.iter().position(fits).and_then(|steps| u8::try_from(steps).ok()).unwrap_or(NICEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilation_gets_the_share_of_the_task_that_waits_for_it() {
        let of = |share, threads| niceness(MilliCpu::new(share), threads);

        assert_eq!([of(2000, 2), of(4000, 2)], [0, 0], "the whole machine is promised to it");
        assert_eq!(
            [of(1000, 2), of(1000, 4), of(1000, 8)],
            [4, 7, 10],
            "more threads for the same share are nicer each"
        );
        assert_eq!([of(500, 1), of(250, 1)], [4, 7]);
        assert_eq!([of(100, 2), of(0, 1), of(1000, 64)], [NICEST; 3], "nobody waits for ever");
    }
}
