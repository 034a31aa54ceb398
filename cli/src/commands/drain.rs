//! `haggle drain` and `haggle undrain`.

use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt};
use haggle_core::AgentId;
use haggle_core::cluster::{AgentView, Announcement, PhaseView};
use haggle_sdk::{CallError, Client, WatchEvent};
use tokio::time::sleep;

use super::Verdict;
use crate::args::{DrainArgs, UndrainArgs};
use crate::error::CommandError;
use crate::output;
use crate::target::Target;

/// How long a master may be away while somebody waits: as long as its agents have to find the next one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two tries to find a master.
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn run(target: &Target, args: DrainArgs) -> Verdict {
    let client = super::connect(target).await?;
    let grace = args.grace.unwrap_or(Duration::ZERO);
    // What happens from here on is not missed.
    let events = if args.wait { Some(watch(&client, Duration::ZERO).await?) } else { None };
    client
        .drain_agent(args.agent, grace, args.mark_gone)
        .await
        .map_err(super::unknown_as(CommandError::NoSuchAgent(args.agent)))?;
    let mut left = Left { agent: args.agent, is_json: args.list.json, told: None };
    left.look(&client).await?;
    let Some(mut events) = events else { return Ok(0) };
    while !left.is_over() {
        match events.next().await {
            Some(Ok(event)) if concerns(&event.what, args.agent) => left.look(&client).await?,
            Some(Ok(_)) => {}
            // The master is lost, or this was read too slowly. The drain goes on, and whoever looks sees how far it is.
            Some(Err(_)) | None => {
                events = watch(&client, PATIENCE).await?;
                left.look(&client).await?;
            }
        }
    }
    Ok(0)
}

/// What happens from now on; a master is looked for for so long.
async fn watch(
    client: &Client,
    patience: Duration,
) -> Result<impl Stream<Item = Result<WatchEvent, CallError>> + Unpin, CallError> {
    let began = Instant::now();
    loop {
        match client.watch().await {
            Err(_) if began.elapsed() < patience => sleep(RETRY).await,
            watched => return watched,
        }
    }
}

/// Whether it may have changed how far the agent is.
fn concerns(what: &Announcement, agent: AgentId) -> bool {
    match what {
        Announcement::AgentWithdrawn(id, _)
        | Announcement::AgentReactivated(id)
        | Announcement::AgentRemoved(id)
        | Announcement::AgentUp(id)
        | Announcement::AgentDown(id) => *id == agent,
        Announcement::Task(status) => status.agent == Some(agent) && status.state.is_terminal(),
        Announcement::LeftOut(_) => true,
        _ => false,
    }
}

pub(super) async fn undo(target: &Target, args: UndrainArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.reactivate_agent(args.agent).await.map_err(super::unknown_as(CommandError::NoSuchAgent(args.agent)))?;
    output::said(
        args.list.json,
        &serde_json::json!({ "id": args.agent.to_string(), "state": "up" }),
        &format!("{} takes tasks again", args.agent),
    )?;
    Ok(0)
}

/// What is left to do on an agent that drains, as it was told last.
struct Left {
    agent: AgentId,
    is_json: bool,
    told: Option<Standing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Draining { tasks: usize, connected: bool },
    Drained,
    Reactivated,
    Gone,
}

impl Left {
    fn is_over(&self) -> bool {
        !matches!(self.told, None | Some(Standing::Draining { .. }))
    }

    /// Asks how far it has come, and says so when that is news.
    async fn look(&mut self, client: &Client) -> Result<(), CommandError> {
        let agents = client.agents().await?;
        let view = agents.iter().find(|view| view.id == self.agent);
        let standing = view.map_or(Standing::Gone, standing);
        if self.told == Some(standing) {
            return Ok(());
        }
        self.told = Some(standing);
        if self.is_json {
            let (state, tasks) = match standing {
                Standing::Draining { tasks, .. } => ("DRAINING", tasks),
                Standing::Drained => ("DRAINED", 0),
                Standing::Reactivated => ("up", 0),
                Standing::Gone => ("gone", 0),
            };
            output::json(&serde_json::json!({ "id": self.agent.to_string(), "state": state, "tasks": tasks }))?;
        } else {
            let kill_in = view.and_then(kill_in);
            output::line(&format!("{} {}", self.agent, sentence(standing, kill_in)))?;
        }
        Ok(())
    }
}

fn standing(view: &AgentView) -> Standing {
    match view.withdrawal.map(|withdrawal| withdrawal.phase) {
        Some(PhaseView::Draining { .. }) => Standing::Draining { tasks: view.tasks, connected: view.connected },
        Some(PhaseView::Drained) => Standing::Drained,
        Some(PhaseView::Deactivated) | None => Standing::Reactivated,
    }
}

fn kill_in(view: &AgentView) -> Option<Duration> {
    match view.withdrawal?.phase {
        PhaseView::Draining { kill_in, .. } => Some(kill_in),
        PhaseView::Deactivated | PhaseView::Drained => None,
    }
}

fn sentence(standing: Standing, kill_in: Option<Duration>) -> String {
    match standing {
        Standing::Draining { connected: false, .. } => {
            "is DRAINING, and not connected: its tasks end when it comes back".to_owned()
        }
        Standing::Draining { tasks, .. } => {
            let tasks = if tasks == 1 { "1 task runs".to_owned() } else { format!("{tasks} tasks run") };
            match kill_in {
                Some(left) if !left.is_zero() => format!("is DRAINING: {tasks} there, for {left:.0?} at most"),
                _ => format!("is DRAINING: {tasks} there, and were told to end"),
            }
        }
        Standing::Drained => "is DRAINED: nothing runs there any more".to_owned(),
        Standing::Reactivated => "takes tasks: somebody has reactivated it".to_owned(),
        Standing::Gone => "is not there any more, and nothing runs there".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_a_sentence() {
        let draining = |tasks, connected| Standing::Draining { tasks, connected };
        let soon = Some(Duration::from_secs(25));

        assert_eq!(sentence(draining(3, true), soon), "is DRAINING: 3 tasks run there, for 25s at most");
        assert_eq!(
            sentence(draining(1, true), Some(Duration::ZERO)),
            "is DRAINING: 1 task runs there, and were told to end"
        );
        assert!(sentence(draining(3, false), soon).contains("not connected"));
    }
}
