//! An exact fraction, for comparing who has had how much.

use core::cmp::Ordering;
use core::num::NonZeroU32;

/// A fraction of a total, divided by a weight. Compared by cross-multiplication, so that no rounding ever
/// decides who is next.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    part: u128,
    of: u128,
}

impl Share {
    /// Nothing.
    pub const ZERO: Self = Self { part: 0, of: 1 };

    /// `part` out of `of`. A total of zero counts as one.
    pub fn new(part: u64, of: u64) -> Self {
        Self { part: part.into(), of: u128::from(of.max(1)) }
    }

    /// The share per unit of weight: a role of weight 2 is as far along as one of weight 1 with half as much.
    #[must_use]
    pub fn per_weight(self, weight: NonZeroU32) -> Self {
        Self { part: self.part, of: self.of.saturating_mul(u128::from(weight.get())) }
    }

    /// As a number, for people.
    pub fn as_f64(self) -> f64 {
        self.part as f64 / self.of as f64
    }
}

impl Ord for Share {
    /// Exact as long as amounts stay under 2^63 and weights are 32 bits: then no product leaves 2^128
    /// but for totals above 2^33 with extreme weights, where both sides saturate and compare as equal.
    fn cmp(&self, other: &Self) -> Ordering {
        self.part.saturating_mul(other.of).cmp(&other.part.saturating_mul(self.of))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Share {}
