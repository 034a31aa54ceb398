//! Agents.

use haggle_core::cluster::AgentView;

use super::{Column, Key, Row, Tone, Width, Worth};
use crate::commands::agents::state;

impl Row for AgentView {
    const COLUMNS: &'static [Column] = &[
        Column::text("AGENT", 'I', Width::Fixed(11)),
        Column::text("NAME", 'N', Width::Rest),
        Column::text("STATE", 'S', Width::Rest),
        Column::number("CPUS", 'C', 6),
        Column::number("USED", 'U', 6),
        Column::number("MEM", 'M', 9),
        Column::number("USED", 'E', 9),
        Column::number("TASKS", 'T', 6),
        Column::number("DISK", 'D', 9).from(100),
        Column::number("OFFERED", 'O', 8).from(110),
    ];

    fn key(&self) -> Key {
        Key::Agent(self.id)
    }

    fn cell(&self, column: usize) -> String {
        let all = &self.info.resources;
        match column {
            0 => self.id.to_string(),
            1 => self.info.name.clone(),
            2 => state(self),
            3 => all.cpus.as_cores().to_string(),
            4 => self.used.cpus.as_cores().to_string(),
            5 => all.mem.to_string(),
            6 => self.used.mem.to_string(),
            7 => self.tasks.to_string(),
            8 => all.disk.to_string(),
            _ => self.offered.cpus.as_cores().to_string(),
        }
    }

    fn worth(&self, column: usize) -> Worth<'_> {
        let all = &self.info.resources;
        Worth::Number(match column {
            0 => self.id.0,
            1 => return Worth::Text(&self.info.name),
            // Those that are away first, then those that take nothing.
            2 => u64::from(self.connected) * 2 + u64::from(self.withdrawal.is_none() && !self.draining),
            3 => all.cpus.get(),
            4 => self.used.cpus.get(),
            5 => all.mem.get(),
            6 => self.used.mem.get(),
            7 => self.tasks as u64,
            8 => all.disk.get(),
            _ => self.offered.cpus.get(),
        })
    }

    fn tone(&self) -> Tone {
        match (self.connected, self.withdrawal.is_some() || self.draining) {
            (false, _) => Tone::Bad,
            (true, true) => Tone::Busy,
            (true, false) if self.tasks > 0 => Tone::Good,
            (true, false) => Tone::Plain,
        }
    }
}
