//! A master that does what a test says, over real sockets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use haggle_agent::{Config, Declared};
use haggle_core::{
    AgentId, Bytes, ClusterId, Digest, FrameworkId, Grants, Limits, Member, MilliCpu, Resources, Sharing, TaskId,
    TaskSpec,
};
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_server::{Agents, AgentsServer};
use haggle_proto::v1::artifacts_server::{Artifacts, ArtifactsServer};
use haggle_proto::{LEADER, MESSAGE_MAX, v1};
use haggle_upgrade::Upgrades;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// Whatever takes longer has failed: compiling a guest in a debug build on a busy machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must happen.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it should have happened by now")
}

/// The `haggle` executable, which executors are started from: in `HAGGLE_TEST_BIN`, or beside the folder of this test.
fn program() -> PathBuf {
    let beside = || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let folder = std::env::var_os("HAGGLE_TEST_BIN").map_or_else(beside, PathBuf::from);
    let program = folder.join(format!("haggle{}", std::env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "{} is not built; run `cargo build --workspace --bins`", program.display());
    program
}

/// A master without a will of its own.
pub(crate) struct Master {
    address: SocketAddr,
    sessions: mpsc::Receiver<Session>,
    store: Store,
    standing_by: StandingBy,
    turned_away: Arc<AtomicUsize>,
}

/// Whether a master stands by, and for whom if that is known.
type StandingBy = Arc<Mutex<Option<Option<String>>>>;

/// The cluster of every played master.
pub(crate) fn cluster_id() -> ClusterId {
    ClusterId(0xc1)
}

/// Agent `id` of that cluster.
pub(crate) fn member(id: u64) -> v1::Member {
    Member { cluster: cluster_id(), id: AgentId(id) }.into()
}

#[derive(Clone, Default)]
struct Store {
    artifacts: Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>,
    downloads: Arc<AtomicUsize>,
}

/// Answers calls, in HTTP/2 or on connections of their own, as masters do.
async fn serve(listener: TcpListener, services: Routes) {
    let upgrades = Upgrades::<TcpStream, _, _>::new(services, ());
    while let Ok((stream, _)) = listener.accept().await {
        let upgrades = upgrades.clone();
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let mut upgrades = upgrades.clone();
            tower::Service::call(&mut upgrades, request.map(Body::new))
        });
        tokio::spawn(async move {
            let http = Builder::new(TokioExecutor::new());
            let _ = http.serve_connection_with_upgrades(TokioIo::new(stream), answer).await;
        });
    }
}

impl Master {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, sessions) = mpsc::channel(8);
        let store = Store::default();
        let (standing_by, turned_away) = (StandingBy::default(), Arc::default());
        let door = Door { opened, standing_by: Arc::clone(&standing_by), turned_away: Arc::clone(&turned_away) };
        let sessions_of_agents = AgentsServer::new(door).max_decoding_message_size(MESSAGE_MAX);
        let services = Routes::new(sessions_of_agents).add_service(ArtifactsServer::new(store.clone())).prepare();
        tokio::spawn(serve(listener, services));
        Self { address, sessions, store, standing_by, turned_away }
    }

    /// An agent of this master, with one cpu, in this folder.
    pub(crate) fn agent(&self, dir: &Path) -> Config {
        Config {
            resources: Declared {
                cpus: Some(MilliCpu::from_cores(1)),
                mem: Some(Bytes::from_mib(256)),
                disk: Some(Bytes::from_mib(64)),
                ..Declared::default()
            },
            kill_grace: Duration::ZERO,
            program: program(),
            // Nothing outlives a test.
            recovery_timeout: Duration::ZERO,
            ..Config::new(self.address.to_string(), "tester", dir.join("work"), dir.join("cache"))
        }
    }

    /// The next agent that comes, and what it says first. It is not answered yet.
    pub(crate) async fn knock(&mut self) -> (v1::RegisterAgent, Session) {
        let mut session = soon(self.sessions.recv()).await.unwrap();
        match session.hear().await {
            Report::Register(register) => (register, session),
            other => panic!("the first report is the registration, not {other:?}"),
        }
    }

    /// The next agent that comes, taken in as agent 1.
    pub(crate) async fn welcome(&mut self) -> Session {
        let (_, session) = self.knock().await;
        session.take_in(1).await;
        session
    }

    /// From now on it stands by, and says who leads if it knows.
    pub(crate) fn stand_by(&self, leader: Option<&Master>) {
        *self.standing_by.lock().unwrap() = Some(leader.map(|leader| format!("http://{}", leader.address)));
    }

    /// From now on it leads.
    pub(crate) fn lead(&self) {
        *self.standing_by.lock().unwrap() = None;
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many agents have come while it stood by.
    pub(crate) fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::SeqCst)
    }

    /// Stores a module and gives its digest.
    pub(crate) fn module(&self, wat: &str) -> Digest {
        let bytes = wat::parse_str(wat).unwrap();
        let digest = Digest(Sha256::digest(&bytes).into());
        self.store(digest, bytes);
        digest
    }

    /// Stores bytes under any name.
    pub(crate) fn store(&self, digest: Digest, bytes: Vec<u8>) {
        self.store.artifacts.lock().unwrap().insert(digest.0.to_vec(), bytes);
    }

    pub(crate) fn downloads(&self) -> usize {
        self.store.downloads.load(Ordering::SeqCst)
    }
}

/// One connection of one agent. Dropping it ends the connection.
pub(crate) struct Session {
    reports: Streaming<v1::AgentReports>,
    heard: Vec<v1::AgentReport>,
    orders: mpsc::Sender<Result<v1::AgentOrders, Status>>,
    /// Of the master that speaks.
    pub(crate) epoch: u64,
}

impl Session {
    pub(crate) async fn order(&self, order: Order) {
        self.order_all(vec![order]).await;
    }

    /// Orders in one message.
    pub(crate) async fn order_all(&self, orders: Vec<Order>) {
        let orders = orders.into_iter().map(|order| v1::AgentOrder { order: Some(order) }).collect();
        self.orders.send(Ok(v1::AgentOrders { orders, epoch: self.epoch, passes: Vec::new() })).await.unwrap();
    }

    /// Takes the agent in under this id.
    pub(crate) async fn take_in(&self, id: u64) {
        self.order(self.registered(id)).await;
    }

    /// The word that takes the agent in under this id.
    pub(crate) fn registered(&self, id: u64) -> Order {
        Order::Registered(v1::AgentRegistered { member: Some(member(id)), epoch: self.epoch })
    }

    /// Turns the agent away.
    pub(crate) async fn refuse(&self, why: &str, then: v1::agent_refused::Then) {
        self.order(Order::Refused(v1::AgentRefused { why: why.to_owned(), then: then.into() })).await;
    }

    pub(crate) async fn launch(&self, spec: TaskSpec) {
        self.order(Order::Launch(spec.into())).await;
    }

    pub(crate) async fn kill(&self, task: TaskId) {
        self.order(Order::Kill(task.into())).await;
    }

    pub(crate) async fn acknowledge(&self, status: &v1::TaskStatus) {
        let task = status.task;
        self.order(Order::Acknowledge(v1::UpdateAck { task, update: status.update, agent: None })).await;
    }

    /// The next report. Heartbeats are answered and passed over, and so is that there are no volumes.
    pub(crate) async fn hear(&mut self) -> Report {
        loop {
            match self.hear_even_heartbeats().await {
                Report::Heartbeat(_) => self.order(Order::Heartbeat(v1::Heartbeat::default())).await,
                Report::Volumes(held) if held.volumes.is_empty() => {}
                other => return other,
            }
        }
    }

    pub(crate) async fn hear_even_heartbeats(&mut self) -> Report {
        while self.heard.is_empty() {
            let message = soon(self.reports.message()).await.unwrap();
            self.heard = message.expect("the agent should not have hung up").reports;
        }
        self.heard.remove(0).report.unwrap()
    }

    /// The next update in which the task has this state; earlier ones are acknowledged, this one is not.
    pub(crate) async fn hear_of(&mut self, task: TaskId, state: v1::TaskState) -> v1::TaskStatus {
        loop {
            let Report::Updates(updates) = self.hear().await else { continue };
            for status in updates.statuses {
                assert_eq!(status.task, Some(task.into()), "{status:?}");
                if status.state() == state {
                    return status;
                }
                self.acknowledge(&status).await;
            }
        }
    }

    /// Asks for standard output from `offset`.
    pub(crate) async fn read(&mut self, task: TaskId, offset: u64, wait: bool) -> v1::LogChunk {
        let stream = v1::OutputStream::Stdout.into();
        let order = v1::ReadLogOrder { request: 77, task: Some(task.into()), stream, offset, wait };
        self.order(Order::ReadLog(order)).await;
        loop {
            if let Report::Log(chunk) = self.hear().await {
                assert_eq!(chunk.request, 77);
                return chunk;
            }
        }
    }

    /// Whether the agent has hung up.
    pub(crate) async fn closed(&mut self) {
        while let Ok(Some(_)) = soon(self.reports.message()).await {}
    }
}

struct Door {
    opened: mpsc::Sender<Session>,
    standing_by: StandingBy,
    turned_away: Arc<AtomicUsize>,
}

type Answer<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Agents for Door {
    type SessionStream = Answer<v1::AgentOrders>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentReports>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        if let Some(leader) = &*self.standing_by.lock().unwrap() {
            self.turned_away.fetch_add(1, Ordering::SeqCst);
            let mut status = Status::unavailable("this master stands by");
            if let Some(leader) = leader {
                status.metadata_mut().insert(LEADER, leader.parse().unwrap());
            }
            return Err(status);
        }
        let (orders, outgoing) = mpsc::channel(64);
        let session = Session { reports: request.into_inner(), heard: Vec::new(), orders, epoch: 1 };
        self.opened.send(session).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(outgoing).boxed()))
    }
}

#[tonic::async_trait]
impl Artifacts for Store {
    type DownloadStream = Answer<v1::DownloadChunk>;
    type PullStream = Answer<v1::PullProgress>;
    type ListKeptStream = Answer<v1::ListKeptResponse>;

    async fn upload(&self, _: Request<Streaming<v1::UploadChunk>>) -> Result<Response<v1::Artifact>, Status> {
        Err(Status::unimplemented("agents do not upload"))
    }

    async fn download(&self, request: Request<v1::ArtifactRef>) -> Result<Response<Self::DownloadStream>, Status> {
        self.downloads.fetch_add(1, Ordering::SeqCst);
        let found = self.artifacts.lock().unwrap().get(&request.into_inner().digest).cloned();
        let bytes = found.ok_or_else(|| Status::not_found("no such artifact"))?;
        let chunks: Vec<_> =
            bytes.chunks(100).map(|data| Ok(v1::DownloadChunk { data: data.to_vec().into() })).collect();
        Ok(Response::new(stream::iter(chunks).boxed()))
    }

    async fn stat(&self, _: Request<v1::ArtifactRef>) -> Result<Response<v1::Artifact>, Status> {
        Err(Status::unimplemented("agents do not ask"))
    }

    async fn pull(&self, _: Request<v1::PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        Err(Status::unimplemented("agents have nothing fetched"))
    }

    async fn list_kept(&self, _: Request<v1::ListKeptRequest>) -> Result<Response<Self::ListKeptStream>, Status> {
        Err(Status::unimplemented("agents do not look"))
    }

    async fn remove(&self, _: Request<v1::ArtifactRef>) -> Result<Response<v1::RemoveArtifactResponse>, Status> {
        Err(Status::unimplemented("agents do not remove"))
    }

    async fn collect(&self, _: Request<v1::CollectRequest>) -> Result<Response<v1::CollectResponse>, Status> {
        Err(Status::unimplemented("agents do not collect"))
    }
}

pub(crate) fn id(number: u64) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

/// A task with half a cpu and nothing else.
pub(crate) fn task(number: u64, module: Digest) -> TaskSpec {
    TaskSpec {
        id: id(number),
        name: format!("task {number}"),
        role: String::new(),
        module,
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources: Resources::new(MilliCpu::new(500), Bytes::from_mib(16), Bytes::ZERO),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    }
}

/// Says "hello" and ends.
pub(crate) const HELLO: &str = r#"
    (module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\08\00\00\00\05\00\00\00hello")
      (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))
"#;

/// Never ends by itself.
pub(crate) const SPINNER: &str = r#"
    (module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))
"#;

/// Writes its environment, in the form in which it was given.
pub(crate) const ENV: &str = r#"
    (module
      (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "_start")
        (drop (call $sizes (i32.const 0) (i32.const 12)))
        (drop (call $get (i32.const 1024) (i32.const 4096)))
        (i32.store (i32.const 8) (i32.const 4096))
        (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))
"#;
