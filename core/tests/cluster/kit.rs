//! A cluster to play with: every command is a batch of its own, and time passes only when it is told to.

mod gang;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::{Principal, PrincipalId};
use haggle_core::cluster::{
    Acknowledgement, AgentCommand, AgentIdentity, AgentOrder, AgentRecord, Cluster, Command, Config, Effect,
    FrameworkCommand, FrameworkEvent, FrameworkInfo, FrameworkRecord, HeldTask, Recovered, Refusal,
};
use haggle_core::{
    AgentId, AgentInfo, AgentKey, Bytes, ClusterId, Digest, Epoch, FrameworkId, Grants, Limits, Member, MilliCpu, Now,
    Offer, OfferId, Reason, Reservation, Reserved, Resources, SessionId, Sharing, Source, TaskId, TaskSpec, TaskState,
    TaskStatus, UpdateId,
};

pub(crate) use gang::Gang;

pub(crate) const NO_REFUSAL: Duration = Duration::ZERO;
pub(crate) const AN_HOUR: Duration = Duration::from_secs(3600);

/// The cluster that every test is about.
pub(crate) const CLUSTER: ClusterId = ClusterId(7);

/// A peer and the connection it speaks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer<Id> {
    pub(crate) id: Id,
    pub(crate) session: SessionId,
}

pub(crate) type Agent = Peer<AgentId>;
pub(crate) type Framework = Peer<FrameworkId>;

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) now: Now,
    last_session: u64,
    keys: BTreeMap<AgentId, AgentKey>,
}

/// What is said of a task, in brief.
pub(crate) type Brief = (TaskId, TaskState, Option<Reason>);

impl World {
    pub(crate) fn new() -> Self {
        // A test about something else need not send heartbeats.
        Self::with(Config { agent_timeout: Duration::from_secs(75), ..Config::default() }, remembered())
    }

    pub(crate) fn with(config: Config, recovered: Recovered) -> Self {
        Self {
            cluster: Cluster::new(config, recovered, Now::ZERO),
            now: Now::ZERO,
            last_session: 0,
            keys: BTreeMap::new(),
        }
    }

    /// Another master takes over, with what the registry remembers. Connections, keys and the time go on.
    pub(crate) fn fail_over(&mut self, config: Config, recovered: Recovered) {
        self.cluster = Cluster::new(config, recovered, self.now);
    }

    /// One command, and the allocation after it.
    pub(crate) fn try_apply(&mut self, command: Command) -> Result<Vec<Effect>, Refusal> {
        let mut effects = Vec::new();
        self.cluster.apply(self.now, command, &mut effects)?;
        self.cluster.allocate(self.now, &mut effects);
        Ok(effects)
    }

    pub(crate) fn apply(&mut self, command: Command) -> Vec<Effect> {
        self.try_apply(command).expect("the test means it well")
    }

    pub(crate) fn agent_says(&mut self, agent: Agent, command: AgentCommand) -> Vec<Effect> {
        self.apply(Command::Agent(agent.session, command))
    }

    pub(crate) fn framework_says(&mut self, framework: Framework, command: FrameworkCommand) -> Vec<Effect> {
        self.apply(Command::Framework(framework.session, command.into()))
    }

    /// Lets time pass, with a tick at every deadline on the way.
    pub(crate) fn wait(&mut self, duration: Duration) -> Vec<Effect> {
        let end = self.now + duration;
        let mut effects = Vec::new();
        while let Some(due) = self.cluster.next_deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            effects.extend(self.apply(Command::Tick));
        }
        self.now = end;
        effects
    }

    /// A connection of the owner, who may do everything.
    pub(crate) fn session(&mut self) -> SessionId {
        self.session_of(Principal::owner())
    }

    pub(crate) fn session_of(&mut self, who: Principal) -> SessionId {
        self.last_session += 1;
        let session = SessionId(self.last_session);
        self.apply(Command::Connected(session, who));
        session
    }

    pub(crate) fn agent(&mut self, cpus: u64, mib: u64) -> Agent {
        self.register(None, size(cpus, mib), vec![]).0
    }

    pub(crate) fn register(
        &mut self,
        id: Option<AgentId>,
        total: Resources,
        tasks: Vec<HeldTask>,
    ) -> (Agent, Vec<Effect>) {
        let session = self.session();
        let identity = match id {
            Some(id) => self.identity(id),
            None => AgentIdentity { member: None, key: AgentKey(u128::from(session.0) << 64), run: 1 },
        };
        let register = AgentCommand::Register { identity, info: agent_info(total), tasks, complete: true };
        let effects = self.apply(Command::Agent(session, register));
        let registered = effects.iter().find_map(|effect| match effect {
            Effect::ToAgent(_, AgentOrder::Registered { member, .. }) => Some(member.id),
            _ => None,
        });
        let id = registered.expect("it is taken in");
        self.keys.insert(id, identity.key);
        (Peer { id, session }, effects)
    }

    /// Of an agent that was here before, in the same process.
    pub(crate) fn identity(&self, id: AgentId) -> AgentIdentity {
        let key = self.keys.get(&id).copied().unwrap_or(AgentKey(u128::from(id.0)));
        AgentIdentity { member: Some(member(id)), key, run: 1 }
    }

    pub(crate) fn framework(&mut self, role: &str) -> Framework {
        self.subscribe(None, framework_info(role)).0
    }

    pub(crate) fn subscribe(&mut self, id: Option<FrameworkId>, info: FrameworkInfo) -> (Framework, Vec<Effect>) {
        let session = self.session();
        let subscribe = FrameworkCommand::Subscribe { member: id.map(member), info };
        let effects = self.apply(Command::Framework(session, subscribe.into()));
        let subscribed = effects.iter().find_map(|effect| match effect {
            Effect::ToFramework(_, FrameworkEvent::Subscribed { member, .. }) => Some(member.id),
            _ => None,
        });
        (Peer { id: subscribed.expect("it is taken in"), session }, effects)
    }

    /// The open offers to a framework, as they stand.
    pub(crate) fn open_offers(&self, framework: Framework) -> Vec<OfferId> {
        let offers = self.cluster.offers(self.now);
        offers.iter().filter(|offer| offer.framework == framework.id).map(|offer| offer.id).collect()
    }

    pub(crate) fn open_offer(&self, framework: Framework) -> OfferId {
        let [offer] = self.open_offers(framework)[..] else { panic!("{} has not one offer", framework.id) };
        offer
    }

    pub(crate) fn accept(&mut self, framework: Framework, offers: &[OfferId], tasks: &[TaskSpec]) -> Vec<Effect> {
        let tasks = tasks.iter().cloned().map(Arc::new).collect();
        self.framework_says(
            framework,
            FrameworkCommand::Accept { offers: offers.into(), operations: vec![], tasks, refuse: AN_HOUR },
        )
    }

    pub(crate) fn decline(&mut self, framework: Framework, offers: &[OfferId], refuse: Duration) -> Vec<Effect> {
        self.framework_says(framework, FrameworkCommand::Decline { offers: offers.into(), refuse })
    }

    /// Task `number` of the framework, launched on its only offer, which it takes whole.
    pub(crate) fn launch(&mut self, framework: Framework, number: u64) -> TaskId {
        let offer = self.open_offer(framework);
        self.launch_on(framework, offer, number)
    }

    /// The same on one of several.
    pub(crate) fn launch_on(&mut self, framework: Framework, offer: OfferId, number: u64) -> TaskId {
        let all =
            self.cluster.offers(self.now).into_iter().find(|open| open.id == offer).expect("it is open").resources;
        let spec = TaskSpec { resources: all, ..task(framework, number, 1, 1) };
        self.accept(framework, &[offer], &[spec]);
        TaskId { framework: framework.id, number }
    }

    /// The same, and it runs: its first update is acknowledged.
    pub(crate) fn launch_and_run(&mut self, agent: Agent, framework: Framework, number: u64) -> TaskId {
        let task = self.launch(framework, number);
        self.update(agent, task, 1, TaskState::Running);
        self.acknowledge(framework, task, 1);
        task
    }

    pub(crate) fn update(&mut self, agent: Agent, task: TaskId, update: u64, state: TaskState) -> Vec<Effect> {
        let status = TaskStatus::new(task, UpdateId(update), state, Source::Executor);
        self.agent_says(agent, AgentCommand::Updates(vec![status]))
    }

    pub(crate) fn acknowledge(&mut self, framework: Framework, task: TaskId, update: u64) -> Vec<Effect> {
        self.acknowledge_all(framework, &[(task, UpdateId(update))])
    }

    pub(crate) fn acknowledge_all(&mut self, framework: Framework, updates: &[(TaskId, UpdateId)]) -> Vec<Effect> {
        let all = updates.iter().map(|&(task, update)| Acknowledgement { task, update, agent: None });
        self.framework_says(framework, FrameworkCommand::Acknowledge(all.collect()))
    }

    /// Acknowledges every update that the master keeps for a framework, as it is told them again.
    pub(crate) fn acknowledge_kept(&mut self, framework: Framework) {
        let told = self.wait(Duration::from_secs(60));
        let kept: Vec<_> = updates(&told, framework).iter().map(|status| (status.task, status.update)).collect();
        self.acknowledge_all(framework, &kept);
    }

    pub(crate) fn disconnect<Id: Copy>(&mut self, peer: Peer<Id>) -> Vec<Effect> {
        self.apply(Command::Disconnected(peer.session))
    }

    pub(crate) fn state_of(&self, task: TaskId) -> Option<TaskState> {
        self.cluster.task(task).map(|view| view.status.state)
    }

    /// What an agent has that is neither used nor offered.
    pub(crate) fn free_on(&self, agent: Agent) -> Resources {
        let view = self.cluster.agents(self.now).into_iter().find(|view| view.id == agent.id).expect("it is there");
        let mut free = view.info.resources.with_revocable(view.revocable);
        free.take(&view.used).expect("no more is used than there is");
        free.take(&view.offered).expect("no more is offered than there is");
        free
    }

    /// What of an agent is reserved.
    pub(crate) fn reserved_on(&self, agent: Agent) -> Vec<Reserved> {
        let view = self.cluster.agents(self.now).into_iter().find(|view| view.id == agent.id).expect("it is there");
        view.reserved.into_iter().map(|view| view.reserved).collect()
    }

    pub(crate) fn used_on(&self, agent: Agent) -> Resources {
        self.cluster.agents(self.now).into_iter().find(|view| view.id == agent.id).expect("it is there").used
    }
}

/// A task that runs on the whole of an agent.
pub(crate) fn with_running() -> (World, Agent, Framework, TaskId) {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, framework, 1);
    (world, agent, framework, task)
}

/// A registry that remembers the cluster and nothing else.
pub(crate) fn remembered() -> Recovered {
    Recovered { cluster: CLUSTER, epoch: Epoch(1), ..Recovered::default() }
}

/// One that also remembers an agent of (2, 1024) and a framework.
pub(crate) fn one_of_each_remembered() -> Recovered {
    Recovered {
        agents: vec![(AgentId(1), record(size(2, 1024), 1))],
        frameworks: vec![(FrameworkId(1), framework_record("role"))],
        last_agent: 4,
        last_framework: 4,
        ..remembered()
    }
}

pub(crate) fn member<Id>(id: Id) -> Member<Id> {
    Member { cluster: CLUSTER, id }
}

/// What a registry remembers of an agent, whose key is its number.
pub(crate) fn record(resources: Resources, id: u64) -> AgentRecord {
    AgentRecord {
        info: agent_info(resources),
        key: AgentKey(u128::from(id)),
        unreachable_since: None,
        certified: false,
        reserved: vec![],
        volumes: vec![],
        last_volume: 0,
    }
}

pub(crate) fn size(cpus: u64, mib: u64) -> Resources {
    Resources::new(MilliCpu::from_cores(cpus), Bytes::from_mib(mib), Bytes::ZERO)
}

/// Whole cores, and MiB of memory and disk.
pub(crate) fn with_disk(cpus: u64, mem: u64, disk: u64) -> Resources {
    Resources::new(MilliCpu::from_cores(cpus), Bytes::from_mib(mem), Bytes::from_mib(disk))
}

/// So much, reserved for a role.
pub(crate) fn part(role: &str, resources: Resources) -> Reserved {
    Reserved { reservation: Reservation::new(role).unwrap(), resources }
}

pub(crate) fn agent_info(resources: Resources) -> AgentInfo {
    AgentInfo {
        name: "host".into(),
        resources,
        attributes: [("zone".into(), "a".into())].into(),
        ..AgentInfo::default()
    }
}

pub(crate) fn framework_info(role: &str) -> FrameworkInfo {
    FrameworkInfo {
        name: "framework".into(),
        roles: vec![role.into()],
        failover_timeout: FrameworkInfo::DEFAULT_FAILOVER_TIMEOUT,
    }
}

/// What a registry remembers of a framework of the owner's.
pub(crate) fn framework_record(role: &str) -> FrameworkRecord {
    FrameworkRecord { info: framework_info(role), principal: PrincipalId::owner() }
}

pub(crate) fn task(framework: Framework, number: u64, cpus: u64, mib: u64) -> TaskSpec {
    TaskSpec {
        id: TaskId { framework: framework.id, number },
        name: format!("task {number}"),
        role: String::new(),
        module: Digest([7; 32]),
        args: vec![],
        env: vec![],
        stdin: vec![],
        resources: size(cpus, mib),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: vec![],
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    }
}

pub(crate) fn held(id: TaskId, state: TaskState, resources: Resources) -> HeldTask {
    let (name, role) = ("held".into(), "role".into());
    HeldTask {
        id,
        name,
        resources,
        role,
        volumes: vec![],
        module: None,
        state,
        update: UpdateId(2),
        group: None,
        trace: None,
        life: None,
    }
}

/// The updates that a framework is sent.
pub(crate) fn updates(effects: &[Effect], framework: Framework) -> Vec<TaskStatus> {
    let to_it = events(effects, framework).into_iter();
    to_it
        .filter_map(|event| match event {
            FrameworkEvent::Update(status) => Some(status),
            _ => None,
        })
        .collect()
}

pub(crate) fn briefs(effects: &[Effect], framework: Framework) -> Vec<Brief> {
    updates(effects, framework).into_iter().map(|status| (status.task, status.state, status.reason)).collect()
}

pub(crate) fn events(effects: &[Effect], framework: Framework) -> Vec<FrameworkEvent> {
    let to_it = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework(session, event) if *session == framework.session => Some(event.clone()),
        _ => None,
    });
    to_it.collect()
}

/// Why each operation was dropped that was.
pub(crate) fn dropped(effects: &[Effect], framework: Framework) -> Vec<String> {
    let dropped = events(effects, framework).into_iter().filter_map(|event| match event {
        FrameworkEvent::OperationDropped { why, .. } => Some(why),
        _ => None,
    });
    dropped.collect()
}

pub(crate) fn offers(effects: &[Effect], framework: Framework) -> Vec<Offer> {
    let made = events(effects, framework).into_iter().filter_map(|event| match event {
        FrameworkEvent::Offers(offers) => Some(offers),
        _ => None,
    });
    made.flatten().collect()
}

pub(crate) fn orders(effects: &[Effect], agent: Agent) -> Vec<AgentOrder> {
    let to_it = effects.iter().filter_map(|effect| match effect {
        Effect::ToAgent(session, order) if *session == agent.session => Some(order.clone()),
        _ => None,
    });
    to_it.collect()
}
