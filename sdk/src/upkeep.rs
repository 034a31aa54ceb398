//! What a program may decide of agents: that they take no tasks for now, and that they will be away.

use std::time::{Duration, SystemTime};

use haggle_core::cluster::MaintenanceView;
use haggle_core::{AgentId, MaintenanceId};
use haggle_proto::v1;
use haggle_proto::v1::schedule_maintenance_request::Start;

use crate::client::Client;
use crate::error::CallError;
use crate::operator::{operator, request_bytes};

/// When a maintenance window begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowStart {
    /// At that moment.
    At(SystemTime),
    /// So long after the master has heard of it.
    In(Duration),
}

impl Client {
    /// Has an agent take no new tasks, from now on and after a restart of the master, until it is reactivated. Those that
    /// it has go on. A call that has to be made again is carried out once.
    ///
    /// # Errors
    /// When there is no such agent, it takes none already, or the master cannot be reached.
    pub async fn deactivate_agent(&self, agent: AgentId) -> Result<(), CallError> {
        let request = v1::DeactivateAgentRequest { agent: agent.0, request: request_bytes() };
        self.call(|channel| {
            let request = request.clone();
            async move { operator(channel).deactivate_agent(request).await }
        })
        .await?;
        Ok(())
    }

    /// Has an agent take no new tasks, and end those that it has: they may still run for as long as `grace` and are killed
    /// then, with the reason `AGENT_DRAINING`. Once nothing runs there any more it is `DRAINED`, and takes tasks again when it
    /// is reactivated; with `mark_gone` it is removed for good instead. Asked again, it changes how much time is left. A call
    /// that has to be made again is carried out once.
    ///
    /// # Errors
    /// When there is no such agent, the grace is longer than 7 days, or the master cannot be reached.
    pub async fn drain_agent(&self, agent: AgentId, grace: Duration, mark_gone: bool) -> Result<(), CallError> {
        let (request, grace_ms) = (request_bytes(), millis(grace));
        let request = v1::DrainAgentRequest { agent: agent.0, grace_ms, mark_gone, request };
        self.call(|channel| {
            let request = request.clone();
            async move { operator(channel).drain_agent(request).await }
        })
        .await?;
        Ok(())
    }

    /// Has an agent take tasks again that was deactivated or drained. A call that has to be made again is carried out once.
    ///
    /// # Errors
    /// When there is no such agent, it takes tasks already, it is still draining or in a maintenance window, or the master
    /// cannot be reached.
    pub async fn reactivate_agent(&self, agent: AgentId) -> Result<(), CallError> {
        let request = v1::ReactivateAgentRequest { agent: agent.0, request: request_bytes() };
        self.call(|channel| {
            let request = request.clone();
            async move { operator(channel).reactivate_agent(request).await }
        })
        .await?;
        Ok(())
    }

    /// Makes a maintenance window: these agents will not be there for as long as `lasts`. Offers of them say so, and whoever
    /// has tasks or offers there is asked to be off in time. At the start they are drained, with so much `grace` for what
    /// still runs; at the end they take tasks again. A call that has to be made again is carried out once.
    ///
    /// # Errors
    /// When one of the agents is not known or in another window for some of that time, the window cannot be (it begins in the
    /// past, lasts for less than a second or more than a year, or is of no agent), or the master cannot be reached.
    pub async fn schedule_maintenance(
        &self,
        agents: impl IntoIterator<Item = AgentId>,
        start: WindowStart,
        lasts: Duration,
        grace: Duration,
    ) -> Result<MaintenanceId, CallError> {
        let start = match start {
            WindowStart::At(at) => {
                Start::StartMs(at.duration_since(SystemTime::UNIX_EPOCH).map(millis).unwrap_or_default())
            }
            WindowStart::In(after) => Start::StartInMs(millis(after)),
        };
        let request = v1::ScheduleMaintenanceRequest {
            agents: agents.into_iter().map(|agent| agent.0).collect(),
            start: Some(start),
            duration_ms: millis(lasts),
            grace_ms: millis(grace),
            request: request_bytes(),
        };
        let made = self
            .call(|channel| {
                let request = request.clone();
                async move { operator(channel).schedule_maintenance(request).await }
            })
            .await?;
        Ok(MaintenanceId(made.id))
    }

    /// Ends a maintenance window before its time, or before it has begun: its agents take tasks. A call that has to be made
    /// again is carried out once.
    ///
    /// # Errors
    /// When there is no such window, or the master cannot be reached.
    pub async fn cancel_maintenance(&self, id: MaintenanceId) -> Result<(), CallError> {
        let request = v1::CancelMaintenanceRequest { id: id.0, request: request_bytes() };
        self.call(|channel| {
            let request = request.clone();
            async move { operator(channel).cancel_maintenance(request).await }
        })
        .await?;
        Ok(())
    }

    /// Every maintenance window that is under way or to come.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn maintenance(&self) -> Result<Vec<MaintenanceView>, CallError> {
        let list = |channel| async move { operator(channel).list_maintenance(v1::ListMaintenanceRequest {}).await };
        self.list(list, |piece: v1::ListMaintenanceResponse| piece.maintenance).await
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
