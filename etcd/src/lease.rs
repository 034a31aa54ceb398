//! How long a master may still act on what it was granted: a lease, by this machine's monotonic clock.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The lease is over, or may be: somebody else may have what was held under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease has ended")]
pub struct LeaseLost;

/// A lease that somebody renews. It holds until a moment that was counted from before the renewal was asked for, so
/// that it never holds longer here than where it was granted.
///
/// Past that moment it is in doubt: a renewal may still come, for whoever grants it may be away for a little while, and
/// then nobody else had the lease in between. Only [`Lease::lose`] ends it, and that is for good.
#[derive(Debug)]
pub struct Lease {
    /// `None` when it is lost. Guards no decision: what is read here is true when it is read.
    until: Mutex<Option<Instant>>,
    changed: Condvar,
    lost: watch::Sender<bool>,
}

impl Lease {
    /// Holds until then.
    pub fn until(until: Instant) -> Self {
        Self { until: Mutex::new(Some(until)), changed: Condvar::new(), lost: watch::Sender::new(false) }
    }

    /// It was renewed. A lost one stays lost.
    pub fn renewed(&self, until: Instant) {
        if let Some(before) = self.lock().as_mut() {
            *before = until.max(*before);
        }
        self.changed.notify_all();
    }

    /// It is over.
    pub fn lose(&self) {
        *self.lock() = None;
        self.changed.notify_all();
        self.lost.send_replace(true);
    }

    /// For how long it has been in doubt; `None` when it is lost.
    pub fn doubted_for(&self) -> Option<Duration> {
        self.lock().map(|until| Instant::now().saturating_duration_since(until))
    }

    /// Returns when it holds, right now. Blocks for as long as that is in doubt.
    ///
    /// # Errors
    /// When it is lost.
    pub fn confirm(&self) -> Result<(), LeaseLost> {
        let mut until = self.lock();
        loop {
            match *until {
                None => return Err(LeaseLost),
                Some(until) if Instant::now() < until => return Ok(()),
                Some(_) => until = self.changed.wait(until).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Waits until it is lost.
    pub async fn lost(&self) {
        // The sender lives as long as this.
        let _ = self.lost.subscribe().wait_for(|lost| *lost).await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_lease_holds_until_its_end() {
        let lease = Lease::until(Instant::now() + LONG);

        assert_eq!(lease.confirm(), Ok(()));
        assert_eq!(lease.doubted_for(), Some(Duration::ZERO));
    }

    #[test]
    fn who_asks_about_a_lease_in_doubt_waits_until_it_is_renewed() {
        let lease = Arc::new(Lease::until(Instant::now()));
        let asking = thread::spawn({
            let lease = Arc::clone(&lease);
            move || lease.confirm()
        });

        lease.renewed(Instant::now() + LONG);

        assert_eq!(asking.join().unwrap(), Ok(()));
    }

    #[test]
    fn who_asks_about_a_lease_in_doubt_hears_that_it_is_lost() {
        let lease = Arc::new(Lease::until(Instant::now()));
        let asking = thread::spawn({
            let lease = Arc::clone(&lease);
            move || lease.confirm()
        });

        lease.lose();

        assert_eq!(asking.join().unwrap(), Err(LeaseLost));
    }

    #[tokio::test]
    async fn a_lost_lease_stays_lost() {
        let lease = Lease::until(Instant::now() + LONG);

        lease.lose();
        lease.renewed(Instant::now() + LONG);

        assert_eq!(lease.confirm(), Err(LeaseLost));
        assert_eq!(lease.doubted_for(), None);
        lease.lost().await;
    }

    #[test]
    fn a_late_renewal_takes_nothing_away() {
        let lease = Lease::until(Instant::now() + LONG);

        lease.renewed(Instant::now());

        assert_eq!(lease.confirm(), Ok(()));
    }
}
