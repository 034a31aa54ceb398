//! `haggle agents`.

use haggle_core::cluster::AgentView;

use super::Verdict;
use crate::args::ListArgs;
use crate::output::record::AgentRecord;
use crate::output::{self, Table};

pub(super) async fn run(master: &str, args: ListArgs) -> Verdict {
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
