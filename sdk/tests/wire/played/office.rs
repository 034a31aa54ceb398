//! What a played master tells operators.

use std::pin::Pin;
use std::sync::Arc;

use haggle_proto::v1;
use haggle_proto::v1::operator_server::Operator;
use haggle_sdk::TaskId;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::{CLUSTER, Stage};

/// A list that comes in pieces.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A list as it comes: here one thing to a piece.
fn pieces<T: Send + 'static, P: Send + 'static>(things: Vec<T>, piece: fn(Vec<T>) -> P) -> Response<Answers<P>> {
    let pieces: Vec<_> = things.into_iter().map(|thing| Ok(piece(vec![thing]))).collect();
    Response::new(Box::pin(tokio_stream::iter(pieces)))
}

/// Answers operators.
pub(super) struct Office(pub(super) Arc<Stage>);

fn plain() -> Status {
    Status::failed_precondition("this master speaks plain text, and has no authority")
}

#[tonic::async_trait]
impl Operator for Office {
    type ListAgentsStream = Answers<v1::ListAgentsResponse>;
    type ListFrameworksStream = Answers<v1::ListFrameworksResponse>;
    type ListRolesStream = Answers<v1::ListRolesResponse>;
    type ListOffersStream = Answers<v1::ListOffersResponse>;
    type ListTasksStream = Answers<v1::ListTasksResponse>;
    type ListTokensStream = Answers<v1::ListTokensResponse>;
    type ListLimitsStream = Answers<v1::ListLimitsResponse>;
    type ListVolumesStream = Answers<v1::ListVolumesResponse>;
    type ListMaintenanceStream = Answers<v1::ListMaintenanceResponse>;
    type WatchStream = Answers<v1::WatchEvent>;
    type ReadLogStream = Answers<v1::LogData>;

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::Principal>, Status> {
        self.0.admit(&request)?;
        let kind = v1::PrincipalKind::Operator.into();
        Ok(Response::new(v1::Principal { name: "played".to_owned(), kind, roles: Vec::new() }))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let v1::CreateTokenRequest { kind, name, roles, ttl_ms, uses, request } = request.into_inner();
        let token = v1::Token {
            id: vec![7; 8],
            principal: Some(v1::Principal { name, kind, roles }),
            made_ms: 1000,
            expires_ms: 1000 + ttl_ms.unwrap(),
            uses_left: uses,
            made_by: "played".to_owned(),
            ..Default::default()
        };
        *self.0.tokens.lock().unwrap() = vec![token.clone()];
        self.0.requested(request)?;
        Ok(Response::new(v1::CreateTokenResponse { token: Some(token), text: "hgl1.played".to_owned() }))
    }

    async fn list_tokens(&self, _: Request<v1::ListTokensRequest>) -> Result<Response<Self::ListTokensStream>, Status> {
        let tokens = self.0.tokens.lock().unwrap().clone();
        Ok(pieces(tokens, |tokens| v1::ListTokensResponse { tokens }))
    }

    async fn list_limits(&self, _: Request<v1::ListLimitsRequest>) -> Result<Response<Self::ListLimitsStream>, Status> {
        let principal =
            v1::Principal { name: "ci".to_owned(), kind: v1::PrincipalKind::Framework.into(), roles: Vec::new() };
        let of = |principal, limit: &str, most| v1::LimitUse {
            principal,
            limit: limit.to_owned(),
            most,
            has: 1,
            refused: 2,
            ..Default::default()
        };
        let limits = vec![of(Some(principal), "watches", Some(3)), of(None, "strangers", None)];
        Ok(pieces(limits, |limits| v1::ListLimitsResponse { limits }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let id = request.into_inner().id;
        self.0.tokens.lock().unwrap().retain(|token| token.id != id);
        Ok(Response::new(v1::RevokeTokenResponse {}))
    }

    async fn remove_agent(
        &self,
        request: Request<v1::RemoveAgentRequest>,
    ) -> Result<Response<v1::RemoveAgentResponse>, Status> {
        match request.into_inner().agent {
            403 => Err(Status::permission_denied("\"played\" (viewer) may not remove agents")),
            _ => Ok(Response::new(v1::RemoveAgentResponse {})),
        }
    }

    async fn deactivate_agent(
        &self,
        request: Request<v1::DeactivateAgentRequest>,
    ) -> Result<Response<v1::DeactivateAgentResponse>, Status> {
        self.0.requested(request.into_inner().request)?;
        Ok(Response::new(v1::DeactivateAgentResponse {}))
    }

    async fn drain_agent(
        &self,
        request: Request<v1::DrainAgentRequest>,
    ) -> Result<Response<v1::DrainAgentResponse>, Status> {
        self.0.requested(request.into_inner().request)?;
        Ok(Response::new(v1::DrainAgentResponse {}))
    }

    async fn reactivate_agent(
        &self,
        request: Request<v1::ReactivateAgentRequest>,
    ) -> Result<Response<v1::ReactivateAgentResponse>, Status> {
        self.0.requested(request.into_inner().request)?;
        Ok(Response::new(v1::ReactivateAgentResponse {}))
    }

    async fn schedule_maintenance(
        &self,
        request: Request<v1::ScheduleMaintenanceRequest>,
    ) -> Result<Response<v1::ScheduleMaintenanceResponse>, Status> {
        self.0.requested(request.into_inner().request)?;
        Ok(Response::new(v1::ScheduleMaintenanceResponse { id: 1 }))
    }

    async fn cancel_maintenance(
        &self,
        request: Request<v1::CancelMaintenanceRequest>,
    ) -> Result<Response<v1::CancelMaintenanceResponse>, Status> {
        self.0.requested(request.into_inner().request)?;
        Ok(Response::new(v1::CancelMaintenanceResponse {}))
    }

    async fn list_maintenance(
        &self,
        _: Request<v1::ListMaintenanceRequest>,
    ) -> Result<Response<Self::ListMaintenanceStream>, Status> {
        Ok(pieces(Vec::new(), |maintenance| v1::ListMaintenanceResponse { maintenance }))
    }

    async fn show_authority(
        &self,
        _: Request<v1::ShowAuthorityRequest>,
    ) -> Result<Response<v1::AuthorityInfo>, Status> {
        Err(plain())
    }

    async fn rotate_authority(
        &self,
        _: Request<v1::RotateAuthorityRequest>,
    ) -> Result<Response<v1::AuthorityInfo>, Status> {
        Err(plain())
    }

    async fn finish_rotation(
        &self,
        _: Request<v1::FinishRotationRequest>,
    ) -> Result<Response<v1::AuthorityInfo>, Status> {
        Err(plain())
    }

    async fn follow_authority(
        &self,
        _: Request<v1::FollowAuthorityRequest>,
    ) -> Result<Response<v1::FollowAuthorityResponse>, Status> {
        Err(plain())
    }

    async fn get_master(&self, _: Request<v1::GetMasterRequest>) -> Result<Response<v1::MasterInfo>, Status> {
        self.0.refuse()?;
        let cluster = CLUSTER.0.to_be_bytes().to_vec();
        let (version, time_ms) = ("played".to_owned(), 1_799_550_000_000);
        Ok(Response::new(v1::MasterInfo { version, uptime_ms: 1500, cluster, epoch: 1, time_ms }))
    }

    async fn list_agents(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<Self::ListAgentsStream>, Status> {
        self.0.refuse()?;
        self.0.admit(&request)?;
        let agents = self.0.agents.lock().unwrap().clone();
        let list = pieces(agents, |agents| v1::ListAgentsResponse { agents });
        // All of it comes, but for its end.
        let lost = self.0.loses_answer().err().map(Err);
        Ok(list.map(|list| Box::pin(list.chain(tokio_stream::iter(lost))) as Self::ListAgentsStream))
    }

    async fn list_frameworks(
        &self,
        _: Request<v1::ListFrameworksRequest>,
    ) -> Result<Response<Self::ListFrameworksStream>, Status> {
        Ok(pieces(Vec::new(), |frameworks| v1::ListFrameworksResponse { frameworks }))
    }

    async fn list_roles(&self, _: Request<v1::ListRolesRequest>) -> Result<Response<Self::ListRolesStream>, Status> {
        // A role without its resources: what the contract does not allow.
        Ok(pieces(vec![v1::Role::default()], |roles| v1::ListRolesResponse { roles }))
    }

    async fn list_offers(&self, _: Request<v1::ListOffersRequest>) -> Result<Response<Self::ListOffersStream>, Status> {
        Ok(pieces(Vec::new(), |offers| v1::ListOffersResponse { offers }))
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<Self::ListTasksStream>, Status> {
        let v1::ListTasksRequest { only, name, .. } = request.into_inner();
        let mut tasks = self.0.tasks.lock().unwrap().clone();
        tasks.retain(|task| (only.is_none() || task.id == only) && (name.is_empty() || task.name == name));
        Ok(pieces(tasks, |tasks| v1::ListTasksResponse { tasks }))
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let events = std::mem::take(&mut *self.0.watch.lock().unwrap());
        Ok(Response::new(Box::pin(tokio_stream::iter(events))))
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Result<Response<v1::WhyResponse>, Status> {
        let framework = request.into_inner().framework;
        let why = self.0.why.lock().unwrap().clone().filter(|why| why.framework == framework);
        why.map(Response::new).ok_or_else(|| Status::not_found(format!("there is no framework-{framework}")))
    }

    async fn set_weight(
        &self,
        request: Request<v1::SetWeightRequest>,
    ) -> Result<Response<v1::SetWeightResponse>, Status> {
        let request = request.into_inner();
        let name = request.request.clone();
        self.0.weights.lock().unwrap().push(v1::SetWeightRequest { request: Vec::new(), ..request });
        self.0.requested(name)?;
        Ok(Response::new(v1::SetWeightResponse {}))
    }

    async fn reserve(&self, request: Request<v1::ReserveRequest>) -> Result<Response<v1::ReserveResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.request.len(), 16);
        self.0.reserved.lock().unwrap().push(v1::ReserveRequest { request: Vec::new(), ..request });
        Ok(Response::new(v1::ReserveResponse {}))
    }

    async fn unreserve(
        &self,
        request: Request<v1::UnreserveRequest>,
    ) -> Result<Response<v1::UnreserveResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.request.len(), 16);
        self.0.unreserved.lock().unwrap().push(v1::UnreserveRequest { request: Vec::new(), ..request });
        Ok(Response::new(v1::UnreserveResponse {}))
    }

    async fn create_volume(
        &self,
        request: Request<v1::CreateVolumeRequest>,
    ) -> Result<Response<v1::CreateVolumeResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.request.len(), 16);
        let volume = Some(v1::VolumeId { agent: request.agent, number: 7 });
        self.0.made.lock().unwrap().push(v1::CreateVolumeRequest { request: Vec::new(), ..request });
        Ok(Response::new(v1::CreateVolumeResponse { volume }))
    }

    async fn destroy_volume(
        &self,
        request: Request<v1::DestroyVolumeRequest>,
    ) -> Result<Response<v1::DestroyVolumeResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.request.len(), 16);
        self.0.destroyed.lock().unwrap().push(v1::DestroyVolumeRequest { request: Vec::new(), ..request });
        Ok(Response::new(v1::DestroyVolumeResponse {}))
    }

    async fn share_volume(
        &self,
        request: Request<v1::ShareVolumeRequest>,
    ) -> Result<Response<v1::ShareVolumeResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.request.len(), 16);
        self.0.shared.lock().unwrap().push(v1::ShareVolumeRequest { request: Vec::new(), ..request });
        Ok(Response::new(v1::ShareVolumeResponse {}))
    }

    async fn list_volumes(
        &self,
        _: Request<v1::ListVolumesRequest>,
    ) -> Result<Response<Self::ListVolumesStream>, Status> {
        Ok(pieces(self.0.volumes.lock().unwrap().clone(), |volumes| v1::ListVolumesResponse { volumes }))
    }

    async fn set_quota(&self, request: Request<v1::SetQuotaRequest>) -> Result<Response<v1::SetQuotaResponse>, Status> {
        let request = request.into_inner();
        let name = request.request.clone();
        self.0.quotas.lock().unwrap().push(v1::SetQuotaRequest { request: Vec::new(), ..request });
        self.0.requested(name)?;
        Ok(Response::new(v1::SetQuotaResponse {}))
    }

    async fn set_placement(
        &self,
        request: Request<v1::SetPlacementRequest>,
    ) -> Result<Response<v1::SetPlacementResponse>, Status> {
        let request = request.into_inner();
        let name = request.request.clone();
        self.0.placements.lock().unwrap().push(v1::SetPlacementRequest { request: Vec::new(), ..request });
        self.0.requested(name)?;
        Ok(Response::new(v1::SetPlacementResponse {}))
    }

    async fn set_min_allocatable(
        &self,
        request: Request<v1::SetMinAllocatableRequest>,
    ) -> Result<Response<v1::SetMinAllocatableResponse>, Status> {
        let request = request.into_inner();
        let name = request.request.clone();
        self.0.least_offers.lock().unwrap().push(v1::SetMinAllocatableRequest { request: Vec::new(), ..request });
        self.0.requested(name)?;
        Ok(Response::new(v1::SetMinAllocatableResponse {}))
    }

    async fn kill_task(&self, request: Request<v1::KillTaskRequest>) -> Result<Response<v1::KillTaskResponse>, Status> {
        let v1::KillTaskRequest { task, request } = request.into_inner();
        let task = TaskId::from(task.unwrap());
        self.0.requested(request)?;
        if task.number == 404 {
            return Err(Status::not_found(format!("there is no {task}")));
        }
        self.0.kills.lock().unwrap().push(task);
        Ok(Response::new(v1::KillTaskResponse {}))
    }

    async fn run_again(&self, request: Request<v1::RunAgainRequest>) -> Result<Response<v1::RunAgainResponse>, Status> {
        let v1::RunAgainRequest { task, request } = request.into_inner();
        let task = TaskId::from(task.unwrap());
        self.0.requested(request)?;
        if task.number == 404 {
            return Err(Status::not_found(format!("there is no {task}")));
        }
        let framework = task.framework.0 + 1;
        Ok(Response::new(v1::RunAgainResponse { framework, task: Some(v1::TaskId { framework, number: 1 }) }))
    }

    async fn mark_agent_gone(
        &self,
        request: Request<v1::MarkAgentGoneRequest>,
    ) -> Result<Response<v1::MarkAgentGoneResponse>, Status> {
        let v1::MarkAgentGoneRequest { agent, request } = request.into_inner();
        self.0.agents_gone.lock().unwrap().push(agent);
        self.0.requested(request)?;
        Ok(Response::new(v1::MarkAgentGoneResponse {}))
    }

    async fn read_log(&self, request: Request<v1::ReadLogRequest>) -> Result<Response<Self::ReadLogStream>, Status> {
        self.0.log_requests.lock().unwrap().push(request.into_inner());
        let pieces = self.0.logs.lock().unwrap().remove(0);
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }
}
