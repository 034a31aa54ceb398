//! How long the faults last: a short form for every change, and a long one whose figures are published.

use std::time::Duration;

/// A fault, or a group of them, as the tests and `cargo xtask chaos` name it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Its part of the whole in the long form.
    minutes: f64,
}

pub(crate) const LEADER: Row = Row { name: "leader", minutes: 5.0 };
pub(crate) const AGENT: Row = Row { name: "agent", minutes: 3.0 };
pub(crate) const PAUSE: Row = Row { name: "pause", minutes: 3.0 };
pub(crate) const CUT: Row = Row { name: "cut", minutes: 7.0 };
pub(crate) const FRAMEWORK: Row = Row { name: "framework", minutes: 3.0 };
pub(crate) const ETCD: Row = Row { name: "etcd", minutes: 1.5 };
pub(crate) const STORM: Row = Row { name: "storm", minutes: 2.0 };
pub(crate) const TENANT: Row = Row { name: "tenant", minutes: 3.0 };
pub(crate) const SOAK: Row = Row { name: "soak", minutes: 20.0 };

const ROWS: [Row; 9] = [LEADER, AGENT, PAUSE, CUT, FRAMEWORK, ETCD, STORM, TENANT, SOAK];

/// Which form is run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// A part of `cargo xtask test`.
    Short,
    /// `cargo xtask chaos`; every duration is multiplied by this.
    Long(f64),
}

impl Form {
    /// As the environment says.
    pub(crate) fn get() -> Self {
        let Ok(long) = std::env::var("HAGGLE_CHAOS_ROWS") else { return Self::Short };
        let chosen = ROWS.iter().filter(|row| long.is_empty() || long.split(',').any(|name| name == row.name));
        let whole: f64 = chosen.map(|row| row.minutes).sum();
        let minutes = std::env::var("HAGGLE_CHAOS_MINUTES").ok().and_then(|minutes| minutes.parse::<f64>().ok());
        Self::Long(minutes.map_or(1.0, |minutes| minutes / whole))
    }

    /// The one or the other.
    pub(crate) fn of<T>(self, long: T, short: T) -> T {
        match self {
            Self::Short => short,
            Self::Long(_) => long,
        }
    }

    /// How long a row is under load in the long form, or `short`.
    pub(crate) fn lasts(self, row: Row, short: Duration) -> Duration {
        match self {
            Self::Short => short,
            Self::Long(factor) => Duration::from_secs_f64(row.minutes * 60.0 * factor),
        }
    }

    /// How often something is done in the long form, at least once, or `short`.
    pub(crate) fn times(self, long: u32, short: u32) -> u32 {
        match self {
            Self::Short => short,
            Self::Long(factor) => ((f64::from(long) * factor).round() as u32).max(1),
        }
    }
}
