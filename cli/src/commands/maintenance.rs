//! `haggle maintenance`.

use std::time::Duration;

use haggle_core::AgentId;
use haggle_core::cluster::MaintenanceView;

use super::Verdict;
use crate::args::{CancelArgs, ListArgs, MaintenanceArgs, MaintenanceCommand, ScheduleArgs};
use crate::error::CommandError;
use crate::output::record::MaintenanceRecord;
use crate::output::{self, Table};
use crate::target::Target;

/// Agents of a window that a table names; `--json` has all.
const NAMED_MAX: usize = 4;

pub(super) async fn run(target: &Target, args: MaintenanceArgs) -> Verdict {
    match args.command {
        MaintenanceCommand::Schedule(args) => schedule(target, args).await,
        MaintenanceCommand::Ls(args) => list(target, args).await,
        MaintenanceCommand::Cancel(args) => cancel(target, args).await,
    }
}

async fn schedule(target: &Target, args: ScheduleArgs) -> Verdict {
    let client = super::connect(target).await?;
    let grace = args.grace.unwrap_or(Duration::ZERO);
    let id = client.schedule_maintenance(args.agents, args.start, args.lasts, grace).await?;
    let windows = client.maintenance().await?;
    // One of a moment may be over.
    let Some(window) = windows.iter().find(|window| window.id == id) else {
        if !args.list.json {
            output::line(&format!("{id} was made, and is over"))?;
        }
        return Ok(0);
    };
    if args.list.json {
        output::json(&MaintenanceRecord::from(window))?;
    } else {
        let (start, end) = output::window(window.maintenance.when);
        let agents = named(window.maintenance.agents.iter());
        output::line(&format!("{id}: {agents} will not be there from {start} to {end}"))?;
    }
    Ok(0)
}

async fn list(target: &Target, args: ListArgs) -> Verdict {
    let mut windows = super::connect(target).await?.maintenance().await?;
    windows.sort_by_key(|window| (window.maintenance.when, window.id));
    let records: Vec<MaintenanceRecord> = windows.iter().map(Into::into).collect();
    output::list(&records, args.json, || table(&windows))?;
    Ok(0)
}

async fn cancel(target: &Target, args: CancelArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.cancel_maintenance(args.id).await.map_err(super::unknown_as(CommandError::NoSuchMaintenance(args.id)))?;
    output::said(
        args.list.json,
        &serde_json::json!({ "id": args.id.to_string(), "cancelled": true }),
        &format!("{} is cancelled: its agents take tasks", args.id),
    )?;
    Ok(0)
}

fn table(windows: &[MaintenanceView]) -> Table {
    let header = ["MAINTENANCE", "STATE", "START", "END", "AGENTS", ">ACCEPTED", ">DECLINED", ">UNANSWERED"];
    let mut table = Table::new(header);
    for window in windows {
        let (start, end) = output::window(window.maintenance.when);
        table.row([
            window.id.to_string(),
            if window.has_begun { "under way" } else { "to come" }.to_owned(),
            start,
            end,
            named(window.maintenance.agents.iter()),
            window.accepted.to_string(),
            window.declined.to_string(),
            window.unanswered.to_string(),
        ]);
    }
    table
}

fn named<'a>(agents: impl ExactSizeIterator<Item = &'a AgentId>) -> String {
    let more = agents.len().saturating_sub(NAMED_MAX);
    let names: Vec<_> = agents.take(NAMED_MAX).map(ToString::to_string).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_agents_some_are_named() {
        let agents: Vec<_> = (1..=6).map(AgentId).collect();

        assert_eq!(named(agents[..2].iter()), "agent-1, agent-2");
        assert_eq!(named(agents.iter()), "agent-1, agent-2, agent-3, agent-4 and 2 more");
    }
}
