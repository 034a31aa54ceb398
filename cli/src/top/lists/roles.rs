//! Roles: amounts and shares are those of a role with all below it.

use haggle_sdk::RoleInfo;

use super::{Column, Key, Row, Tone, Width, Worth};
use crate::commands::roles::bounds;

impl Row for RoleInfo {
    const COLUMNS: &'static [Column] = &[
        Column::text("ROLE", 'N', Width::Rest),
        Column::number("WEIGHT", 'W', 6),
        Column::number("SHARE", 'S', 8),
        Column::number("FAIR", 'F', 8),
        Column::number("CPUS", 'C', 7),
        Column::number("MEM", 'M', 9),
        Column::number("WAITING", 'A', 7),
        Column::number("FRAMEWORKS", 'K', 10),
        Column::text("LIMIT", 'L', Width::Rest).from(100),
    ];

    fn key(&self) -> Key {
        Key::Role(self.name.clone())
    }

    fn cell(&self, column: usize) -> String {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        match column {
            0 => self.name.clone(),
            1 => self.weight.to_string(),
            2 => percent(self.share),
            3 => percent(self.fair_share),
            4 => self.used.cpus.as_cores().to_string(),
            5 => self.used.mem.to_string(),
            6 => self.waiting.to_string(),
            7 => self.frameworks.to_string(),
            _ => self.quota.as_ref().map_or_else(|| "-".to_owned(), |quota| bounds(&quota.limit)),
        }
    }

    fn worth(&self, column: usize) -> Worth<'_> {
        // Shares are from 0 to 1, so nothing is lost that can be seen.
        let millionths = |share: f64| (share * 1e6) as u64;
        Worth::Number(match column {
            // Each role right before those below it.
            0 => return Worth::Path(self.name.split('/').collect()),
            1 => u64::from(self.weight),
            2 => millionths(self.share),
            3 => millionths(self.fair_share),
            4 => self.used.cpus.get(),
            5 => self.used.mem.get(),
            6 => self.waiting,
            7 => self.frameworks,
            _ => u64::from(self.quota.is_some()),
        })
    }

    fn tone(&self) -> Tone {
        match (self.waiting, self.used.is_empty()) {
            (1.., _) => Tone::Busy,
            (0, false) => Tone::Good,
            (0, true) => Tone::Plain,
        }
    }
}
