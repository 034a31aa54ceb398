//! `haggle agents`.

use haggle_core::AgentId;
use haggle_core::cluster::AgentView;
use haggle_sdk::CallError;

use super::Verdict;
use crate::args::{AgentsArgs, AgentsCommand, GoneArgs, ListArgs, RemoveArgs};
use crate::error::CommandError;
use crate::output::record::AgentRecord;
use crate::output::{self, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: AgentsArgs) -> Verdict {
    match args.command {
        None => list(target, args.list).await,
        Some(AgentsCommand::Gone(args)) => gone(target, args).await,
        Some(AgentsCommand::Rm(args)) => remove(target, args).await,
    }
}

async fn gone(target: &Target, args: GoneArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.mark_agent_gone(args.agent).await.map_err(|error| unknown(args.agent, error))?;
    if args.list.json {
        output::json(&serde_json::json!({ "id": args.agent.to_string(), "gone": true }))?;
    } else {
        output::line(&format!("{} is gone, and its tasks with it", args.agent))?;
    }
    Ok(0)
}

async fn remove(target: &Target, args: RemoveArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.remove_agent(args.agent).await.map_err(|error| unknown(args.agent, error))?;
    if args.list.json {
        output::json(&serde_json::json!({ "id": args.agent.to_string(), "removed": true }))?;
    } else {
        output::line(&format!("{} is removed, and its tasks with it: its certificate is void", args.agent))?;
    }
    Ok(0)
}

fn unknown(agent: AgentId, error: CallError) -> CommandError {
    match error {
        CallError::NotFound(_) => CommandError::NoSuchAgent(agent),
        error => error.into(),
    }
}

async fn list(target: &Target, args: ListArgs) -> Verdict {
    let mut agents = super::connect(target).await?.agents().await?;
    agents.sort_by_key(|agent| agent.id);
    let records: Vec<AgentRecord> = agents.iter().map(Into::into).collect();
    output::list(&records, args.json, || table(&agents))?;
    Ok(0)
}

fn table(agents: &[AgentView]) -> Table {
    let mut table = Table::new([
        "AGENT",
        "NAME",
        "STATE",
        ">CPUS",
        ">USED",
        ">MEM",
        ">USED",
        ">DISK",
        ">USED",
        ">TASKS",
        "ATTRIBUTES",
    ]);
    for agent in agents {
        let all = &agent.info.resources;
        let attributes: Vec<_> = agent.info.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.row([
            agent.id.to_string(),
            agent.info.name.clone(),
            state(agent).into(),
            all.cpus.as_cores().to_string(),
            agent.used.cpus.as_cores().to_string(),
            all.mem.to_string(),
            agent.used.mem.to_string(),
            all.disk.to_string(),
            agent.used.disk.to_string(),
            agent.tasks.to_string(),
            attributes.join(" "),
        ]);
    }
    table
}

fn state(agent: &AgentView) -> &'static str {
    match (agent.connected, agent.draining) {
        (false, _) => "disconnected",
        (true, true) => "draining",
        (true, false) => "up",
    }
}
