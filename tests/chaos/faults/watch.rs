//! Watches the cluster's books while faults happen.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use haggle_kit::until;
use haggle_sdk::AgentView;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::world::World;

/// Between two looks at the books.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A running watch.
pub(super) struct Watch {
    found: Arc<Mutex<Vec<String>>>,
    watching: JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(world: &World) -> Self {
        let found = Arc::new(Mutex::new(Vec::new()));
        let (told, home, url) = (Arc::clone(&found), world.home(), world.url());
        let watching = tokio::spawn(async move {
            loop {
                // A connection that is new each time finds the master that leads now.
                if let Ok(client) = home.connect(&url).await
                    && let Ok(agents) = client.agents().await
                {
                    told.lock().expect("no watcher panics").extend(agents.iter().filter_map(promised_twice));
                }
                sleep(LOOK_EVERY).await;
            }
        });
        Self { found, watching }
    }

    /// Ends it when every framework has left: nothing may be held by then. Gives what it found.
    pub(super) async fn end(self, world: &World) -> Vec<String> {
        self.watching.abort();
        let client = world.client().await;
        // Agents that were away tell of their last tasks when they are back.
        until("everything is given back", async || {
            let agents = client.agents().await.ok()?;
            agents.iter().all(|agent| agent.used.is_empty() && agent.tasks == 0).then_some(())
        })
        .await;
        std::mem::take(&mut self.found.lock().expect("no watcher panics"))
    }
}

/// An agent of which more is held and promised than it has.
fn promised_twice(agent: &AgentView) -> Option<String> {
    let mut spoken_for = agent.used.clone();
    spoken_for.give(&agent.offered);
    let AgentView { id, used, offered, info, .. } = agent;
    let has = &info.resources;
    (!has.contains(&spoken_for)).then(|| format!("{id} has {has}, of which {used} are used and {offered} are offered"))
}
