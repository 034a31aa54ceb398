//! `haggle agents`.

use haggle_core::cluster::AgentView;

use haggle_sdk::CallError;

use super::Verdict;
use crate::args::{AgentsArgs, AgentsCommand, GoneArgs, ListArgs};
use crate::error::CommandError;
use crate::output::record::AgentRecord;
use crate::output::{self, Table};

pub(super) async fn run(master: &str, args: AgentsArgs) -> Verdict {
    match args.command {
        None => list(master, args.list).await,
        Some(AgentsCommand::Gone(args)) => gone(master, args).await,
    }
}

async fn gone(master: &str, args: GoneArgs) -> Verdict {
    let client = super::connect(master).await?;
    client.mark_agent_gone(args.agent).await.map_err(|error| match error {
        CallError::NotFound(_) => CommandError::NoSuchAgent(args.agent),
        error => error.into(),
    })?;
    if args.list.json {
        output::json(&serde_json::json!({ "id": args.agent.to_string(), "gone": true }))?;
    } else {
        output::line(&format!("{} is gone, and its tasks with it", args.agent))?;
    }
    Ok(0)
}

async fn list(master: &str, args: ListArgs) -> Verdict {
    let mut agents = super::connect(master).await?.agents().await?;
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
