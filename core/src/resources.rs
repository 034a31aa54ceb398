//! What an agent has and a task holds: cpus, revocable cpus, mem, disk, ports and named scalars.

mod ports;
mod share;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::fmt;

pub use ports::{PortRange, Ports};
pub use share::Share;

use serde::{Deserialize, Serialize};

use crate::quantity::{Bytes, MilliCpu};

/// An amount of everything that can be offered.
///
/// Two amounts are equal when no resource differs; a scalar of zero is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time.
    pub cpus: MilliCpu,
    /// Memory.
    pub mem: Bytes,
    /// Room for scratch folders.
    pub disk: Bytes,
    /// TCP and UDP ports.
    pub ports: Ports,
    /// Processor time that others hold and do not use: a task that has it runs on what is idle, and is ended when they want
    /// it back. Beside `cpus`, and never a part of them.
    pub revocable: MilliCpu,
    /// Named amounts of the operator's own making (licences, GPUs), in thousandths of one.
    scalars: BTreeMap<String, u64>,
}

/// What was wanted and not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wants {wanted}, has {has}")]
pub struct Shortage {
    wanted: String,
    has: String,
}

impl Resources {
    /// Only processor time, memory and disk.
    pub fn new(cpus: MilliCpu, mem: Bytes, disk: Bytes) -> Self {
        Self { cpus, mem, disk, ..Self::default() }
    }

    /// The same with `thousandths` of the scalar `name`; zero removes it.
    #[must_use]
    pub fn with_scalar(mut self, name: &str, thousandths: u64) -> Self {
        if thousandths == 0 {
            self.scalars.remove(name);
        } else {
            self.scalars.insert(name.to_string(), thousandths);
        }
        self
    }

    /// The same with so much revocable processor time.
    #[must_use]
    pub fn with_revocable(mut self, revocable: MilliCpu) -> Self {
        self.revocable = revocable;
        self
    }

    /// The same with these ports.
    #[must_use]
    pub fn with_ports(mut self, ports: Ports) -> Self {
        self.ports = ports;
        self
    }

    /// The named scalars, in thousandths, in the order of their names; none is zero.
    pub fn scalars(&self) -> impl Iterator<Item = (&str, u64)> {
        self.scalars.iter().map(|(name, &amount)| (name.as_str(), amount))
    }

    /// How much of a scalar there is, in thousandths.
    pub fn scalar(&self, name: &str) -> u64 {
        self.scalars.get(name).copied().unwrap_or(0)
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        let amounts = [self.cpus.get(), self.mem.get(), self.disk.get(), self.revocable.get()];
        amounts == [0; 4] && self.ports.is_empty() && self.scalars.is_empty()
    }

    /// Whether `wanted` can be taken from this.
    ///
    /// # Errors
    /// The first resource of which there is too little.
    pub fn fits(&self, wanted: &Self) -> Result<(), Shortage> {
        let short = |wanted: &dyn fmt::Display, has: &dyn fmt::Display| {
            Err(Shortage { wanted: wanted.to_string(), has: has.to_string() })
        };
        if wanted.cpus > self.cpus {
            return short(&wanted.cpus, &self.cpus);
        }
        if wanted.revocable > self.revocable {
            return short(&Revocable(wanted.revocable), &Revocable(self.revocable));
        }
        if wanted.mem > self.mem {
            return short(&format_args!("{} mem", wanted.mem), &format_args!("{} mem", self.mem));
        }
        if wanted.disk > self.disk {
            return short(&format_args!("{} disk", wanted.disk), &format_args!("{} disk", self.disk));
        }
        if !self.ports.contains(&wanted.ports) {
            return short(&format_args!("ports {}", wanted.ports), &format_args!("ports {}", self.ports));
        }
        for (name, amount) in wanted.scalars() {
            let has = self.scalar(name);
            if amount > has {
                return short(&Scalar(name, amount), &Scalar(name, has));
            }
        }
        Ok(())
    }

    /// Whether `wanted` can be taken from this; [`Self::fits`] for those who need no explanation.
    pub fn contains(&self, wanted: &Self) -> bool {
        wanted.cpus <= self.cpus
            && wanted.revocable <= self.revocable
            && wanted.mem <= self.mem
            && wanted.disk <= self.disk
            && self.ports.contains(&wanted.ports)
            && wanted.scalars().all(|(name, amount)| amount <= self.scalar(name))
    }

    /// Takes `wanted` out of this, all of it or nothing.
    ///
    /// # Errors
    /// As [`Self::fits`]; then nothing was taken.
    pub fn take(&mut self, wanted: &Self) -> Result<(), Shortage> {
        self.fits(wanted)?;
        self.cpus = self.cpus.saturating_sub(wanted.cpus);
        self.revocable = self.revocable.saturating_sub(wanted.revocable);
        self.mem = self.mem.saturating_sub(wanted.mem);
        self.disk = self.disk.saturating_sub(wanted.disk);
        self.ports.remove(&wanted.ports);
        for (name, amount) in wanted.scalars() {
            let left = self.scalar(name) - amount;
            if left == 0 {
                self.scalars.remove(name);
            } else {
                self.scalars.insert(name.to_string(), left);
            }
        }
        Ok(())
    }

    /// Takes as much of `wanted` as there is, for when an agent came back smaller than what it runs.
    pub fn take_up_to(&mut self, wanted: &Self) {
        self.cpus = self.cpus.saturating_sub(wanted.cpus);
        self.revocable = self.revocable.saturating_sub(wanted.revocable);
        self.mem = self.mem.saturating_sub(wanted.mem);
        self.disk = self.disk.saturating_sub(wanted.disk);
        self.ports.remove(&wanted.ports);
        for (name, amount) in wanted.scalars() {
            let left = self.scalar(name).saturating_sub(amount);
            if left == 0 {
                self.scalars.remove(name);
            } else {
                self.scalars.insert(name.to_string(), left);
            }
        }
    }

    /// Adds `back` to this. Saturates at what can be written down.
    pub fn give(&mut self, back: &Self) {
        self.cpus = self.cpus.saturating_add(back.cpus);
        self.revocable = self.revocable.saturating_add(back.revocable);
        self.mem = self.mem.saturating_add(back.mem);
        self.disk = self.disk.saturating_add(back.disk);
        self.ports.insert(&back.ports);
        for (name, amount) in back.scalars() {
            let sum = self.scalar(name).saturating_add(amount);
            self.scalars.insert(name.to_string(), sum);
        }
    }

    /// Of each resource the larger amount of the two. Ports are put together.
    pub fn raise_to(&mut self, other: &Self) {
        self.cpus = self.cpus.max(other.cpus);
        self.revocable = self.revocable.max(other.revocable);
        self.mem = self.mem.max(other.mem);
        self.disk = self.disk.max(other.disk);
        self.ports.insert(&other.ports);
        for (name, amount) in other.scalars() {
            if amount > self.scalar(name) {
                self.scalars.insert(name.to_string(), amount);
            }
        }
    }

    /// Of each resource the smaller amount of the two.
    pub fn cut_to(&mut self, other: &Self) {
        self.cpus = self.cpus.min(other.cpus);
        self.revocable = self.revocable.min(other.revocable);
        self.mem = self.mem.min(other.mem);
        self.disk = self.disk.min(other.disk);
        let mut both = self.ports.clone();
        self.ports.remove(&other.ports);
        both.remove(&self.ports);
        self.ports = both;
        self.scalars.retain(|name, amount| {
            *amount = other.scalar(name).min(*amount);
            *amount > 0
        });
    }

    /// Whether some amount is the largest that can be written down, and so may be less than a sum was.
    pub fn is_saturated(&self) -> bool {
        let amounts = [self.cpus.get(), self.mem.get(), self.disk.get()];
        amounts.into_iter().chain(self.scalars.values().copied()).any(|amount| amount == u64::MAX)
    }

    /// The largest of the fractions of `total` that this is, over cpus, mem, disk and scalars (Ghodsi et al.,
    /// "Dominant Resource Fairness", NSDI 2011, section 4). Ports have no share, and nor has what is revocable. Zero when `total` has nothing.
    pub fn dominant_share(&self, total: &Self) -> Share {
        [(self.cpus.get(), total.cpus.get()), (self.mem.get(), total.mem.get()), (self.disk.get(), total.disk.get())]
            .into_iter()
            .chain(self.scalars().map(|(name, amount)| (amount, total.scalar(name))))
            .filter(|&(_, of)| of > 0)
            .map(|(part, of)| Share::new(part, of))
            .max()
            .unwrap_or(Share::ZERO)
    }
}

struct Revocable(MilliCpu);

impl fmt::Display for Revocable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} revocable cpu", self.0.get() / 1000, self.0.get() % 1000)
    }
}

struct Scalar<'a>(&'a str, u64);

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} {}", self.1 / 1000, self.1 % 1000, self.0)
    }
}

impl fmt::Display for Resources {
    /// `0.500 cpu, 64 MiB mem, 16 MiB disk`; mem always, cpu unless there is revocable cpu instead, the rest where there is some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cpus.is_zero(), self.revocable.is_zero()) {
            (_, true) => write!(f, "{}", self.cpus)?,
            (true, false) => write!(f, "{}", Revocable(self.revocable))?,
            (false, false) => write!(f, "{}, {}", self.cpus, Revocable(self.revocable))?,
        }
        write!(f, ", {} mem", self.mem)?;
        if !self.disk.is_zero() {
            write!(f, ", {} disk", self.disk)?;
        }
        if !self.ports.is_empty() {
            write!(f, ", ports {}", self.ports)?;
        }
        for (name, amount) in self.scalars() {
            write!(f, ", {}", Scalar(name, amount))?;
        }
        Ok(())
    }
}
