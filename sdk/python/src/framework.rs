//! A framework of Python's own: what it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use haggle_sdk::{
    Acknowledgement, AgentId, AllocationSpec, Client, Events, FrameworkInfo, Index, InverseOfferId, OfferId, Placed,
    PlacedOperation, Question, QueueVolume, QueuedTasks, RunError, TaskId, TaskSpec, UpdateId, VolumeId,
};
use pyo3::{Bound, PyAny, PyResult, Python, pyclass, pymethods};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::amounts::{Amounts, OperationSpec, seconds};
use crate::error::{OrRaise, SessionOver, unreadable};
use crate::event::EventRecord;
use crate::spec::Spec;
use crate::told::told;
use crate::wait::wait;

/// A framework that is subscribed to a master.
#[pyclass(frozen)]
pub(crate) struct Framework {
    client: Client,
    framework: haggle_sdk::Framework,
    /// `None` once it has left.
    events: Mutex<Option<Events>>,
    /// The number of its next task.
    next: AtomicU64,
}

impl Framework {
    pub(crate) fn subscribe(py: Python<'_>, client: &Client, info: FrameworkInfo) -> PyResult<Self> {
        let (framework, events) = wait(py, haggle_sdk::Framework::connect(client, info))?.or_raise()?;
        Ok(Self { client: client.clone(), framework, events: Mutex::new(Some(events)), next: AtomicU64::new(1) })
    }

    /// Names for so many new tasks, one after the other.
    fn names(&self, count: u64) -> TaskId {
        TaskId { framework: self.framework.id(), number: self.next.fetch_add(count, Ordering::Relaxed) }
    }

    fn checked(&self, py: Python<'_>, spec: Spec, count: u64) -> PyResult<TaskSpec> {
        let task = wait(py, self.client.resolve(spec.task()?))?.or_raise()?;
        task.check().map_err(RunError::from).or_raise()?;
        Ok(task.spec(self.names(count)))
    }
}

#[pymethods]
impl Framework {
    /// The name that the master gave it.
    fn id(&self) -> String {
        self.framework.id().to_string()
    }

    /// The next event; `None` after the last, or when there was none for so many seconds.
    fn next<'py>(&self, py: Python<'py>, patience: Option<f64>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let patience = patience.map(seconds).transpose()?;
        let event = wait(py, async {
            let mut events = self.events.lock().await;
            let events = events.as_mut()?;
            match patience {
                Some(patience) => timeout(patience, events.next()).await.ok()?,
                None => events.next().await,
            }
        })?;
        event.map(|event| told(py, &EventRecord::from(event))).transpose()
    }

    /// Carries out operations and launches tasks on offers of one agent, and gives back the tasks' ids.
    fn accept(
        &self,
        py: Python<'_>,
        offers: Vec<String>,
        operations: Vec<OperationSpec>,
        tasks: Vec<Spec>,
        refuse: f64,
    ) -> PyResult<Vec<String>> {
        let (offers, refuse) = (offer_ids(offers)?, seconds(refuse)?);
        let operations = operations.into_iter().map(OperationSpec::operation).collect::<PyResult<Vec<_>>>()?;
        let specs = tasks.into_iter().map(|spec| self.checked(py, spec, 1)).collect::<PyResult<Vec<_>>>()?;
        let ids = specs.iter().map(|spec| spec.id.to_string()).collect();
        wait(py, self.framework.accept_with(offers, operations, specs, refuse))?.or_raise()?;
        Ok(ids)
    }

    /// Launches tasks on agents of which there are offers, all of them or none, and gives back their ids.
    fn launch_group(
        &self,
        py: Python<'_>,
        offers: Vec<String>,
        operations: Vec<(OperationSpec, String)>,
        tasks: Vec<(Spec, String)>,
        refuse: f64,
    ) -> PyResult<Vec<String>> {
        let (offers, refuse) = (offer_ids(offers)?, seconds(refuse)?);
        let mut placed = Vec::with_capacity(tasks.len());
        for (spec, agent) in tasks {
            let agent = agent.parse().map_err(unreadable)?;
            placed.push(Placed { agent, task: Arc::new(self.checked(py, spec, 1)?) });
        }
        let placed_operation = |(spec, agent): (OperationSpec, String)| {
            let agent = agent.parse().map_err(unreadable)?;
            Ok(PlacedOperation { agent, operation: spec.operation()? })
        };
        let operations = operations.into_iter().map(placed_operation).collect::<PyResult<Vec<_>>>()?;
        let ids = placed.iter().map(|placed| placed.task.id.to_string()).collect();
        wait(py, self.framework.launch_group_with(offers, operations, placed, refuse))?.or_raise()?;
        Ok(ids)
    }

    /// Opens an allocation on offers of one agent, and gives back its id.
    #[expect(clippy::too_many_arguments, reason = "Python names each of them")]
    fn open(
        &self,
        py: Python<'_>,
        offers: Vec<String>,
        name: String,
        resources: Amounts,
        volumes: Vec<String>,
        idle_timeout: f64,
        refuse: f64,
    ) -> PyResult<String> {
        let volumes = volumes.into_iter().map(|id| id.parse::<VolumeId>().map(QueueVolume::from).map_err(unreadable));
        let volumes = volumes.collect::<PyResult<_>>()?;
        let (offers, refuse, idle_timeout) = (offer_ids(offers)?, seconds(refuse)?, seconds(idle_timeout)?);
        let (resources, role) = (resources.resources()?, String::new());
        let spec = AllocationSpec { id: self.names(1), name, role, resources, volumes, idle_timeout };
        spec.check().map_err(unreadable)?;
        let id = spec.id.to_string();
        wait(py, self.framework.open(offers, spec, refuse))?.or_raise()?;
        Ok(id)
    }

    /// Puts so many of each of these tasks into the queue of an allocation, and gives back the ids of all of them. A variable that is
    /// named tells each of them which one it is.
    fn enqueue(
        &self,
        py: Python<'_>,
        allocation: &str,
        tasks: Vec<(Spec, u32, Option<String>)>,
        last: bool,
    ) -> PyResult<Vec<String>> {
        let allocation = allocation.parse::<TaskId>().map_err(unreadable)?;
        let mut ids = Vec::new();
        let mut queued = Vec::with_capacity(tasks.len());
        for (spec, count, variable) in tasks {
            let spec = self.checked(py, spec, count.into())?;
            let index = variable.map(|variable| Index { variable, first: 0 });
            let tasks = QueuedTasks { spec: Arc::new(spec), count, index };
            tasks.check(&tasks.spec.resources).map_err(unreadable)?;
            let TaskId { framework, number } = tasks.spec.id;
            let numbers = number..number + u64::from(count);
            ids.extend(numbers.map(|number| TaskId { framework, number }.to_string()));
            queued.push(tasks);
        }
        wait(py, self.framework.enqueue(allocation, queued, last))?.or_raise()?;
        Ok(ids)
    }

    /// Takes nothing of these offers.
    fn decline(&self, py: Python<'_>, offers: Vec<String>, refuse: f64) -> PyResult<()> {
        let refuse = seconds(refuse)?;
        wait(py, self.framework.decline(offer_ids(offers)?, refuse))?.or_raise()
    }

    /// Will be off the agents of these inverse offers in time.
    fn accept_inverse(&self, py: Python<'_>, offers: Vec<String>) -> PyResult<()> {
        wait(py, self.framework.accept_inverse(inverse_ids(offers)?))?.or_raise()
    }

    /// Will not be.
    fn decline_inverse(&self, py: Python<'_>, offers: Vec<String>, refuse: f64) -> PyResult<()> {
        let refuse = seconds(refuse)?;
        wait(py, self.framework.decline_inverse(inverse_ids(offers)?, refuse))?.or_raise()
    }

    /// Says of which tasks so many wait, for how many more room is to be at hand, and which are wanted together: it is offered what
    /// fits them, and no more.
    fn demand(&self, py: Python<'_>, role: Option<String>, waiting: Vec<(Spec, u32, u32, u32)>) -> PyResult<()> {
        let mut wants = Vec::with_capacity(waiting.len());
        for (spec, count, spare, gang) in waiting {
            let mut want = spec.task()?.want(count);
            (want.spare, want.gang) = (spare, gang);
            wants.push(want);
        }
        let said = async {
            match role {
                Some(role) => self.framework.demand_in(role, wants).await,
                None => self.framework.demand(wants).await,
            }
        };
        wait(py, said)?.or_raise()
    }

    /// Wants offers again, of whatever there is.
    fn revive(&self, py: Python<'_>, role: Option<String>) -> PyResult<()> {
        let said = async {
            match role {
                Some(role) => self.framework.revive_in(role).await,
                None => self.framework.revive().await,
            }
        };
        wait(py, said)?.or_raise()
    }

    /// Wants no offers.
    fn suppress(&self, py: Python<'_>, role: Option<String>) -> PyResult<()> {
        let said = async {
            match role {
                Some(role) => self.framework.suppress_in(role).await,
                None => self.framework.suppress().await,
            }
        };
        wait(py, said)?.or_raise()
    }

    /// Is something else from now on.
    fn update(&self, py: Python<'_>, name: String, roles: Vec<String>, failover: f64) -> PyResult<()> {
        let failover_timeout = seconds(failover)?;
        wait(py, self.framework.update(FrameworkInfo { name, roles, failover_timeout }))?.or_raise()
    }

    /// Asks for a task's end.
    fn kill(&self, py: Python<'_>, task: &str) -> PyResult<()> {
        let task = task.parse::<TaskId>().map_err(unreadable)?;
        wait(py, self.framework.kill(task))?.or_raise()
    }

    /// Takes note of an update of a task, or of an allocation's tasks.
    fn acknowledge(&self, py: Python<'_>, task: &str, update: u64, agent: Option<&str>) -> PyResult<()> {
        let task = task.parse::<TaskId>().map_err(unreadable)?;
        let agent = agent.map(str::parse::<AgentId>).transpose().map_err(unreadable)?;
        let acknowledgement = Acknowledgement { task, update: UpdateId(update), agent };
        wait(py, self.framework.acknowledge([acknowledgement]))?.or_raise()
    }

    /// Asks where tasks stand, each with the agent that it was launched on if that is known; without any, where all do.
    fn reconcile(&self, py: Python<'_>, tasks: Vec<(String, Option<String>)>) -> PyResult<()> {
        let questions = tasks.into_iter().map(|(task, agent)| {
            let agent = agent.as_deref().map(str::parse::<AgentId>).transpose().map_err(unreadable)?;
            Ok(Question { task: task.parse::<TaskId>().map_err(unreadable)?, agent })
        });
        let questions = questions.collect::<PyResult<Vec<_>>>()?;
        wait(py, self.framework.reconcile(questions))?.or_raise()
    }

    /// Leaves for good: its tasks are killed, its offers given back.
    fn teardown(&self, py: Python<'_>) -> PyResult<()> {
        let left = wait(py, async {
            let events = self.events.lock().await.take();
            match events {
                Some(events) => self.framework.clone().teardown(events).await,
                None => Ok(()),
            }
        })?;
        // A master that ended the session has seen it off already.
        left.or_raise().or_else(|error| if error.is_instance_of::<SessionOver>(py) { Ok(()) } else { Err(error) })
    }
}

fn offer_ids(offers: Vec<String>) -> PyResult<Vec<OfferId>> {
    offers.into_iter().map(|offer| offer.parse().map_err(unreadable)).collect()
}

fn inverse_ids(offers: Vec<String>) -> PyResult<Vec<InverseOfferId>> {
    offers.into_iter().map(|offer| offer.parse().map_err(unreadable)).collect()
}
