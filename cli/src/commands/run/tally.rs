//! What became of an array of tasks, added up.

use std::collections::BTreeMap;

use haggle_core::{Bytes, Reason, TaskState, Usage};

use crate::output::{self, Table};

/// The tasks that ended the same way.
#[derive(Default)]
struct Group {
    tasks: u64,
    usage: Usage,
}

/// Ended tasks by state and reason.
#[derive(Default)]
pub(super) struct Tally {
    groups: BTreeMap<(TaskState, Option<Reason>), Group>,
}

impl Tally {
    /// Counts one in.
    pub(super) fn add(&mut self, state: TaskState, reason: Option<Reason>, usage: Option<Usage>) {
        let group = self.groups.entry((state, reason)).or_default();
        group.tasks += 1;
        group.usage = sum(group.usage, usage.unwrap_or_default());
    }

    /// In few words: `98 FINISHED, 2 FAILED (TRAP)`.
    pub(super) fn summary(&self) -> String {
        let part = |(&(state, reason), group): (&(TaskState, Option<Reason>), &Group)| match reason {
            Some(reason) => format!("{} {state} ({reason})", group.tasks),
            None => format!("{} {state}", group.tasks),
        };
        self.groups.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// The whole account. Times and fuel are sums, memory and disk are those of the hungriest task.
    pub(super) fn table(&self) -> Table {
        let mut table =
            Table::new(["STATE", "REASON", ">TASKS", ">CPU TIME", ">FUEL", ">PEAK MEMORY", ">PEAK DISK", ">OUTPUT"]);
        let mut all = Group::default();
        for (&(state, reason), group) in &self.groups {
            all.tasks += group.tasks;
            all.usage = sum(all.usage, group.usage);
            table.row(cells(state.to_string(), reason.map_or_else(String::new, |reason| reason.to_string()), group));
        }
        if self.groups.len() > 1 {
            table.row(cells("in all".into(), String::new(), &all));
        }
        table
    }
}

fn cells(state: String, reason: String, group: &Group) -> [String; 8] {
    [
        state,
        reason,
        group.tasks.to_string(),
        output::seconds(group.usage.cpu),
        group.usage.fuel.get().to_string(),
        group.usage.peak_mem.to_string(),
        group.usage.peak_disk.to_string(),
        group.usage.output.to_string(),
    ]
}

fn sum(one: Usage, other: Usage) -> Usage {
    let larger = |one: Bytes, other: Bytes| one.max(other);
    Usage {
        cpu: one.cpu.saturating_add(other.cpu),
        wall: one.wall.saturating_add(other.wall),
        fuel: one.fuel.saturating_add(other.fuel),
        peak_mem: larger(one.peak_mem, other.peak_mem),
        peak_disk: larger(one.peak_disk, other.peak_disk),
        output: one.output.saturating_add(other.output),
        net: one.net.saturating_add(other.net),
        throttled: one.throttled.saturating_add(other.throttled),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use haggle_core::Fuel;

    use super::*;

    fn usage(cpu: u64, fuel: u64, mem: u64) -> Option<Usage> {
        let cpu = Duration::from_millis(cpu);
        Some(Usage { cpu, fuel: Fuel::new(fuel), peak_mem: Bytes::from_mib(mem), ..Usage::default() })
    }

    #[test]
    fn times_add_up_and_memory_is_the_most_of_any() {
        let mut tally = Tally::default();
        tally.add(TaskState::Finished, None, usage(100, 10, 1));
        tally.add(TaskState::Finished, None, usage(200, 20, 3));
        tally.add(TaskState::Failed, Some(Reason::MemoryLimit), usage(50, 5, 64));

        assert_eq!(tally.summary(), "2 FINISHED, 1 FAILED (MEMORY_LIMIT)");
        assert_eq!(
            tally.table().to_string(),
            "\
STATE     REASON        TASKS  CPU TIME  FUEL  PEAK MEMORY  PEAK DISK  OUTPUT
FINISHED                    2   0.300 s    30        3 MiB        0 B     0 B
FAILED    MEMORY_LIMIT      1   0.050 s     5       64 MiB        0 B     0 B
in all                      3   0.350 s    35       64 MiB        0 B     0 B"
        );
    }
}
