//! A framework that remembers: what it launches is written down before it is said, so that another process can go on.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{FrameworkInfo, Question};
use haggle_core::{AgentId, FrameworkId, Offer, OfferOperation, Placed, PlacedOperation, TaskId, TaskSpec, TaskStatus};

use crate::client::Client;
use crate::error::{CallError, SessionOver};
use crate::events::Events;
use crate::framework::Framework;
use crate::store::{Entry, Hold, Launched, Memory, Store, StoreError};
use crate::task::Task;

/// Why a framework with a store cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The store. Nothing was said to the master that it does not hold.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master did not answer, or refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The session is over.
    #[error(transparent)]
    Over(#[from] SessionOver),
}

/// A framework whose name and launches are in a [`Store`]. An instance that opens the same store after this one has
/// died is the same framework, and hears of the same tasks.
///
/// An end is written down before it is acknowledged: an instance that dies in between has its successor hear of it
/// again. So each end is heard at least once, and [`Memory::launched`] tells whether it is the first time.
///
/// With a store that can be lost while this lives (`EtcdStore`), an instance which was paused and followed by another one
/// launches nothing any more, acknowledges no end, and does not subscribe again: it hears [`StoreError::Lost`], from a
/// call or as the last [`Event::Error`](crate::Event::Error), and has to end.
#[derive(Debug)]
pub struct StoredFramework<S> {
    framework: Framework,
    store: S,
    hold: Hold,
    memory: Memory,
    is_successor: bool,
}

impl Framework {
    /// Subscribes as the framework that the store remembers, or as a new one if it remembers none. The master is asked
    /// where the remembered launches stand.
    ///
    /// # Errors
    /// When the store cannot be used, the master cannot be reached, or it refuses: the remembered framework was away for
    /// longer than its failover timeout, or is of another cluster. Its tasks are gone then, and an empty store begins
    /// anew.
    pub async fn connect_stored<S: Store>(
        client: &Client,
        info: FrameworkInfo,
        mut store: S,
    ) -> Result<(StoredFramework<S>, Events), StoredError> {
        let mut memory = store.load().await?;
        let is_successor = memory.member.is_some();
        let hold = store.hold();
        let (framework, events) = Self::join(client, memory.member, info, hold.clone()).await?;
        if !is_successor {
            let joined = Entry::Joined(framework.member());
            memory.apply(&joined);
            store.append(vec![joined]).await?;
        }
        let stored = StoredFramework { framework, store, hold, memory, is_successor };
        stored.reconcile().await?;
        Ok((stored, events))
    }
}

impl<S: Store> StoredFramework<S> {
    /// The name that the master gave it.
    pub fn id(&self) -> FrameworkId {
        self.framework.id()
    }

    /// Whether it goes on where an earlier instance has left off.
    pub fn is_successor(&self) -> bool {
        self.is_successor
    }

    /// What it remembers.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// To say what needs no remembering: to decline, to kill, to suppress and to revive.
    pub fn framework(&self) -> &Framework {
        &self.framework
    }

    /// Launches tasks on offers, all of one agent, under new numbers. They are in the store before the master hears of
    /// them. What is left over is declined, as in [`Framework::accept`].
    ///
    /// # Errors
    /// When they cannot be remembered, and then nothing is launched; or the session is over.
    pub async fn accept(
        &mut self,
        offers: &[Offer],
        tasks: &[Task],
        refuse: Duration,
    ) -> Result<Vec<TaskId>, StoredError> {
        self.accept_with(offers, [] as [OfferOperation; 0], tasks, refuse).await
    }

    /// [`Self::accept`], and before anything is launched these operations, as with [`Framework::accept_with`]. They are not in the
    /// store: what they came to the next offers show, to whichever instance.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_with(
        &mut self,
        offers: &[Offer],
        operations: impl IntoIterator<Item = impl Into<OfferOperation>>,
        tasks: &[Task],
        refuse: Duration,
    ) -> Result<Vec<TaskId>, StoredError> {
        let Some(agent) = offers.first().map(|offer| offer.agent) else { return Ok(Vec::new()) };
        let framework = self.id();
        let numbers = self.memory.last_number + 1..;
        let specs: Vec<_> =
            numbers.zip(tasks).map(|(number, task)| Arc::new(task.spec(TaskId { framework, number }))).collect();
        let entry = |spec: &Arc<TaskSpec>| Entry::Launched {
            number: spec.id.number,
            launched: Launched { agent, name: spec.name.clone() },
        };
        self.remember(specs.iter().map(entry).collect()).await?;
        let launched = specs.iter().map(|spec| spec.id).collect();
        self.framework.accept_with(offers.iter().map(|offer| offer.id), operations, specs, refuse).await?;
        Ok(launched)
    }

    /// Launches a group of tasks on offers, each on the agent that is named with it, under new numbers: all of them or none, as
    /// [`Framework::launch_group`] does. They are in the store before the master hears of them.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn launch_group(
        &mut self,
        offers: &[Offer],
        tasks: &[(AgentId, Task)],
        refuse: Duration,
    ) -> Result<Vec<TaskId>, StoredError> {
        self.launch_group_with(offers, [], tasks, refuse).await
    }

    /// [`Self::launch_group`], and with it these operations, as with [`Framework::launch_group_with`]: when one of them or of the tasks
    /// is refused, nothing of all that is done. They are not in the store: what they came to the next offers show.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn launch_group_with(
        &mut self,
        offers: &[Offer],
        operations: impl IntoIterator<Item = PlacedOperation>,
        tasks: &[(AgentId, Task)],
        refuse: Duration,
    ) -> Result<Vec<TaskId>, StoredError> {
        let framework = self.id();
        let numbers = self.memory.last_number + 1..;
        let placed: Vec<_> = numbers
            .zip(tasks)
            .map(|(number, (agent, task))| Placed {
                agent: *agent,
                task: Arc::new(task.spec(TaskId { framework, number })),
            })
            .collect();
        let entry = |placed: &Placed| Entry::Launched {
            number: placed.task.id.number,
            launched: Launched { agent: placed.agent, name: placed.task.name.clone() },
        };
        self.remember(placed.iter().map(entry).collect()).await?;
        let launched = placed.iter().map(|placed| placed.task.id).collect();
        self.framework.launch_group_with(offers.iter().map(|offer| offer.id), operations, placed, refuse).await?;
        Ok(launched)
    }

    /// Takes note of updates. Ends are in the store, together with the `note` if there is one, before the master hears
    /// that they were heard.
    ///
    /// # Errors
    /// When they cannot be remembered, and then nothing is acknowledged; or the session is over.
    pub async fn acknowledge(&mut self, updates: &[TaskStatus], note: Option<String>) -> Result<(), StoredError> {
        let ended = updates.iter().filter(|status| status.state.is_terminal() && self.is_launched(status.task));
        let mut entries: Vec<_> = ended.map(|status| Entry::Ended { number: status.task.number }).collect();
        entries.extend(note.map(Entry::Noted));
        self.remember(entries).await?;
        self.framework.acknowledge(updates).await?;
        Ok(())
    }

    /// Whether this is a launch of which no end was heard.
    pub fn is_launched(&self, task: TaskId) -> bool {
        task.framework == self.id() && self.memory.launched.contains_key(&task.number)
    }

    /// Asks where every remembered launch stands: due after each [`Event::Subscribed`](crate::Event::Subscribed), and
    /// again after an answer of `UNKNOWN`.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn reconcile(&self) -> Result<(), SessionOver> {
        let framework = self.id();
        let question = |(&number, launched): (&u64, &Launched)| Question {
            task: TaskId { framework, number },
            agent: Some(launched.agent),
        };
        let questions: Vec<_> = self.memory.launched.iter().map(question).collect();
        if questions.is_empty() { Ok(()) } else { self.framework.reconcile(questions).await }
    }

    /// Leaves for good, and forgets everything.
    ///
    /// # Errors
    /// When the session is over, the store was lost, or it cannot be emptied.
    pub async fn teardown(mut self, events: Events) -> Result<(), StoredError> {
        if let Err(lost @ StoreError::Lost { .. }) = self.hold.confirm().await {
            return Err(lost.into());
        }
        self.framework.teardown(events).await?;
        self.store.clear().await?;
        Ok(())
    }

    async fn remember(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.store.append(entries.clone()).await?;
        for entry in &entries {
            self.memory.apply(entry);
        }
        Ok(())
    }
}
