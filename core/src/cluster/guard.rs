//! How many agents may be given up at once: a sick master must not declare its cluster dead.

use core::time::Duration;

use crate::bucket::Bucket;
use crate::time::Now;

/// Agents that may always be declared unreachable at once, however small the cluster.
const AT_ONCE: usize = 10;

/// Of a larger cluster, one part in so many.
const PART: usize = 10;

/// How long after that as many again may be.
const REFILL: Duration = Duration::from_secs(10);

/// Limits how fast agents become unreachable: ten at once or a tenth of all, and as many again within ten seconds.
/// Mesos has it as `--agent_removal_rate_limit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StormGuard(Bucket);

impl StormGuard {
    /// Whether one more of so many agents may be declared unreachable now; else when to ask again.
    pub(super) fn allow(&mut self, now: Now, agents: usize) -> Result<(), Now> {
        let burst = AT_ONCE.max(agents / PART) as u64;
        self.0.take(now, 1, burst, REFILL).map_err(|after| now + after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed_at_once(agents: usize, now: Now, guard: &mut StormGuard) -> usize {
        (0..agents).take_while(|_| guard.allow(now, agents).is_ok()).count()
    }

    #[test]
    fn a_tenth_of_a_cluster_and_at_least_ten_agents_go_at_once() {
        assert_eq!(allowed_at_once(5, Now::ZERO, &mut StormGuard::default()), 5);
        assert_eq!(allowed_at_once(50, Now::ZERO, &mut StormGuard::default()), 10);
        assert_eq!(allowed_at_once(5_000, Now::ZERO, &mut StormGuard::default()), 500);
    }

    #[test]
    fn the_next_may_go_when_the_guard_says() {
        let mut guard = StormGuard::default();
        allowed_at_once(50, Now::ZERO, &mut guard);

        let later = guard.allow(Now::ZERO, 50).expect_err("ten have gone");

        assert_eq!(later, Now::from_millis(1_000));
        assert_eq!(guard.allow(later, 50), Ok(()));
        assert!(guard.allow(later, 50).is_err());
    }

    #[test]
    fn after_a_while_as_many_may_go_again() {
        let mut guard = StormGuard::default();
        allowed_at_once(50, Now::ZERO, &mut guard);

        assert_eq!(allowed_at_once(50, Now::from_millis(10_000), &mut guard), 10);
    }
}
