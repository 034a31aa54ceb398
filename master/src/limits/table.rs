//! The one table of limits: what each is called, how high it is, why, and who counts.

use std::fmt::{self, Write};
use std::str::FromStr;

use haggle_core::Bytes;

/// Something of which one principal may have or do so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Connections at once.
    Connections,
    /// Calls at once, sessions among them.
    CallsOpen,
    /// Calls that are begun within a second.
    CallsPerSecond,
    /// Bytes that its connections bring within a second.
    BytesPerSecond,
    /// Logs that are read at once.
    LogReads,
    /// Watches at once.
    Watches,
    /// Lists that are read at once.
    Lists,
    /// Artifacts that are brought or fetched at once.
    Transfers,
    /// Bytes of artifacts that are brought within a day.
    UploadBytesPerDay,
    /// Bytes of artifacts that it has brought and that are kept.
    UploadBytes,
    /// Frameworks that are known.
    Frameworks,
    /// Roles that these are in.
    Roles,
    /// Tasks that run, or whose end is not acknowledged.
    Tasks,
}

struct Row {
    limit: Limit,
    name: &'static str,
    default: u64,
    in_bytes: bool,
    counted: &'static str,
    what: &'static str,
    why: &'static str,
}

/// In the order of the variants.
const ROWS: [Row; 13] = [
    Row {
        limit: Limit::Connections,
        name: "connections",
        default: 1_024,
        in_bytes: false,
        counted: "guard",
        what: "connections at once",
        why: "a thirteenth of all; each `haggle run` has one",
    },
    Row {
        limit: Limit::CallsOpen,
        name: "calls-open",
        default: 2_048,
        in_bytes: false,
        counted: "guard",
        what: "calls at once, sessions among them",
        why: "a session and a call for each framework",
    },
    Row {
        limit: Limit::CallsPerSecond,
        name: "calls-per-second",
        default: 1_000,
        in_bytes: false,
        counted: "guard",
        what: "calls a second, and so many at once",
        why: "all of its frameworks come back in a second",
    },
    Row {
        limit: Limit::BytesPerSecond,
        name: "bytes-per-second",
        default: 64 << 20,
        in_bytes: true,
        counted: "connection",
        what: "bytes that its connections bring a second",
        why: "a fifth of a core; what is above waits",
    },
    Row {
        limit: Limit::LogReads,
        name: "log-reads",
        default: 128,
        in_bytes: false,
        counted: "guard",
        what: "logs read at once",
        why: "half of what one agent answers at once",
    },
    Row {
        limit: Limit::Watches,
        name: "watches",
        default: 64,
        in_bytes: false,
        counted: "guard",
        what: "watches at once",
        why: "a sixteenth of all",
    },
    Row {
        limit: Limit::Lists,
        name: "lists",
        default: 64,
        in_bytes: false,
        counted: "guard",
        what: "lists read at once",
        why: "a quarter of all",
    },
    Row {
        limit: Limit::Transfers,
        name: "transfers",
        default: 64,
        in_bytes: false,
        counted: "guard",
        what: "uploads and downloads at once",
        why: "half of all that have a turn at once",
    },
    Row {
        limit: Limit::UploadBytesPerDay,
        name: "upload-bytes-per-day",
        default: 32 << 30,
        in_bytes: true,
        counted: "artifacts",
        what: "bytes uploaded a day, kept or not",
        why: "four times what it may keep",
    },
    Row {
        limit: Limit::UploadBytes,
        name: "upload-bytes",
        default: 8 << 30,
        in_bytes: true,
        counted: "artifacts",
        what: "bytes of the artifacts that it has brought",
        why: "half of the store: nobody fills it alone",
    },
    Row {
        limit: Limit::Frameworks,
        name: "frameworks",
        default: 1_000,
        in_bytes: false,
        counted: "cluster",
        what: "frameworks, connected or to come back",
        why: "a tenth of all",
    },
    Row {
        limit: Limit::Roles,
        name: "roles",
        default: 100,
        in_bytes: false,
        counted: "cluster",
        what: "roles that its frameworks are in",
        why: "a role for each team of a large company",
    },
    Row {
        limit: Limit::Tasks,
        name: "tasks",
        default: 1_000_000,
        in_bytes: false,
        counted: "cluster",
        what: "tasks that run or whose end is not acknowledged",
        why: "what one framework may have",
    },
];

/// No limit at all.
pub(super) const NONE: u64 = u64::MAX;

impl Limit {
    /// Every one, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.limit)
    }

    /// As people and errors call it.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it bounds.
    pub fn what(self) -> &'static str {
        self.row().what
    }

    /// Whether it bounds bytes.
    pub fn is_in_bytes(self) -> bool {
        self.row().in_bytes
    }

    /// How many there are.
    pub(super) const COUNT: usize = ROWS.len();

    /// So much, as people write it.
    pub(super) fn amount(self, value: u64) -> String {
        match value {
            NONE => "none".to_owned(),
            _ if self.row().in_bytes => Bytes::new(value).to_string(),
            _ => value.to_string(),
        }
    }

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

/// How high each limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits([u64; ROWS.len()]);

impl Default for Limits {
    fn default() -> Self {
        Self(ROWS.map(|row| row.default))
    }
}

impl Limits {
    /// How high one is; `u64::MAX` for none.
    pub fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// Sets one.
    pub fn set(&mut self, setting: LimitSetting) {
        self.0[setting.limit as usize] = setting.value;
    }

    /// How high one of what the cluster counts is.
    pub(crate) fn count(&self, limit: Limit) -> usize {
        usize::try_from(self.get(limit)).unwrap_or(usize::MAX)
    }

    /// Prints the table, with these values.
    ///
    /// # Errors
    /// When `out` does.
    pub fn print_table(&self, out: &mut impl Write) -> fmt::Result {
        let line = |out: &mut dyn Write, [name, value, counted, what, why]: [&str; 5]| {
            writeln!(out, "{name:21} {value:>9}  {counted:10} {what:48} {why}")
        };
        line(out, ["", "default", "counted by", "of what", "why so much"])?;
        for row in &ROWS {
            let value = row.limit.amount(self.get(row.limit));
            line(out, [row.name, &value, row.counted, row.what, row.why])?;
        }
        Ok(())
    }
}

/// One limit as somebody wants it: `NAME=VALUE`, where the value is a whole number from 1 up, a size like `64MiB` for
/// bytes, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSetting {
    /// Which.
    pub limit: Limit,
    /// How high; `u64::MAX` for none.
    pub value: u64,
}

impl FromStr for LimitSetting {
    type Err = NotALimit;

    fn from_str(text: &str) -> Result<Self, NotALimit> {
        let (name, value) = text.split_once('=').ok_or_else(|| NotALimit::Form(text.to_owned()))?;
        let limit = Limit::all().find(|limit| limit.name() == name);
        let limit = limit.ok_or_else(|| NotALimit::Unknown(name.to_owned()))?;
        let read = match value {
            "none" => Some(NONE),
            _ if limit.row().in_bytes => value.parse::<Bytes>().ok().map(Bytes::get),
            _ => value.parse().ok(),
        };
        match read {
            Some(value) if value > 0 => Ok(Self { limit, value }),
            _ if limit.row().in_bytes => {
                Err(NotALimit::Value(value.to_owned(), limit.name(), "a size above 0 like 64MiB or 1GiB"))
            }
            _ => Err(NotALimit::Value(value.to_owned(), limit.name(), "a whole number from 1 up")),
        }
    }
}

/// A text that sets no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALimit {
    /// There is no `=`.
    #[error("{0:?} is not of the form NAME=VALUE, like watches=64")]
    Form(String),
    /// No limit is called so.
    #[error("there is no limit {0:?}: there are {names}", names = Limit::all().map(Limit::name).collect::<Vec<_>>().join(", "))]
    Unknown(String),
    /// It cannot be that high.
    #[error("{0:?} is not what {1} can be: {2}, or none")]
    Value(String, &'static str, &'static str),
}

#[cfg(test)]
mod tests {
    use haggle_core::cluster;

    use super::*;

    fn printed() -> String {
        let mut table = String::new();
        Limits::default().print_table(&mut table).unwrap();
        table
    }

    #[test]
    fn the_rows_are_in_the_order_of_the_limits() {
        assert!(Limit::all().enumerate().all(|(at, limit)| limit as usize == at));
    }

    #[test]
    fn the_table_in_the_documents_is_this_one() {
        let table = printed();
        let documents = include_str!("../../../docs/SECURITY.md");

        assert!(documents.contains(&table), "docs/SECURITY.md has another table than this:\n{table}");
    }

    #[test]
    fn what_the_cluster_counts_has_one_default() {
        let (limits, cluster) = (Limits::default(), cluster::Config::default());

        assert_eq!(limits.count(Limit::Frameworks), cluster.frameworks_per_principal);
        assert_eq!(limits.count(Limit::Roles), cluster.roles_per_principal);
        assert_eq!(limits.count(Limit::Tasks), cluster.tasks_per_principal);
    }

    #[test]
    fn a_limit_is_set_by_its_name() {
        for (text, limit, value) in [
            ("watches=3", Limit::Watches, 3),
            ("upload-bytes=64MiB", Limit::UploadBytes, 64 << 20),
            ("tasks=none", Limit::Tasks, u64::MAX),
        ] {
            let mut limits = Limits::default();
            limits.set(text.parse().unwrap());
            assert_eq!(limits.get(limit), value);
        }
    }

    #[test]
    fn what_sets_no_limit_is_told_what_would() {
        for (text, why) in [
            ("watches", "is not of the form NAME=VALUE"),
            ("watch=3", "there is no limit \"watch\": there are connections, calls-open"),
            ("watches=0", "\"0\" is not what watches can be: a whole number from 1 up, or none"),
            ("watches=1MiB", "a whole number from 1 up"),
            ("upload-bytes=many", "a size above 0 like 64MiB"),
        ] {
            let error = text.parse::<LimitSetting>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
