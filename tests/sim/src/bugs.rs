//! Bugs that can be put back, to see that they are found.

#[cfg(feature = "planted")]
pub use haggle_core::planted::{Bug, is, plant};

#[cfg(not(feature = "planted"))]
pub use none::{Bug, is};

#[cfg(not(feature = "planted"))]
mod none {
    /// Those of the simulated processes around the machines.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Bug {
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

    /// Nothing is planted.
    pub const fn is(_: Bug) -> bool {
        false
    }
}
