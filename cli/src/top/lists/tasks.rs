//! Tasks.

use haggle_core::cluster::TaskView;
use haggle_core::{MilliCpu, Resources, TaskState};

use super::{Column, Key, Row, Tone, Width, Worth};
use crate::output::record::kind;

impl Row for TaskView {
    const COLUMNS: &'static [Column] = &[
        Column::text("TASK", 'I', Width::Fixed(14)),
        Column::text("NAME", 'N', Width::Rest),
        Column::text("ROLE", 'R', Width::Rest),
        Column::text("STATE", 'S', Width::Fixed(12)),
        Column::text("AGENT", 'A', Width::Fixed(10)),
        Column::number("CPUS", 'C', 6),
        Column::number("MEM", 'M', 9),
        Column::text("REASON", 'E', Width::Fixed(18)).from(100),
        Column::text("KIND", 'K', Width::Fixed(10)).from(115),
        Column::text("MESSAGE", 'G', Width::Rest).from(140),
    ];

    fn key(&self) -> Key {
        Key::Task(self.id)
    }

    fn cell(&self, column: usize) -> String {
        match column {
            0 => self.id.to_string(),
            1 => self.name.clone(),
            2 => self.role.clone(),
            3 => self.status.state.to_string(),
            4 => self.agent.to_string(),
            5 => cpus(&self.resources),
            6 => self.resources.mem.to_string(),
            7 => self.status.reason.map_or_else(String::new, |reason| reason.to_string()),
            8 => kind(self).to_owned(),
            _ => self.status.message.clone(),
        }
    }

    fn worth(&self, column: usize) -> Worth<'_> {
        Worth::Number(match column {
            0 => return Worth::Id(self.id),
            1 => return Worth::Text(&self.name),
            2 => return Worth::Text(&self.role),
            3 => return Worth::Text(self.status.state.name()),
            4 => self.agent.0,
            5 => self.resources.cpus.saturating_add(self.resources.revocable).get(),
            6 => self.resources.mem.get(),
            7 => return Worth::Text(self.status.reason.map_or("", |reason| reason.name())),
            8 => return Worth::Text(kind(self)),
            _ => return Worth::Text(&self.status.message),
        })
    }

    fn tone(&self) -> Tone {
        tone_of(self.status.state)
    }
}

/// Of its own, or with an `r` revocable ones.
fn cpus(resources: &Resources) -> String {
    match resources.revocable {
        MilliCpu::ZERO => resources.cpus.as_cores().to_string(),
        revocable => format!("{}r", revocable.as_cores()),
    }
}

/// How a task's state is to be taken.
pub(in crate::top) fn tone_of(state: TaskState) -> Tone {
    match state {
        TaskState::Running => Tone::Good,
        TaskState::Staging | TaskState::Starting | TaskState::Killing => Tone::Busy,
        TaskState::Finished | TaskState::Killed => Tone::Over,
        TaskState::Failed
        | TaskState::Lost
        | TaskState::Error
        | TaskState::Dropped
        | TaskState::Unreachable
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => Tone::Bad,
    }
}
