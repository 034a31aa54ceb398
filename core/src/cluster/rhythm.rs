//! How often agents say that they live, and how long one may be silent: the more there are, the less often, so that the master of
//! a large cluster hears no more heartbeats than that of a middling one.

use core::time::Duration;

/// How often the agents of a small cluster say so.
const SMALL: Duration = Duration::from_secs(2);

/// Heartbeats a second that a master hears of all agents together: some 4 % of a processor. 2,500 agents say so many.
const PER_SECOND: u64 = 1_250;

/// The longest pause between two, below the time for which an agent may be silent in a small cluster. 10,000 agents come to it.
const LONGEST: Duration = Duration::from_secs(8);

/// Pauses that an agent may be silent for.
const MISSED: u32 = 5;

/// How often each of so many agents is to say that it lives.
pub fn heartbeat_every(agents: usize) -> Duration {
    let agents = u64::try_from(agents).unwrap_or(u64::MAX);
    Duration::from_millis(agents.saturating_mul(1_000) / PER_SECOND).clamp(SMALL, LONGEST)
}

/// How many heartbeats of an agent the master hears before it answers one. An agent takes a master for dead after four without an answer: where
/// they are far apart, one of them is time enough for an answer that is late.
pub fn answers_each(agents: usize) -> u32 {
    if heartbeat_every(agents) == SMALL { 2 } else { 3 }
}

/// How long one of so many agents may be silent or away, where the operator wants it to be so long at least.
pub(super) fn patience(agents: usize, least: Duration) -> Duration {
    let every = heartbeat_every(agents);
    if every == SMALL { least } else { least.max(every * MISSED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_secs(10);

    #[test]
    fn agents_of_a_small_cluster_are_missed_as_soon_as_the_operator_wants() {
        for agents in [0, 1, 2_500] {
            assert_eq!((heartbeat_every(agents), patience(agents, LEAST)), (SMALL, LEAST), "{agents}");
        }
        assert_eq!(patience(10, Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn a_large_cluster_says_no_more_heartbeats_than_a_middling_one() {
        let said = |agents: usize| agents as u128 * 1_000 / heartbeat_every(agents).as_millis();

        assert_eq!([2_500, 5_000, 7_500, 10_000].map(said), [1_250; 4]);
        assert_eq!(heartbeat_every(usize::MAX), LONGEST);
    }

    #[test]
    fn whoever_says_them_is_heard_in_time_however_many_leave_meanwhile() {
        for agents in [2_600, 10_000, 1_000_000] {
            assert!(heartbeat_every(agents) * 5 <= patience(agents, LEAST), "{agents}");
            assert!(heartbeat_every(agents) < patience(0, LEAST), "{agents}");
        }
    }
}
