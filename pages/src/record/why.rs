//! Why somebody waits, in JSON.

use std::collections::BTreeMap;

use haggle_core::allocator::{Hindrance, Lacking, Obstacle, Withheld};
use haggle_core::cluster::{AheadView, Why};
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
    /// The first of those before it, while it waits.
    ahead: Vec<AheadRecord>,
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
            ahead: why.ahead.iter().map(|ahead| AheadRecord::new(ahead, &why.role)).collect(),
            hindrances: why.hindrances.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize)]
struct AheadRecord {
    /// As people read it.
    text: String,
    framework: String,
    name: String,
    role: String,
    /// Empty: the whole cluster.
    under: String,
    /// From 0 to 1, divided by the weight.
    share: f64,
    than: f64,
}

impl AheadRecord {
    /// Of one that is ahead of a framework in this role.
    fn new(view: &AheadView, of: &str) -> Self {
        let AheadView { name, ahead } = view;
        Self {
            text: why::ahead_in_words(view, of),
            framework: ahead.framework.to_string(),
            name: name.clone(),
            role: ahead.role.clone(),
            under: ahead.under.clone(),
            share: ahead.share.as_f64(),
            than: ahead.than.as_f64(),
        }
    }
}

#[derive(Serialize)]
struct LackingRecord {
    agent: String,
    /// `null`: it is no matter of amounts.
    lacks: Option<ResourcesRecord>,
}

impl From<&Lacking> for LackingRecord {
    fn from(Lacking { agent, lacks }: &Lacking) -> Self {
        Self { agent: agent.to_string(), lacks: (!lacks.is_empty()).then(|| lacks.into()) }
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
    /// Some of these agents, the ones that lack least.
    nearest: Vec<LackingRecord>,
    /// `null`: no longer than it waits.
    lasted_seconds: Option<f64>,
}

impl From<&Hindrance> for HindranceRecord {
    fn from(hindrance: &Hindrance) -> Self {
        Self {
            text: why::hindrance_in_words(hindrance),
            obstacle: (&hindrance.obstacle).into(),
            want: hindrance.want.as_ref().map(Into::into),
            agents: hindrance.agents,
            nearest: hindrance.nearest.iter().map(Into::into).collect(),
            lasted_seconds: hindrance.age.map(|age| age.as_secs_f64()),
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
    Offered { to: Option<String>, age_seconds: f64 },
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
            Obstacle::Offered { to, age } => {
                Self::Offered { to: to.map(|to| to.to_string()), age_seconds: age.as_secs_f64() }
            }
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
    /// `null`: it is in none.
    pub group: Option<JobRecord>,
    /// `null`: it waits for nothing.
    pub why: Option<WhyRecord>,
}

/// How tasks stand that belong together.
#[derive(Serialize)]
pub struct JobRecord {
    /// What they are called together: their name, or the id of their group.
    pub job: String,
    pub framework: String,
    /// How many are in each state.
    pub tasks: BTreeMap<&'static str, usize>,
    /// The first of those that have neither begun to run nor ended.
    pub waiting: Vec<String>,
}

/// A job of `haggle why`.
#[derive(Serialize)]
pub struct JobWhyRecord {
    #[serde(flatten)]
    pub job: JobRecord,
    /// Of its framework, in each of its roles. Empty when that is not there any more.
    pub why: Vec<WhyRecord>,
}
