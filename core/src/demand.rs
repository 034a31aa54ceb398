//! What a framework wants, in its own words: how much for one task, where, and how often.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::agent::Traits;
use crate::attributes;
use crate::grants::{FOLDERS_MAX, FolderSource, Grants};
use crate::group::Group;
use crate::id::VolumeId;
use crate::planted::{self, Bug};
use crate::resources::Resources;

/// Room for tasks of one kind.
///
/// Mesos has `REQUEST` for this, and ignores it; it is blind to demand, so that whoever wants nothing must decline. Here
/// a framework that says what it wants is offered that and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// What one task needs. Not empty.
    pub resources: Resources,
    /// What an agent must be for such a task; all of them. At most [`Want::CONSTRAINTS_MAX`].
    pub constraints: Vec<Constraint>,
    /// Volumes that each such task mounts: an agent must hold all of them, and they must be to be had. At most
    /// [`Want::VOLUMES_MAX`].
    pub volumes: Vec<VolumeId>,
    /// How many such tasks wait for room.
    pub waiting: u32,
    /// For how many more the framework would like to have room at hand. It is given that while nobody waits for it, and it is taken
    /// back as soon as somebody does.
    pub spare: u32,
    /// 0: each of these tasks is offered room by itself. Else the tasks that wait in all wants of this number are offered room at once or not
    /// at all, to be launched as a group; [`Group::SIZE_MAX`] at most, and nothing to spare.
    pub gang: u32,
}

/// Something that an agent must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraint {
    /// The name of an attribute, or [`attributes::HOSTNAME`] for the agent's name.
    pub attribute: String,
    /// What must hold of it.
    pub test: Test,
}

/// What must hold of an attribute. As in Mesos's offer constraints, an attribute that is not there differs from every value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// It is there, whatever it is.
    Exists,
    /// It is not there.
    NotExists,
    /// It is this.
    Equals(String),
    /// It is not this.
    NotEquals(String),
}

/// Why nobody can want this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDemand {
    /// There are too many kinds of tasks.
    #[error("{0} kinds of tasks are wanted at once, at most {max} are taken", max = Want::MAX)]
    TooMany(usize),
    /// A task that needs nothing fits everywhere, and nowhere.
    #[error("want {0} is for tasks that need nothing: a task needs some cpus or memory")]
    Empty(usize),
    /// It wants processor time of both kinds for one task.
    #[error("want {0} has cpus of its own and revocable ones: a task has one or the other")]
    BothCpus(usize),
    /// There are too many constraints on one kind of tasks.
    #[error("want {0} has {1} constraints, at most {max} are taken", max = Want::CONSTRAINTS_MAX)]
    TooManyConstraints(usize, usize),
    /// There are too many volumes for one task.
    #[error("want {0} names {1} volumes, at most {max} are taken", max = Want::VOLUMES_MAX)]
    TooManyVolumes(usize, usize),
    /// Room at hand is given one by one.
    #[error("want {0} is of a gang and has {1} to spare: what is wanted all at once is not kept at hand")]
    SpareOfGang(usize, u32),
    /// A gang is launched as a group.
    #[error("{1} tasks wait in gang {0}, and there may be {max}", max = Group::SIZE_MAX)]
    GangTooLarge(u32, u64),
    /// For each gang agents are looked at together.
    #[error("{0} gangs are wanted at once, at most {max} are taken: have the others wait until one of these runs", max = Want::GANGS_MAX)]
    TooManyGangs(usize),
    /// No agent has such an attribute.
    #[error("{0:?} is the name of no attribute: it is empty or longer than {max} bytes", max = Constraint::TEXT_MAX)]
    Attribute(String),
    /// No agent's attribute has such a value.
    #[error("the value wanted of the attribute {0:?} is longer than {max} bytes", max = Constraint::TEXT_MAX)]
    Value(String),
}

impl Want {
    /// Kinds of tasks that one framework may want at once.
    pub const MAX: usize = 64;
    /// Gangs among them.
    pub const GANGS_MAX: usize = 8;
    /// Constraints on one kind.
    pub const CONSTRAINTS_MAX: usize = 16;
    /// Volumes of one task: each is a folder of it.
    pub const VOLUMES_MAX: usize = FOLDERS_MAX;

    /// Whether an agent is what this needs.
    ///
    /// # Errors
    /// The first constraint that the agent does not meet.
    pub fn suits(&self, agent: Traits<'_>) -> Result<(), &Constraint> {
        if planted::is(Bug::ConstraintsIgnored) {
            return Ok(());
        }
        Constraint::all_hold(&self.constraints, agent)
    }

    /// Everything that an agent is not and should be.
    pub fn unmet<'a>(&'a self, agent: Traits<'a>) -> impl Iterator<Item = &'a Constraint> {
        self.constraints.iter().filter(move |constraint| !constraint.holds(agent))
    }

    /// Whether it is for the same tasks, be there more of them or fewer.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.resources, &self.constraints, &self.volumes, self.gang)
            == (&other.resources, &other.constraints, &other.volumes, other.gang)
    }

    /// Which of these is for one less once a task of this size that mounts these volumes was launched on such an agent, by itself or in
    /// a group: the first for which some wait. A master and a framework that count by themselves agree on that.
    pub fn of_launched<'a>(
        mut wants: impl Iterator<Item = &'a Self>,
        resources: &Resources,
        volumes: &[VolumeId],
        agent: Traits<'_>,
        in_group: bool,
    ) -> Option<usize> {
        let mounts = |want: &Self| {
            want.volumes.len() == volumes.len() && want.volumes.iter().all(|volume| volumes.contains(volume))
        };
        wants.position(|want| {
            want.waiting > 0
                && (want.gang > 0) == in_group
                && want.resources == *resources
                && mounts(want)
                && want.suits(agent).is_ok()
        })
    }

    /// Whether all of these can be wanted at once.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_all(wants: &[Self]) -> Result<(), InvalidDemand> {
        if wants.len() > Self::MAX {
            return Err(InvalidDemand::TooMany(wants.len()));
        }
        let gangs: BTreeSet<u32> = wants.iter().map(|want| want.gang).filter(|gang| *gang > 0).collect();
        if gangs.len() > Self::GANGS_MAX {
            return Err(InvalidDemand::TooManyGangs(gangs.len()));
        }
        for (at, want) in wants.iter().enumerate() {
            if want.resources.cpus.is_zero() && want.resources.mem.is_zero() {
                return Err(InvalidDemand::Empty(at));
            }
            if !want.resources.cpus.is_zero() && !want.resources.revocable.is_zero() {
                return Err(InvalidDemand::BothCpus(at));
            }
            if want.constraints.len() > Self::CONSTRAINTS_MAX {
                return Err(InvalidDemand::TooManyConstraints(at, want.constraints.len()));
            }
            if want.volumes.len() > Self::VOLUMES_MAX {
                return Err(InvalidDemand::TooManyVolumes(at, want.volumes.len()));
            }
            if want.gang > 0 && want.spare > 0 {
                return Err(InvalidDemand::SpareOfGang(at, want.spare));
            }
            let in_gang = wants.iter().filter(|other| want.gang > 0 && other.gang == want.gang);
            let tasks: u64 = in_gang.map(|want| u64::from(want.waiting)).sum();
            if tasks > Group::SIZE_MAX as u64 {
                return Err(InvalidDemand::GangTooLarge(want.gang, tasks));
            }
            want.constraints.iter().try_for_each(Constraint::check)?;
        }
        Ok(())
    }
}

impl Constraint {
    /// The longest name, and the longest value, in bytes.
    pub const TEXT_MAX: usize = 256;

    /// Whether an agent meets it.
    pub fn holds(&self, agent: Traits<'_>) -> bool {
        let has = attributes::find(&self.attribute, agent.name, agent.attributes);
        match &self.test {
            Test::Exists => has.is_some(),
            Test::NotExists => has.is_none(),
            Test::Equals(wanted) => has == Some(wanted),
            Test::NotEquals(unwanted) => has != Some(unwanted),
        }
    }

    /// Whether an agent meets all of these.
    ///
    /// # Errors
    /// The first that it does not meet.
    pub fn all_hold<'a>(constraints: &'a [Self], agent: Traits<'_>) -> Result<(), &'a Self> {
        constraints.iter().find(|constraint| !constraint.holds(agent)).map_or(Ok(()), Err)
    }

    /// What an agent must allow so that a task is given what it is granted. A folder of so long a path that no constraint can name
    /// it is left to the agent.
    pub fn of_grants(grants: &Grants) -> Vec<Self> {
        let mut names: Vec<String> = grants.reach_out().then(|| attributes::NET.to_string()).into_iter().collect();
        for folder in &grants.folders {
            let FolderSource::Host(path) = &folder.source else { continue };
            let name = attributes::folder(path);
            if name.len() <= Self::TEXT_MAX && !names.contains(&name) {
                names.push(name);
            }
        }
        names.into_iter().map(|attribute| Self { attribute, test: Test::Exists }).collect()
    }

    /// What is in the way where an agent does not meet it, and what its operator could do about that.
    pub fn unmet(&self) -> String {
        match (self.attribute.as_str(), &self.test, attributes::folder_of(&self.attribute)) {
            (attributes::NET, Test::Exists, _) => {
                "no network is given to tasks (haggle agent --allow-network)".to_string()
            }
            (_, Test::Exists, Some(folder)) => {
                format!("tasks may not read {folder} (haggle agent --allow-folder)")
            }
            _ => format!("{self} is not met"),
        }
    }

    fn check(&self) -> Result<(), InvalidDemand> {
        if self.attribute.is_empty() || self.attribute.len() > Self::TEXT_MAX {
            return Err(InvalidDemand::Attribute(self.attribute.clone()));
        }
        match &self.test {
            Test::Equals(value) | Test::NotEquals(value) if value.len() > Self::TEXT_MAX => {
                Err(InvalidDemand::Value(self.attribute.clone()))
            }
            _ => Ok(()),
        }
    }
}

impl core::fmt::Display for Constraint {
    /// `os = linux`, `os != linux`, `has gpu`, `has no gpu`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.test {
            Test::Exists => write!(f, "has {}", self.attribute),
            Test::NotExists => write!(f, "has no {}", self.attribute),
            Test::Equals(value) => write!(f, "{} = {value}", self.attribute),
            Test::NotEquals(value) => write!(f, "{} != {value}", self.attribute),
        }
    }
}

/// A text that is no constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no constraint like zone=a, zone!=a, gpu (the attribute is there) or !gpu (it is not)")]
pub struct NotAConstraint(String);

impl core::str::FromStr for Constraint {
    type Err = NotAConstraint;

    fn from_str(text: &str) -> Result<Self, NotAConstraint> {
        let (attribute, test) = match (text.split_once("!="), text.split_once('=')) {
            (Some((attribute, value)), _) if !attribute.contains('=') => (attribute, Test::NotEquals(value.into())),
            (_, Some((attribute, value))) => (attribute, Test::Equals(value.into())),
            _ => match text.strip_prefix('!') {
                Some(attribute) => (attribute, Test::NotExists),
                None => (text, Test::Exists),
            },
        };
        let constraint = Self { attribute: attribute.into(), test };
        let is_name = !attribute.starts_with('!') && !attribute.contains(char::is_whitespace);
        match constraint.check() {
            Ok(()) if is_name => Ok(constraint),
            _ => Err(NotAConstraint(text.into())),
        }
    }
}

impl TryFrom<&str> for Constraint {
    type Error = NotAConstraint;

    fn try_from(text: &str) -> Result<Self, NotAConstraint> {
        text.parse()
    }
}

#[cfg(test)]
mod tests;
