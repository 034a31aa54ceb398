//! An agent, a framework and an operator, played over the generated clients: the one place that knows the API.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use haggle_master::Master;
use haggle_proto::v1;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::v1::artifacts_client::ArtifactsClient;
use haggle_proto::v1::framework_call::Call;
use haggle_proto::v1::framework_event::Event;
use haggle_proto::v1::frameworks_client::FrameworksClient;
use haggle_proto::v1::operator_client::OperatorClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

pub(crate) fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A connection on which every call shows the same.
pub(crate) type Wire = InterceptedService<Channel, Shows>;

/// Shows a token with each call, or nothing.
#[derive(Clone, Default)]
pub(crate) struct Shows(pub(crate) Option<String>);

impl Interceptor for Shows {
    fn call(&mut self, mut call: Request<()>) -> Result<Request<()>, Status> {
        if let Some(shown) = &self.0 {
            call.metadata_mut().insert("authorization", shown.parse().unwrap());
        }
        Ok(call)
    }
}

/// What the user that runs the master shows.
pub(crate) fn owner(master: &Master) -> Shows {
    Shows(Some(master.owner_token().bearer().authorization().to_string()))
}

pub(crate) async fn wire(master: &Master, shows: Shows) -> Wire {
    let channel = Channel::from_shared(format!("http://{}", master.addr())).unwrap().connect().await.unwrap();
    InterceptedService::new(channel, shows)
}

pub(crate) async fn operator(master: &Master) -> OperatorClient<Wire> {
    OperatorClient::new(wire(master, owner(master)).await)
}

pub(crate) async fn artifacts(master: &Master) -> ArtifactsClient<Wire> {
    ArtifactsClient::new(wire(master, owner(master)).await)
}

pub(crate) async fn upload(master: &Master, expected: Option<Vec<u8>>, bytes: &[u8]) -> Result<v1::Artifact, Status> {
    upload_on(wire(master, owner(master)).await, expected, bytes).await
}

pub(crate) async fn upload_on(wire: Wire, expected: Option<Vec<u8>>, bytes: &[u8]) -> Result<v1::Artifact, Status> {
    let mut chunks: Vec<_> = bytes
        .chunks(1 << 20)
        .map(|data| v1::UploadChunk { expected: Vec::new(), data: data.to_vec().into() })
        .collect();
    chunks[0].expected = expected.unwrap_or_default();
    let stored = ArtifactsClient::new(wire).upload(tokio_stream::iter(chunks)).await?;
    Ok(stored.into_inner())
}

pub(crate) fn resources(milli_cpus: u64, mem_bytes: u64) -> v1::Resources {
    v1::Resources { milli_cpus, mem_bytes, disk_bytes: 1 << 30, ..Default::default() }
}

pub(crate) fn spec(framework: u64, number: u64) -> v1::TaskSpec {
    v1::TaskSpec {
        id: Some(v1::TaskId { framework, number }),
        name: "played".to_owned(),
        role: String::new(),
        module: vec![7; 32],
        args: vec!["an argument".to_owned()],
        resources: Some(resources(500, 64 << 20)),
        ..Default::default()
    }
}

/// Reads a list to its end.
pub(crate) async fn whole<M, T>(mut list: Streaming<M>, items: impl Fn(M) -> Vec<T>) -> Vec<T> {
    let mut whole = Vec::new();
    while let Some(message) = list.message().await.unwrap() {
        whole.append(&mut items(message));
    }
    whole
}

pub(crate) async fn agents(operator: &mut OperatorClient<Wire>) -> Vec<v1::Agent> {
    let list = operator.list_agents(v1::ListAgentsRequest {}).await.unwrap().into_inner();
    whole(list, |message| message.agents).await
}

pub(crate) async fn tasks(operator: &mut OperatorClient<Wire>, ended: bool) -> Vec<v1::Task> {
    let request = v1::ListTasksRequest { ended, ..Default::default() };
    whole(operator.list_tasks(request).await.unwrap().into_inner(), |message| message.tasks).await
}

/// Waits for the end of a stream, and says how it ended; what comes before is skipped.
async fn end_of<T>(mut stream: Streaming<T>) -> Result<(), Status> {
    while stream.message().await?.is_some() {}
    Ok(())
}

/// Each played agent draws the next key.
static KEYS: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Agent {
    pub(crate) id: u64,
    key: Vec<u8>,
    pub(crate) member: v1::Member,
    pub(crate) epoch: u64,
    reports: mpsc::Sender<v1::AgentReports>,
    orders: Streaming<v1::AgentOrders>,
    heard: VecDeque<Order>,
}

impl Agent {
    pub(crate) async fn connect(master: &Master) -> Self {
        Self::connect_on(wire(master, owner(master)).await).await.unwrap()
    }

    pub(crate) async fn connect_on(wire: Wire) -> Result<Self, Status> {
        let (reports, outgoing) = mpsc::channel(16);
        let mut client = AgentsClient::new(wire);
        let orders = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
        let key = u128::from(KEYS.fetch_add(1, Ordering::Relaxed)).to_be_bytes().to_vec();
        Ok(Self { id: 0, key, member: v1::Member::default(), epoch: 0, reports, orders, heard: VecDeque::new() })
    }

    /// A newcomer; with `before`, the same agent on a new connection.
    pub(crate) async fn register(master: &Master, before: Option<&Self>) -> Self {
        Self::register_with(master, before, resources(2_000, 1 << 30)).await
    }

    /// The same, which has so much.
    pub(crate) async fn register_with(master: &Master, before: Option<&Self>, has: v1::Resources) -> Self {
        let mut agent = Self::connect(master).await;
        let member = before.map(|before| before.member.clone());
        agent.key = before.map_or(agent.key, |before| before.key.clone());
        let info = v1::AgentInfo { name: "played".to_owned(), resources: Some(has), ..Default::default() };
        let register =
            v1::RegisterAgent { member, info: Some(info), key: agent.key.clone(), run: 1, ..Default::default() };
        agent.say(Report::Register(register)).await;
        let Order::Registered(registered) = agent.order().await else { panic!("not registered") };
        agent.member = registered.member.unwrap();
        agent.id = agent.member.id;
        agent
    }

    pub(crate) async fn say(&self, report: Report) {
        let reports = vec![v1::AgentReport { report: Some(report) }];
        self.reports.send(v1::AgentReports { reports }).await.unwrap();
    }

    pub(crate) async fn update(&self, task: &v1::TaskSpec, update: u64, state: v1::TaskState) {
        let status = v1::TaskStatus {
            task: task.id,
            update,
            state: state.into(),
            source: v1::Source::Executor.into(),
            ..Default::default()
        };
        self.say(Report::Updates(v1::TaskStatuses { statuses: vec![status] })).await;
    }

    pub(crate) async fn answer(&self, order: &v1::ReadLogOrder, text: &str, end: bool) {
        let data = text.as_bytes().to_vec().into();
        let chunk = v1::LogChunk { request: order.request, offset: order.offset, data, end, error: String::new() };
        self.say(Report::Log(chunk)).await;
    }

    pub(crate) async fn order(&mut self) -> Order {
        while self.heard.is_empty() {
            let message = self.orders.message().await.unwrap().unwrap();
            self.epoch = message.epoch;
            self.heard.extend(message.orders.into_iter().map(|order| order.order.unwrap()));
        }
        self.heard.pop_front().unwrap()
    }

    pub(crate) async fn launched(&mut self) -> v1::TaskSpec {
        match self.order().await {
            Order::Launch(spec) => spec,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn killed(&mut self) -> v1::TaskId {
        match self.order().await {
            Order::Kill(task) => task,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn acknowledged(&mut self) -> v1::UpdateAck {
        match self.order().await {
            Order::Acknowledge(ack) => ack,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn read_log(&mut self) -> v1::ReadLogOrder {
        match self.order().await {
            Order::ReadLog(order) => order,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn last_word(self) -> Status {
        end_of(self.orders).await.unwrap_err()
    }

    /// Everything that it is still told, to the end.
    pub(crate) async fn rest(mut self) -> Vec<Order> {
        while let Some(message) = self.orders.message().await.unwrap() {
            self.heard.extend(message.orders.into_iter().map(|order| order.order.unwrap()));
        }
        self.heard.into()
    }

    pub(crate) async fn ended(self) {
        end_of(self.orders).await.unwrap();
    }
}

pub(crate) struct Framework {
    pub(crate) id: u64,
    pub(crate) member: v1::Member,
    calls: mpsc::Sender<v1::FrameworkCalls>,
    events: Streaming<v1::FrameworkEvents>,
    heard: VecDeque<Event>,
}

impl Framework {
    pub(crate) async fn connect(master: &Master) -> Self {
        Self::connect_on(wire(master, owner(master)).await).await.unwrap()
    }

    pub(crate) async fn connect_on(wire: Wire) -> Result<Self, Status> {
        let (calls, outgoing) = mpsc::channel(16);
        let mut client = FrameworksClient::new(wire);
        let events = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self { id: 0, member: v1::Member::default(), calls, events, heard: VecDeque::new() })
    }

    pub(crate) async fn subscribe(master: &Master, member: Option<v1::Member>) -> Self {
        let wire = wire(master, owner(master)).await;
        Self::subscribe_on(wire, member, "").await.unwrap()
    }

    /// In a role, or the default one.
    pub(crate) async fn subscribe_on(wire: Wire, member: Option<v1::Member>, role: &str) -> Result<Self, Status> {
        let mut framework = Self::connect_on(wire).await?;
        let info = v1::FrameworkInfo {
            name: "played".to_owned(),
            roles: Some(role.to_owned()).filter(|role| !role.is_empty()).into_iter().collect(),
            ..Default::default()
        };
        framework.say(Call::Subscribe(v1::Subscribe { member, info: Some(info) })).await;
        match framework.next_event().await? {
            Event::Subscribed(subscribed) => framework.member = subscribed.member.unwrap(),
            Event::Error(error) => return Err(Status::aborted(error)),
            other => panic!("not subscribed: {other:?}"),
        }
        framework.id = framework.member.id;
        Ok(framework)
    }

    pub(crate) async fn say(&self, call: Call) {
        let calls = vec![v1::FrameworkCall { call: Some(call), number: 0 }];
        self.calls.send(v1::FrameworkCalls { calls }).await.unwrap();
    }

    pub(crate) async fn accept(&self, offer: &v1::Offer, tasks: Vec<v1::TaskSpec>) {
        // The rest is not wanted for an hour, so that no other offer comes between.
        self.say(Call::Accept(v1::Accept {
            offers: vec![offer.id],
            tasks,
            refuse_ms: 3_600_000,
            ..Default::default()
        }))
        .await;
    }

    pub(crate) async fn acknowledge(&self, status: &v1::TaskStatus) {
        let updates = vec![v1::UpdateAck { task: status.task, update: status.update, agent: status.agent }];
        self.say(Call::Acknowledge(v1::Acknowledge { updates })).await;
    }

    pub(crate) async fn event(&mut self) -> Event {
        self.next_event().await.unwrap()
    }

    async fn next_event(&mut self) -> Result<Event, Status> {
        while self.heard.is_empty() {
            let message = self.events.message().await?.unwrap();
            self.heard.extend(message.events.into_iter().map(|event| event.event.unwrap()));
        }
        Ok(self.heard.pop_front().unwrap())
    }

    /// The next offer; other events before it are skipped.
    pub(crate) async fn offer(&mut self) -> v1::Offer {
        loop {
            if let Event::Offers(offers) = self.event().await {
                return offers.offers.into_iter().next().unwrap();
            }
        }
    }

    /// The next update that is not made by the master; other events before it are skipped.
    pub(crate) async fn update(&mut self) -> v1::TaskStatus {
        loop {
            match self.event().await {
                Event::Update(status) if status.source() != v1::Source::Master => return status,
                _ => {}
            }
        }
    }

    pub(crate) async fn last_word(self) -> Status {
        end_of(self.events).await.unwrap_err()
    }

    pub(crate) async fn ended(self) {
        end_of(self.events).await.unwrap();
    }
}
