mod measured;
mod registry;
mod slices;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use haggle_core::access::Principal;
use haggle_core::cluster::{
    AgentCommand, AgentIdentity, AgentOrder, Change, Config, FrameworkCommand, FrameworkEvent, FrameworkInfo,
    OperatorCommand, Recovered,
};
use haggle_core::{
    AgentId, AgentInfo, AgentKey, Bytes, Digest, FrameworkId, Grants, Limits, MilliCpu, Offer, Resources, Sharing,
    TaskId, TaskSpec,
};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Code;

use super::*;
use crate::agent_mail::AgentMail;
use crate::clock::LOOK_EVERY;
use crate::handle::{NoRoom, Peer};
use crate::inbox::{Kind, Place, Share, Speaker, inbox};
use crate::limits::{House, Places};
use crate::outbox::{Mail, Weigh, outbox};
use crate::registry::tests::FailingDisk;

const AGENT: SessionId = SessionId(1);
const FRAMEWORK: SessionId = SessionId(2);

/// A driver whose time begins at `start`, on a disk that can be told to fail.
struct Driven {
    driver: Driver,
    disk: FailingDisk,
    start: Instant,
}

impl Driven {
    fn new() -> Self {
        let disk = FailingDisk::default();
        let mut registry = Box::new(disk.registry());
        let (recovered, origin) = registry.recover().unwrap();
        let cluster = Cluster::new(Config::default(), recovered, origin);
        let happenings = Arc::new(Happenings::new(16));
        let start = Instant::now();
        let clock = Clock::starting_at(origin, start);
        Self {
            driver: Driver::new(
                cluster,
                registry,
                clock,
                Room::default(),
                happenings,
                Guard::for_tests(),
                Timings::default(),
            ),
            disk,
            start,
        }
    }

    /// With an agent that has registered and a framework that was offered it.
    async fn with_peers() -> (Self, Mail<AgentMail>, Mail<FrameworkEvent>, Offer) {
        let mut driven = Self::new();
        let mut batch = Batch::default();
        let mut agent = agent_joins(&mut batch);
        let mut framework = framework_joins(&mut batch);
        driven.step(batch).await.unwrap();
        let offer = the_offer(&message(&mut framework).unwrap());
        message(&mut agent);
        (driven, agent, framework, offer)
    }

    async fn step(&mut self, batch: Batch) -> Result<(), RegistryError> {
        self.step_at(Duration::ZERO, batch).await
    }

    async fn step_at(&mut self, passed: Duration, mut batch: Batch) -> Result<(), RegistryError> {
        self.driver.step(&mut batch, self.start + passed).await
    }

    fn agent_is_connected(&self) -> bool {
        // One that is unreachable is not among them.
        self.driver.cluster.agents(Now::ZERO).iter().any(|agent| agent.connected)
    }
}

fn said(session: SessionId, commands: Vec<Command>) -> Batch {
    let mut batch = Batch::default();
    batch.said(session, commands);
    batch
}

impl Batch {
    fn said(&mut self, session: SessionId, commands: Vec<Command>) {
        self.heard(session, Saying::Said(session, commands, Place::default()));
    }

    fn heard(&mut self, session: SessionId, saying: Saying) {
        self.sayings.push(Heard { kind: Kind::Framework, share: Share::Session(session), saying });
    }
}

fn a_little() -> Resources {
    Resources::new(MilliCpu::new(100), Bytes::from_mib(1), Bytes::ZERO)
}

fn register() -> Command {
    let resources = Resources::new(MilliCpu::from_cores(8), Bytes::from_mib(1024), Bytes::ZERO);
    let info = AgentInfo { name: "a".to_owned(), resources, ..AgentInfo::default() };
    let identity = AgentIdentity { member: None, key: AgentKey(1), run: 1 };
    Command::Agent(AGENT, AgentCommand::Register { identity, info, tasks: Vec::new(), complete: true })
}

fn subscribe() -> Command {
    let info = FrameworkInfo {
        name: "f".to_owned(),
        roles: vec![FrameworkInfo::DEFAULT_ROLE.to_owned()],
        failover_timeout: FrameworkInfo::DEFAULT_FAILOVER_TIMEOUT,
    };
    call(FrameworkCommand::Subscribe { member: None, info })
}

fn call(command: FrameworkCommand) -> Command {
    Command::Framework(FRAMEWORK, command.into())
}

/// An accept of `offer` for tasks that bring `stdin` bytes each.
fn accept(offer: &Offer, numbers: std::ops::Range<u64>, stdin: usize) -> Command {
    let task = |number| {
        Arc::new(TaskSpec {
            id: TaskId { framework: FrameworkId(1), number },
            name: String::new(),
            role: String::new(),
            module: Digest([7; 32]),
            args: Vec::new(),
            env: Vec::new(),
            stdin: vec![0; stdin],
            resources: a_little(),
            sharing: Sharing::default(),
            limits: Limits::default(),
            inputs: Vec::new(),
            grants: Grants::default(),
            group: None,
            waited: None,
            trace: None,
        })
    };
    let (offers, tasks) = (vec![offer.id], numbers.map(task).collect());
    call(FrameworkCommand::Accept { offers, operations: Vec::new(), tasks, refuse: Duration::ZERO })
}

fn owner() -> Caller {
    Caller::new(Some(Principal::owner()), None)
}

fn agent_joins(batch: &mut Batch) -> Mail<AgentMail> {
    let (outbox, mail) = outbox();
    batch.requests.push(Request::Open(AGENT, owner(), Peer::Agent(outbox)));
    batch.said(AGENT, vec![register()]);
    mail
}

fn framework_joins(batch: &mut Batch) -> Mail<FrameworkEvent> {
    let (outbox, mail) = outbox();
    batch.requests.push(Request::Open(FRAMEWORK, owner(), Peer::Framework(outbox)));
    batch.said(FRAMEWORK, vec![subscribe()]);
    mail
}

/// The one message that waits; `None` when nothing does.
fn message<T: Weigh + Unpin>(mail: &mut Mail<T>) -> Option<Vec<T>> {
    mail.next().now_or_never().map(|message| message.unwrap().unwrap())
}

fn the_offer(events: &[FrameworkEvent]) -> Offer {
    let offers = events.iter().find_map(|event| match event {
        FrameworkEvent::Offers(offers) => Some(offers),
        _ => None,
    });
    offers.and_then(|offers| offers.first()).cloned().unwrap()
}

/// The status that a session ended with; what came before is skipped.
fn last_word<T: Weigh + Unpin>(mail: &mut Mail<T>) -> Status {
    std::iter::from_fn(|| mail.next().now_or_never()).flatten().find_map(Result::err).unwrap()
}

#[tokio::test]
async fn what_a_batch_says_to_a_session_is_one_message() {
    let mut driven = Driven::new();
    let mut batch = Batch::default();
    let mut agent = agent_joins(&mut batch);
    let mut framework = framework_joins(&mut batch);

    driven.step(batch).await.unwrap();

    let events = message(&mut framework).unwrap();
    assert!(matches!(events.as_slice(), [FrameworkEvent::Subscribed { .. }, FrameworkEvent::Offers(_)]));
    assert_eq!(message(&mut framework), None);
    let orders = message(&mut agent).unwrap();
    assert!(matches!(orders.as_slice(), [AgentMail::Order(AgentOrder::Registered { .. })]));

    driven.step(said(FRAMEWORK, vec![accept(&the_offer(&events), 0..3, 0)])).await.unwrap();

    assert_eq!(message(&mut agent).unwrap().len(), 3);
    assert!(message(&mut agent).is_none());
}

#[tokio::test]
async fn a_large_message_takes_up_its_place_until_what_it_launches_has_left() {
    let (mut driven, mut agent, _framework, offer) = Driven::with_peers().await;
    let (speakers, hearing) = inbox();
    let [other, intake, next] = [(); 3].map(|()| speakers.intake(Kind::Framework));
    let speaker = speakers.speaker(Kind::Framework, FRAMEWORK, intake.clone());
    other.make_room(1).await;
    intake.make_room(1 << 20).await;
    speaker.say(vec![accept(&offer, 1..3, 1 << 19)], 1 << 20).await.unwrap();
    let mut batch = Batch::default();
    hearing.take(&mut batch.sayings, true);
    driven.step(batch).await.unwrap();

    // Two launches that are large leave in a message each.
    for _ in 0..2 {
        assert!(next.make_room(1).now_or_never().is_none());
        assert_eq!(message(&mut agent).unwrap().len(), 1);
    }

    assert!(next.make_room(1).now_or_never().is_some());
}

#[tokio::test]
async fn tasks_need_no_disk() {
    let (mut driven, mut agent, _framework, offer) = Driven::with_peers().await;

    driven.disk.set_full(true);
    driven.step(said(FRAMEWORK, vec![accept(&offer, 0..1, 0)])).await.unwrap();

    assert!(matches!(message(&mut agent).unwrap().as_slice(), [AgentMail::Order(AgentOrder::Launch(_))]));
}

#[tokio::test]
async fn a_master_that_was_paused_finds_nobody_silent() {
    let (mut driven, _agent, mut framework, offer) = Driven::with_peers().await;
    driven.step(said(FRAMEWORK, vec![accept(&offer, 0..1, 0)])).await.unwrap();
    message(&mut framework);

    driven.step_at(Duration::from_secs(3_600), Batch::default()).await.unwrap();

    assert!(driven.agent_is_connected());
    let unreachable =
        |event: &FrameworkEvent| matches!(event, FrameworkEvent::Update(_) | FrameworkEvent::AgentLost(_));
    assert!(!message(&mut framework).unwrap_or_default().iter().any(unreachable));
}

/// With the news that the agent lives.
fn beat() -> Batch {
    Batch { beats: vec![AGENT], ..Batch::default() }
}

#[tokio::test]
async fn who_spoke_before_its_deadline_is_heard_before_it() {
    let (mut driven, _agent, ..) = Driven::with_peers().await;
    let timeout = Config::default().agent_timeout;

    // It is looked each second, and a heartbeat waits each time the next deadline has come.
    for second in 1..=2 * timeout.as_secs() {
        let passed = Duration::from_secs(second);
        let due = driven.driver.cluster.next_deadline().is_some_and(|then| then <= Now::ZERO + passed);
        driven.step_at(passed, if due { beat() } else { Batch::default() }).await.unwrap();
    }

    assert!(driven.agent_is_connected());
}

#[tokio::test]
async fn an_agent_whose_heart_stops_is_lost_at_its_time_and_not_before() {
    const LAST_BEAT: Duration = Duration::from_secs(30);
    let (mut driven, _agent, ..) = Driven::with_peers().await;
    let mut looks = (1..).map(|look| look * LOOK_EVERY);

    let mut lost = Duration::ZERO;
    while driven.agent_is_connected() {
        lost = looks.next().unwrap();
        let beats = lost <= LAST_BEAT && lost.subsec_millis() == 0 && lost.as_secs().is_multiple_of(2);
        driven.step_at(lost, if beats { beat() } else { Batch::default() }).await.unwrap();
    }

    assert_eq!(lost, LAST_BEAT + Config::default().agent_timeout);
}

#[tokio::test]
async fn an_agent_that_beats_is_not_lost_while_everybody_else_keeps_the_driver_busy() {
    let (mut driven, _agent, ..) = Driven::with_peers().await;

    for second in 1..=100 {
        // Everybody has been heard again, and again others wait.
        let rounds = [Round { taken: 10 * second, whole: 10 * second + 5 }; 2];
        driven.step_at(Duration::from_secs(second), Batch { rounds, ..beat() }).await.unwrap();
    }

    assert!(driven.agent_is_connected());
}

#[tokio::test]
async fn a_heartbeat_of_a_session_whose_registration_still_waits_does_not_end_it() {
    let mut driven = Driven::new();
    let (outbox, mut agent) = outbox();
    let open = Request::Open(AGENT, owner(), Peer::Agent(outbox));

    driven.step(Batch { requests: vec![open], ..beat() }).await.unwrap();
    driven.step(said(AGENT, vec![register()])).await.unwrap();

    assert!(matches!(message(&mut agent).unwrap().as_slice(), [AgentMail::Order(AgentOrder::Registered { .. })]));
    assert!(driven.agent_is_connected());
}

#[tokio::test]
async fn a_deadline_waits_until_all_who_wait_were_heard_but_no_longer() {
    let (mut driven, _agent, mut framework, _offer) = Driven::with_peers().await;
    for second in 1..Config::default().offer_timeout.as_secs() {
        driven.step_at(Duration::from_secs(second), Batch::default()).await.unwrap();
    }
    let due = Config::default().offer_timeout;
    // Others come to wait behind, as fast as those before them are heard.
    let busy = |taken| Batch { rounds: [Round { taken, whole: taken + 10 }; 2], ..Batch::default() };

    for taken in 100..110 {
        driven.step_at(due, busy(taken)).await.unwrap();
        assert_eq!(message(&mut framework), None);
    }
    driven.step_at(due, busy(110)).await.unwrap();

    let events = message(&mut framework).unwrap();
    assert!(matches!(events.first(), Some(FrameworkEvent::Rescinded(_))), "{events:?}");
}

#[tokio::test]
async fn what_a_command_brings_about_is_charged_to_who_said_it() {
    let (mut driven, _agent, _framework, offer) = Driven::with_peers().await;
    let mut batch = said(FRAMEWORK, vec![accept(&offer, 0..100, 0)]);

    driven.driver.step(&mut batch, driven.start).await.unwrap();

    let [(Kind::Framework, Share::Session(FRAMEWORK), effects)] = batch.effects[..] else { panic!("one spoke") };
    assert!(effects >= 100, "{effects} effects of 100 launches");
}

#[tokio::test]
async fn an_agent_that_does_not_read_is_cut_off_and_counts_as_disconnected() {
    let mut driven = Driven::new();
    let mut batch = Batch::default();
    let mut agent = agent_joins(&mut batch);
    let mut framework = framework_joins(&mut batch);
    driven.step(batch).await.unwrap();
    let offer = the_offer(&message(&mut framework).unwrap());

    driven.step(said(FRAMEWORK, vec![accept(&offer, 0..70, 1 << 20)])).await.unwrap();

    assert_eq!(last_word(&mut agent).code(), Code::ResourceExhausted);
    assert!(!driven.agent_is_connected());
    // What it still says is said by nobody.
    let mut batch = said(AGENT, vec![register()]);
    batch.heard(AGENT, Saying::Ended(AGENT));
    driven.step(batch).await.unwrap();
    assert!(!driven.agent_is_connected());
}

#[tokio::test]
async fn a_refusal_is_the_last_word_of_a_session() {
    let mut driven = Driven::new();
    let mut batch = Batch::default();
    let mut agent = agent_joins(&mut batch);
    batch.said(AGENT, vec![register()]);

    driven.step(batch).await.unwrap();

    let last_word = last_word(&mut agent);
    assert_eq!(last_word.code(), Code::FailedPrecondition);
    assert!(last_word.message().contains("has introduced itself already"), "{last_word}");
}

#[tokio::test]
async fn what_follows_a_refused_command_is_not_carried_out() {
    let (mut driven, mut agent, _framework, offer) = Driven::with_peers().await;

    driven.step(said(FRAMEWORK, vec![subscribe(), accept(&offer, 0..1, 0)])).await.unwrap();
    driven.step(said(FRAMEWORK, vec![accept(&offer, 1..2, 0)])).await.unwrap();

    assert!(message(&mut agent).is_none());
    assert_eq!(driven.driver.cluster.tasks(), []);
}

/// Its calls were on the way when it was replaced.
#[tokio::test]
async fn a_framework_that_was_replaced_hears_of_that_and_not_that_it_is_unknown() {
    let mut driven = Driven::new();
    let mut joining = Batch::default();
    let mut first = framework_joins(&mut joining);
    driven.step(joining).await.unwrap();
    let Some(FrameworkEvent::Subscribed { member, .. }) = message(&mut first).unwrap().pop() else {
        panic!("no welcome")
    };
    let (member, info) = (Some(member), driven.driver.cluster.frameworks()[0].info.clone());
    let (second_box, _second) = outbox();
    let again = Command::Framework(SessionId(77), FrameworkCommand::Subscribe { member, info }.into());
    let mut batch = said(SessionId(77), vec![again]);
    batch.requests.push(Request::Open(SessionId(77), owner(), Peer::Framework(second_box)));
    batch.said(FRAMEWORK, vec![call(FrameworkCommand::Revive { role: None })]);

    driven.step(batch).await.unwrap();

    let last = message(&mut first).unwrap().pop().unwrap();
    assert_eq!(last, FrameworkEvent::Error("framework failed over to another connection".to_owned()));
}

async fn open(handle: &Handle, peer: Peer) -> Result<(Speaker, OwnedSemaphorePermit), Status> {
    let kind = if matches!(peer, Peer::Agent(_)) { Kind::Agent } else { Kind::Framework };
    handle.open(owner(), peer, handle.intake(kind)).await
}

fn started_on(disk: &FailingDisk, config: Config) -> (Handle, oneshot::Receiver<Result<(), Failure>>) {
    let mut registry = Box::new(disk.registry());
    let (recovered, origin): (Recovered, Now) = registry.recover().unwrap();
    let reign = Reign::from(&recovered);
    let cluster = Cluster::new(config, recovered, origin);
    let clock = Clock::starting_at(origin, Instant::now());
    start(&runtime::Handle::current(), cluster, registry, clock, reign, Guard::for_tests(), Observers::default())
}

#[tokio::test]
async fn a_deadline_is_met_without_a_word_from_outside() {
    let config = Config { offer_timeout: Duration::from_millis(20), ..Config::default() };
    let (handle, ended) = started_on(&FailingDisk::default(), config);
    let (framework_box, mut framework) = outbox();
    let (agent_box, _agent) = outbox();

    let (agent_speaker, _agent_place) = open(&handle, Peer::Agent(agent_box)).await.unwrap();
    let (framework_speaker, _framework_place) = open(&handle, Peer::Framework(framework_box)).await.unwrap();
    assert_eq!((agent_speaker.session(), framework_speaker.session()), (AGENT, FRAMEWORK));
    agent_speaker.say(vec![register()], 100).await.unwrap();
    framework_speaker.say(vec![subscribe()], 100).await.unwrap();

    let mut events = Vec::new();
    while !events.iter().any(|event| matches!(event, FrameworkEvent::Rescinded(_))) {
        events.append(&mut framework.next().await.unwrap().unwrap());
    }
    handle.stop().await.unwrap();
    ended.await.unwrap().unwrap();
    assert_eq!(framework.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
}
