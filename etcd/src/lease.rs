//! How long a master may still act on what it was granted: a lease.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::moment::Moment;

/// The lease is over, or may be: somebody else may have what was held under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease has ended")]
pub struct LeaseLost;

/// Until when a lease holds; `None` when it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold(Option<Moment>);

impl Hold {
    /// For how long it has been in doubt at `now`: not at all while it holds.
    fn doubted_for(self, now: Moment) -> Result<Duration, LeaseLost> {
        self.0.map(|until| now.since(until)).ok_or(LeaseLost)
    }

    /// Whether it holds at `now`; it does not any more at its very end.
    fn holds(self, now: Moment) -> Result<bool, LeaseLost> {
        self.0.map(|until| now < until).ok_or(LeaseLost)
    }

    /// A late renewal takes nothing away, and a lost lease stays lost.
    fn renewed(self, until: Moment) -> Self {
        Self(self.0.map(|before| before.max(until)))
    }
}

/// A lease that somebody renews. It holds until a moment that was counted from before the renewal was asked for, so
/// that it never holds longer here than where it was granted, also on a machine that is suspended meanwhile.
///
/// Past that moment it is in doubt: a renewal may still come, for whoever grants it may be away for a little while, and
/// then nobody else had the lease in between. Only [`Lease::lose`] ends it, and that is for good.
#[derive(Debug)]
pub struct Lease {
    /// Guards no decision: what is read here is true when it is read.
    hold: Mutex<Hold>,
    changed: Condvar,
    lost: watch::Sender<bool>,
}

impl Lease {
    /// Holds until then.
    pub fn until(until: Moment) -> Self {
        Self { hold: Mutex::new(Hold(Some(until))), changed: Condvar::new(), lost: watch::Sender::new(false) }
    }

    /// It was renewed. A lost one stays lost.
    pub fn renewed(&self, until: Moment) {
        let mut hold = self.lock();
        *hold = hold.renewed(until);
        drop(hold);
        self.changed.notify_all();
    }

    /// It is over.
    pub fn lose(&self) {
        *self.lock() = Hold(None);
        self.changed.notify_all();
        self.lost.send_replace(true);
    }

    /// For how long it has been in doubt; `None` when it is lost.
    pub fn doubted_for(&self) -> Option<Duration> {
        self.lock().doubted_for(Moment::now()).ok()
    }

    /// Whether it holds, right now. False while that is in doubt.
    ///
    /// # Errors
    /// When it is lost.
    pub fn holds(&self) -> Result<bool, LeaseLost> {
        self.lock().holds(Moment::now())
    }

    /// Returns when it holds, right now. Blocks for as long as that is in doubt.
    ///
    /// # Errors
    /// When it is lost.
    pub fn confirm(&self) -> Result<(), LeaseLost> {
        let mut hold = self.lock();
        while !hold.holds(Moment::now())? {
            hold = self.changed.wait(hold).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Waits until it is lost.
    pub async fn lost(&self) {
        // The sender lives as long as this.
        let _ = self.lost.subscribe().wait_for(|lost| *lost).await;
    }

    fn lock(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
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
        let lease = Lease::until(Moment::now() + LONG);

        assert_eq!(lease.confirm(), Ok(()));
        assert_eq!(lease.doubted_for(), Some(Duration::ZERO));
    }

    #[test]
    fn who_asks_about_a_lease_in_doubt_waits_until_it_is_renewed() {
        let lease = Arc::new(Lease::until(Moment::now()));
        let asking = thread::spawn({
            let lease = Arc::clone(&lease);
            move || lease.confirm()
        });

        lease.renewed(Moment::now() + LONG);

        assert_eq!(asking.join().unwrap(), Ok(()));
    }

    #[test]
    fn who_asks_about_a_lease_in_doubt_hears_that_it_is_lost() {
        let lease = Arc::new(Lease::until(Moment::now()));
        let asking = thread::spawn({
            let lease = Arc::clone(&lease);
            move || lease.confirm()
        });

        lease.lose();

        assert_eq!(asking.join().unwrap(), Err(LeaseLost));
    }

    #[tokio::test]
    async fn a_lost_lease_stays_lost() {
        let lease = Lease::until(Moment::now() + LONG);

        lease.lose();
        lease.renewed(Moment::now() + LONG);

        assert_eq!(lease.confirm(), Err(LeaseLost));
        assert_eq!(lease.doubted_for(), None);
        lease.lost().await;
    }

    #[test]
    fn a_machine_that_was_suspended_wakes_without_a_lease_that_holds() {
        let granted = Moment::now();
        let hold = Hold(Some(granted + Duration::from_secs(2)));

        // The processes of this machine were there for half a second of that time.
        let woken = granted + Duration::from_secs(60);

        assert_eq!(hold.holds(granted + Duration::from_millis(500)), Ok(true));
        assert_eq!(hold.holds(woken), Ok(false));
        assert_eq!(hold.doubted_for(woken), Ok(Duration::from_secs(58)));
    }

    #[test]
    fn a_late_renewal_takes_nothing_away() {
        let lease = Lease::until(Moment::now() + LONG);

        lease.renewed(Moment::now());

        assert_eq!(lease.confirm(), Ok(()));
    }
}
