//! Masters that share an etcd, and what a client sees of them: the one place that knows the API.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use haggle_core::Bytes;
use haggle_master::{ArtifactLimits, Config, EtcdConfig, Master, Several, StartError};
use haggle_proto::v1;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::v1::artifacts_client::ArtifactsClient;
use haggle_proto::v1::masters_client::MastersClient;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_tls::OwnerTokens;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use crate::etcd::{Etcd, LOOK_EVERY, NOT_THERE, PATIENCE, free_port};

/// A master of a cluster whose registry is in that etcd.
pub(crate) async fn master(etcd: Vec<String>) -> Master {
    Master::start(config((Ipv4Addr::LOCALHOST, 0).into(), etcd)).await.unwrap()
}

/// A master that keeps its artifacts there.
pub(crate) async fn start_in(state: &Path, etcd: &Etcd) -> Result<Master, StartError> {
    let config = config((Ipv4Addr::LOCALHOST, 0).into(), etcd.urls());
    Master::start(Config { state: Some(state.to_owned()), ..config }).await
}

/// A master that takes artifacts of so many bytes at most.
pub(crate) async fn start_small(most: u64, etcd: &Etcd) -> Master {
    let limits = ArtifactLimits { single: Bytes::new(most), ..ArtifactLimits::default() };
    let config = config((Ipv4Addr::LOCALHOST, 0).into(), etcd.urls());
    Master::start(Config { artifacts: limits, ..config }).await.unwrap()
}

fn config(listen: SocketAddr, etcd: Vec<String>) -> Config {
    let several = Some(Several { etcd: EtcdConfig::new(etcd), seal_key: None });
    Config { several, owner_tokens: Some(owner_tokens()), ..Config::new(listen) }
}

pub(crate) fn url(master: &Master) -> String {
    format!("http://{}", master.addr())
}

/// A master in a process of its own, which can be killed.
pub(crate) struct Process {
    pub(crate) url: String,
    process: Child,
}

const LISTEN: &str = "HAGGLE_TEST_MASTER_LISTEN";
const ETCD: &str = "HAGGLE_TEST_MASTER_ETCD";

impl Process {
    pub(crate) fn start(etcd: &[String]) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "masters::a_master_that_other_tests_kill", "--ignored", "--nocapture"])
            .env(LISTEN, &listen)
            .env(ETCD, etcd.join(","))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { url: format!("http://{listen}"), process }
    }

    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Stands still, as a virtual machine that is paused does.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }

    fn end(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the master that other tests kill, and does nothing by itself"]
async fn a_master_that_other_tests_kill() {
    let (Ok(listen), Ok(etcd)) = (std::env::var(LISTEN), std::env::var(ETCD)) else { return };
    let etcd = etcd.split(',').map(str::to_owned).collect();
    let mut master = Master::start(config(listen.parse().unwrap(), etcd)).await.unwrap();
    master.stopped().await.unwrap();
}

/// Waits for something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looks = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, looks).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits until the master there leads.
pub(crate) async fn leads(url: &str) -> v1::MasterInfo {
    until(&format!("{url} leads"), async || info(url).await.ok()).await
}

/// Waits until the master there stands by and knows who leads.
pub(crate) async fn stands_by(url: &str) -> Status {
    let knows = async || info(url).await.err().filter(|status| status.metadata().contains_key(haggle_proto::LEADER));
    until(&format!("{url} stands by"), knows).await
}

/// Waits until one of two leads, and gives back its URL and the other's.
pub(crate) async fn leader_and_other(one: &str, two: &str) -> (String, String) {
    let leader = until("one of them leads", async || {
        for url in [one, two] {
            if info(url).await.is_ok() {
                return Some(url.to_owned());
            }
        }
        None
    });
    let leader = leader.await;
    let other = if leader == one { two } else { one };
    (leader, other.to_owned())
}

pub(crate) async fn info(url: &str) -> Result<v1::MasterInfo, Status> {
    Ok(OperatorClient::new(channel(url)).get_master(v1::GetMasterRequest {}).await?.into_inner())
}

pub(crate) async fn upload(url: &str, bytes: &[u8]) -> Result<Vec<u8>, Status> {
    let chunks: Vec<_> = bytes
        .chunks(1 << 20)
        .map(|data| v1::UploadChunk { expected: Vec::new(), data: data.to_vec().into() })
        .collect();
    Ok(ArtifactsClient::new(channel(url)).upload(tokio_stream::iter(chunks)).await?.into_inner().digest)
}

pub(crate) async fn stat(url: &str, digest: &[u8]) -> Result<u64, Status> {
    let wanted = v1::ArtifactRef { digest: digest.to_vec() };
    Ok(ArtifactsClient::new(channel(url)).stat(wanted).await?.into_inner().size_bytes)
}

/// Has every artifact go that no task needs.
pub(crate) async fn collect(url: &str) -> Result<v1::CollectResponse, Status> {
    Ok(ArtifactsClient::new(channel(url)).collect(v1::CollectRequest::default()).await?.into_inner())
}

pub(crate) async fn download(url: &str, digest: &[u8]) -> Result<Vec<u8>, Status> {
    let wanted = v1::ArtifactRef { digest: digest.to_vec() };
    let mut client = ArtifactsClient::new(channel(url)).max_decoding_message_size(haggle_proto::MESSAGE_MAX);
    let mut chunks = client.download(wanted).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        bytes.extend(chunk?.data);
    }
    Ok(bytes)
}

/// What the masters know each other by, as etcd has it.
fn masters_secret(etcd: &Etcd) -> String {
    let mut ctl = Command::new("etcdctl");
    ctl.env("ETCDCTL_API", "3").args(["--endpoints", &etcd.urls().join(","), "get", "--print-value-only"]);
    let output = ctl.arg("/haggle/secret").output().expect(NOT_THERE);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The digests of what one master has itself. Only masters may ask.
pub(crate) async fn own_artifacts(url: &str, etcd: &Etcd) -> Result<Vec<Vec<u8>>, Status> {
    let mut call = Request::new(v1::ListArtifactsRequest {});
    let secret = masters_secret(etcd);
    call.metadata_mut().insert("authorization", format!("Haggle-Master {secret}").parse().unwrap());
    let mut pieces = MastersClient::new(plain(url)).list_artifacts(call).await?.into_inner();
    let mut digests = Vec::new();
    while let Some(piece) = pieces.next().await {
        digests.extend(piece?.digests);
    }
    Ok(digests)
}

/// An agent that does nothing but be there.
pub(crate) struct Agent {
    pub(crate) member: v1::Member,
    _reports: mpsc::Sender<v1::AgentReports>,
    orders: Streaming<v1::AgentOrders>,
}

impl Agent {
    /// Registers as a new agent or, with `member`, as one that comes back.
    pub(crate) async fn register(url: &str, member: Option<v1::Member>) -> Result<Self, Status> {
        let resources = v1::Resources { milli_cpus: 1_000, mem_bytes: 1 << 30, ..Default::default() };
        let info = v1::AgentInfo { name: "a".to_owned(), resources: Some(resources), ..Default::default() };
        let register = v1::RegisterAgent { member, info: Some(info), key: vec![7; 16], run: 1, ..Default::default() };
        let (reports, outgoing) = mpsc::channel(16);
        let report = v1::AgentReport { report: Some(Report::Register(register)) };
        reports.try_send(v1::AgentReports { reports: vec![report] }).unwrap();
        let mut orders = AgentsClient::new(channel(url)).session(ReceiverStream::new(outgoing)).await?.into_inner();
        loop {
            let message = orders.message().await?.ok_or_else(|| Status::aborted("the session ended"))?;
            for order in message.orders {
                match order.order {
                    Some(Order::Registered(registered)) => {
                        return Ok(Self { member: registered.member.unwrap(), _reports: reports, orders });
                    }
                    Some(Order::Refused(refused)) => return Err(Status::permission_denied(refused.why)),
                    _ => {}
                }
            }
        }
    }

    /// Registers as soon as the master there takes it.
    pub(crate) async fn register_in_time(url: &str, member: Option<v1::Member>) -> Self {
        until("an agent is registered", async || match Self::register(url, member.clone()).await {
            Ok(agent) => Some(agent),
            Err(status) if status.code() == Code::PermissionDenied => panic!("{status}"),
            Err(_) => None,
        })
        .await
    }

    /// Waits for the end of its session.
    pub(crate) async fn last_word(mut self) -> Status {
        loop {
            match timeout(PATIENCE, self.orders.message()).await.expect("the session ends") {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the session ended without a reason"),
                Err(status) => return status,
            }
        }
    }
}

/// A connection whose calls show what the user that runs the master there shows.
type Wire = InterceptedService<Channel, Owner>;

/// Looked for at each call: the master may not have been there before.
#[derive(Clone)]
struct Owner {
    master: SocketAddr,
}

impl Interceptor for Owner {
    fn call(&mut self, mut call: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = owner_tokens().find(self.master) {
            call.metadata_mut().insert("authorization", token.bearer().authorization().parse().unwrap());
        }
        Ok(call)
    }
}

/// Where the masters of these tests leave their owner's tokens.
fn owner_tokens() -> OwnerTokens {
    OwnerTokens::in_folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join("masters"))
}

fn channel(url: &str) -> Wire {
    let master = url.trim_start_matches("http://").parse().unwrap();
    InterceptedService::new(plain(url), Owner { master })
}

/// A connection whose calls show nothing.
pub(crate) fn plain(url: &str) -> Channel {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    endpoint.connect_timeout(Duration::from_secs(1)).timeout(PATIENCE).connect_lazy()
}
