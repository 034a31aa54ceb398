//! A cluster at one moment.

use std::io::IsTerminal;
use std::time::SystemTime;

use haggle_sdk::{Client, MasterInfo};
use serde::Serialize;

use super::data::{Data, Fetched};
use super::view;
use crate::commands::Verdict;
use crate::output;
use crate::output::record::{self, AgentRecord, FrameworkRecord, RoleRecord, TaskRecord};

/// Letters of a line, where nobody says how wide it may be.
const WIDTH: u16 = 100;

/// More lines than the whole ever has.
const HEIGHT: u16 = 100;

#[derive(Serialize)]
struct Record<'a> {
    time: String,
    master: MasterRecord,
    agents: Vec<AgentRecord<'a>>,
    roles: Vec<RoleRecord>,
    frameworks: Vec<FrameworkRecord>,
    /// Those that have not ended.
    tasks: Vec<TaskRecord>,
}

#[derive(Serialize)]
struct MasterRecord {
    url: String,
    version: String,
    cluster: String,
    epoch: u64,
    uptime_seconds: f64,
}

impl MasterRecord {
    fn of(url: String, info: &MasterInfo) -> Self {
        Self {
            url,
            version: info.version.clone(),
            cluster: info.cluster.to_string(),
            epoch: info.epoch.0,
            uptime_seconds: info.uptime.as_secs_f64(),
        }
    }
}

/// Prints it.
pub(super) async fn run(client: &Client, is_json: bool) -> Verdict {
    let (master, agents, roles, frameworks) =
        tokio::try_join!(client.master(), client.agents(), client.roles(), client.frameworks())?;
    if is_json {
        let mut tasks = client.tasks(false).await?;
        // One that changed while the list was read came twice.
        tasks.reverse();
        tasks.sort_by_key(|task| task.id);
        tasks.dedup_by_key(|task| task.id);
        output::json(&Record {
            time: output::time(SystemTime::now()),
            master: MasterRecord::of(client.url(), &master),
            agents: agents.iter().map(Into::into).collect(),
            roles: roles.iter().map(record::role).collect(),
            frameworks: frameworks.iter().map(Into::into).collect(),
            tasks: tasks.iter().map(Into::into).collect(),
        })?;
        return Ok(0);
    }
    let mut data = Data::of(client.url());
    let answers =
        [Fetched::Master(master), Fetched::Agents(agents), Fetched::Roles(roles), Fetched::Frameworks(frameworks)];
    answers.into_iter().for_each(|answer| data.take(answer));
    for line in view::cluster_lines(&data, width(), HEIGHT) {
        output::line(line.to_string().trim_end())?;
    }
    Ok(0)
}

fn width() -> u16 {
    let terminal = std::io::stdout().is_terminal().then(|| ratatui::crossterm::terminal::size().ok()).flatten();
    terminal.map_or(WIDTH, |(width, _)| width)
}
