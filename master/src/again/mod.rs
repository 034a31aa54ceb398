//! Running a task again: a framework of one task, in the name and by the rights of whoever asks.
//!
//! ```text
//! page, `haggle again` ─► Again ─► Specs (what it was launched with) ─► a session like any framework's ─► the driver
//! ```
//!
//! No decision has a second path: offers, quotas, limits, access and the audit see a framework that subscribes, launches and leaves.

mod framework;
mod specs;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use haggle_core::access::{PrincipalId, Verb};
use haggle_core::cluster::Cluster;
use haggle_core::{Digest, FrameworkId, RequestId, TaskId, TaskSpec};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tonic::Status;

use crate::access::Caller;
use crate::artifacts::Store;
use crate::grpc::blocking;
use crate::handle::Handle;
use crate::limits::Each;
use crate::replicas::Replicas;

use framework::Framework;

pub(crate) use specs::Specs;

/// Tasks that run again, and wait for that, at once at one master. Each is a framework with a session.
const AT_ONCE: usize = 256;

/// Of these, one principal's: while there is no room each waits for minutes, and others want to run something again too.
const AT_ONCE_EACH: usize = 64;

/// How long whoever asks waits to hear which task it is. With room somewhere that takes milliseconds.
const WITHIN: Duration = Duration::from_secs(2);

/// Requests that may be made anew, since their answer was lost.
const REMEMBERED: usize = 256;

/// Runs tasks again. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Again {
    handle: Handle,
    store: Arc<Store>,
    replicas: Option<Arc<Replicas>>,
    places: Arc<Semaphore>,
    each: Arc<Each>,
    recent: Arc<Mutex<Recent>>,
}

/// What became of the last requests, and whose they were.
type Recent = VecDeque<((PrincipalId, RequestId), watch::Receiver<Stage>)>;

/// How far it has come.
#[derive(Clone, Debug)]
enum Stage {
    Subscribes,
    /// It waits for room.
    Waits(FrameworkId),
    Launched(TaskId),
    Failed(Status),
}

/// What is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// As which framework.
    pub(crate) framework: FrameworkId,
    /// As which task, once there was room for it.
    pub(crate) task: Option<TaskId>,
}

impl Again {
    pub(crate) fn new(handle: Handle, store: Arc<Store>, replicas: Option<Arc<Replicas>>) -> Self {
        let (places, each) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Each::new(AT_ONCE_EACH)));
        Self { handle, store, replicas, places, each, recent: Arc::default() }
    }

    /// Has a task run once more, as a new task of a new framework of the caller's, in the role that it counted towards.
    ///
    /// # Errors
    /// `NOT_FOUND` when it is not there or not for the caller to see, `FAILED_PRECONDITION` when it is no task, or what it was
    /// launched with is not kept any more, `PERMISSION_DENIED` when the caller may have no framework in its role,
    /// `RESOURCE_EXHAUSTED` when there are too many, `UNAVAILABLE` when the master is stopping.
    pub(crate) async fn run(&self, caller: &Caller, id: TaskId, request: Option<RequestId>) -> Result<Begun, Status> {
        caller.about(id);
        let who = caller.principal()?.clone();
        let request = request.map(|request| (who.id(), request));
        if let Some(stage) = request.as_ref().and_then(|request| self.asked_before(request)) {
            return begun(stage).await;
        }
        let own = self.each.of(who.id());
        let look = move |cluster: &Cluster, _| {
            let shown = cluster.task_for(&who, Verb::ListTasks, id)?;
            cluster.task_for(&who, Verb::RunAgain, id).map(|_| (shown.is_allocation, shown.role))
        };
        let (is_allocation, role) = self.handle.ask(look).await?.ok_or_else(|| {
            Status::not_found(format!("there is no {id}: it ended long ago, was never launched, or is not yours"))
        })?;
        if is_allocation {
            return Err(Status::failed_precondition(format!(
                "{id} is an allocation, which runs the tasks in its queue: run one of those again"
            )));
        }
        let known = self.handle.specs().get(id);
        let spec = known.map_err(|why| Status::failed_precondition(format!("{id} cannot be run again: {why}")))?;
        self.check_artifacts(&spec).await?;
        let own = own.try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{AT_ONCE_EACH} tasks of yours run again at this master, and there may be no more at once"
            ))
        })?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{AT_ONCE} tasks run again at this master, and there may be no more at once"
            ))
        })?;
        let (stage, heard) = watch::channel(Stage::Subscribes);
        if let Some(request) = request {
            let mut recent = self.recent();
            recent.push_back((request, heard.clone()));
            if recent.len() > REMEMBERED {
                recent.pop_front();
            }
        }
        let caller = Caller::new(caller.who.clone(), caller.address);
        let framework = Framework::open(&self.handle, caller, spec, role, stage).await?;
        tokio::spawn(async move {
            framework.run().await;
            drop((place, own));
        });
        begun(heard).await
    }

    fn asked_before(&self, request: &(PrincipalId, RequestId)) -> Option<watch::Receiver<Stage>> {
        self.recent().iter().find(|(known, _)| known == request).map(|(_, stage)| stage.clone())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that what it needs is still there: here, or with another master, from where it then comes.
    async fn check_artifacts(&self, spec: &TaskSpec) -> Result<(), Status> {
        for digest in std::iter::once(spec.module).chain(spec.inputs.iter().map(|input| input.content)) {
            if !self.has(digest).await? {
                return Err(Status::failed_precondition(format!(
                    "{} cannot be run again: {digest}, which it needs, is not kept any more: upload it again",
                    spec.id
                )));
            }
        }
        Ok(())
    }

    async fn has(&self, digest: Digest) -> Result<bool, Status> {
        let store = Arc::clone(&self.store);
        if blocking(move || store.stat(digest)).await?.is_some() {
            return Ok(true);
        }
        match &self.replicas {
            Some(replicas) => replicas.fetch(digest).await,
            None => Ok(false),
        }
    }
}

/// Waits until it is known which task it is, and not for long.
async fn begun(mut stage: watch::Receiver<Stage>) -> Result<Begun, Status> {
    let known = |stage: &Stage| matches!(stage, Stage::Launched(_) | Stage::Failed(_));
    // A session that ended without a word tells what it told last.
    let _ = timeout(WITHIN, stage.wait_for(known)).await;
    let last = stage.borrow().clone();
    match last {
        Stage::Launched(task) => Ok(Begun { framework: task.framework, task: Some(task) }),
        Stage::Waits(framework) => Ok(Begun { framework, task: None }),
        Stage::Failed(status) => Err(status),
        Stage::Subscribes => Err(Status::unavailable("the master has not taken the task in in time: it may yet run")),
    }
}
