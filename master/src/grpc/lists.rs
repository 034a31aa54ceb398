//! Lists as streams: the driver is asked for one page after another, as the reader takes them.

use std::time::Duration;
use std::vec::IntoIter;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use haggle_core::access::{Principal, Verb};
use haggle_core::cluster::{Cluster, Page, TaskCursor, TaskView};
use haggle_core::{Now, TaskId, TaskState};
use haggle_proto::v1;
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::taken::while_taken;
use crate::handle::Handle;
use crate::outbox::MESSAGE_TARGET;

/// Items that the driver looks at at once: some hundred microseconds of agents, in which no task waits. While the master writes one
/// page, its reader reads the one before.
pub(super) const PAGE: usize = 250;

/// How long nothing may be taken of a list. It holds a place that others want.
const STALLED: Duration = Duration::from_secs(30);

/// Hands out lists.
pub(super) struct Lists {
    handle: Handle,
}

impl Lists {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Streams what `page` gives, called with `None` first and then with where the last page ended. `message` wraps as
    /// many items as go into one message.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when too many lists are being read.
    pub(super) fn stream<V, C, W, M>(
        &self,
        page: impl Fn(&Cluster, Now, Option<C>) -> Page<V, C> + Clone + Send + 'static,
        message: fn(Vec<W>) -> M,
    ) -> Result<BoxStream<'static, Result<M, Status>>, Status>
    where
        V: Send + 'static,
        C: Send + 'static,
        W: From<V> + Message + 'static,
        M: Send + 'static,
    {
        let place = self.handle.house().list()?;
        let reader = Reader {
            handle: self.handle.clone(),
            page,
            next: Next::First,
            rest: Vec::new().into_iter(),
            _place: place,
        };
        let messages = try_unfold(reader, move |mut reader| async move {
            let items = reader.items().await?;
            Ok((!items.is_empty()).then(|| (message(items), reader)))
        });
        Ok(while_taken(messages, STALLED).boxed())
    }
}

/// The tasks of one page, as they are wanted: one, those of a name or of a group, or all.
pub(super) fn tasks_page(
    cluster: &Cluster,
    who: &Principal,
    wanted: &v1::ListTasksRequest,
    after: Option<TaskCursor>,
) -> Page<TaskView, TaskCursor> {
    let v1::ListTasksRequest { ended, ref name, .. } = *wanted;
    let is_wanted = |state: TaskState| ended || !state.is_terminal();
    if let Some(only) = wanted.only {
        let task = cluster.task_for(who, Verb::ListTasks, only.into());
        return (task.filter(|task| is_wanted(task.status.state)).into_iter().collect(), None);
    }
    let group = wanted.group.map(TaskId::from);
    if name.is_empty() && group.is_none() {
        return cluster.tasks_page(who, after, ended, PAGE);
    }
    cluster.tasks_page_where(who, after, PAGE, |task| {
        let is_of_it = |group| task.group.is_some_and(|its| its.id(task.id.framework) == group);
        is_wanted(task.state) && (name.is_empty() || task.name == name) && group.is_none_or(is_of_it)
    })
}

/// Which page comes next.
enum Next<C> {
    First,
    Behind(C),
    None,
}

struct Reader<P, V, C> {
    handle: Handle,
    page: P,
    next: Next<C>,
    /// Of the last page, what was not sent.
    rest: IntoIter<V>,
    _place: OwnedSemaphorePermit,
}

impl<P, V, C> Reader<P, V, C>
where
    P: Fn(&Cluster, Now, Option<C>) -> Page<V, C> + Clone + Send + 'static,
    V: Send + 'static,
    C: Send + 'static,
{
    /// For one message; empty at the end.
    async fn items<W: From<V> + Message>(&mut self) -> Result<Vec<W>, Status> {
        while self.rest.len() == 0 {
            let after = match std::mem::replace(&mut self.next, Next::None) {
                Next::First => None,
                Next::Behind(cursor) => Some(cursor),
                Next::None => break,
            };
            let page = self.page.clone();
            let (views, next) = self.handle.ask(move |cluster, now| page(cluster, now, after)).await?;
            self.rest = views.into_iter();
            self.next = next.map_or(Next::None, Next::Behind);
        }
        let mut items = Vec::new();
        let mut bytes = 0;
        // The last may go beyond the target: no item is nearly as large as what a message may exceed it by.
        while bytes < MESSAGE_TARGET
            && let Some(view) = self.rest.next()
        {
            let item = W::from(view);
            bytes += item.encoded_len();
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use haggle_core::access::Principal;
    use haggle_core::cluster::{
        AgentCommand, AgentIdentity, Command, Config, FrameworkCommand, FrameworkInfo, HeldTask, Recovered,
    };
    use haggle_core::{
        AgentInfo, AgentKey, Bytes, FrameworkId, MilliCpu, Resources, SessionId, TaskId, TaskState, UpdateId,
    };
    use haggle_proto::v1;
    use tokio::runtime;
    use tonic::Code;

    use super::*;
    use crate::access::Guard;
    use crate::clock::Clock;
    use crate::driver;
    use crate::handle::Reign;
    use crate::limits::LISTS;
    use crate::registry::NoRegistry;

    const TASKS: u64 = 100_000;

    /// The even ones have ended.
    fn held(number: u64) -> HeldTask {
        HeldTask {
            id: TaskId { framework: FrameworkId(1), number },
            name: "a task with a name as people give them".to_owned(),
            role: "role".to_owned(),
            volumes: Vec::new(),
            module: None,
            resources: Resources::new(MilliCpu::new(1), Bytes::from_mib(1), Bytes::ZERO),
            state: if number.is_multiple_of(2) { TaskState::Finished } else { TaskState::Running },
            update: UpdateId(1),
            group: None,
            trace: None,
            life: None,
        }
    }

    /// A cluster with one framework that has [`TASKS`] tasks, all on one agent.
    fn lists() -> Lists {
        let mut cluster = Cluster::new(Config::default(), Recovered::default(), Now::ZERO);
        let info = FrameworkInfo {
            name: "f".to_owned(),
            roles: vec![FrameworkInfo::DEFAULT_ROLE.to_owned()],
            failover_timeout: Duration::from_secs(60),
        };
        let subscribe = FrameworkCommand::Subscribe { member: None, info };
        let resources = Resources::new(MilliCpu::new(TASKS), Bytes::from_mib(TASKS), Bytes::ZERO);
        let register = AgentCommand::Register {
            identity: AgentIdentity { member: None, key: AgentKey(1), run: 1 },
            info: AgentInfo { name: "a".to_owned(), resources, ..AgentInfo::default() },
            tasks: (0..TASKS).map(held).collect(),
            complete: true,
        };
        let commands = [
            Command::Connected(SessionId(1), Principal::owner()),
            Command::Connected(SessionId(2), Principal::owner()),
            Command::Framework(SessionId(1), subscribe.into()),
            Command::Agent(SessionId(2), register),
        ];
        for command in commands {
            cluster.apply(Now::ZERO, command, &mut Vec::new()).unwrap();
        }
        let clock = Clock::starting_at(Now::ZERO, Instant::now());
        let reign = Reign::from(&Recovered::default());
        // The driver has the time of its machine, and where tests have one of their own it would hold that back.
        let apart = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let apart = Box::leak(Box::new(apart)).handle();
        let (handle, _) = driver::start(
            apart,
            cluster,
            Box::new(NoRegistry),
            clock,
            reign,
            Guard::for_tests(),
            driver::Observers::default(),
        );
        Lists::new(handle)
    }

    fn tasks(lists: &Lists, ended: bool) -> Result<BoxStream<'static, Result<v1::ListTasksResponse, Status>>, Status> {
        lists.stream(
            move |cluster, _, after| cluster.tasks_page(&Principal::owner(), after, ended, PAGE),
            |tasks| v1::ListTasksResponse { tasks },
        )
    }

    #[tokio::test]
    async fn a_hundred_thousand_tasks_come_in_messages_that_a_peer_takes() {
        let lists = lists();

        let mut list = tasks(&lists, true).unwrap();

        let mut numbers = Vec::new();
        while let Some(message) = list.next().await {
            let message = message.unwrap();
            assert!(message.encoded_len() <= 2 * MESSAGE_TARGET && message.tasks.len() <= PAGE);
            numbers.extend(message.tasks.into_iter().map(|task| task.id.unwrap().number));
        }
        assert!(numbers.into_iter().eq(0..TASKS));
    }

    #[tokio::test]
    async fn tasks_that_have_ended_are_left_out_unless_wanted() {
        let lists = lists();

        let mut list = tasks(&lists, false).unwrap();

        let mut numbers = Vec::new();
        while let Some(message) = list.next().await {
            numbers.extend(message.unwrap().tasks.into_iter().map(|task| task.id.unwrap().number));
        }
        assert!(numbers.into_iter().eq((1..TASKS).step_by(2)));
    }

    #[tokio::test]
    async fn lists_that_nobody_reads_on_keep_no_more_than_their_places() {
        let lists = lists();
        let mut open: Vec<_> = (0..LISTS).map(|_| tasks(&lists, true).unwrap()).collect();

        assert_eq!(tasks(&lists, true).err().unwrap().code(), Code::ResourceExhausted);

        open.pop();
        while tasks(&lists, true).is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_nobody_reads_on_gives_up_its_place() {
        let lists = lists();
        let _unread: Vec<_> = (0..LISTS).map(|_| tasks(&lists, true).unwrap()).collect();

        while tasks(&lists, true).is_err() {
            tokio::time::sleep(STALLED).await;
        }
    }
}
