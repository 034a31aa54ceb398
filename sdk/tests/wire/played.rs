//! A master that does what a test tells it, and nothing of itself.

mod office;
mod session;
mod shelf;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haggle_core::Resources;
use haggle_proto::v1;
use haggle_proto::v1::artifacts_server::ArtifactsServer;
use haggle_proto::v1::frameworks_server::{Frameworks, FrameworksServer};
use haggle_proto::v1::operator_server::OperatorServer;
use haggle_sdk::{Bytes, ClusterId, FrameworkId, Member, MilliCpu, TaskId};
use haggle_tls::Bearer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use office::Office;
pub(crate) use session::Session;
use shelf::Shelf;

/// Long enough for the slowest machine; a test that waits for this has failed.
const TOO_LONG: Duration = Duration::from_secs(20);

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
    /// What there is elsewhere, by its source.
    pub(crate) elsewhere: Mutex<HashMap<String, Vec<u8>>>,
    pub(crate) pulls: Mutex<Vec<v1::PullRequest>>,
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
        self.loses_answer()
    }

    /// Fails as often as answers are to be lost.
    fn loses_answer(&self) -> Result<(), Status> {
        let mut lost = self.answers_lost.lock().unwrap();
        *lost = lost.checked_sub(1).map_or(Ok(0), |left| {
            *lost = left;
            Err(Status::unavailable("connection reset"))
        })?;
        Ok(())
    }
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
