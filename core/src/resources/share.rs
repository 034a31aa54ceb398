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

    /// `part` parts of `of` of it.
    #[must_use]
    pub fn times(self, part: u64, of: u64) -> Self {
        let (part, of) = (u128::from(part), u128::from(of.max(1)));
        Self { part: self.part.saturating_mul(part), of: self.of.saturating_mul(of) }
    }

    /// In millionths, rounded down; at most `u64::MAX`.
    pub fn as_millionths(self) -> u64 {
        let millionths = self
            .part
            .checked_mul(1_000_000)
            .map_or_else(|| self.part / (self.of / 1_000_000).max(1), |part| part / self.of);
        u64::try_from(millionths).unwrap_or(u64::MAX)
    }

    /// As a number, for people.
    pub fn as_f64(self) -> f64 {
        self.part as f64 / self.of as f64
    }
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.of == other.of {
            return self.part.cmp(&other.part);
        }
        match (self.part.checked_mul(other.of), other.part.checked_mul(self.of)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => compare_by_division(*self, *other),
        }
    }
}

/// Compares fractions whose cross-products leave 2^128, by Euclid's algorithm: whole parts first, then the
/// reciprocals of what is left, in which the larger is the smaller.
fn compare_by_division(left: Share, right: Share) -> Ordering {
    let whole = (left.part / left.of).cmp(&(right.part / right.of));
    let (left_rest, right_rest) = (left.part % left.of, right.part % right.of);
    match (left_rest, right_rest) {
        _ if whole.is_ne() => whole,
        (0, _) | (_, 0) => left_rest.cmp(&right_rest),
        _ => compare_by_division(Share { part: right.of, of: right_rest }, Share { part: left.of, of: left_rest }),
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
