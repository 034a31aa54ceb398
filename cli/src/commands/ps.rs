//! `haggle ps`.

use haggle_core::cluster::TaskView;
use haggle_core::{MilliCpu, Resources, TaskId};

use super::Verdict;
use crate::args::PsArgs;
use crate::output::record::{TaskRecord, kind};
use crate::output::{self, Lines, OutputError, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: PsArgs) -> Verdict {
    let client = super::connect(target).await?;
    if args.list.json {
        output::lines(client.tasks_as(args.all, lines).await?)?;
    } else {
        let mut tasks = client.tasks(args.all).await?;
        // One that ended while the list was read came twice, the second time with its end.
        tasks.reverse();
        tasks.sort_by_key(|task| task.id);
        tasks.dedup_by_key(|task| task.id);
        output::line(&table(&tasks).to_string())?;
    }
    Ok(0)
}

fn lines(tasks: &[TaskView]) -> Result<Lines<TaskId>, OutputError> {
    Lines::of(tasks.iter().map(|task| (task.id, TaskRecord::from(task))))
}

/// Of its own, or revocable ones.
fn cpus(resources: &Resources) -> String {
    match resources.revocable {
        MilliCpu::ZERO => resources.cpus.as_cores().to_string(),
        revocable => format!("{} revocable", revocable.as_cores()),
    }
}

fn table(tasks: &[TaskView]) -> Table {
    let mut table = Table::new([
        "TASK",
        "KIND",
        "GROUP",
        "NAME",
        "MODULE",
        "ROLE",
        "STATE",
        "REASON",
        "AGENT",
        ">CPUS",
        ">MEM",
        ">CPU TIME",
        "MESSAGE",
    ]);
    for task in tasks {
        table.row([
            task.id.to_string(),
            kind(task).to_owned(),
            task.group.map_or_else(String::new, |group| group.id(task.id.framework).to_string()),
            task.name.clone(),
            task.module.map_or_else(String::new, |module| module.short()),
            task.role.clone(),
            task.status.state.to_string(),
            task.status.reason.map_or_else(String::new, |reason| reason.to_string()),
            task.agent.to_string(),
            cpus(&task.resources),
            task.resources.mem.to_string(),
            task.status.usage.map_or_else(String::new, |usage| output::seconds(usage.cpu)),
            output::shortened(&task.status.message),
        ]);
    }
    table
}
