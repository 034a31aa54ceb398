//! `haggle agents`.

use haggle_core::cluster::{AgentView, PhaseView};
use haggle_core::{AgentId, Unavailability};

use super::Verdict;
use crate::args::{AgentsArgs, AgentsCommand, DeactivateArgs, GoneArgs, ListArgs, RemoveArgs};
use crate::error::CommandError;
use crate::output::record::AgentRecord;
use crate::output::{self, Lines, OutputError, Table};
use crate::target::Target;
use crate::why;

pub(super) async fn run(target: &Target, args: AgentsArgs) -> Verdict {
    match args.command {
        None => list(target, args.list).await,
        Some(AgentsCommand::Deactivate(args)) => deactivate(target, args).await,
        Some(AgentsCommand::Gone(args)) => gone(target, args).await,
        Some(AgentsCommand::Rm(args)) => remove(target, args).await,
    }
}

async fn deactivate(target: &Target, args: DeactivateArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.deactivate_agent(args.agent).await.map_err(super::unknown_as(CommandError::NoSuchAgent(args.agent)))?;
    output::said(
        args.list.json,
        &serde_json::json!({ "id": args.agent.to_string(), "state": "DEACTIVATED" }),
        &format!("{} is DEACTIVATED: it takes no new tasks", args.agent),
    )?;
    Ok(0)
}

async fn gone(target: &Target, args: GoneArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.mark_agent_gone(args.agent).await.map_err(super::unknown_as(CommandError::NoSuchAgent(args.agent)))?;
    output::said(
        args.list.json,
        &serde_json::json!({ "id": args.agent.to_string(), "gone": true }),
        &format!("{} is gone, and its tasks with it", args.agent),
    )?;
    Ok(0)
}

async fn remove(target: &Target, args: RemoveArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.remove_agent(args.agent).await.map_err(super::unknown_as(CommandError::NoSuchAgent(args.agent)))?;
    output::said(
        args.list.json,
        &serde_json::json!({ "id": args.agent.to_string(), "removed": true }),
        &format!("{} is removed, and its tasks with it: its certificate is void", args.agent),
    )?;
    Ok(0)
}

async fn list(target: &Target, args: ListArgs) -> Verdict {
    let client = super::connect(target).await?;
    if args.json {
        output::lines(client.agents_as(lines).await?)?;
    } else {
        let mut agents = client.agents().await?;
        agents.sort_by_key(|agent| agent.id);
        output::line(&table(&agents).to_string())?;
    }
    Ok(0)
}

fn lines(agents: &[AgentView]) -> Result<Lines<AgentId>, OutputError> {
    Lines::of(agents.iter().map(|agent| (agent.id, AgentRecord::from(agent))))
}

fn table(agents: &[AgentView]) -> Table {
    let mut table = Table::new([
        "AGENT",
        "NAME",
        "STATE",
        ">CPUS",
        ">USED",
        ">REVOCABLE",
        ">USED",
        ">MEM",
        ">USED",
        ">DISK",
        ">USED",
        ">VOLUMES",
        ">TASKS",
        "AWAY",
        "ATTRIBUTES",
    ]);
    for agent in agents {
        let all = &agent.info.resources;
        let attributes: Vec<_> = agent.info.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.row([
            agent.id.to_string(),
            agent.info.name.clone(),
            state(agent),
            all.cpus.as_cores().to_string(),
            agent.used.cpus.as_cores().to_string(),
            agent.revocable.as_cores().to_string(),
            agent.used.revocable.as_cores().to_string(),
            all.mem.to_string(),
            agent.used.mem.to_string(),
            all.disk.to_string(),
            agent.used.disk.to_string(),
            agent.volumes.to_string(),
            agent.tasks.to_string(),
            agent.unavailability.map(absence).unwrap_or_default(),
            attributes.join(" "),
        ]);
    }
    table
}

/// What becomes of it, and since when: `DRAINING for 3min`.
pub(crate) fn state(agent: &AgentView) -> String {
    let link = if agent.connected { "" } else { ", disconnected" };
    match (agent.withdrawal, agent.connected, agent.draining) {
        (Some(withdrawal), ..) => {
            let phase = match withdrawal.phase {
                PhaseView::Deactivated => "DEACTIVATED",
                PhaseView::Draining { .. } => "DRAINING",
                PhaseView::Drained => "DRAINED",
            };
            format!("{phase} for {}{link}", why::span(withdrawal.age))
        }
        (None, false, _) => "disconnected".to_owned(),
        (None, true, true) => "draining".to_owned(),
        (None, true, false) => "up".to_owned(),
    }
}

/// When it will not be there.
fn absence(when: Unavailability) -> String {
    let (start, end) = output::window(when);
    format!("{start} to {end}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use haggle_core::{AgentInfo, Bytes, Cause, MilliCpu, Resources};
    use haggle_sdk::WithdrawalView;

    use super::*;

    #[test]
    fn an_agent_that_takes_no_tasks_is_shown_with_since_when() {
        let up = AgentView {
            id: AgentId(1),
            info: AgentInfo::default(),
            connected: true,
            draining: false,
            withdrawal: None,
            unavailability: None,
            revocable: MilliCpu::ZERO,
            used: Resources::default(),
            offered: Resources::default(),
            reserved: Vec::new(),
            volumes: 0,
            kept: Bytes::ZERO,
            tasks: 0,
        };
        let age = Duration::from_secs(300);
        let withdrawn = |phase| Some(WithdrawalView { phase, age, cause: Cause::Operator });
        let drained = AgentView { withdrawal: withdrawn(PhaseView::Drained), ..up.clone() };
        let away = AgentView { connected: false, ..drained.clone() };

        assert_eq!(state(&up), "up");
        assert_eq!(state(&drained), "DRAINED for 5 min");
        assert_eq!(state(&away), "DRAINED for 5 min, disconnected");
    }
}
