//! How much may come in on connections: whoever brings more than its part is read more slowly, and not refused.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::Bucket;

const SECOND: Duration = Duration::from_secs(1);

/// So much of a second's part may come at once: a module of a few MiB does not wait.
const AT_ONCE: Duration = Duration::from_millis(250);

/// What the connections of one principal bring, together.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Bytes a second.
    most: u64,
    bytes: Mutex<Bucket>,
}

impl Flow {
    pub(super) fn new(most: u64) -> Self {
        Self { most, bytes: Mutex::default() }
    }

    /// How many of a second's bytes have come.
    pub(super) fn used(&self, now: Instant) -> u64 {
        self.lock().used(now, self.most, SECOND)
    }

    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.lock().is_full(now)
    }

    fn took(&self, now: Instant, bytes: u64) {
        self.lock().owe(now, bytes, self.most, SECOND);
    }

    fn wait(&self, now: Instant) -> Duration {
        self.lock().wait(now, AT_ONCE)
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the next bytes of one connection may be read. Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Valve(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Of the principal that the connection counts for.
    flow: OnceLock<Arc<Flow>>,
    shut_until: Mutex<Option<Instant>>,
}

impl Valve {
    /// From now on it counts for this one, unless it counts for somebody already.
    pub(crate) fn join(&self, flow: Arc<Flow>) {
        let _ = self.0.flow.set(flow);
    }

    /// Nothing is read before then.
    pub(crate) fn shut(&self, until: Instant) {
        let mut shut = self.shut_until();
        *shut = Some(shut.map_or(until, |before| before.max(until)));
    }

    /// For how long nothing is to be read.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let flow = self.0.flow.get().map_or(Duration::ZERO, |flow| flow.wait(now));
        let mut shut = self.shut_until();
        let wait = shut.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if wait.is_zero() {
            *shut = None;
        }
        wait.max(flow)
    }

    /// So many bytes were read.
    pub(crate) fn took(&self, now: Instant, bytes: usize) {
        if let Some(flow) = self.0.flow.get() {
            flow.took(now, bytes as u64);
        }
    }

    fn shut_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.shut_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn valves(most: usize) -> [Valve; 2] {
        let flow = Arc::new(Flow::new(most as u64));
        let valves = [Valve::default(), Valve::default()];
        valves.iter().for_each(|valve| valve.join(Arc::clone(&flow)));
        valves
    }

    #[test]
    fn all_connections_of_a_principal_bring_no_more_than_its_part_a_second() {
        let ([one, other], start) = (valves(8 * MIB), Instant::now());
        let (mut now, mut brought) = (start, 0);

        while now < start + 10 * SECOND {
            for valve in [&one, &other] {
                let wait = valve.wait(now);
                now += wait;
                valve.took(now, MIB / 4);
                brought += MIB / 4;
            }
        }

        let part = 10 * 8 * MIB;
        assert!((part..part + 3 * MIB).contains(&brought), "{brought}");
    }

    #[test]
    fn whoever_brings_little_never_waits() {
        let ([one, _], start) = (valves(8 * MIB), Instant::now());

        let waits = (0..1_000).map(|at| {
            let now = start + at * SECOND / 10;
            one.took(now, MIB / 2);
            one.wait(now)
        });

        assert!(waits.into_iter().all(|wait| wait.is_zero()));
    }

    #[test]
    fn a_connection_that_counts_for_nobody_waits_only_while_it_is_shut() {
        let (valve, now) = (Valve::default(), Instant::now());
        valve.took(now, 100 * MIB);
        assert_eq!(valve.wait(now), Duration::ZERO);

        valve.shut(now + SECOND);
        valve.shut(now + SECOND / 2);

        assert_eq!(valve.wait(now), SECOND);
        assert_eq!(valve.wait(now + SECOND), Duration::ZERO);
    }
}
