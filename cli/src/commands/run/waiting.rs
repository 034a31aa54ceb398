//! Why tasks wait, from the one who knows: the master.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use haggle_core::FrameworkId;
use haggle_sdk::{CallError, Client, Progress, WaitReason, Why};

use super::plan::Plan;
use crate::why;

/// What is told of tasks that wait.
pub(super) struct Reasons {
    /// For how long nothing could be launched.
    pub(super) since: Duration,
    /// How many wait.
    pub(super) waiting: usize,
    /// Why: at least one.
    pub(super) lines: Vec<String>,
}

/// Asks the master what is in the way, whenever the runner finds that tasks wait.
pub(super) struct Waiting {
    client: Client,
    /// How the framework is found while none of its tasks was launched.
    name: String,
    role: String,
    framework: Option<FrameworkId>,
    asking: Option<BoxFuture<'static, Reasons>>,
}

impl Waiting {
    pub(super) fn new(client: &Client, plan: &Plan) -> Self {
        Self {
            client: client.clone(),
            name: plan.framework_name(),
            role: plan.role.clone(),
            framework: None,
            asking: None,
        }
    }

    /// Takes note of what happened. Gives it back unless it is told of by [`Self::reasons`].
    pub(super) fn note(&mut self, progress: Progress) -> Option<Progress> {
        match progress {
            // Nobody is there to be asked.
            Progress::Waiting { why: WaitReason::MasterAway, .. } => Some(progress),
            Progress::Waiting { since, waiting, why, .. } => {
                let (client, framework) = (self.client.clone(), self.framework);
                let (name, role) = (self.name.clone(), self.role.clone());
                self.asking = Some(
                    async move {
                        let told = ask(&client, framework, &name, &role).await.ok().flatten();
                        let lines = told.map(|told| why::reasons(&told)).unwrap_or_default();
                        // It may have what it wants by now. Then what the runner saw was the reason.
                        let lines = if lines.is_empty() { vec![why.to_string()] } else { lines };
                        Reasons { since, waiting, lines }
                    }
                    .boxed(),
                );
                None
            }
            Progress::Launched { task, .. } => {
                self.framework = Some(task.framework);
                Some(progress)
            }
            progress => Some(progress),
        }
    }

    /// Waits for the answer to the last question, for ever when there is none.
    pub(super) async fn reasons(&mut self) -> Reasons {
        let Some(asking) = &mut self.asking else { return std::future::pending().await };
        let reasons = asking.await;
        self.asking = None;
        reasons
    }
}

/// What the master says of a framework; of one that is found by its name, if there is no other of that name.
async fn ask(
    client: &Client,
    framework: Option<FrameworkId>,
    name: &str,
    role: &str,
) -> Result<Option<Why>, CallError> {
    if let Some(framework) = framework {
        return client.why(framework, Some(role)).await;
    }
    let mut all = client.frameworks().await?;
    all.retain(|framework| framework.connected && framework.info.name == name && framework.info.roles == [role]);
    match all.as_slice() {
        [only] => client.why(only.id, Some(role)).await,
        _ => Ok(None),
    }
}
