//! Running one kind of tasks, and telling who did what.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{bail, ensure};
use haggle_sdk::{AgentId, Client, OutputStream, Session, Task, TaskHandle, TaskState, TaskStatus};
use tokio::task::JoinSet;

/// What the tasks of a session did, by agent.
pub(crate) struct Crew<'a> {
    client: &'a Client,
    session: &'a Session,
    done: BTreeMap<AgentId, BTreeMap<&'static str, usize>>,
    cpu: BTreeMap<AgentId, Duration>,
}

impl<'a> Crew<'a> {
    pub(crate) fn new(client: &'a Client, session: &'a Session) -> Self {
        Self { client, session, done: BTreeMap::new(), cpu: BTreeMap::new() }
    }

    /// Runs these at once, prints a line for each that has finished, and gives back what each printed.
    pub(crate) async fn run(&mut self, kind: &'static str, tasks: Vec<Task>) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut printed = vec![Vec::new(); tasks.len()];
        let mut running = JoinSet::new();
        for (index, task) in tasks.into_iter().enumerate() {
            let handle = self.session.submit(task).await?;
            let client = self.client.clone();
            running.spawn(async move { Ok::<_, anyhow::Error>((index, finished(&client, handle).await?)) });
        }
        let mut done = 0;
        while let Some(ended) = running.join_next().await {
            let (index, (status, output)) = ended??;
            done += 1;
            self.note(kind, &status);
            let agent = status.agent.map_or_else(String::new, |agent| format!(" on {agent}"));
            let cpu = status.usage.unwrap_or_default().cpu;
            println!("{kind} {done}/{}: {}{agent}, {cpu:.2?} on a CPU", printed.len(), status.task);
            printed[index] = output;
        }
        Ok(printed)
    }

    /// A line for each agent that did something.
    pub(crate) async fn summary(&self) -> anyhow::Result<Vec<String>> {
        let agents = self.client.agents().await?;
        let line = |(id, kinds): (&AgentId, &BTreeMap<&str, usize>)| {
            // One that has left since has no name any more.
            let name = agents.iter().find(|agent| agent.id == *id).map_or("gone", |agent| &agent.info.name);
            let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            format!("{id} ({name}): {} tasks, {:.2?} on a CPU", kinds.join(" and "), self.cpu[id])
        };
        Ok(self.done.iter().map(line).collect())
    }

    fn note(&mut self, kind: &'static str, status: &TaskStatus) {
        if let Some(agent) = status.agent {
            *self.done.entry(agent).or_default().entry(kind).or_default() += 1;
            *self.cpu.entry(agent).or_default() += status.usage.unwrap_or_default().cpu;
        }
    }
}

/// Waits for a task's success, and fetches what it printed.
async fn finished(client: &Client, handle: TaskHandle) -> anyhow::Result<(TaskStatus, Vec<u8>)> {
    let status = handle.ended().await?;
    if status.state != TaskState::Finished {
        let reason = status.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        bail!("{} is {}{reason}: {}", status.task, status.state, status.message);
    }
    let mut log = client.log(status.task, OutputStream::Stdout, true);
    let mut printed = Vec::new();
    while let Some(piece) = log.next().await {
        printed.extend_from_slice(&piece?);
    }
    ensure!(log.missed() == 0, "{} bytes of what {} printed are not kept any more", log.missed(), status.task);
    Ok((status, printed))
}
