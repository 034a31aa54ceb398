//! What a program may see and ask of a whole cluster.

use std::hash::{BuildHasher, RandomState};
use std::iter;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use haggle_core::cluster::{AgentView, Announcement, FrameworkView, OfferView, TaskView, Why};
use haggle_core::{AgentId, ClusterId, Epoch, FrameworkId, RequestId, TaskId};
use haggle_proto::convert::{self, Malformed};
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_proto::{MESSAGE_MAX, v1};
use tonic::{Code, Response, Status, Streaming};

use crate::access::{Principal, read_principal};
use crate::client::Client;
use crate::credentials::Connection;
use crate::error::CallError;

/// A master, as it tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterInfo {
    /// Its version.
    pub version: String,
    /// Since when it runs.
    pub uptime: Duration,
    /// The cluster that it leads.
    pub cluster: ClusterId,
    /// Which of the cluster's masters it is.
    pub epoch: Epoch,
    /// What its clock said when it answered; `None` of a master that does not tell.
    pub time: Option<SystemTime>,
}

/// A limit, how much there is of what it bounds, and how often more was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// Whose it is. `None`: of everybody together, at the master that was asked.
    pub principal: Option<Principal>,
    /// Its name, as `haggle master` takes it.
    pub limit: String,
    /// What it bounds.
    pub what: String,
    /// How high it is. `None`: there is none.
    pub most: Option<u64>,
    /// How much there is.
    pub has: u64,
    /// How often more was wanted and refused since the master started. Of principals that were idle it may forget that.
    pub refused: u64,
    /// Whether the numbers are bytes.
    pub in_bytes: bool,
}

/// A task that runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAgain {
    /// As which framework.
    pub framework: FrameworkId,
    /// As which task. `None`: there was no room for it yet.
    pub task: Option<TaskId>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// When, by the master's clock.
    pub at: SystemTime,
    /// What.
    pub what: Announcement,
}

impl Client {
    /// The master's version and uptime.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn master(&self) -> Result<MasterInfo, CallError> {
        let info =
            self.call(|channel| async move { operator(channel).get_master(v1::GetMasterRequest {}).await }).await?;
        Ok(MasterInfo {
            version: info.version,
            uptime: Duration::from_millis(info.uptime_ms),
            cluster: convert::cluster(&info.cluster).map_err(|source| self.garbled(source))?,
            epoch: Epoch(info.epoch),
            time: SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(info.time_ms)).filter(|_| info.time_ms > 0),
        })
    }

    /// Every agent.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn agents(&self) -> Result<Vec<AgentView>, CallError> {
        self.list(list_agents, |piece: v1::ListAgentsResponse| piece.agents).await
    }

    /// As [`Self::agents`], of which `make` makes something else: of some hundred at a time, on another thread, while the next ones
    /// come. So a long list takes less time than to ask for it first, and is never held as a whole. What was made comes in the
    /// order of the list; when the connection is lost on the way, all of it is made anew.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn agents_as<M: Send + 'static>(
        &self,
        make: impl Fn(&[AgentView]) -> M + Clone + Send + 'static,
    ) -> Result<Vec<M>, CallError> {
        self.list_as(list_agents, |piece: v1::ListAgentsResponse| piece.agents, make).await
    }

    /// Every framework.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn frameworks(&self) -> Result<Vec<FrameworkView>, CallError> {
        self.list(list_frameworks, |piece: v1::ListFrameworksResponse| piece.frameworks).await
    }

    /// As [`Self::frameworks`], of which `make` makes something else, as [`Self::agents_as`] does.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn frameworks_as<M: Send + 'static>(
        &self,
        make: impl Fn(&[FrameworkView]) -> M + Clone + Send + 'static,
    ) -> Result<Vec<M>, CallError> {
        self.list_as(list_frameworks, |piece: v1::ListFrameworksResponse| piece.frameworks, make).await
    }

    /// Every open offer.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn offers(&self) -> Result<Vec<OfferView>, CallError> {
        self.list(list_offers, |piece: v1::ListOffersResponse| piece.offers).await
    }

    /// As [`Self::offers`], of which `make` makes something else, as [`Self::agents_as`] does.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn offers_as<M: Send + 'static>(
        &self,
        make: impl Fn(&[OfferView]) -> M + Clone + Send + 'static,
    ) -> Result<Vec<M>, CallError> {
        self.list_as(list_offers, |piece: v1::ListOffersResponse| piece.offers, make).await
    }

    /// What each principal has of what is limited, and what all of them share; of this program alone, unless it sees
    /// everybody.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn limits(&self) -> Result<Vec<LimitUse>, CallError> {
        let pieces = self
            .collect(|channel| async move { operator(channel).list_limits(v1::ListLimitsRequest {}).await })
            .await?;
        let uses = pieces.into_iter().flat_map(|piece| piece.limits).map(|wire| {
            let v1::LimitUse { principal, limit, what, most, has, refused, in_bytes } = wire;
            let principal = principal.map(read_principal).transpose()?;
            Ok(LimitUse { principal, limit, what, most, has, refused, in_bytes })
        });
        uses.collect::<Result<_, _>>().map_err(|source| self.garbled(source))
    }

    /// Every task that has not ended and, if `ended`, the last ones that have.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn tasks(&self, ended: bool) -> Result<Vec<TaskView>, CallError> {
        self.list_tasks(v1::ListTasksRequest { ended, ..Default::default() }).await
    }

    /// As [`Self::tasks`], of which `make` makes something else, as [`Self::agents_as`] does. A task that ends while the list is read
    /// comes twice, the second time with its end.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn tasks_as<M: Send + 'static>(
        &self,
        ended: bool,
        make: impl Fn(&[TaskView]) -> M + Clone + Send + 'static,
    ) -> Result<Vec<M>, CallError> {
        let request = v1::ListTasksRequest { ended, ..Default::default() };
        self.list_as(list_tasks(&request), |piece: v1::ListTasksResponse| piece.tasks, make).await
    }

    /// Those of [`Self::tasks`] that have this name, as the tasks of one job have.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn tasks_named(&self, name: &str, ended: bool) -> Result<Vec<TaskView>, CallError> {
        self.list_tasks(v1::ListTasksRequest { ended, name: name.to_owned(), ..Default::default() }).await
    }

    /// The tasks that were launched in one group, by the id of its first, those that have ended among them. Ended ones are forgotten
    /// after a while.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn tasks_of_group(&self, group: TaskId) -> Result<Vec<TaskView>, CallError> {
        self.list_tasks(v1::ListTasksRequest { ended: true, group: Some(group.into()), ..Default::default() }).await
    }

    /// One task, if the master knows it; ended ones are forgotten after a while.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn task(&self, task: TaskId) -> Result<Option<TaskView>, CallError> {
        match self.list_tasks(v1::ListTasksRequest { ended: true, only: Some(task.into()), ..Default::default() }).await
        {
            Ok(tasks) => Ok(tasks.into_iter().next()),
            Err(CallError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Why a framework has not what it wants in one of its roles, or in the first of them, as the master's rules see it now;
    /// `None` when the master knows no such framework in that role, or this program may not see it.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn why(&self, framework: FrameworkId, role: Option<&str>) -> Result<Option<Why>, CallError> {
        let request = v1::WhyRequest { framework: framework.0, role: role.unwrap_or_default().to_owned() };
        let ask = |channel| {
            let request = request.clone();
            async move { operator(channel).why(request).await }
        };
        match self.call(ask).await {
            Ok(why) => why.try_into().map(Some).map_err(|source| self.garbled(source)),
            Err(CallError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for a task's end, as an operator: it need not be a task of this program's. A call that has to be made
    /// again, since the answer was lost, is carried out once.
    ///
    /// # Errors
    /// When there is no such task, it has ended, or the master cannot be reached.
    pub async fn kill(&self, task: TaskId) -> Result<(), CallError> {
        let request = request_bytes();
        self.call(|channel| {
            let request = v1::KillTaskRequest { task: Some(task.into()), request: request.clone() };
            async move { operator(channel).kill_task(request).await }
        })
        .await?;
        Ok(())
    }

    /// Has a task run once more, by what it was launched with: as a new task of a new framework in the name of this program, which
    /// leaves when that has ended. A call that has to be made again, since the answer was lost, is carried out once, as long as the
    /// same master leads.
    ///
    /// # Errors
    /// When there is no such task, what it was launched with is not kept any more, this program may not launch in its role, or the master
    /// cannot be reached.
    pub async fn run_again(&self, task: TaskId) -> Result<RunAgain, CallError> {
        let request = request_bytes();
        let begun = self
            .call(|channel| {
                let request = v1::RunAgainRequest { task: Some(task.into()), request: request.clone() };
                async move { operator(channel).run_again(request).await }
            })
            .await?;
        Ok(RunAgain { framework: FrameworkId(begun.framework), task: begun.task.map(TaskId::from) })
    }

    /// Declares that an agent will never come back: its tasks are `GONE_BY_OPERATOR`, and their frameworks may launch
    /// them elsewhere. Should it come back all the same, it is told to end them. A call that has to be made again is
    /// carried out once.
    ///
    /// # Errors
    /// When there is no such agent, it is connected, or the master cannot be reached.
    pub async fn mark_agent_gone(&self, agent: AgentId) -> Result<(), CallError> {
        let request = request_bytes();
        self.call(|channel| {
            let request = v1::MarkAgentGoneRequest { agent: agent.0, request: request.clone() };
            async move { operator(channel).mark_agent_gone(request).await }
        })
        .await?;
        Ok(())
    }

    /// What happens in the cluster from now on, of tasks in queues as of all others. The stream ends with an error when it is read too
    /// slowly or the master is lost; what happened before the next call is not made up for. Read too slowly for what happens in queues
    /// alone, it goes on with [`Announcement::LeftOut`] in the place of that.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn watch(
        &self,
    ) -> Result<impl Stream<Item = Result<WatchEvent, CallError>> + Send + Unpin + 'static, CallError> {
        let request = || v1::WatchRequest { batches: true };
        let events = self.call(|channel| async move { operator(channel).watch(request()).await }).await?;
        let client = self.clone();
        let read = move |event: Result<v1::WatchEvent, Status>| -> Box<dyn Iterator<Item = _> + Send> {
            let event = event.map_err(|status| match status.code() {
                Code::ResourceExhausted => CallError::FellBehind(status.message().to_owned()),
                _ => client.error(&status),
            });
            match event.and_then(|event| read_events(event).map_err(|source| client.garbled(source))) {
                Ok(events) => Box::new(events.map(Ok)),
                Err(error) => Box::new(iter::once(Err(error))),
            }
        };
        Ok(events.flat_map(move |event| stream::iter(read(event))))
    }

    async fn list_tasks(&self, request: v1::ListTasksRequest) -> Result<Vec<TaskView>, CallError> {
        self.list(list_tasks(&request), |piece: v1::ListTasksResponse| piece.tasks).await
    }
}

/// What a master answers with a list.
type Listed<T> = Result<Response<Streaming<T>>, Status>;

async fn list_agents(channel: Connection) -> Listed<v1::ListAgentsResponse> {
    operator(channel).list_agents(v1::ListAgentsRequest {}).await
}

async fn list_frameworks(channel: Connection) -> Listed<v1::ListFrameworksResponse> {
    operator(channel).list_frameworks(v1::ListFrameworksRequest {}).await
}

async fn list_offers(channel: Connection) -> Listed<v1::ListOffersResponse> {
    operator(channel).list_offers(v1::ListOffersRequest {}).await
}

fn list_tasks(
    request: &v1::ListTasksRequest,
) -> impl FnMut(Connection) -> BoxFuture<'static, Listed<v1::ListTasksResponse>> {
    move |channel| {
        let request = request.clone();
        async move { operator(channel).list_tasks(request).await }.boxed()
    }
}

pub(crate) fn operator(channel: Connection) -> OperatorClient<Connection> {
    OperatorClient::new(channel).max_decoding_message_size(MESSAGE_MAX)
}

/// A name for a request, so that making it again does not carry it out again.
pub(crate) fn request_bytes() -> Vec<u8> {
    // Each state has keys of its own, drawn from the system's random numbers.
    let half = || u128::from(RandomState::new().hash_one(()));
    convert::request_bytes(RequestId(half() << 64 | half()))
}

/// What is told of many tasks of a queue in one word is an event for each.
fn read_events(event: v1::WatchEvent) -> Result<impl Iterator<Item = WatchEvent> + Send, Malformed> {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(event.time_ms));
    let at = at.ok_or(Malformed::Missing("time of an event"))?;
    let happened = convert::announcements(event.event.ok_or(Malformed::Missing("event"))?)?;
    Ok(happened.map(move |what| WatchEvent { at, what }))
}
