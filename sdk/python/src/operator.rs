//! What an operator sees of a cluster, and decides of it.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt};
use haggle_pages::record::{
    AgentRecord, EventRecord, FrameworkRecord, MaintenanceRecord, OfferRecord, RoleRecord, VolumeRecord, WhyRecord,
};
use haggle_pages::text;
use haggle_sdk::{
    AgentId, Bytes, CallError, Client, FrameworkId, MaintenanceId, Placement, RoleInfo, TaskId, VolumeId, WatchEvent,
    WindowStart,
};
use pyo3::{Bound, PyAny, PyResult, Python, pyclass, pymethods};
use tokio::sync::Mutex;

use crate::amounts::{Amounts, QuotaSpec, seconds};
use crate::error::{OrRaise, unreadable};
use crate::told::{TaskRecord, all_told, told};
use crate::wait::wait;

/// An operator of a cluster.
#[pyclass(frozen)]
pub(crate) struct Operator(Client);

/// What happens in a cluster, from when it was asked for.
#[pyclass(frozen)]
pub(crate) struct Watch(Mutex<Happenings>);

type Happenings = Pin<Box<dyn Stream<Item = Result<WatchEvent, CallError>> + Send>>;

impl Operator {
    pub(crate) fn new(client: &Client) -> Self {
        Self(client.clone())
    }
}

#[pymethods]
impl Operator {
    /// Every agent.
    fn agents<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        all_told::<_, AgentRecord<'_>>(py, &wait(py, self.0.agents())?.or_raise()?)
    }

    /// Every framework.
    fn frameworks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        all_told::<_, FrameworkRecord>(py, &wait(py, self.0.frameworks())?.or_raise()?)
    }

    /// Every open offer.
    fn offers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        all_told::<_, OfferRecord>(py, &wait(py, self.0.offers())?.or_raise()?)
    }

    /// Every task that has not ended and, if `ended`, the last ones that have.
    fn tasks<'py>(&self, py: Python<'py>, ended: bool) -> PyResult<Bound<'py, PyAny>> {
        all_told::<_, TaskRecord>(py, &wait(py, self.0.tasks(ended))?.or_raise()?)
    }

    /// One task, if the master knows it.
    fn task<'py>(&self, py: Python<'py>, task: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let task = task.parse::<TaskId>().map_err(unreadable)?;
        let found = wait(py, self.0.task(task))?.or_raise()?;
        found.map(|task| told(py, &TaskRecord::from(&task))).transpose()
    }

    /// Every role.
    fn roles<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let roles = wait(py, self.0.roles())?.or_raise()?;
        told(py, &roles.iter().map(role_record).collect::<Vec<_>>())
    }

    /// Every volume.
    fn volumes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        all_told::<_, VolumeRecord>(py, &wait(py, self.0.volumes())?.or_raise()?)
    }

    /// Every maintenance window.
    fn maintenance<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        all_told::<_, MaintenanceRecord>(py, &wait(py, self.0.maintenance())?.or_raise()?)
    }

    /// Why a framework has not what it wants.
    fn why<'py>(&self, py: Python<'py>, framework: &str, role: Option<&str>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let framework = framework.parse::<FrameworkId>().map_err(unreadable)?;
        let why = wait(py, self.0.why(framework, role))?.or_raise()?;
        why.map(|why| told(py, &WhyRecord::from(&why))).transpose()
    }

    /// What happens from now on.
    fn watch(&self, py: Python<'_>) -> PyResult<Watch> {
        let stream = wait(py, self.0.watch())?.or_raise()?;
        Ok(Watch(Mutex::new(Box::pin(stream))))
    }

    /// Asks for a task's end.
    fn kill(&self, py: Python<'_>, task: &str) -> PyResult<()> {
        let task = task.parse::<TaskId>().map_err(unreadable)?;
        wait(py, self.0.kill(task))?.or_raise()
    }

    /// Has a role weigh so much against its siblings.
    fn set_weight(&self, py: Python<'_>, role: &str, weight: Option<u32>) -> PyResult<()> {
        let weight = weight.map(|weight| NonZeroU32::new(weight).ok_or_else(|| unreadable("a weight is at least 1")));
        wait(py, self.0.set_weight(role, weight.transpose()?))?.or_raise()
    }

    /// Promises a role so much, and lets it have no more than that.
    fn set_quota(&self, py: Python<'_>, role: &str, quota: Option<QuotaSpec>, force: bool) -> PyResult<()> {
        let quota = quota.map(QuotaSpec::quota).transpose()?;
        wait(py, self.0.set_quota(role, quota.as_ref(), force))?.or_raise()
    }

    /// How agents are chosen for offers to a role.
    fn set_placement(&self, py: Python<'_>, role: &str, placement: Option<&str>) -> PyResult<()> {
        let placement = placement.map(str::parse::<Placement>).transpose().map_err(unreadable)?;
        wait(py, self.0.set_placement(role, placement))?.or_raise()
    }

    /// The least that makes an offer to a role.
    fn set_min_allocatable(&self, py: Python<'_>, role: &str, least: Option<Amounts>) -> PyResult<()> {
        let least = least.map(Amounts::resources).transpose()?;
        wait(py, self.0.set_min_allocatable(role, least.as_ref()))?.or_raise()
    }

    /// Keeps so much of an agent for a role.
    fn reserve(
        &self,
        py: Python<'_>,
        agent: &str,
        role: &str,
        within: Option<&str>,
        resources: Amounts,
    ) -> PyResult<()> {
        let resources = resources.resources()?;
        wait(py, self.0.reserve(agent_id(agent)?, role, within, &resources))?.or_raise()
    }

    /// Keeps so much less.
    fn unreserve(&self, py: Python<'_>, agent: &str, role: &str, resources: Amounts) -> PyResult<()> {
        let resources = resources.resources()?;
        wait(py, self.0.unreserve(agent_id(agent)?, role, &resources))?.or_raise()
    }

    /// Makes a volume of reserved disk, and gives back its id.
    fn create_volume(&self, py: Python<'_>, agent: &str, role: &str, name: &str, size: u64) -> PyResult<String> {
        let made = wait(py, self.0.create_volume(agent_id(agent)?, role, name, Bytes::new(size)))?;
        made.or_raise().map(|volume| volume.to_string())
    }

    /// Removes a volume with all that is in it.
    fn destroy_volume(&self, py: Python<'_>, volume: &str) -> PyResult<()> {
        let volume = volume.parse::<VolumeId>().map_err(unreadable)?;
        wait(py, self.0.destroy_volume(volume))?.or_raise()
    }

    /// Has any number of tasks read a volume, or one use it again.
    fn share_volume(&self, py: Python<'_>, volume: &str, shared: bool) -> PyResult<()> {
        let volume = volume.parse::<VolumeId>().map_err(unreadable)?;
        wait(py, self.0.share_volume(volume, shared))?.or_raise()
    }

    /// Has an agent take no new tasks.
    fn deactivate(&self, py: Python<'_>, agent: &str) -> PyResult<()> {
        wait(py, self.0.deactivate_agent(agent_id(agent)?))?.or_raise()
    }

    /// The same, and has its tasks end within so many seconds.
    fn drain(&self, py: Python<'_>, agent: &str, grace: f64, mark_gone: bool) -> PyResult<()> {
        wait(py, self.0.drain_agent(agent_id(agent)?, seconds(grace)?, mark_gone))?.or_raise()
    }

    /// Has an agent take tasks again.
    fn reactivate(&self, py: Python<'_>, agent: &str) -> PyResult<()> {
        wait(py, self.0.reactivate_agent(agent_id(agent)?))?.or_raise()
    }

    /// Declares that an agent will never come back.
    fn mark_gone(&self, py: Python<'_>, agent: &str) -> PyResult<()> {
        wait(py, self.0.mark_agent_gone(agent_id(agent)?))?.or_raise()
    }

    /// Makes a maintenance window, and gives back its id. It begins at that time in seconds since 1970, or in so many seconds.
    fn schedule_maintenance(
        &self,
        py: Python<'_>,
        agents: Vec<String>,
        start: (bool, f64),
        lasts: f64,
        grace: f64,
    ) -> PyResult<String> {
        let agents = agents.into_iter().map(|agent| agent_id(&agent)).collect::<PyResult<Vec<_>>>()?;
        let (is_absolute, time) = (start.0, seconds(start.1)?);
        let start = if is_absolute { WindowStart::At(moment(time)?) } else { WindowStart::In(time) };
        let made = wait(py, self.0.schedule_maintenance(agents, start, seconds(lasts)?, seconds(grace)?))?;
        made.or_raise().map(|id| id.to_string())
    }

    /// Ends a maintenance window.
    fn cancel_maintenance(&self, py: Python<'_>, id: &str) -> PyResult<()> {
        let id = id.parse::<MaintenanceId>().map_err(unreadable)?;
        wait(py, self.0.cancel_maintenance(id))?.or_raise()
    }
}

#[pymethods]
impl Watch {
    /// The next event; `None` when the master has ended.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let event = wait(py, async { self.0.lock().await.next().await })?.transpose().or_raise()?;
        event.map(|event| told(py, &EventRecord::new(text::time(event.at), &event.what))).transpose()
    }
}

fn agent_id(text: &str) -> PyResult<AgentId> {
    text.parse().map_err(unreadable)
}

fn moment(since_1970: Duration) -> PyResult<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(since_1970).ok_or_else(|| unreadable("that is beyond all clocks"))
}

/// A role as the master told it.
fn role_record(role: &RoleInfo) -> RoleRecord {
    RoleRecord {
        name: role.name.clone(),
        weight: role.weight,
        frameworks: role.frameworks,
        waiting: role.waiting,
        used: (&role.used).into(),
        offered: (&role.offered).into(),
        reserved: (&role.reserved).into(),
        share: role.share,
        fair_share: role.fair_share,
        quota: role.quota.as_ref().map(Into::into),
        placement: role.placement.name(),
        min_allocatable: role.min_allocatable.as_ref().map(Into::into),
    }
}
