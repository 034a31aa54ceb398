//! Why somebody waits, in JSON.

use haggle_core::allocator::{Hindrance, Obstacle, Withheld};
use haggle_core::cluster::Why;
use serde::Serialize;

use super::{CeilingRecord, ResourcesRecord, TaskRecord};
use crate::why;

/// Why a framework has not what it wants.
#[derive(Serialize)]
pub struct WhyRecord {
    framework: String,
    name: String,
    role: String,
    /// `null`: it wants nothing, or has offers for all it wants.
    waits_seconds: Option<f64>,
    offers: usize,
    /// `null`: it is offered nothing.
    rank: Option<usize>,
    ranked: usize,
    hindrances: Vec<HindranceRecord>,
}

impl From<&Why> for WhyRecord {
    fn from(why: &Why) -> Self {
        Self {
            framework: why.framework.to_string(),
            name: why.name.clone(),
            role: why.role.clone(),
            waits_seconds: why.waits_for.map(|time| time.as_secs_f64()),
            offers: why.offers,
            rank: why.rank,
            ranked: why.ranked,
            hindrances: why.hindrances.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize)]
struct HindranceRecord {
    /// As people read it.
    text: String,
    #[serde(flatten)]
    obstacle: ObstacleRecord,
    /// `null`: the framework has not said what it wants.
    want: Option<ResourcesRecord>,
    agents: usize,
}

impl From<&Hindrance> for HindranceRecord {
    fn from(hindrance: &Hindrance) -> Self {
        Self {
            text: why::hindrance_in_words(hindrance),
            obstacle: (&hindrance.obstacle).into(),
            want: hindrance.want.as_ref().map(Into::into),
            agents: hindrance.agents,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "obstacle", rename_all = "snake_case")]
enum ObstacleRecord {
    NotConnected,
    Suppressed,
    WantsNothing,
    NoAgent,
    AtLimit { role: String, limit: CeilingRecord, has: ResourcesRecord },
    KeptForOthers { kept: ResourcesRecord },
    Withheld { withheld: &'static str },
    Constraint { constraint: String },
    NoVolume { volume: String },
    VolumeInUse { volume: String },
    TooLarge { largest: ResourcesRecord },
    ReservedForOthers { reserved: ResourcesRecord },
    NotUnused { most_cpus: f64 },
    InUse { free: ResourcesRecord },
    Offered { to: String, age_seconds: f64 },
    Gang { tasks: u32, fit: u32 },
    Refused { lasts_seconds: f64 },
}

impl From<&Obstacle> for ObstacleRecord {
    fn from(obstacle: &Obstacle) -> Self {
        match obstacle {
            Obstacle::NotConnected => Self::NotConnected,
            Obstacle::Suppressed => Self::Suppressed,
            Obstacle::WantsNothing => Self::WantsNothing,
            Obstacle::NoAgent => Self::NoAgent,
            Obstacle::AtLimit { role, limit, has } => {
                Self::AtLimit { role: role.clone(), limit: limit.into(), has: has.into() }
            }
            Obstacle::KeptForOthers { kept } => Self::KeptForOthers { kept: kept.into() },
            Obstacle::Withheld(withheld) => Self::Withheld {
                withheld: match withheld {
                    Withheld::Deactivated => "DEACTIVATED",
                    Withheld::Draining => "DRAINING",
                    Withheld::Drained => "DRAINED",
                    Withheld::Leaving => "leaving",
                },
            },
            Obstacle::Constraint(constraint) => Self::Constraint { constraint: constraint.to_string() },
            Obstacle::NoVolume(volume) => Self::NoVolume { volume: volume.to_string() },
            Obstacle::VolumeInUse(volume) => Self::VolumeInUse { volume: volume.to_string() },
            Obstacle::TooLarge { largest } => Self::TooLarge { largest: largest.into() },
            Obstacle::Reserved { reserved } => Self::ReservedForOthers { reserved: reserved.into() },
            Obstacle::NotUnused { most } => Self::NotUnused { most_cpus: most.as_cores() },
            Obstacle::InUse { free } => Self::InUse { free: free.into() },
            Obstacle::Offered { to, age } => Self::Offered { to: to.to_string(), age_seconds: age.as_secs_f64() },
            Obstacle::Gang { tasks, fit } => Self::Gang { tasks: *tasks, fit: *fit },
            Obstacle::Refused { lasts } => Self::Refused { lasts_seconds: lasts.as_secs_f64() },
        }
    }
}

/// A task of `haggle why`.
#[derive(Serialize)]
pub struct TaskWhyRecord {
    pub id: String,
    /// `null`: the master does not know it.
    pub task: Option<TaskRecord>,
    /// `null`: it waits for nothing.
    pub why: Option<WhyRecord>,
}
