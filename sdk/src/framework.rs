//! A framework's side of the bargain: what it says.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{Acknowledgement, FrameworkCommand, FrameworkInfo, Question};
use haggle_core::{
    AllocationSpec, FrameworkId, InverseOfferId, Member, OfferId, OfferOperation, Placed, PlacedOperation, QueueUpdate,
    QueuedTasks, TaskId, TaskSpec, UpdateId, Want,
};
use tokio::time::timeout;

use crate::client::Client;
use crate::error::{CallError, SessionOver};
use crate::events::Events;
use crate::outgoing::Queue;
use crate::store::Hold;

/// How long a framework that leaves waits for the master to see it off.
const FAREWELL: Duration = Duration::from_secs(5);

/// A framework that is subscribed to a master. Clones speak for the same framework.
///
/// What it says is sent in order, and whatever is queued goes in one message. When the last clone is dropped
/// without a [`Self::teardown`], the framework counts as disconnected: its tasks live on for its failover
/// timeout.
#[derive(Clone, Debug)]
pub struct Framework {
    member: Member<FrameworkId>,
    speaker: Arc<Speaker>,
}

/// The end of the queue that all clones of a framework hold together.
#[derive(Debug)]
struct Speaker(Arc<Queue>);

impl Drop for Speaker {
    fn drop(&mut self) {
        self.0.desert();
    }
}

impl Framework {
    /// Subscribes as a new framework. Its [`Events`] begin with what follows the subscription, and are to be read
    /// without long breaks: a framework that falls far behind is cut off by the master.
    ///
    /// # Errors
    /// When the master cannot be reached, or refuses.
    pub async fn connect(client: &Client, info: FrameworkInfo) -> Result<(Self, Events), CallError> {
        Self::join(client, None, info, Hold::for_life()).await
    }

    /// Comes back as the framework `member`, whose tasks it then hears of. An older session of it is closed.
    ///
    /// # Errors
    /// When the master cannot be reached, or refuses: the failover timeout is over, or this is another cluster.
    pub async fn reconnect(
        client: &Client,
        member: Member<FrameworkId>,
        info: FrameworkInfo,
    ) -> Result<(Self, Events), CallError> {
        Self::join(client, Some(member), info, Hold::for_life()).await
    }

    /// Subscribes as a new framework that wants nothing but this.
    pub(crate) async fn connect_wanting(
        client: &Client,
        info: FrameworkInfo,
        wants: Vec<Want>,
    ) -> Result<(Self, Events), CallError> {
        let queue = Queue::wanting(FrameworkCommand::Demand { role: None, wants });
        Self::join_with(client, queue, None, info, Hold::for_life()).await
    }

    /// Subscribes for an instance that must hold its store, now and whenever it comes back.
    pub(crate) async fn join(
        client: &Client,
        member: Option<Member<FrameworkId>>,
        info: FrameworkInfo,
        hold: Hold,
    ) -> Result<(Self, Events), CallError> {
        Self::join_with(client, Queue::default(), member, info, hold).await
    }

    async fn join_with(
        client: &Client,
        queue: Queue,
        member: Option<Member<FrameworkId>>,
        info: FrameworkInfo,
        hold: Hold,
    ) -> Result<(Self, Events), CallError> {
        let queue = Arc::new(queue);
        let speaker = Arc::new(Speaker(Arc::clone(&queue)));
        let (member, events) = Events::open(client.clone(), queue, member, info, hold).await?;
        Ok((Self { member, speaker }, events))
    }

    /// The name that the master gave it.
    pub fn id(&self) -> FrameworkId {
        self.member.id
    }

    /// Its name, and the cluster where it means something: what to keep for [`Self::reconnect`].
    pub fn member(&self) -> Member<FrameworkId> {
        self.member
    }

    /// Launches tasks on offers, all of one agent and for one role; several are added up. What is left over is declined: it will
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
        self.accept_with(offers, [] as [OfferOperation; 0], tasks, refuse).await
    }

    /// [`Self::accept`], and before anything is launched these operations, in this order: what is offered can be reserved for the
    /// role of the offers or one below it, and what is reserved so unreserved; volumes can be made of reserved disk, and destroyed or
    /// shared. What it comes to the next offers show; of one that cannot be done an [`Event::OperationDropped`](crate::Event) tells why.
    /// More than [`OfferOperation::MAX`] end the session.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn accept_with(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
        operations: impl IntoIterator<Item = impl Into<OfferOperation>>,
        tasks: impl IntoIterator<Item = impl Into<Arc<TaskSpec>>>,
        refuse: Duration,
    ) -> Result<(), SessionOver> {
        let offers = offers.into_iter().collect();
        let operations = operations.into_iter().map(Into::into).collect();
        let tasks = tasks.into_iter().map(Into::into).collect();
        self.say(FrameworkCommand::Accept { offers, operations, tasks, refuse }).await
    }

    /// Launches a group of tasks on offers of one or of several agents, for one role: all of them, or none when something speaks against
    /// one. Then each ends at once, as `DROPPED` or in `ERROR`, and says which was the cause. What is left over is declined.
    ///
    /// Once launched they live and die together: when one comes to any end but `FINISHED`, or its agent is silent for too long, the
    /// others are ended, with [`Reason::TaskGroup`](crate::Reason). A [`Want::gang`] is offered room for all of them at once. At most
    /// [`Group::SIZE_MAX`](crate::Group) tasks.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn launch_group(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
        tasks: impl IntoIterator<Item = Placed>,
        refuse: Duration,
    ) -> Result<(), SessionOver> {
        self.launch_group_with(offers, [], tasks, refuse).await
    }

    /// [`Self::launch_group`], and before anything is launched these operations, in this order, each on an agent of which an offer is
    /// named, as with [`Self::accept_with`]. When one cannot be done, nothing is: none of them is carried out and no task is launched,
    /// and each says so, an operation with an [`Event::OperationDropped`](crate::Event). More than [`OfferOperation::MAX`] end the
    /// session.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn launch_group_with(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
        operations: impl IntoIterator<Item = PlacedOperation>,
        tasks: impl IntoIterator<Item = Placed>,
        refuse: Duration,
    ) -> Result<(), SessionOver> {
        let (offers, operations) = (offers.into_iter().collect(), operations.into_iter().collect());
        let tasks = tasks.into_iter().collect();
        self.say(FrameworkCommand::LaunchGroup { offers, operations, tasks, refuse }).await
    }

    /// Opens an allocation on offers, all of one agent: resources in which the tasks of a queue run, as many at once as fit, the
    /// next one as soon as one ends and without asking anybody. It is a task as any other, with an id of its own that updates,
    /// kills and acknowledgements name, and without a module. What is left over of the offers is declined. It ends, `FINISHED`,
    /// after the last task of an [`Self::enqueue`] that says so, or after its idle timeout; `KILLED` with all that is in it when it is killed.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn open(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
        allocation: impl Into<Arc<AllocationSpec>>,
        refuse: Duration,
    ) -> Result<(), SessionOver> {
        let (offers, allocation) = (offers.into_iter().collect(), allocation.into());
        self.say(FrameworkCommand::Open { offers, allocation, refuse }).await
    }

    /// Puts tasks into the queue of an allocation, which may be said right after [`Self::open`]. Their ids are new, and are
    /// tasks as any others. How they ended comes as [`Event::Queue`](crate::Event::Queue), many at a time, and is acknowledged as
    /// an update of the allocation. A task that is lost with its agent, or came too late, is told by an update of its own.
    /// Refill the queue before it is empty: 100,000 tasks are held at most.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn enqueue(
        &self,
        allocation: TaskId,
        tasks: impl IntoIterator<Item = QueuedTasks>,
        last: bool,
    ) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Enqueue { allocation, tasks: tasks.into_iter().collect(), last }).await
    }

    /// Takes note of news of an allocation's tasks, and of all before them.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn acknowledge_queue(&self, update: &QueueUpdate) -> Result<(), SessionOver> {
        self.acknowledge([Acknowledgement::from(update)]).await
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

    /// Will be off the agents of these inverse offers by the start of their maintenance.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn accept_inverse(&self, offers: impl IntoIterator<Item = InverseOfferId>) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::AcceptInverse(offers.into_iter().collect())).await
    }

    /// Will not be off the agents of these inverse offers in time. It is asked again after `refuse`, if it still has
    /// something there. What runs there at the start of the maintenance is ended all the same.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn decline_inverse(
        &self,
        offers: impl IntoIterator<Item = InverseOfferId>,
        refuse: Duration,
    ) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::DeclineInverse { offers: offers.into_iter().collect(), refuse }).await
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
    pub async fn acknowledge(
        &self,
        updates: impl IntoIterator<Item = impl Into<Acknowledgement>>,
    ) -> Result<(), SessionOver> {
        let updates = updates.into_iter().map(Into::into);
        let updates: Vec<_> = updates.filter(|ack| ack.update != UpdateId::UNACKNOWLEDGED).collect();
        if updates.is_empty() {
            return Ok(());
        }
        self.say(FrameworkCommand::Acknowledge(updates)).await
    }

    /// Asks where these tasks stand, each with the agent that it was launched on, where that is known; without any, where
    /// all of them stand that the master knows. The answers are updates. A task that its agent does not hold is `GONE`;
    /// without the agent the master can only say that it is `UNKNOWN`.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn reconcile(&self, tasks: impl IntoIterator<Item = Question>) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Reconcile(tasks.into_iter().collect())).await
    }

    /// Wants offers again, of whatever there is: forgets all that was refused, the suppression, and what it said it wants.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn revive(&self) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Revive { role: None }).await
    }

    /// [`Self::revive`] for one of its roles. The master ends the session of who is not in it; so it is with all calls that
    /// name a role.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn revive_in(&self, role: impl Into<String>) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Revive { role: Some(role.into()) }).await
    }

    /// Says what it wants: it is offered what fits that, and no more. Takes the place of what it said before, and forgets all
    /// that was refused and the suppression. Nothing: it wants no offers. A task that is launched with the very resources of a
    /// want waits no longer; any other change is to be said. [`Self::revive`] wants whatever there is again.
    ///
    /// The master ends the session of who wants what no agent can be, or too many kinds of tasks at once: see
    /// [`Want::check_all`].
    ///
    /// # Errors
    /// When the session is over.
    pub async fn demand(&self, wants: impl IntoIterator<Item = Want>) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Demand { role: None, wants: wants.into_iter().collect() }).await
    }

    /// [`Self::demand`] for one of its roles. Without a role, each of them wants as much.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn demand_in(
        &self,
        role: impl Into<String>,
        wants: impl IntoIterator<Item = Want>,
    ) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Demand { role: Some(role.into()), wants: wants.into_iter().collect() }).await
    }

    /// Wants no offers until it revives, or says what it wants.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn suppress(&self) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Suppress { role: None }).await
    }

    /// [`Self::suppress`] for one of its roles.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn suppress_in(&self, role: impl Into<String>) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Suppress { role: Some(role.into()) }).await
    }

    /// Is something else from now on, and on each later session: other roles, another name or failover timeout. Offers for
    /// roles that it leaves are rescinded; its tasks count where they were launched until they end. The master ends the session of
    /// who may not be in one of the roles.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn update(&self, info: FrameworkInfo) -> Result<(), SessionOver> {
        self.say(FrameworkCommand::Update(info)).await
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

    /// Says anything at all. Waits while too much is to be sent already, but not while the master is away: what is said
    /// then is kept, a launch aside, whose offer is void.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn say(&self, command: FrameworkCommand) -> Result<(), SessionOver> {
        self.speaker.0.say(command).await
    }

    /// As [`Self::say`], without waiting: for who says a bounded number of things of each of its tasks.
    pub(crate) fn say_now(&self, command: FrameworkCommand) -> Result<(), SessionOver> {
        self.speaker.0.say_now(command)
    }
}
