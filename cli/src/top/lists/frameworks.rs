//! Frameworks.

use haggle_core::cluster::FrameworkView;

use super::{Column, Key, Row, Tone, Width, Worth};
use crate::commands::frameworks::state;

impl Row for FrameworkView {
    const COLUMNS: &'static [Column] = &[
        Column::text("FRAMEWORK", 'I', Width::Fixed(14)),
        Column::text("NAME", 'N', Width::Rest),
        Column::text("ROLES", 'R', Width::Rest),
        Column::text("STATE", 'S', Width::Fixed(12)),
        Column::number("CPUS", 'C', 7),
        Column::number("MEM", 'M', 9),
        Column::number("TASKS", 'T', 6),
        Column::number("OFFERED", 'O', 8).from(100),
    ];

    fn key(&self) -> Key {
        Key::Framework(self.id)
    }

    fn cell(&self, column: usize) -> String {
        match column {
            0 => self.id.to_string(),
            1 => self.info.name.clone(),
            2 => self.info.roles.join(", "),
            3 => state(self).to_owned(),
            4 => self.used.cpus.as_cores().to_string(),
            5 => self.used.mem.to_string(),
            6 => self.tasks.to_string(),
            _ => self.offered.cpus.as_cores().to_string(),
        }
    }

    fn worth(&self, column: usize) -> Worth<'_> {
        Worth::Number(match column {
            0 => self.id.0,
            1 => return Worth::Text(&self.info.name),
            2 => return Worth::Path(self.info.roles.iter().map(String::as_str).collect()),
            3 => return Worth::Text(state(self)),
            4 => self.used.cpus.get(),
            5 => self.used.mem.get(),
            6 => self.tasks as u64,
            _ => self.offered.cpus.get(),
        })
    }

    fn tone(&self) -> Tone {
        match (self.connected, self.tasks) {
            (false, _) => Tone::Bad,
            (true, 0) => Tone::Plain,
            (true, _) => Tone::Good,
        }
    }
}
