//! What a role is promised, and what it may have at most.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::fmt;
use core::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::placement::Placement;
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::Resources;

/// The quota of a role with all roles below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Kept free for it though it does not use it. Without ports.
    pub guarantee: Resources,
    /// It is offered no more than this.
    pub limit: Ceiling,
}

/// The most of each resource. What is not named has no bound; zero is a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Of processor time.
    pub cpus: Option<MilliCpu>,
    /// Of memory.
    pub mem: Option<Bytes>,
    /// Of room for scratch folders.
    pub disk: Option<Bytes>,
    /// Of named scalars, in thousandths.
    pub scalars: BTreeMap<String, u64>,
}

/// What an operator has decided of a role. Kept though the role has no framework.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// Its weight against its siblings, if it is not that of the configuration.
    pub weight: Option<NonZeroU32>,
    /// Its quota, if it has one.
    pub quota: Option<Quota>,
    /// Which agents the offers to it are made of, if it is not as in the role above.
    pub placement: Option<Placement>,
    /// The least that makes an offer to it, if it is not as in the role above. Without ports.
    pub min_allocatable: Option<Resources>,
}

/// Why this is no quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuota {
    /// The role is no path of names.
    #[error("role {0:?} is no role: names joined by /, none empty, . or .., no spaces, at most 128 bytes")]
    Role(String),
    /// Ports are not counted.
    #[error("a quota has no ports: they cannot be added up over agents")]
    Ports,
    /// What is revocable is promised to nobody.
    #[error("a quota has no revocable cpus: they are promised to nobody, and count towards no limit")]
    Revocable,
    /// The least of a port has no meaning.
    #[error("the least that is offered has no ports: name cpus, mem, disk and scalars")]
    LeastPorts,
    /// Who takes whatever there is is offered nothing revocable.
    #[error("the least that is offered has no revocable cpus: they are offered to those alone that ask for them")]
    LeastRevocable,
    /// A promise that its own limit forbids.
    #[error("a guarantee of {guarantee} is above the limit of {limit}")]
    AboveLimit {
        /// What was to be promised.
        guarantee: String,
        /// What is the most.
        limit: String,
    },
}

impl RoleRecord {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Quota {
    /// Whether it can hold by itself.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), InvalidQuota> {
        if !self.guarantee.ports.is_empty() {
            return Err(InvalidQuota::Ports);
        }
        if !self.guarantee.revocable.is_zero() {
            return Err(InvalidQuota::Revocable);
        }
        if !self.limit.admits(&self.guarantee) {
            let (guarantee, limit) = (self.guarantee.to_string(), self.limit.to_string());
            return Err(InvalidQuota::AboveLimit { guarantee, limit });
        }
        Ok(())
    }
}

impl Ceiling {
    /// Whether nothing is bounded.
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }

    /// What is left of it for who has so much already.
    #[must_use]
    pub fn left(&self, has: &Resources) -> Self {
        Self {
            cpus: self.cpus.map(|most| most.saturating_sub(has.cpus)),
            mem: self.mem.map(|most| most.saturating_sub(has.mem)),
            disk: self.disk.map(|most| most.saturating_sub(has.disk)),
            scalars: (self.scalars.iter())
                .map(|(name, most)| (name.clone(), most.saturating_sub(has.scalar(name))))
                .collect(),
        }
    }

    /// Whether who has so much already may have so much more.
    pub fn leaves(&self, has: &Resources, wanted: &Resources) -> bool {
        let room = |most: u64, has: u64, wanted: u64| wanted <= most.saturating_sub(has);
        self.cpus.is_none_or(|most| room(most.get(), has.cpus.get(), wanted.cpus.get()))
            && self.mem.is_none_or(|most| room(most.get(), has.mem.get(), wanted.mem.get()))
            && self.disk.is_none_or(|most| room(most.get(), has.disk.get(), wanted.disk.get()))
            && self.scalars.iter().all(|(name, &most)| room(most, has.scalar(name), wanted.scalar(name)))
    }

    /// Bounds whatever the other one bounds, and by no more than that.
    pub fn lower(&mut self, other: &Self) {
        fn lesser<T: Ord + Copy>(one: &mut Option<T>, other: Option<T>) {
            *one = one.iter().copied().chain(other).min();
        }
        lesser(&mut self.cpus, other.cpus);
        lesser(&mut self.mem, other.mem);
        lesser(&mut self.disk, other.disk);
        for (name, &most) in &other.scalars {
            let own = self.scalars.entry(name.clone()).or_insert(most);
            *own = most.min(*own);
        }
    }

    /// As much of an amount as it admits.
    #[must_use]
    pub fn cut(&self, amount: &Resources) -> Resources {
        let mut cut = amount.clone();
        cut.cpus = self.cpus.map_or(cut.cpus, |most| most.min(cut.cpus));
        cut.mem = self.mem.map_or(cut.mem, |most| most.min(cut.mem));
        cut.disk = self.disk.map_or(cut.disk, |most| most.min(cut.disk));
        for (name, &most) in &self.scalars {
            if amount.scalar(name) > most {
                cut = cut.with_scalar(name, most);
            }
        }
        cut
    }

    /// Whether an amount is within it.
    pub fn admits(&self, amount: &Resources) -> bool {
        self.cpus.is_none_or(|most| amount.cpus <= most)
            && self.mem.is_none_or(|most| amount.mem <= most)
            && self.disk.is_none_or(|most| amount.disk <= most)
            && self.scalars.iter().all(|(name, &most)| amount.scalar(name) <= most)
    }
}

impl fmt::Display for Ceiling {
    /// `cpus 2.000, mem 1 GiB`, and `no limit` when nothing is bounded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut part = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            let comma = if core::mem::take(&mut first) { "" } else { ", " };
            write!(f, "{comma}{text}")
        };
        if let Some(cpus) = self.cpus {
            part(f, format_args!("{cpus}"))?;
        }
        if let Some(mem) = self.mem {
            part(f, format_args!("{mem} mem"))?;
        }
        if let Some(disk) = self.disk {
            part(f, format_args!("{disk} disk"))?;
        }
        for (name, amount) in &self.scalars {
            part(f, format_args!("{}.{:03} {name}", amount / 1000, amount % 1000))?;
        }
        if self.is_unbounded() { f.write_str("no limit") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
