//! What a framework calls its tasks.
//!
//! The master knows a task by the number that is drawn from its name, and keeps the name as the task's label. So names are looked up; only
//! those are kept that a framework has just spoken of, for the master may know nothing of such a task, and yet has an answer to give.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use haggle_core::{AgentId, TaskId};
use haggle_mesos::meaning::{Mentioned, label_of};

use crate::handle::{Handle, Stopping};

/// Names of one session. When a framework speaks of more, those before are looked up again.
const MOST: usize = 20_000;

/// The names of one session.
#[derive(Default)]
pub(super) struct Names(Mutex<HashMap<TaskId, Named>>);

/// What a task is called, and where it is as far as its framework has said.
pub(super) type Named = (String, Option<AgentId>);

impl Names {
    /// A framework has spoken of these.
    pub(super) fn mention(&self, tasks: Vec<Mentioned>) {
        if tasks.is_empty() {
            return;
        }
        let mut known = self.lock();
        if known.len() + tasks.len() > MOST {
            known.clear();
        }
        known.extend(tasks.into_iter().map(|Mentioned { task, name, agent }| (task, (name, agent))));
    }

    /// It was answered: there is nothing more to be said of it that the master would not know.
    pub(super) fn answered(&self, task: TaskId) {
        self.lock().remove(&task);
    }

    /// What these are called.
    ///
    /// # Errors
    /// When the master is stopping.
    pub(super) async fn of(&self, handle: &Handle, tasks: Vec<TaskId>) -> Result<HashMap<TaskId, Named>, Stopping> {
        let (mut named, mut unknown) = (HashMap::new(), Vec::new());
        {
            let known = self.lock();
            for task in tasks {
                match known.get(&task) {
                    Some(name) => drop(named.insert(task, name.clone())),
                    None => unknown.push(task),
                }
            }
        }
        if !unknown.is_empty() {
            named.extend(look_up(handle, unknown).await?);
        }
        Ok(named)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Named>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the master calls these tasks.
pub(super) async fn look_up(handle: &Handle, tasks: Vec<TaskId>) -> Result<Vec<(TaskId, Named)>, Stopping> {
    let look = move |cluster: &haggle_core::cluster::Cluster, _| {
        let named = |task: TaskId| {
            let known = cluster.task(task);
            let label = known.as_ref().map(|known| known.name.as_str());
            (task, (label_of(task, label), known.as_ref().map(|known| known.agent)))
        };
        tasks.into_iter().map(named).collect()
    };
    handle.ask(look).await
}
