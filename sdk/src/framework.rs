//! A framework's side of the bargain: what it says.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{FrameworkCommand, FrameworkInfo};
use haggle_core::{FrameworkId, OfferId, TaskId, TaskSpec, UpdateId};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::client::Client;
use crate::error::{CallError, SessionOver};
use crate::events::Events;
use crate::outbox::{QUEUE_MAX, Queue};

/// How long a framework that leaves waits for the master to see it off.
const FAREWELL: Duration = Duration::from_secs(5);

/// A framework that is subscribed to a master. Clones speak for the same framework.
///
/// What it says is sent in order, and whatever is queued goes in one message. When the last clone is dropped
/// without a [`Self::teardown`], the framework counts as disconnected: its tasks live on for its failover
/// timeout.
#[derive(Clone, Debug)]
pub struct Framework {
    id: FrameworkId,
    commands: mpsc::Sender<FrameworkCommand>,
}

impl Framework {
    /// Subscribes as a new framework. Its [`Events`] begin with what follows the subscription, and are to be read
    /// without long breaks: a framework that falls far behind is cut off by the master.
    ///
    /// # Errors
    /// When the master cannot be reached, or refuses.
    pub async fn connect(client: &Client, info: FrameworkInfo) -> Result<(Self, Events), CallError> {
        Self::join(client, None, info).await
    }

    /// Comes back as the framework `id`, whose tasks it then hears of. An older session of it is closed.
    ///
    /// # Errors
    /// When the master cannot be reached, or refuses: the failover timeout is over.
    pub async fn reconnect(client: &Client, id: FrameworkId, info: FrameworkInfo) -> Result<(Self, Events), CallError> {
        Self::join(client, Some(id), info).await
    }

    async fn join(client: &Client, id: Option<FrameworkId>, info: FrameworkInfo) -> Result<(Self, Events), CallError> {
        let (commands, queued) = mpsc::channel(QUEUE_MAX);
        let (id, events) = Events::open(client.clone(), Arc::new(Queue::new(queued)), id, info).await?;
        Ok((Self { id, commands }, events))
    }

    /// The name that the master gave it.
    pub fn id(&self) -> FrameworkId {
        self.id
    }

    /// Launches tasks on offers, all of one agent; several are added up. What is left over is declined: it will
    /// not be offered again for as long as `refuse`. An offer that is gone by now ends the tasks as `DROPPED`.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn accept(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
        tasks: impl IntoIterator<Item = impl Into<Arc<TaskSpec>>>,
        refuse: Duration,
    ) -> Result<(), SessionOver> {
        let offers = offers.into_iter().collect();
        let tasks = tasks.into_iter().map(Into::into).collect();
        self.say(FrameworkCommand::Accept { offers, tasks, refuse }).await
    }

    /// Takes nothing of these offers, and does not want the same again for as long as `refuse`.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn decline(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
        refuse: Duration,
    ) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Decline { offers: offers.into_iter().collect(), refuse }).await
    }

    /// Asks for a task's end. Its terminal update says how that went.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn kill(&self, task: TaskId) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Kill(task)).await
    }

    /// Takes note of updates, so that they are not sent again. Those that need no acknowledgement are left out.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn acknowledge(&self, updates: impl IntoIterator<Item = (TaskId, UpdateId)>) -> Result<(), SessionOver> {
        let updates: Vec<_> = updates.into_iter().filter(|&(_, update)| update != UpdateId::UNACKNOWLEDGED).collect();
        if updates.is_empty() {
            return Ok(());
        }
        self.say(FrameworkCommand::Acknowledge(updates)).await
    }

    /// Asks where these tasks stand; without any, where all of them stand. The answers are updates.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn reconcile(&self, tasks: impl IntoIterator<Item = TaskId>) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Reconcile(tasks.into_iter().collect())).await
    }

    /// Wants offers again: forgets all that was refused, and the suppression.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn revive(&self) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Revive).await
    }

    /// Wants no offers until it revives.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn suppress(&self) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Suppress).await
    }

    /// Leaves for good: its tasks are killed, its offers given back. Returns once the master has seen it off, or
    /// after five seconds.
    ///
    /// # Errors
    /// When the session is over already.
    pub async fn teardown(self, mut events: Events) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Teardown).await?;
        let seen_off = async { while events.next_batch().await.is_some() {} };
        // A master that is gone at this moment will forget the framework after its failover timeout.
        let _ = timeout(FAREWELL, seen_off).await;
        Ok(())
    }

    /// Says anything at all.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn say(&self, command: FrameworkCommand) -> Result<(), SessionOver> {
        self.commands.send(command).await.map_err(|_| SessionOver)
    }
}
