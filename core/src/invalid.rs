//! What can be wrong with a task's spec.

use alloc::string::String;

use crate::id::VolumeId;
use crate::quantity::{Bytes, MilliCpu};

/// The largest weight: that of a thousand cores.
pub const WEIGHT_MAX: MilliCpu = MilliCpu::from_cores(1000);

/// Why a task can run nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    /// It wants no processor time or no memory.
    #[error("a task needs some {0}, and wants none")]
    NoQuota(&'static str),
    /// It wants processor time of both kinds.
    #[error("a task has cpus of its own or revocable ones, and not both")]
    BothCpus,
    /// A limit of zero ends the task before it starts.
    #[error("a {0} limit of zero lets nothing run: leave it out for no limit")]
    ZeroLimit(&'static str),
    /// A text is too long.
    #[error("the {what} take {has}, and may take {max}")]
    TooLarge {
        /// Which part of the spec.
        what: &'static str,
        /// Its size.
        has: Bytes,
        /// Its largest size.
        max: Bytes,
    },
    /// There are too many inputs.
    #[error("{has} inputs, and there may be {max}")]
    TooManyInputs {
        /// How many.
        has: usize,
        /// The most.
        max: usize,
    },
    /// A text that cannot be handed to a program.
    #[error("{what} {text:?} contains a NUL byte")]
    Nul {
        /// An argument or a variable.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// A variable without a proper name.
    #[error("{0:?} is no name for an environment variable: not empty, without = and NUL")]
    VariableName(String),
    /// There are too many of something.
    #[error("{has} {what}, and there may be {max}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many.
        has: usize,
        /// The most.
        max: usize,
    },
    /// A weight that says nothing or more than it can.
    #[error("a weight of {0} is not above zero and at most {WEIGHT_MAX}")]
    Weight(MilliCpu),
    /// A name that no host can have.
    #[error("{0:?} is no host: a name or an address, and a port that is not 0")]
    Host(String),
    /// A folder that has no place.
    #[error("folder {0:?} is empty, has an empty, . or .. part or a backslash, or is there twice")]
    FolderPath(String),
    /// A folder of the machine that is not named in full.
    #[error("folder {0:?} of the agent's machine is not an absolute path without . and ..")]
    HostFolder(String),
    /// A folder in a scratch folder that is not there.
    #[error("folder {0:?} lies in the scratch folder, and the task has none: give it some disk")]
    NoScratch(String),
    /// A copy of an input for which there is no place.
    #[error("input {0:?} lies in the scratch folder, and the task has none: give it some disk")]
    InputWithoutScratch(String),
    /// An input that has no place.
    #[error("input path {0:?} is not absolute, or has an empty, . or .. part or a backslash")]
    InputPath(String),
    /// A volume in two places: a file in it would be counted twice.
    #[error("{0} is mounted twice")]
    VolumeTwice(VolumeId),
    /// Two inputs in one place.
    #[error("input path {0:?} is used twice, or lies below another input")]
    InputTwice(String),
}
