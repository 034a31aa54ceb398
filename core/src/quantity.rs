//! Amounts that carry their unit.

use core::fmt;
use core::str::FromStr;

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

/// A text that is not the amount it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is not {wanted}")]
pub struct NotAnAmount {
    wanted: &'static str,
    got: String,
}

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u64);

        impl $name {
            /// None at all.
            pub const ZERO: Self = Self(0);
            /// The largest amount that can be written down.
            pub const MAX: Self = Self(u64::MAX);

            /// An amount in this type's unit.
            pub const fn new(units: u64) -> Self {
                Self(units)
            }

            /// The number of units.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Whether there is none.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            /// The sum, or `None` when it cannot be written down.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The difference, or `None` when `other` is the larger one.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(difference) => Some(Self(difference)),
                    None => None,
                }
            }

            /// The sum, at most [`Self::MAX`].
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference, at least zero.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }
    };
}

amount! {
    /// Thousandths of one CPU core.
    MilliCpu
}
amount! {
    /// Bytes of memory, disk or output.
    Bytes
}
amount! {
    /// Units of executed WebAssembly, by the cost table of the pinned wasmtime: about one an instruction.
    Fuel
}

impl MilliCpu {
    /// Whole cores. Saturates.
    pub const fn from_cores(cores: u64) -> Self {
        Self(cores.saturating_mul(1000))
    }

    /// As a number of cores.
    pub fn as_cores(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} cpu", self.0 / 1000, self.0 % 1000)
    }
}

impl FromStr for MilliCpu {
    type Err = NotAnAmount;

    /// Reads a decimal number of cores with at most three digits after the point: `2`, `0.25`.
    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let parse = || {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
                return None;
            }
            let scale = [100, 10, 1][fraction.len() - 1];
            let milli = fraction.parse::<u64>().ok()? * scale;
            whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(milli).map(Self)
        };
        parse().ok_or_else(|| NotAnAmount {
            wanted: "a number of cores like 2 or 0.25, in thousandths at the finest",
            got: text.to_string(),
        })
    }
}

const UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl Bytes {
    /// Whole mebibytes. Saturates.
    pub const fn from_mib(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// Whole kibibytes. Saturates.
    pub const fn from_kib(kibibytes: u64) -> Self {
        Self(kibibytes.saturating_mul(1 << 10))
    }
}

impl fmt::Display for Bytes {
    /// In the largest unit that leaves at least one, with one digit after the point where it is not whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = UNITS.into_iter().find(|&(_, shift)| self.0 >> shift > 0).unwrap_or(("B", 0));
        let whole = self.0 >> shift;
        let rest = self.0 - (whole << shift);
        if rest == 0 {
            write!(f, "{whole} {unit}")
        } else {
            write!(f, "{whole}.{} {unit}", (u128::from(rest) * 10) >> shift)
        }
    }
}

impl FromStr for Bytes {
    type Err = NotAnAmount;

    /// Reads a whole number with a binary unit: `64MiB`, `64 MiB`, `1GiB`, `512KiB`, `4096B` or plain `4096`.
    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let parse = || {
            let (number, shift) = UNITS
                .into_iter()
                .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?.trim_end(), shift)))
                .unwrap_or((text, 0));
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            number.parse::<u64>().ok()?.checked_mul(1 << shift).map(Self)
        };
        parse().ok_or_else(|| NotAnAmount { wanted: "a size like 64MiB, 1GiB or 4096", got: text.to_string() })
    }
}

impl fmt::Display for Fuel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fuel", self.0)
    }
}
