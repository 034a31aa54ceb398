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
        /// A master that opens the registry has the epoch of the one before.
        EpochNotRaised,
        /// An agent obeys a master that was replaced.
        NoEpochCheck,
        /// An agent that restarts has forgotten which masters it has seen.
        EpochNotOnDisk,
        /// A framework acknowledges what it has not written down.
        AckBeforePersist,
        /// A framework that is back does not ask where its tasks stand.
        AsksNothing,
        /// A framework makes the calls again to another master that the last has not heard.
        ResendsAfterFailover,
    }

    /// Nothing is planted.
    pub const fn is(_: Bug) -> bool {
        false
    }
}
