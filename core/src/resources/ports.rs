//! A set of ports, kept as ranges.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest, not below `first`.
    pub last: u16,
}

/// A set of ports: ranges in rising order that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports(Box<[PortRange]>);

impl Ports {
    /// The union of these ranges; one whose `last` is below its `first` is empty.
    pub fn new(ranges: impl IntoIterator<Item = PortRange>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|range| range.first <= range.last).collect();
        sorted.sort_unstable();
        let mut merged: Vec<PortRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(before) if u32::from(range.first) <= u32::from(before.last) + 1 => {
                    before.last = before.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        Self(merged.into())
    }

    /// The ranges, in rising order.
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every port of `other` is in this set.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|want| self.0.iter().any(|has| has.first <= want.first && want.last <= has.last))
    }

    /// Adds the ports of `other`.
    pub fn insert(&mut self, other: &Self) {
        if !other.is_empty() {
            *self = Self::new(self.0.iter().chain(other.0.iter()).copied());
        }
    }

    /// Takes out the ports of `other`, as far as they are there.
    pub fn remove(&mut self, other: &Self) {
        for cut in &other.0 {
            let mut left = Vec::with_capacity(self.0.len() + 1);
            for range in self.0.iter().copied() {
                if range.last < cut.first || cut.last < range.first {
                    left.push(range);
                    continue;
                }
                if range.first < cut.first {
                    left.push(PortRange { first: range.first, last: cut.first - 1 });
                }
                if cut.last < range.last {
                    left.push(PortRange { first: cut.last + 1, last: range.last });
                }
            }
            self.0 = left.into();
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}-{}", range.first, range.last)?;
        }
        Ok(())
    }
}
