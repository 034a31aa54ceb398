//! What people and their tools ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::BoxStream;
use haggle_core::access::Principal;
use haggle_core::cluster::{Cluster, OperatorCommand, Page};
use haggle_core::{AgentId, Bytes, FrameworkId, MaintenanceId, Now, Quota, Resources, TaskId};
use haggle_proto::convert::{maintenance, placement, request_id, token_id, weight};
use haggle_proto::v1;
use haggle_proto::v1::OutputStream;
use tonic::{Request, Response, Status};

use super::authority::Authority;
use super::limits::LimitList;
use super::lists::{Lists, PAGE, tasks_page};
use super::tokens::{Draft, is_live};
use super::why::Whys;
use super::{read_log, watch};
use crate::access::{Caller, Known, caller, status_of, wall_clock_ms};
use crate::again::Again;
use crate::driver::object_of;
use crate::handle::{Answer, Handle};
use crate::logs::LogRelay;
use crate::reach::Reach;

pub(super) struct Operator {
    handle: Handle,
    lists: Lists,
    whys: Whys,
    logs: Arc<LogRelay>,
    again: Again,
    known: Known,
    reach: Reach,
    authority: Authority,
    limits: LimitList,
    started: Instant,
}

impl Operator {
    pub(super) fn new(
        handle: Handle,
        logs: Arc<LogRelay>,
        whys: Whys,
        again: Again,
        known: Known,
        reach: Reach,
        limits: LimitList,
    ) -> Self {
        let authority = Authority::new(handle.clone(), known.clone(), reach.security.clone());
        let lists = Lists::new(handle.clone());
        let started = Instant::now();
        Self { lists, whys, handle, logs, again, known, reach, authority, limits, started }
    }

    /// Has a request decided. Made again, it has the same answer.
    async fn decide(
        &self,
        caller: &Caller,
        request: &[u8],
        command: OperatorCommand,
    ) -> Result<Option<Answer>, Status> {
        caller.about(object_of(&command));
        let request = request_id(request)?;
        let decided = self.handle.decide(caller.principal()?.clone(), request, command).await?;
        decided.map_err(|refusal| status_of(&refusal))
    }

    /// Streams what `page` gives of what the caller may see.
    fn list<T, V, C, W, M>(
        &self,
        request: &Request<T>,
        page: impl Fn(&Cluster, Now, &Principal, Option<C>) -> Page<V, C> + Clone + Send + 'static,
        message: fn(Vec<W>) -> M,
    ) -> Result<Response<List<M>>, Status>
    where
        V: Send + 'static,
        C: Send + 'static,
        W: From<V> + prost::Message + 'static,
        M: Send + 'static,
    {
        let who = caller(request)?.principal()?.clone();
        let page = move |cluster: &Cluster, now, after| page(cluster, now, &who, after);
        Ok(Response::new(self.lists.stream(page, message)?))
    }
}

/// Maintenance windows in one look at the cluster.
const MAINTENANCE_PAGE: usize = 16;

/// Agents in one look at volumes: each may hold some dozens.
const VOLUMES_PAGE: usize = 64;

/// A list on its way to an operator.
type List<M> = BoxStream<'static, Result<M, Status>>;

#[tonic::async_trait]
impl v1::operator_server::Operator for Operator {
    type ListAgentsStream = List<v1::ListAgentsResponse>;
    type ListFrameworksStream = List<v1::ListFrameworksResponse>;
    type ListRolesStream = List<v1::ListRolesResponse>;
    type ListOffersStream = List<v1::ListOffersResponse>;
    type ListTasksStream = List<v1::ListTasksResponse>;
    type ListTokensStream = List<v1::ListTokensResponse>;
    type ListLimitsStream = List<v1::ListLimitsResponse>;
    type ListVolumesStream = List<v1::ListVolumesResponse>;
    type ListMaintenanceStream = List<v1::ListMaintenanceResponse>;
    type WatchStream = BoxStream<'static, Result<v1::WatchEvent, Status>>;
    type ReadLogStream = BoxStream<'static, Result<v1::LogData, Status>>;

    async fn get_master(&self, _: Request<v1::GetMasterRequest>) -> Result<Response<v1::MasterInfo>, Status> {
        let reign = self.handle.reign();
        Ok(Response::new(v1::MasterInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            cluster: reign.cluster.0.to_be_bytes().to_vec(),
            epoch: reign.epoch.0,
            time_ms: wall_clock_ms(),
        }))
    }

    async fn list_agents(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<Self::ListAgentsStream>, Status> {
        let page = |cluster: &Cluster, now, who: &Principal, after| cluster.agents_page(now, who, after, PAGE);
        self.list(&request, page, |agents| v1::ListAgentsResponse { agents })
    }

    async fn list_frameworks(
        &self,
        request: Request<v1::ListFrameworksRequest>,
    ) -> Result<Response<Self::ListFrameworksStream>, Status> {
        let page = |cluster: &Cluster, _, who: &Principal, after| cluster.frameworks_page(who, after, PAGE);
        self.list(&request, page, |frameworks| v1::ListFrameworksResponse { frameworks })
    }

    async fn list_roles(
        &self,
        request: Request<v1::ListRolesRequest>,
    ) -> Result<Response<Self::ListRolesStream>, Status> {
        let page = |cluster: &Cluster, _, who: &Principal, after: Option<String>| {
            cluster.roles_page(who, after.as_deref(), PAGE)
        };
        self.list(&request, page, |roles| v1::ListRolesResponse { roles })
    }

    async fn list_offers(
        &self,
        request: Request<v1::ListOffersRequest>,
    ) -> Result<Response<Self::ListOffersStream>, Status> {
        let page = |cluster: &Cluster, now, who: &Principal, after| cluster.offers_page(now, who, after, PAGE);
        self.list(&request, page, |offers| v1::ListOffersResponse { offers })
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<Self::ListTasksStream>, Status> {
        let wanted = request.get_ref().clone();
        let page = move |cluster: &Cluster, _, who: &Principal, after| tasks_page(cluster, who, &wanted, after);
        self.list(&request, page, |tasks| v1::ListTasksResponse { tasks })
    }

    async fn list_limits(
        &self,
        request: Request<v1::ListLimitsRequest>,
    ) -> Result<Response<Self::ListLimitsStream>, Status> {
        Ok(Response::new(self.limits.stream(caller(&request)?.principal()?).await?))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let who = caller(&request)?.principal()?.clone();
        let events = watch::watch(self.handle.watch(&who)?, request.get_ref().batches);
        Ok(Response::new(self.known.while_valid(who, events)))
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Result<Response<v1::WhyResponse>, Status> {
        let caller = caller(&request)?;
        let framework = FrameworkId(request.get_ref().framework);
        let role = Some(request.get_ref().role.clone()).filter(|role| !role.is_empty());
        caller.about(framework);
        let who = caller.principal()?.clone();
        let why = self.whys.ask(who, framework, role.clone()).await?;
        let unknown = || match &role {
            Some(role) => Status::not_found(format!("there is no {framework} in the role {role:?}")),
            None => Status::not_found(format!("there is no {framework}")),
        };
        Ok(Response::new(why.ok_or_else(unknown)?.into()))
    }

    async fn set_weight(
        &self,
        request: Request<v1::SetWeightRequest>,
    ) -> Result<Response<v1::SetWeightResponse>, Status> {
        let caller = caller(&request)?;
        let v1::SetWeightRequest { role, weight: wanted, request } = request.into_inner();
        self.decide(&caller, &request, OperatorCommand::SetWeight { role, weight: weight(wanted)? }).await?;
        Ok(Response::new(v1::SetWeightResponse {}))
    }

    async fn set_quota(&self, request: Request<v1::SetQuotaRequest>) -> Result<Response<v1::SetQuotaResponse>, Status> {
        let caller = caller(&request)?;
        let v1::SetQuotaRequest { role, quota, force, request } = request.into_inner();
        let quota = quota.map(Quota::try_from).transpose()?;
        self.decide(&caller, &request, OperatorCommand::SetQuota { role, quota, force }).await?;
        Ok(Response::new(v1::SetQuotaResponse {}))
    }

    async fn reserve(&self, request: Request<v1::ReserveRequest>) -> Result<Response<v1::ReserveResponse>, Status> {
        let caller = caller(&request)?;
        let v1::ReserveRequest { agent, reserve, request } = request.into_inner();
        let missing = || Status::invalid_argument("what to reserve is missing");
        let operation = reserve.ok_or_else(missing)?.try_into()?;
        self.decide(&caller, &request, OperatorCommand::Reserve(AgentId(agent), operation)).await?;
        Ok(Response::new(v1::ReserveResponse {}))
    }

    async fn unreserve(
        &self,
        request: Request<v1::UnreserveRequest>,
    ) -> Result<Response<v1::UnreserveResponse>, Status> {
        let caller = caller(&request)?;
        let v1::UnreserveRequest { agent, unreserve, request } = request.into_inner();
        let missing = || Status::invalid_argument("what to unreserve is missing");
        let operation = unreserve.ok_or_else(missing)?.try_into()?;
        self.decide(&caller, &request, OperatorCommand::Reserve(AgentId(agent), operation)).await?;
        Ok(Response::new(v1::UnreserveResponse {}))
    }

    async fn create_volume(
        &self,
        request: Request<v1::CreateVolumeRequest>,
    ) -> Result<Response<v1::CreateVolumeResponse>, Status> {
        let caller = caller(&request)?;
        let v1::CreateVolumeRequest { agent, volume, request } = request.into_inner();
        let missing = || Status::invalid_argument("the volume to make is missing");
        let v1::CreateVolume { role, name, size_bytes } = volume.ok_or_else(missing)?;
        let (agent, size) = (AgentId(agent), Bytes::new(size_bytes));
        let command = OperatorCommand::CreateVolume { agent, role, name, size };
        match self.decide(&caller, &request, command).await? {
            Some(Answer::VolumeCreated(volume)) => {
                Ok(Response::new(v1::CreateVolumeResponse { volume: Some(volume.into()) }))
            }
            Some(_) | None => Err(Status::internal("the volume was made, and its id was not told")),
        }
    }

    async fn destroy_volume(
        &self,
        request: Request<v1::DestroyVolumeRequest>,
    ) -> Result<Response<v1::DestroyVolumeResponse>, Status> {
        let caller = caller(&request)?;
        let v1::DestroyVolumeRequest { volume, request } = request.into_inner();
        let missing = || Status::invalid_argument("the volume to destroy is missing");
        let volume = volume.ok_or_else(missing)?.into();
        self.decide(&caller, &request, OperatorCommand::DestroyVolume(volume)).await?;
        Ok(Response::new(v1::DestroyVolumeResponse {}))
    }

    async fn share_volume(
        &self,
        request: Request<v1::ShareVolumeRequest>,
    ) -> Result<Response<v1::ShareVolumeResponse>, Status> {
        let caller = caller(&request)?;
        let v1::ShareVolumeRequest { share, request } = request.into_inner();
        let missing = || Status::invalid_argument("the volume to share is missing");
        let v1::ShareVolume { volume, shared } = share.ok_or_else(missing)?;
        let volume = volume.ok_or_else(missing)?.into();
        self.decide(&caller, &request, OperatorCommand::ShareVolume { volume, shared }).await?;
        Ok(Response::new(v1::ShareVolumeResponse {}))
    }

    async fn list_volumes(
        &self,
        request: Request<v1::ListVolumesRequest>,
    ) -> Result<Response<Self::ListVolumesStream>, Status> {
        let page = |cluster: &Cluster, _, who: &Principal, after| cluster.volumes_page(who, after, VOLUMES_PAGE);
        self.list(&request, page, |volumes| v1::ListVolumesResponse { volumes })
    }

    async fn set_placement(
        &self,
        request: Request<v1::SetPlacementRequest>,
    ) -> Result<Response<v1::SetPlacementResponse>, Status> {
        let caller = caller(&request)?;
        let v1::SetPlacementRequest { role, placement: wanted, request } = request.into_inner();
        let command = OperatorCommand::SetPlacement { role, placement: placement(wanted)? };
        self.decide(&caller, &request, command).await?;
        Ok(Response::new(v1::SetPlacementResponse {}))
    }

    async fn set_min_allocatable(
        &self,
        request: Request<v1::SetMinAllocatableRequest>,
    ) -> Result<Response<v1::SetMinAllocatableResponse>, Status> {
        let caller = caller(&request)?;
        let v1::SetMinAllocatableRequest { role, least, request } = request.into_inner();
        let least = least.map(Resources::try_from).transpose()?;
        self.decide(&caller, &request, OperatorCommand::SetMinAllocatable { role, least }).await?;
        Ok(Response::new(v1::SetMinAllocatableResponse {}))
    }

    async fn kill_task(&self, request: Request<v1::KillTaskRequest>) -> Result<Response<v1::KillTaskResponse>, Status> {
        let caller = caller(&request)?;
        let v1::KillTaskRequest { task, request } = request.into_inner();
        self.decide(&caller, &request, OperatorCommand::KillTask(named_task(task)?)).await?;
        Ok(Response::new(v1::KillTaskResponse {}))
    }

    async fn run_again(&self, request: Request<v1::RunAgainRequest>) -> Result<Response<v1::RunAgainResponse>, Status> {
        let caller = caller(&request)?;
        let v1::RunAgainRequest { task, request } = request.into_inner();
        let begun = self.again.run(&caller, named_task(task)?, request_id(&request)?).await?;
        let (framework, task) = (begun.framework.0, begun.task.map(Into::into));
        Ok(Response::new(v1::RunAgainResponse { framework, task }))
    }

    async fn mark_agent_gone(
        &self,
        request: Request<v1::MarkAgentGoneRequest>,
    ) -> Result<Response<v1::MarkAgentGoneResponse>, Status> {
        let caller = caller(&request)?;
        let v1::MarkAgentGoneRequest { agent, request } = request.into_inner();
        self.decide(&caller, &request, OperatorCommand::AgentGone(AgentId(agent))).await?;
        Ok(Response::new(v1::MarkAgentGoneResponse {}))
    }

    async fn read_log(&self, request: Request<v1::ReadLogRequest>) -> Result<Response<Self::ReadLogStream>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let task = named_task(request.task)?;
        if request.stream() == OutputStream::Unspecified {
            return Err(Status::invalid_argument("stream is missing: standard output or standard error"));
        }
        caller.about(task);
        let who = caller.principal()?.clone();
        let agent = read_log::agent_of(&self.handle, task, who.clone()).await?;
        let log = read_log::stream(Arc::clone(&self.logs), agent, request);
        Ok(Response::new(self.known.while_valid(who, log)))
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::Principal>, Status> {
        Ok(Response::new(caller(&request)?.principal()?.into()))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let caller = caller(&request)?;
        let wanted = request.into_inner();
        let request = wanted.request.clone();
        let draft = Draft::new(caller.principal()?, request_id(&request)?, wanted, &self.reach).await?;
        self.decide(&caller, &request, OperatorCommand::CreateToken(draft.id, draft.record.clone())).await?;
        let text = draft.token.text().to_string();
        Ok(Response::new(v1::CreateTokenResponse { token: Some((draft.id, draft.record).into()), text }))
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<Self::ListTokensStream>, Status> {
        let page = |cluster: &Cluster, _, _: &Principal, after| {
            let (mut page, next) = cluster.tokens_page(after, PAGE);
            page.retain(is_live);
            (page, next)
        };
        self.list(&request, page, |tokens| v1::ListTokensResponse { tokens })
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let caller = caller(&request)?;
        let v1::RevokeTokenRequest { id, request } = request.into_inner();
        self.decide(&caller, &request, OperatorCommand::RevokeToken(token_id(&id)?)).await?;
        Ok(Response::new(v1::RevokeTokenResponse {}))
    }

    async fn remove_agent(
        &self,
        request: Request<v1::RemoveAgentRequest>,
    ) -> Result<Response<v1::RemoveAgentResponse>, Status> {
        let caller = caller(&request)?;
        let v1::RemoveAgentRequest { agent, request } = request.into_inner();
        self.decide(&caller, &request, OperatorCommand::RemoveAgent(AgentId(agent))).await?;
        Ok(Response::new(v1::RemoveAgentResponse {}))
    }

    async fn deactivate_agent(
        &self,
        request: Request<v1::DeactivateAgentRequest>,
    ) -> Result<Response<v1::DeactivateAgentResponse>, Status> {
        let caller = caller(&request)?;
        let v1::DeactivateAgentRequest { agent, request } = request.into_inner();
        self.decide(&caller, &request, OperatorCommand::Deactivate(AgentId(agent))).await?;
        Ok(Response::new(v1::DeactivateAgentResponse {}))
    }

    async fn drain_agent(
        &self,
        request: Request<v1::DrainAgentRequest>,
    ) -> Result<Response<v1::DrainAgentResponse>, Status> {
        let caller = caller(&request)?;
        let v1::DrainAgentRequest { agent, grace_ms, mark_gone, request } = request.into_inner();
        let grace = Duration::from_millis(grace_ms);
        self.decide(&caller, &request, OperatorCommand::Drain { agent: AgentId(agent), grace, mark_gone }).await?;
        Ok(Response::new(v1::DrainAgentResponse {}))
    }

    async fn reactivate_agent(
        &self,
        request: Request<v1::ReactivateAgentRequest>,
    ) -> Result<Response<v1::ReactivateAgentResponse>, Status> {
        let caller = caller(&request)?;
        let v1::ReactivateAgentRequest { agent, request } = request.into_inner();
        self.decide(&caller, &request, OperatorCommand::Reactivate(AgentId(agent))).await?;
        Ok(Response::new(v1::ReactivateAgentResponse {}))
    }

    async fn schedule_maintenance(
        &self,
        request: Request<v1::ScheduleMaintenanceRequest>,
    ) -> Result<Response<v1::ScheduleMaintenanceResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wall_ms = wall_clock_ms();
        let command = OperatorCommand::Schedule { maintenance: maintenance(&request, wall_ms)?, wall_ms };
        match self.decide(&caller, &request.request, command).await? {
            Some(Answer::Scheduled(id)) => Ok(Response::new(v1::ScheduleMaintenanceResponse { id: id.0 })),
            Some(_) | None => Err(Status::internal("the window was made, and its number was not told")),
        }
    }

    async fn cancel_maintenance(
        &self,
        request: Request<v1::CancelMaintenanceRequest>,
    ) -> Result<Response<v1::CancelMaintenanceResponse>, Status> {
        let caller = caller(&request)?;
        let v1::CancelMaintenanceRequest { id, request } = request.into_inner();
        self.decide(&caller, &request, OperatorCommand::CancelMaintenance(MaintenanceId(id))).await?;
        Ok(Response::new(v1::CancelMaintenanceResponse {}))
    }

    async fn list_maintenance(
        &self,
        request: Request<v1::ListMaintenanceRequest>,
    ) -> Result<Response<Self::ListMaintenanceStream>, Status> {
        // Each may name thousands of agents.
        let page = |cluster: &Cluster, _, _: &Principal, after| cluster.maintenance_page(after, MAINTENANCE_PAGE);
        self.list(&request, page, |maintenance| v1::ListMaintenanceResponse { maintenance })
    }

    async fn show_authority(
        &self,
        _: Request<v1::ShowAuthorityRequest>,
    ) -> Result<Response<v1::AuthorityInfo>, Status> {
        Ok(Response::new(self.authority.show().await?))
    }

    async fn rotate_authority(
        &self,
        request: Request<v1::RotateAuthorityRequest>,
    ) -> Result<Response<v1::AuthorityInfo>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.authority.rotate(&caller, request.get_ref()).await?))
    }

    async fn finish_rotation(
        &self,
        request: Request<v1::FinishRotationRequest>,
    ) -> Result<Response<v1::AuthorityInfo>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.authority.finish(&caller, request.get_ref()).await?))
    }

    async fn follow_authority(
        &self,
        request: Request<v1::FollowAuthorityRequest>,
    ) -> Result<Response<v1::FollowAuthorityResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.authority.follow(&caller, request.get_ref()).await?))
    }
}

fn named_task(task: Option<v1::TaskId>) -> Result<TaskId, Status> {
    task.map(TaskId::from).ok_or_else(|| Status::invalid_argument("task is missing"))
}
