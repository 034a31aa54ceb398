//! What holds whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::{Principal, Roles, TokenId, TokenKind, TokenRecord};
use haggle_core::cluster::{
    Acknowledgement, AgentCommand, AgentIdentity, AgentOrder, AgentView, Announcement, Cluster, Command, Config,
    Effect, FrameworkCommand, FrameworkEvent, FrameworkInfo, HeldTask, OfferView, OperatorCommand, PhaseView, Question,
};
use haggle_core::{
    AgentId, AgentInfo, AgentKey, Bytes, Ceiling, Digest, Folder, FolderSource, FrameworkId, InverseOfferId,
    Maintenance, MaintenanceId, MilliCpu, Now, OfferId, OfferOperation, Operation, Placed, PlacedOperation, Quota,
    Reason, Resources, SessionId, Source, TaskId, TaskSpec, TaskState, TaskStatus, Unavailability, UpdateId, VolumeId,
    VolumeOperation, Want,
};
use proptest::prelude::*;

mod play;
mod promises;
mod steps;

use self::promises::check_groups_are_launched_whole;
use self::steps::step;
use crate::kit::{Peer, agent_info, framework_info, member, remembered, size, task};
use crate::tally::check_tally;

/// What an agent really has, whatever the master believes.
#[derive(Clone, Debug, Default)]
struct Host {
    session: Option<SessionId>,
    tasks: BTreeMap<TaskId, HeldTask>,
    updates: BTreeMap<TaskId, u64>,
    volumes: BTreeSet<VolumeId>,
    /// What it was told to end since it is connected.
    told: BTreeSet<TaskId>,
}

impl Host {
    fn running(&self) -> impl Iterator<Item = &HeldTask> {
        self.tasks.values().filter(|task| !task.state.is_terminal())
    }
}

/// A cluster with peers that do what they please, and books about it.
struct Chaos {
    cluster: Cluster,
    now: Now,
    last_session: u64,
    last_task: u64,
    last_agent: u128,
    last_token: u64,
    hosts: BTreeMap<AgentId, Host>,
    frameworks: BTreeMap<FrameworkId, Option<SessionId>>,
    /// Inverse offers that frameworks have heard and may answer.
    asked: Vec<(SessionId, InverseOfferId)>,
    /// Updates that frameworks have heard and may acknowledge.
    heard: Vec<(TaskId, UpdateId)>,
    launched: BTreeSet<TaskId>,
    /// The tasks of each group.
    groups: BTreeMap<TaskId, BTreeSet<TaskId>>,
    ended: BTreeMap<TaskId, TaskState>,
}

impl Chaos {
    fn new() -> Self {
        let config = Config { history: 100_000, ..Config::default() };
        Self {
            cluster: Cluster::new(config, remembered(), Now::ZERO),
            now: Now::ZERO,
            last_session: 0,
            last_task: 0,
            last_agent: 0,
            last_token: 0,
            hosts: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            asked: Vec::new(),
            heard: Vec::new(),
            launched: BTreeSet::new(),
            groups: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    fn session(&mut self) -> SessionId {
        self.session_of(Principal::owner())
    }

    fn session_of(&mut self, who: Principal) -> SessionId {
        self.last_session += 1;
        let session = SessionId(self.last_session);
        self.apply(Command::Connected(session, who));
        session
    }

    /// Who comes with a new token.
    fn token(&mut self) -> Principal {
        self.last_token += 1;
        let id = TokenId(self.last_token);
        let record = TokenRecord {
            name: "tenant".into(),
            kind: TokenKind::Framework(Roles::every()),
            hash: Digest([1; 32]),
            made_ms: 0,
            expires_ms: 1_000,
            made_by: Principal::OWNER.into(),
            revoked: false,
            authority: None,
        };
        let who = record.principal(id);
        self.operator_says(OperatorCommand::CreateToken(id, record));
        who
    }

    fn operator_says(&mut self, command: OperatorCommand) {
        self.apply(Command::Operator(Principal::owner(), None, command));
    }

    /// Applies a command, checks that a refusal has changed nothing, and lets the effects reach the peers.
    fn apply(&mut self, command: Command) {
        let before = self.cluster.clone();
        let mut effects = Vec::new();
        if let Err(refusal) = self.cluster.apply(self.now, command, &mut effects) {
            assert_eq!(self.cluster, before, "what was refused has changed something: {refusal}");
            assert_eq!(effects, [], "what was refused has effects: {refusal}");
        }
        self.cluster.allocate(self.now, &mut effects);
        check_groups_are_launched_whole(&effects);
        for effect in effects {
            self.see(effect);
        }
        self.check_books();
        self.check_groups();
        self.check_roles();
    }

    fn see(&mut self, effect: Effect) {
        match effect {
            Effect::ToAgent(session, order) => {
                let Some((&id, _)) = self.hosts.iter().find(|(_, host)| host.session == Some(session)) else {
                    if let AgentOrder::Registered { member, .. } = order {
                        self.hosts.entry(member.id).or_default().session = Some(session);
                    }
                    return;
                };
                self.obey(id, order);
            }
            Effect::ToFramework(session, FrameworkEvent::Subscribed { member, .. }) => {
                self.frameworks.insert(member.id, Some(session));
            }
            Effect::ToFramework(session, FrameworkEvent::InverseOffers(offers)) => {
                self.asked.extend(offers.iter().map(|offer| (session, offer.id)));
            }
            Effect::ToFramework(_, FrameworkEvent::Update(status)) if status.update.0 > 0 => {
                self.heard.push((status.task, status.update));
            }
            Effect::Close(session) => {
                for host in self.hosts.values_mut().filter(|host| host.session == Some(session)) {
                    host.session = None;
                }
                for link in self.frameworks.values_mut().filter(|link| **link == Some(session)) {
                    *link = None;
                }
            }
            Effect::Announce(Announcement::Task(status)) if status.state.is_terminal() => {
                let earlier = self.ended.insert(status.task, status.state);
                assert_eq!(earlier, None, "{} ended twice", status.task);
            }
            _ => {}
        }
    }

    fn obey(&mut self, agent: AgentId, order: AgentOrder) {
        match order {
            AgentOrder::Launch(spec) => {
                let held = HeldTask {
                    id: spec.id,
                    name: spec.name.clone(),
                    resources: spec.resources.clone(),
                    role: spec.role.clone(),
                    volumes: spec.volumes(),
                    module: Some(spec.module),
                    state: TaskState::Staging,
                    update: UpdateId::UNACKNOWLEDGED,
                    group: spec.group,
                    trace: spec.trace.clone(),
                    life: None,
                };
                assert!(self.launched.insert(spec.id), "{} was launched twice", spec.id);
                if let Some(group) = spec.group {
                    self.groups.entry(group.id(spec.id.framework)).or_default().insert(spec.id);
                }
                self.hosts.get_mut(&agent).expect("it is connected").tasks.insert(spec.id, held);
            }
            AgentOrder::CreateVolume { volume, .. } => {
                self.hosts.get_mut(&agent).expect("it is connected").volumes.insert(volume);
            }
            AgentOrder::DestroyVolume(volume) => {
                let host = self.hosts.get_mut(&agent).expect("it is connected");
                host.volumes.remove(&volume);
                let user = host.running().find(|task| task.volumes.contains(&volume));
                assert!(user.is_none(), "{volume} is destroyed under {user:?}");
            }
            AgentOrder::Kill(task) => {
                self.hosts.get_mut(&agent).expect("it is connected").told.insert(task);
            }
            AgentOrder::End { task, reason, .. } => {
                let host = self.hosts.get_mut(&agent).expect("it is connected");
                let is_revocable = !host.tasks[&task].resources.revocable.is_zero();
                assert!(is_revocable || reason != Reason::Preempted, "{task} has cpus of its own, and is preempted");
                host.told.insert(task);
            }
            AgentOrder::StopAll => {
                let host = self.hosts.get_mut(&agent).expect("it is connected");
                host.told.extend(host.tasks.keys());
            }
            AgentOrder::Acknowledge(task, _) => {
                let host = self.hosts.get_mut(&agent).expect("it is connected");
                if host.tasks.get(&task).is_some_and(|held| held.state.is_terminal()) {
                    host.tasks.remove(&task);
                }
            }
            _ => {}
        }
    }

    /// Every agent comes back, and everything on it ends.
    fn settle(&mut self) {
        let all: Vec<_> = self.hosts.keys().copied().collect();
        for id in all {
            self.return_agent(id, false);
            let Some(session) = self.hosts[&id].session else { continue };
            let held: Vec<_> = self.hosts[&id].tasks.keys().copied().collect();
            for task in held {
                // The end of one in a group may settle another that had ended before.
                if self.hosts[&id].tasks.contains_key(&task) {
                    self.move_task(id, session, task, TaskState::Killed);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No resource is promised twice; free, offered and used are always the total; a refused command changes
    /// nothing; an accepted task is launched once and ends exactly once.
    #[test]
    fn the_promises_hold_whatever_happens(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = Chaos::new();
        for step in steps {
            world.step(step);
        }

        world.settle();

        let ended: BTreeSet<_> = world.ended.keys().copied().collect();
        let unended: Vec<_> = world.launched.difference(&ended).collect();
        prop_assert!(unended.is_empty(), "never ended: {unended:?}");
    }
}
