//! How many files of the host all guests of an executor have open, and how many each of them may.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Left to the process itself: sockets, logs, modules that are being loaded, folders that are being listed.
const RESERVE: u64 = 128;

/// Where the system names no number. One for each task that a process can hold, and some.
const UNNAMED: u64 = 1 << 16;

/// Every guest may have so many open as long as there are any left.
const FLOOR: u64 = 8;

/// Beyond that it may have this part of what is left: the dynamic threshold of Choudhury and Hahne ("Dynamic Queue
/// Length Thresholds for Shared-Memory Packet Switches", 1998). Who comes later finds some left.
const PART: u64 = 8;

/// This part of all is for the first files of each guest alone, however much others want.
const RESERVED: u64 = 4;

/// The files of an executor; clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    max: u64,
    open: Arc<AtomicU64>,
}

/// The files of one guest.
#[derive(Debug)]
pub(crate) struct GuestFiles {
    all: Arc<Files>,
    own: AtomicU64,
    /// Those that it has from its start to its end.
    kept: AtomicU64,
}

/// An open file. Dropping it makes room.
#[derive(Debug)]
pub(crate) struct Slot(Arc<GuestFiles>);

/// There is no room for another open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many open files in this executor")]
pub(crate) struct TooManyOpen;

impl Files {
    /// As many as the system gives this process.
    pub(crate) fn of_this_process() -> Self {
        Self::new(limit().unwrap_or(UNNAMED))
    }

    fn new(limit: u64) -> Self {
        Self { max: limit.saturating_sub(RESERVE).max(FLOOR), open: Arc::default() }
    }

    fn take(&self, own: u64) -> Result<(), TooManyOpen> {
        let taken = self.open.fetch_update(Relaxed, Relaxed, |open| {
            let left = self.max.saturating_sub(open);
            let more = left > self.max / RESERVED && own < left / PART;
            (left > 0 && (own < FLOOR || more)).then_some(open + 1)
        });
        taken.map(drop).map_err(|_| TooManyOpen)
    }
}

impl GuestFiles {
    pub(crate) fn new(all: &Arc<Files>) -> Self {
        Self { all: Arc::clone(all), own: AtomicU64::new(0), kept: AtomicU64::new(0) }
    }

    /// A file that the guest is about to open.
    pub(crate) fn open(self: &Arc<Self>) -> Result<Slot, TooManyOpen> {
        self.all.take(self.own.load(Relaxed))?;
        self.own.fetch_add(1, Relaxed);
        Ok(Slot(Arc::clone(self)))
    }

    /// A folder that it is given, and keeps.
    pub(crate) fn keep(&self) -> Result<(), TooManyOpen> {
        self.all.take(0)?;
        self.kept.fetch_add(1, Relaxed);
        Ok(())
    }
}

impl Drop for GuestFiles {
    fn drop(&mut self) {
        let kept = self.kept.load(Relaxed);
        // Most guests have none, and all that end would write to the one count.
        if kept > 0 {
            self.all.open.fetch_sub(kept, Relaxed);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.own.fetch_sub(1, Relaxed);
        self.0.all.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(unix)]
fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hog(files: &Arc<Files>) -> Vec<Slot> {
        let guest = Arc::new(GuestFiles::new(files));
        std::iter::from_fn(|| guest.open().ok()).collect()
    }

    #[test]
    fn a_guest_that_takes_all_it_gets_leaves_most_to_others() {
        let files = Arc::new(Files::new(RESERVE + 900));

        assert_eq!(hog(&files).len(), 100);
    }

    #[test]
    fn beside_a_hundred_hogs_an_honest_guest_opens_a_few_files() {
        let files = Arc::new(Files::new(RESERVE + 4000));
        let hogs: Vec<_> = (0..100).map(|_| hog(&files)).collect();
        let honest = Arc::new(GuestFiles::new(&files));

        let opened: Vec<_> = (0..FLOOR).map(|_| honest.open()).collect();

        assert!(opened.iter().all(Result::is_ok));
        assert!(hogs.iter().all(|hog| hog.len() >= 8));
    }

    #[test]
    fn what_is_closed_may_be_opened_again() {
        let files = Arc::new(Files::new(0));
        let taken = hog(&files);
        assert!(GuestFiles::new(&files).keep().is_err());

        drop(taken);

        let guest = GuestFiles::new(&files);
        assert_eq!(guest.keep(), Ok(()));
        drop(guest);
        assert_eq!(files.open.load(Relaxed), 0);
    }
}
