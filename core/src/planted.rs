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
    /// An accepted offer can be accepted again.
    OfferNotRemoved,
    /// An agent that is drained or deactivated is offered as ever.
    DrainedIsOffered,
    /// An agent is called drained while something runs there.
    DrainedTooEarly,
    /// A filter never ends.
    FilterKept,
    /// An end that the master declares is told once, and not again.
    EndNotKept,
    /// Any acknowledgement of an ended task archives it.
    LateAckArchives,
    /// An id that was never given is taken as it comes.
    IdAsItComes,
    /// An agent need not prove that an id is its own.
    KeyNotChecked,
    /// Ids of another cluster are taken for our own.
    ClusterNotChecked,
    /// A kill of an unknown task is forgotten while agents are expected back.
    KillForgotten,
    /// An unreachable agent is never given up.
    NeverGone,
    /// A task number in use can be used again.
    NumberReused,
    /// A question that cannot be answered yet is forgotten.
    QuestionForgotten,
    /// A call that was heard is carried out again.
    CallRepeated,
    /// Offers of an agent stand when its connection ends.
    OfferOutlivesAgent,
    /// A task that its agent brings back is counted once more.
    CountedTwice,
    /// What an ended task held is not free again.
    NeverFreed,
    /// An agent that registers does not repeat what is not acknowledged.
    NotSentAgain,
    /// A restarted agent numbers its updates as the one before did.
    SameIncarnation,
    /// A restarted agent does not know why tasks were told to end.
    ReasonForgotten,
    /// An agent is offered before it has named all its tasks.
    OfferedTooEarly,
    /// A task that its agent has forgotten is not missed.
    MissingNotTold,
    /// A task that was archived and forgotten is taken in again when its agent repeats what it told of it.
    ForgottenTakenIn,
    /// A framework that does not come back to a new master is never removed.
    TimerNotRecovered,
    /// An agent is admitted without a word to the registry.
    AgentNotRecorded,
    /// The tasks of a framework that is gone run on.
    TasksOutliveFramework,
    /// Nobody acknowledges updates of a framework that is gone.
    NobodyAcknowledges,
    /// Another process under the same id takes the place of one that is connected.
    RunTakesOver,
    /// A task whose end was told runs on when its agent comes back with it.
    OrphansNotKilled,
    /// A runner launches a task again, as if it had never begun, as soon as its agent is silent.
    GivenUpTooEarly,
    /// A runner says once that a task is to end, and not again to another master or when it turns up.
    KillSaidOnce,
    /// A runner makes the calls again to another master that the last has not heard.
    CallsToAnyMaster,
    /// A runner that is back does not ask after its launches.
    LaunchesNotAskedAfter,
    /// A runner does not count how often it has tried.
    TriesNotCounted,
    /// A runner that wanted no offers never wants any again.
    NeverRevived,
    /// A peer that does not read what it is sent is never cut off.
    OutboxUnbounded,
    /// A group of which a task failed lives on.
    GroupLivesOn,
    /// A runner acknowledges an end and tells nobody.
    EndSwallowed,
    /// What a framework reserves is not written down.
    ReservationForgotten,
    /// What is reserved for a role is offered to everybody.
    ReservedForAll,
    /// An agent is offered that is not what a task needs.
    ConstraintsIgnored,
    /// A volume is destroyed while its agent has not named the tasks that use it.
    DestroyedBeforeNamed,
    /// One accept gives a volume to two tasks.
    VolumeForTwo,
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

/// Whether a bug is there: never.
#[cfg(not(feature = "planted"))]
pub const fn is(_: Bug) -> bool {
    false
}
