//! Bugs that the simulation puts back, to show that it finds them. There are none without the feature `planted`.

#[cfg(feature = "planted")]
use core::sync::atomic::{AtomicU32, Ordering};

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A bug that can be put back.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { $($(#[$doc])* $name,)* }

        impl Bug {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

bugs! {
    /// A paused master counts the time of its pause, and looks at the clock before it looks at what waits.
    PausesCount,
    /// A master speaks before what it says is durable.
    SpeaksBeforeWrite,
    /// A master speaks although it may not lead any more.
    SpeaksAfterLease,
    /// The registry takes writes of a master that does not lead any more.
    NoFence,
    /// An agent obeys a master that was replaced.
    NoEpochCheck,
    /// A framework acknowledges what it has not written down.
    AckBeforePersist,
}

/// Which bug is planted: its place in [`Bug::ALL`] and one, or 0.
#[cfg(feature = "planted")]
static PLANTED: AtomicU32 = AtomicU32::new(0);

/// Puts one bug back in the whole process, or none.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u32 + 1), Ordering::Relaxed);
}

/// Whether a bug is there.
#[cfg(feature = "planted")]
pub fn is(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u32 + 1
}

/// Whether a bug is there.
#[cfg(not(feature = "planted"))]
pub const fn is(_: Bug) -> bool {
    false
}
