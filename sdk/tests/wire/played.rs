//! A master that does what a test tells it, and nothing of itself.

mod session;
mod shelf;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haggle_core::Resources;
use haggle_proto::v1;
use haggle_proto::v1::artifacts_server::ArtifactsServer;
use haggle_proto::v1::frameworks_server::{Frameworks, FrameworksServer};
use haggle_proto::v1::operator_server::{Operator, OperatorServer};
use haggle_sdk::{Bytes, ClusterId, FrameworkId, Member, MilliCpu, TaskId};
use haggle_tls::Bearer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use session::Session;
use shelf::Shelf;

/// Long enough for the slowest machine; a test that waits for this has failed.
const TOO_LONG: Duration = Duration::from_secs(20);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The cluster that every played master is of.
pub(crate) const CLUSTER: ClusterId = ClusterId(7);

/// A framework of that cluster.
pub(crate) fn member(id: u64) -> Member<FrameworkId> {
    Member { cluster: CLUSTER, id: FrameworkId(id) }
}

/// What the test and the services share.
#[derive(Default)]
pub(crate) struct Stage {
    /// Who leads, if this master only stands by.
    pub(crate) leader: Mutex<Option<String>>,
    /// How many answers to a request are lost on the way.
    pub(crate) answers_lost: Mutex<usize>,
    pub(crate) requests: Mutex<Vec<Vec<u8>>>,
    pub(crate) agents_gone: Mutex<Vec<u64>>,
    pub(crate) agents: Mutex<Vec<v1::Agent>>,
    pub(crate) tasks: Mutex<Vec<v1::Task>>,
    pub(crate) artifacts: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    pub(crate) uploads: Mutex<usize>,
    /// What each call of `ReadLog` answers, in order.
    pub(crate) logs: Mutex<Vec<Vec<Result<v1::LogData, Status>>>>,
    pub(crate) log_requests: Mutex<Vec<v1::ReadLogRequest>>,
    pub(crate) watch: Mutex<Vec<Result<v1::WatchEvent, Status>>>,
    pub(crate) kills: Mutex<Vec<TaskId>>,
    pub(crate) why: Mutex<Option<v1::WhyResponse>>,
    /// Without the names of the requests.
    pub(crate) weights: Mutex<Vec<v1::SetWeightRequest>>,
    pub(crate) placements: Mutex<Vec<v1::SetPlacementRequest>>,
    pub(crate) least_offers: Mutex<Vec<v1::SetMinAllocatableRequest>>,
    pub(crate) quotas: Mutex<Vec<v1::SetQuotaRequest>>,
    pub(crate) reserved: Mutex<Vec<v1::ReserveRequest>>,
    pub(crate) unreserved: Mutex<Vec<v1::UnreserveRequest>>,
    pub(crate) volumes: Mutex<Vec<v1::VolumeView>>,
    pub(crate) made: Mutex<Vec<v1::CreateVolumeRequest>>,
    pub(crate) shared: Mutex<Vec<v1::ShareVolumeRequest>>,
    pub(crate) destroyed: Mutex<Vec<v1::DestroyVolumeRequest>>,
    /// Whom alone it lets in, if not everybody.
    pub(crate) admits: Mutex<Option<Bearer>>,
    pub(crate) turned_away: Mutex<usize>,
    pub(crate) tokens: Mutex<Vec<v1::Token>>,
}

/// A played master, and the sessions that frameworks begin with it.
pub(crate) struct Played {
    pub(crate) address: SocketAddr,
    pub(crate) stage: Arc<Stage>,
    sessions: mpsc::Receiver<Session>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Played {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), Arc::default()).await
    }

    /// A master with one agent of four cores, which is agent-1.
    pub(crate) async fn with_agent() -> Self {
        let played = Self::start().await;
        played.stage.agents.lock().unwrap().push(agent(4000));
        played
    }

    pub(crate) async fn start_at(address: SocketAddr, stage: Arc<Stage>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, sessions) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::builder()
            .add_service(FrameworksServer::new(Stalls { begun, stage: Arc::clone(&stage) }))
            .add_service(OperatorServer::new(Office(Arc::clone(&stage))))
            .add_service(ArtifactsServer::new(Shelf(Arc::clone(&stage))))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
                let _ = stopped.await;
            });
        let server = tokio::spawn(async move { server.await.unwrap() });
        Self { address, stage, sessions, stop, server }
    }

    pub(crate) fn url(&self) -> String {
        self.address.to_string()
    }

    /// The next session that a framework begins.
    pub(crate) async fn session(&mut self) -> Session {
        timeout(TOO_LONG, self.sessions.recv()).await.expect("a framework comes").expect("the master runs")
    }

    /// Stops listening, once every stream has ended: end the sessions that the test holds first.
    pub(crate) async fn stop(self) -> (SocketAddr, Arc<Stage>) {
        // A framework may be back already on the old connection: that session ends here as well.
        drop(self.sessions);
        let _ = self.stop.send(());
        timeout(TOO_LONG, self.server).await.expect("every stream has ended").unwrap();
        (self.address, self.stage)
    }
}

pub(crate) fn resources(milli: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), Bytes::from_mib(1024), Bytes::from_mib(1024))
}

pub(crate) fn agent(milli: u64) -> v1::Agent {
    v1::Agent {
        id: 1,
        info: Some(v1::AgentInfo {
            name: "a1".to_owned(),
            resources: Some(resources(milli).into()),
            ..Default::default()
        }),
        connected: true,
        draining: false,
        withdrawal: None,
        unavailability: None,
        used: Some(Resources::default().into()),
        offered: Some(Resources::default().into()),
        tasks: 0,
        ..Default::default()
    }
}

struct Stalls {
    begun: mpsc::Sender<Session>,
    stage: Arc<Stage>,
}

impl Stage {
    /// Turns away whoever is not let in.
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(admitted) = self.admits.lock().unwrap().clone() else { return Ok(()) };
        let shown = request.metadata().get("authorization").and_then(|shown| shown.to_str().ok());
        if shown.and_then(|shown| Bearer::from_authorization(shown).ok()) == Some(admitted) {
            return Ok(());
        }
        *self.turned_away.lock().unwrap() += 1;
        Err(Status::unauthenticated("who is that?"))
    }

    /// Refuses, as a master that stands by refuses everything.
    fn refuse(&self) -> Result<(), Status> {
        let Some(leader) = self.leader.lock().unwrap().clone() else { return Ok(()) };
        let mut status = Status::unavailable(format!("this master stands by, {leader} leads"));
        status.metadata_mut().insert(haggle_proto::LEADER, leader.parse().unwrap());
        Err(status)
    }

    /// Takes note of a request; its answer may be lost.
    fn requested(&self, request: Vec<u8>) -> Result<(), Status> {
        self.requests.lock().unwrap().push(request);
        let mut lost = self.answers_lost.lock().unwrap();
        *lost = lost.checked_sub(1).map_or(Ok(0), |left| {
            *lost = left;
            Err(Status::unavailable("connection reset"))
        })?;
        Ok(())
    }
}

/// A list as it comes: here one thing to a piece.
fn pieces<T: Send + 'static, P: Send + 'static>(things: Vec<T>, piece: fn(Vec<T>) -> P) -> Response<Answers<P>> {
    let pieces: Vec<_> = things.into_iter().map(|thing| Ok(piece(vec![thing]))).collect();
    Response::new(Box::pin(tokio_stream::iter(pieces)))
}

#[tonic::async_trait]
impl Frameworks for Stalls {
    type SessionStream = ReceiverStream<Result<v1::FrameworkEvents, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::FrameworkCalls>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.stage.refuse()?;
        self.stage.admit(&request)?;
        let (events, outgoing) = mpsc::channel(64);
        let session = Session { calls: request.into_inner(), heard: Default::default(), events };
        self.begun.send(session).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

struct Office(Arc<Stage>);

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
        Ok(pieces(agents, |agents| v1::ListAgentsResponse { agents }))
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
        let only = request.into_inner().only;
        let mut tasks = self.0.tasks.lock().unwrap().clone();
        tasks.retain(|task| only.is_none() || task.id == only);
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
