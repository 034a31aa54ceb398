use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use haggle_core::cluster::{AgentCommand, AgentOrder, Config, FrameworkCommand, FrameworkEvent, FrameworkInfo};
use haggle_core::{
    AgentId, AgentInfo, Bytes, Digest, FrameworkId, Grants, Limits, MilliCpu, Offer, Resources, Sharing, TaskId,
    TaskSpec,
};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use tonic::Code;

use super::*;
use crate::agent_mail::AgentMail;
use crate::handle::Peer;
use crate::outbox::{Mail, outbox};

const AGENT: SessionId = SessionId(1);
const FRAMEWORK: SessionId = SessionId(2);

/// A disk that can be told to fail.
#[derive(Debug)]
struct Disk {
    memory: InMemoryBackend,
    broken: Arc<AtomicBool>,
}

impl Disk {
    fn works(&self) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.works()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.works()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.works()?;
        self.memory.write(offset, data)
    }
}

fn driver_on_disk() -> (Driver, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    let registry = Registry::open_on(Disk { memory: InMemoryBackend::new(), broken: Arc::clone(&broken) }).unwrap();
    let cluster = Cluster::new(Config::default(), Default::default(), Now::ZERO);
    let (happenings, _) = broadcast::channel(16);
    (Driver::new(cluster, registry, Clock::starting_at(Now::ZERO), happenings), broken)
}

fn driver() -> Driver {
    driver_on_disk().0
}

fn a_little() -> Resources {
    Resources::new(MilliCpu::new(100), Bytes::from_mib(1), Bytes::ZERO)
}

fn register() -> Command {
    let resources = Resources::new(MilliCpu::from_cores(8), Bytes::from_mib(1024), Bytes::ZERO);
    let info = AgentInfo { name: "a".to_owned(), resources, attributes: Default::default() };
    Command::Agent(AGENT, AgentCommand::Register { id: None, info, tasks: Vec::new() })
}

fn subscribe() -> Command {
    let info = FrameworkInfo {
        name: "f".to_owned(),
        role: FrameworkInfo::DEFAULT_ROLE.to_owned(),
        failover_timeout: FrameworkInfo::DEFAULT_FAILOVER_TIMEOUT,
    };
    Command::Framework(FRAMEWORK, FrameworkCommand::Subscribe { id: None, info })
}

/// An accept of `offer` for tasks that bring `stdin` bytes each.
fn accept(offer: &Offer, numbers: std::ops::Range<u64>, stdin: usize) -> Command {
    let task = |number| {
        Arc::new(TaskSpec {
            id: TaskId { framework: FrameworkId(1), number },
            name: String::new(),
            module: Digest([7; 32]),
            args: Vec::new(),
            env: Vec::new(),
            stdin: vec![0; stdin],
            resources: a_little(),
            sharing: Sharing::default(),
            limits: Limits::default(),
            inputs: Vec::new(),
            grants: Grants::default(),
        })
    };
    let (offers, tasks) = (vec![offer.id], numbers.map(task).collect());
    Command::Framework(FRAMEWORK, FrameworkCommand::Accept { offers, tasks, refuse: Duration::ZERO })
}

fn agent_joins(inputs: &mut Vec<Input>) -> Mail<AgentMail> {
    let (outbox, mail) = outbox();
    inputs.push(Input::Open(AGENT, Peer::Agent(outbox)));
    inputs.push(Input::Said(AGENT, vec![register()]));
    mail
}

fn framework_joins(inputs: &mut Vec<Input>) -> Mail<FrameworkEvent> {
    let (outbox, mail) = outbox();
    inputs.push(Input::Open(FRAMEWORK, Peer::Framework(outbox)));
    inputs.push(Input::Said(FRAMEWORK, vec![subscribe()]));
    mail
}

fn step(driver: &mut Driver, inputs: Vec<Input>) {
    let mut inputs = inputs;
    driver.step(&mut inputs).unwrap();
}

/// The one message that waits; `None` when nothing does.
fn message<T: crate::outbox::Weigh + Unpin>(mail: &mut Mail<T>) -> Option<Vec<T>> {
    mail.next().now_or_never().map(|message| message.unwrap().unwrap())
}

fn the_offer(events: &[FrameworkEvent]) -> Offer {
    let offers = events.iter().find_map(|event| match event {
        FrameworkEvent::Offers(offers) => Some(offers),
        _ => None,
    });
    offers.and_then(|offers| offers.first()).cloned().unwrap()
}

#[test]
fn what_a_batch_says_to_a_session_is_one_message() {
    let mut driver = driver();
    let mut inputs = Vec::new();
    let mut agent = agent_joins(&mut inputs);
    let mut framework = framework_joins(&mut inputs);

    step(&mut driver, inputs);

    let events = message(&mut framework).unwrap();
    assert!(matches!(events.as_slice(), [FrameworkEvent::Subscribed(FrameworkId(1)), FrameworkEvent::Offers(_)]));
    assert_eq!(message(&mut framework), None);
    let orders = message(&mut agent).unwrap();
    assert!(matches!(orders.as_slice(), [AgentMail::Order(AgentOrder::Registered(AgentId(1)))]));

    step(&mut driver, vec![Input::Said(FRAMEWORK, vec![accept(&the_offer(&events), 0..3, 0)])]);

    assert_eq!(message(&mut agent).unwrap().len(), 3);
    assert!(message(&mut agent).is_none());
}

#[test]
fn nothing_is_said_before_it_is_remembered() {
    let (mut driver, broken) = driver_on_disk();
    let mut inputs = Vec::new();
    let mut agent = agent_joins(&mut inputs);

    broken.store(true, Ordering::Relaxed);
    let error = driver.step(&mut inputs).err().unwrap();

    assert!(matches!(error, RegistryError::Store { .. }), "{error}");
    assert!(message(&mut agent).is_none());
}

#[test]
fn tasks_need_no_disk() {
    let (mut driver, broken) = driver_on_disk();
    let mut inputs = Vec::new();
    let mut agent = agent_joins(&mut inputs);
    let mut framework = framework_joins(&mut inputs);
    step(&mut driver, inputs);
    let offer = the_offer(&message(&mut framework).unwrap());
    message(&mut agent);

    broken.store(true, Ordering::Relaxed);
    step(&mut driver, vec![Input::Said(FRAMEWORK, vec![accept(&offer, 0..1, 0)])]);

    assert!(matches!(message(&mut agent).unwrap().as_slice(), [AgentMail::Order(AgentOrder::Launch(_))]));
}

#[test]
fn an_agent_that_does_not_read_is_cut_off_and_counts_as_disconnected() {
    let mut driver = driver();
    let mut inputs = Vec::new();
    let mut agent = agent_joins(&mut inputs);
    let mut framework = framework_joins(&mut inputs);
    step(&mut driver, inputs);
    let offer = the_offer(&message(&mut framework).unwrap());

    step(&mut driver, vec![Input::Said(FRAMEWORK, vec![accept(&offer, 0..70, 1 << 20)])]);

    let last_word = agent.next().now_or_never().unwrap().unwrap().unwrap_err();
    assert_eq!(last_word.code(), Code::ResourceExhausted);
    assert!(!driver.cluster.agents()[0].connected);
    // What it still says is said by nobody.
    step(&mut driver, vec![Input::Said(AGENT, vec![register()]), Input::Ended(AGENT)]);
    assert!(!driver.cluster.agents()[0].connected);
}

#[test]
fn a_refusal_is_the_last_word_of_a_session() {
    let mut driver = driver();
    let mut inputs = Vec::new();
    let mut agent = agent_joins(&mut inputs);
    inputs.push(Input::Said(AGENT, vec![register()]));

    step(&mut driver, inputs);

    let last_word = std::iter::from_fn(|| agent.next().now_or_never()).flatten().find_map(Result::err).unwrap();
    assert_eq!(last_word.code(), Code::FailedPrecondition);
    assert!(last_word.message().contains("has introduced itself already"), "{last_word}");
}

#[tokio::test]
async fn a_deadline_is_met_without_a_word_from_outside() {
    let (registry, ..) = Registry::open(None).unwrap();
    let config = Config { offer_timeout: Duration::from_millis(20), ..Config::default() };
    let cluster = Cluster::new(config, Default::default(), Now::ZERO);
    let (handle, ended) = start(cluster, registry, Clock::starting_at(Now::ZERO)).unwrap();
    let (framework_box, mut framework) = outbox();
    let (agent_box, _agent) = outbox();

    let (agent_session, _place) = handle.open(Peer::Agent(agent_box)).await.unwrap();
    let (framework_session, _place) = handle.open(Peer::Framework(framework_box)).await.unwrap();
    assert_eq!((agent_session, framework_session), (AGENT, FRAMEWORK));
    handle.say(AGENT, vec![register()]).await.unwrap();
    handle.say(FRAMEWORK, vec![subscribe()]).await.unwrap();

    let mut events = Vec::new();
    while !events.iter().any(|event| matches!(event, FrameworkEvent::Rescinded(_))) {
        events.append(&mut framework.next().await.unwrap().unwrap());
    }
    handle.stop().await.unwrap();
    ended.await.unwrap().unwrap();
    assert_eq!(framework.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
}
