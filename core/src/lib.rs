//! The decisions of Haggle, without any I/O.
//!
//! Everything here is a pure function of what it is given: time is an argument ([`Now`]), randomness does
//! not exist, and the crate is `no_std` so that the compiler proves it touches neither disk nor network.
//!
//! Two state machines live here: [`cluster`], which a master drives, and [`node`], which an agent drives.
//! Both take commands and give back a refusal (and have changed nothing) or a list of effects.
#![no_std]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod access;
pub mod addresses;
pub mod agent;
pub mod allocator;
pub mod attributes;
pub mod backoff;
pub mod bucket;
pub mod cluster;
pub mod demand;
pub mod grants;
pub mod group;
pub mod histogram;
pub mod id;
pub mod invalid;
pub mod life;
pub mod lifecycle;
pub mod node;
pub mod offer;
pub mod placed;
pub mod placement;
pub mod planted;
pub mod quantity;
pub mod queue;
pub mod quota;
pub mod reservation;
pub mod resources;
pub mod runs;
pub mod spec;
pub mod stop;
pub mod task;
pub mod time;
pub mod trace;
pub mod upkeep;
pub mod volume;

pub use agent::{AgentInfo, Traits};
pub use backoff::Backoff;
pub use bucket::Bucket;
pub use demand::{Constraint, Test, Want};
pub use grants::{Endpoint, Folder, FolderSource, Grants, HttpHost};
pub use group::Group;
pub use histogram::Histogram;
pub use id::{
    AgentId, AgentKey, ClusterId, Digest, Epoch, FrameworkId, InverseOfferId, MaintenanceId, Member, OfferId,
    RequestId, SessionId, TaskId, UpdateId, VolumeId,
};
pub use life::{HeldLife, Lapse, Prepared};
pub use offer::{Offer, OfferOperation};
pub use placed::{Placed, PlacedOperation};
pub use placement::Placement;
pub use quantity::{Bytes, Fuel, MilliCpu};
pub use queue::{
    AllocationSpec, HeldQueue, HeldRun, QueueEnd, QueueNews, QueueRun, QueueUpdate, QueueVolume, QueuedTasks,
};
pub use quota::{Ceiling, Quota, RoleRecord};
pub use reservation::{Operation, Portion, Reservation, Reserved};
pub use resources::Resources;
pub use stop::Stop;
pub use task::{
    Ending, Exceeded, Input, Limits, OutputOverrun, Reason, Sharing, Source, TaskSpec, TaskState, TaskStatus,
    TaskSummary, Usage,
};
pub use time::Now;
pub use trace::{SpanId, TaskTrace, TraceContext, TraceId};
pub use upkeep::{Cause, Drain, InvalidMaintenance, InverseOffer, Maintenance, Phase, Unavailability, Withdrawal};
pub use volume::{InvalidVolume, Volume, VolumeOperation};
