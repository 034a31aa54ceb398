//! What holds whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::{Principal, Roles, TokenId, TokenKind, TokenRecord};
use haggle_core::cluster::{
    Acknowledgement, AgentCommand, AgentIdentity, AgentOrder, AgentView, Announcement, Cluster, Command, Config,
    Effect, FrameworkCommand, FrameworkEvent, FrameworkInfo, HeldTask, OperatorCommand, PhaseView, Question,
};
use haggle_core::{
    AgentId, AgentInfo, AgentKey, Bytes, Ceiling, Digest, Folder, FolderSource, FrameworkId, InverseOfferId,
    Maintenance, MaintenanceId, MilliCpu, Now, OfferId, OfferOperation, Operation, Placed, Quota, Reason, Resources,
    SessionId, Source, TaskId, TaskSpec, TaskState, TaskStatus, Unavailability, UpdateId, VolumeId, VolumeOperation,
    Want,
};
use proptest::prelude::*;

use crate::kit::{Peer, agent_info, framework_info, member, remembered, size, task};
use crate::tally::check_tally;

/// One thing that peers or time may do. Numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
    AgentJoins,
    AgentReturns(usize, bool),
    AgentDisconnects(usize),
    AgentDrains(usize),
    AgentLeaves(usize),
    TaskMoves(usize, usize, TaskState),
    FrameworkJoins(usize),
    FrameworkReturns(usize, usize),
    FrameworkChanges(usize, usize),
    FrameworkDisconnects(usize),
    Accepts { offers: [usize; 2], operation: usize, cpus: [u64; 2], refuse: u64 },
    LaunchesGroup { framework: usize, cpus: [u64; 3], whole: bool },
    Reserves(usize, usize),
    VolumeMade(usize, usize),
    VolumeDestroyed(usize),
    VolumeShared(usize, bool),
    AgentTellsVolumes(usize),
    Declines(usize, u64),
    Kills(usize),
    KilledByOperator(usize),
    AgentRemoved(usize),
    AgentWithdrawn(usize, Option<(u64, bool)>),
    AgentReactivated(usize),
    MaintenanceScheduled([usize; 2], u64, u64),
    MaintenanceCancelled(u64),
    AnswersInverse(usize, Option<u64>),
    TokenRevoked(usize),
    Acknowledges(usize),
    Reconciles(usize),
    Revives(usize, usize),
    Suppresses(usize, usize),
    Wants(usize, usize, [u32; 2]),
    Quota(usize, u64, u64),
    Measures(usize, u64),
    TearsDown(usize),
    Nonsense(usize),
    TimePasses(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let one = || 0..100_usize;
    let moves = prop::sample::select(vec![
        TaskState::Starting,
        TaskState::Running,
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
    ]);
    prop_oneof![
        3 => Just(Step::AgentJoins),
        3 => (one(), any::<bool>()).prop_map(|(agent, forgets)| Step::AgentReturns(agent, forgets)),
        2 => one().prop_map(Step::AgentDisconnects),
        1 => one().prop_map(Step::AgentDrains),
        1 => one().prop_map(Step::AgentLeaves),
        12 => (one(), one(), moves).prop_map(|(agent, task, state)| Step::TaskMoves(agent, task, state)),
        3 => one().prop_map(Step::FrameworkJoins),
        2 => (one(), one()).prop_map(|(framework, roles)| Step::FrameworkReturns(framework, roles)),
        2 => (one(), one()).prop_map(|(framework, roles)| Step::FrameworkChanges(framework, roles)),
        1 => one().prop_map(Step::FrameworkDisconnects),
        12 => ([one(), one()], one(), [0..4_u64, 1..4_u64], 0..3_u64)
            .prop_map(|(offers, operation, cpus, refuse)| Step::Accepts { offers, operation, cpus, refuse }),
        6 => (one(), [0..3_u64, 1..3_u64, 1..3_u64], prop::bool::weighted(0.8))
            .prop_map(|(framework, cpus, whole)| Step::LaunchesGroup { framework, cpus, whole }),
        2 => (one(), one()).prop_map(|(agent, operation)| Step::Reserves(agent, operation)),
        3 => (one(), one()).prop_map(|(agent, role)| Step::VolumeMade(agent, role)),
        1 => one().prop_map(Step::VolumeDestroyed),
        2 => (one(), any::<bool>()).prop_map(|(volume, shared)| Step::VolumeShared(volume, shared)),
        3 => one().prop_map(Step::AgentTellsVolumes),
        3 => (one(), 0..10_u64).prop_map(|(offer, refuse)| Step::Declines(offer, refuse)),
        2 => one().prop_map(Step::Kills),
        1 => one().prop_map(Step::KilledByOperator),
        1 => one().prop_map(Step::AgentRemoved),
        2 => (one(), prop::option::weighted(0.8, (0..20_u64, prop::bool::weighted(0.2))))
            .prop_map(|(agent, drain)| Step::AgentWithdrawn(agent, drain)),
        3 => one().prop_map(Step::AgentReactivated),
        2 => ([one(), one()], 0..60_u64, 1..60_u64)
            .prop_map(|(agents, start, lasts)| Step::MaintenanceScheduled(agents, start, lasts)),
        1 => (1..5_u64).prop_map(Step::MaintenanceCancelled),
        3 => (one(), prop::option::of(0..10_u64))
            .prop_map(|(framework, refuse)| Step::AnswersInverse(framework, refuse)),
        1 => one().prop_map(Step::TokenRevoked),
        4 => one().prop_map(Step::Acknowledges),
        1 => one().prop_map(Step::Reconciles),
        1 => (one(), one()).prop_map(|(framework, role)| Step::Revives(framework, role)),
        1 => (one(), one()).prop_map(|(framework, role)| Step::Suppresses(framework, role)),
        3 => (one(), one(), [0..4_u32, 0..3_u32])
            .prop_map(|(framework, role, wants)| Step::Wants(framework, role, wants)),
        1 => (one(), 0..3_u64, 0..9_u64).prop_map(|(role, least, most)| Step::Quota(role, least, most)),
        4 => (one(), 0..5_u64).prop_map(|(agent, cpus)| Step::Measures(agent, cpus)),
        1 => one().prop_map(Step::TearsDown),
        2 => one().prop_map(Step::Nonsense),
        6 => (0..40_u64).prop_map(Step::TimePasses),
    ]
}

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
                    state: TaskState::Staging,
                    update: UpdateId::UNACKNOWLEDGED,
                    group: spec.group,
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

    /// For each agent: what is used and what is offered is there, and is what tasks and offers say. On the host
    /// itself no more runs than there is.
    fn check_books(&self) {
        check_tally(&self.cluster, self.now);
        let mut offered: BTreeMap<AgentId, Resources> = BTreeMap::new();
        for offer in self.cluster.offers(self.now) {
            offered.entry(offer.agent).or_default().give(&offer.resources);
        }
        for agent in self.cluster.agents(self.now) {
            // What is revocable is in books of its own: it may be overused until those end that are preempted, and is not offered
            // meanwhile.
            let has = agent.info.resources.clone().with_revocable(agent.revocable.max(agent.used.revocable));
            let mut free = has.clone();
            free.take(&agent.used).unwrap_or_else(|short| panic!("{} is overused: {short}", agent.id));
            free.take(&agent.offered).unwrap_or_else(|short| panic!("{} is promised twice: {short}", agent.id));
            assert!(agent.kept <= free.disk, "{}: volumes hold {} of {}", agent.id, agent.kept, free.disk);
            assert_eq!(agent.offered, offered.get(&agent.id).cloned().unwrap_or_default());
            // And so it is of each part of it that is reserved, and of what is reserved for nobody.
            let mut unreserved = (has, agent.used.clone());
            unreserved.1.give(&agent.offered);
            unreserved.1.disk = unreserved.1.disk.saturating_add(agent.kept);
            for part in &agent.reserved {
                let mut allocated = part.used.clone();
                allocated.give(&part.offered);
                allocated.give(&part.kept);
                let has = &part.reserved.resources;
                assert!(has.contains(&allocated), "{}: {part:?}", agent.id);
                unreserved.0.take(has).unwrap_or_else(|short| panic!("{} keeps too much: {short}", agent.id));
                unreserved.1.take_up_to(&allocated);
            }
            assert!(unreserved.0.contains(&unreserved.1), "{}: {unreserved:?}", agent.id);
            let Some(host) = self.hosts.get(&agent.id).filter(|host| host.session.is_some()) else { continue };
            let mut running = Resources::default();
            for task in host.running() {
                running.give(&task.resources);
            }
            assert_eq!(agent.used, running, "{} runs something else than the master believes", agent.id);
            let Some(withdrawal) = agent.withdrawal else { continue };
            assert!(agent.offered.is_empty(), "{} takes no tasks, and is offered", agent.id);
            let is_empty = withdrawal.phase != PhaseView::Drained || running.is_empty();
            assert!(is_empty, "{} is called drained, and runs {running}", agent.id);
        }
        self.check_volumes();
        self.check_inverse_offers();
        for framework in self.cluster.frameworks() {
            let mut used = Resources::default();
            let holding = |state: TaskState| !state.is_terminal() && state != TaskState::Unreachable;
            let tasks = self.cluster.tasks();
            let its = tasks.iter().filter(|task| task.id.framework == framework.id);
            for task in its.filter(|task| holding(task.status.state)) {
                used.give(&task.resources);
            }
            let mut less = used.clone();
            less.take_up_to(&framework.used);
            assert!(less.is_empty(), "{} holds {used}, and is charged {}", framework.id, framework.used);
        }
    }

    /// Of a group of which a task came to a bad end, or cannot be seen any more, nothing goes on: what runs on an agent that is
    /// there was told to end.
    fn check_groups(&self) {
        for (group, tasks) in &self.groups {
            if self.cluster.tenant_of(group.framework).is_none() {
                continue;
            }
            let state = |task: &TaskId| self.cluster.task(*task).map(|view| view.status.state);
            let is_bad = |state: TaskState| {
                state == TaskState::Unreachable || state.is_terminal() && state != TaskState::Finished
            };
            if !tasks.iter().filter_map(state).any(is_bad) {
                continue;
            }
            for task in tasks {
                let goes_on =
                    matches!(state(task), Some(TaskState::Staging | TaskState::Starting | TaskState::Running));
                assert!(!goes_on, "{task} goes on, though {group} has failed");
            }
            for (id, host) in self.hosts.iter().filter(|(_, host)| host.session.is_some()) {
                let lives = |task: &&TaskId| host.tasks.get(task).is_some_and(|held| !held.state.is_terminal());
                let untold = tasks.iter().filter(lives).find(|task| !host.told.contains(task));
                assert_eq!(untold, None, "{id} runs it, though {group} has failed");
            }
        }
    }

    /// What each role holds is what is offered for it, and what its tasks hold that can be told.
    fn check_roles(&self) {
        let mut of_roles: BTreeMap<String, (Resources, Resources)> = BTreeMap::new();
        let mut add = |role: &str, used: &Resources, offered: &Resources| {
            for at in role.match_indices('/').map(|(at, _)| at).chain([role.len()]) {
                let sums = of_roles.entry(role[..at].to_owned()).or_default();
                sums.0.give(used);
                sums.1.give(offered);
            }
        };
        let nothing = Resources::default();
        let holding = |state: TaskState| !state.is_terminal() && state != TaskState::Unreachable;
        for task in self.cluster.tasks().iter().filter(|task| holding(task.status.state)) {
            if self.cluster.tenant_of(task.id.framework).is_some() {
                add(&task.role, &task.resources, &nothing);
            }
        }
        self.cluster.offers(self.now).iter().for_each(|offer| add(&offer.role, &nothing, &offer.resources));
        for role in self.cluster.roles() {
            let (used, offered) = of_roles.remove(&role.name).unwrap_or_default();
            assert_eq!(role.offered, offered, "{}", role.name);
            // What an agent runs though it should not counts as well.
            assert!(role.used.contains(&used), "{} holds {used}, and is charged {}", role.name, role.used);
        }
        assert!(of_roles.is_empty(), "of roles that are not there: {of_roles:?}");
    }

    /// A volume that is not shared is in one offer, or used by one task. None is in an offer of another role, or of another
    /// agent.
    fn check_volumes(&self) {
        let offers = self.cluster.offers(self.now);
        for view in self.cluster.volumes_page(&Principal::owner(), None, 1_000).0 {
            let Some(host) = self.hosts.get(&view.agent).filter(|host| host.session.is_some()) else { continue };
            let users = host.running().filter(|task| task.volumes.contains(&view.id)).count();
            let its: Vec<_> =
                offers.iter().filter(|offer| offer.volumes.iter().any(|volume| volume.id == view.id)).collect();
            assert_eq!((view.users, view.offers), (users, its.len()), "{view:?}");
            assert!(its.iter().all(|offer| offer.agent == view.agent), "{view:?} is in {its:?}");
            let Some(volume) = view.known else { continue };
            assert!(volume.shared || users + its.len() <= 1, "{volume:?} is had by {users} tasks and in {its:?}");
            let is_its = |role: &str| role == volume.role() || role.starts_with(&format!("{}/", volume.role()));
            assert!(its.iter().all(|offer| is_its(&offer.role)), "{volume:?} is in {its:?}");
        }
    }

    /// Whoever holds something on an agent that will not be there is asked about it once, and nobody else is.
    fn check_inverse_offers(&self) {
        let agents = self.cluster.agents(self.now);
        let connected: BTreeSet<_> =
            self.cluster.frameworks().iter().filter(|view| view.connected).map(|view| view.id).collect();
        let offers = self.cluster.offers(self.now);
        let holders = |agent: &AgentId| {
            let host = &self.hosts[agent];
            let runs = |id: &TaskId| {
                let known = self.cluster.task(*id).is_some_and(|task| !task.status.state.is_terminal());
                known && !host.tasks[id].state.is_terminal()
            };
            let by_task = host.tasks.keys().filter(|id| runs(id)).map(|id| id.framework);
            let by_offer = offers.iter().filter(|offer| offer.agent == *agent).map(|offer| offer.framework);
            by_task.chain(by_offer).filter(|id| connected.contains(id)).collect::<BTreeSet<_>>().len()
        };
        for window in self.cluster.maintenance_page(None, 1_000).0 {
            let is_next = |view: &&AgentView| {
                window.maintenance.agents.contains(&view.id) && view.unavailability == Some(window.maintenance.when)
            };
            let there: Vec<_> = agents.iter().filter(is_next).collect();
            let is_host = |id: &AgentId| self.hosts.get(id).is_some_and(|host| host.session.is_some());
            let are_all_known = window.maintenance.agents.iter().all(is_host);
            if !window.has_begun && are_all_known && there.len() == window.maintenance.agents.len() {
                let asked = window.unanswered + window.accepted + window.declined;
                let holding: usize = there.iter().map(|view| holders(&view.id)).sum();
                assert_eq!(asked, holding, "asked about {}", window.id);
            }
        }
    }

    fn connected_agent(&self, pick: usize) -> Option<(AgentId, SessionId)> {
        let connected: Vec<_> = self.hosts.iter().filter_map(|(&id, host)| Some((id, host.session?))).collect();
        connected.get(pick % connected.len().max(1)).copied()
    }

    fn connected_framework(&self, pick: usize) -> Option<Peer<FrameworkId>> {
        let connected: Vec<_> =
            self.frameworks.iter().filter_map(|(&id, &session)| Some(Peer { id, session: session? })).collect();
        connected.get(pick % connected.len().max(1)).copied()
    }

    fn framework_says(&mut self, pick: usize, command: impl FnOnce(&mut Self, Peer<FrameworkId>) -> FrameworkCommand) {
        if let Some(framework) = self.connected_framework(pick) {
            let command = command(self, framework);
            self.apply(Command::Framework(framework.session, command.into()));
        }
    }

    fn any_agent(&self, pick: usize) -> Option<AgentId> {
        let all: Vec<_> = self.hosts.keys().copied().collect();
        all.get(pick % all.len().max(1)).copied()
    }

    fn any_volume(&self, pick: usize) -> Option<VolumeId> {
        let all = self.cluster.volumes_page(&Principal::owner(), None, 1_000).0;
        all.get(pick % all.len().max(1)).map(|view| view.id)
    }

    /// The wall clock goes with the cluster's time here.
    fn wall_ms(&self) -> u64 {
        1_000_000 + self.now.as_nanos() / 1_000_000
    }

    fn any_task(&self, framework: FrameworkId, pick: usize) -> TaskId {
        let its: Vec<_> = self.launched.iter().filter(|task| task.framework == framework).collect();
        its.get(pick % (its.len() + 1)).map_or(TaskId { framework, number: 999_999 }, |&&task| task)
    }

    fn accept(&mut self, offers: [usize; 2], operation: usize, cpus: [u64; 2], refuse: u64) {
        let (writes, volumes) = (operation % 4 < 2, operation % 5 < 3);
        let wanted = operation;
        let operation = operation.is_multiple_of(3).then(|| operation_of(operation));
        self.framework_says(offers[0], |world, framework| {
            let open = world.cluster.offers(world.now);
            let pick = |pick: usize| open.get(pick % open.len().max(1)).map_or(OfferId(999_999), |offer| offer.id);
            let its = open.iter().find(|offer| offer.framework == framework.id).map(|offer| offer.id);
            // Mostly its own, so that something is launched.
            let offers = match (its, offers[1] % 4) {
                (Some(its), 1..) => vec![its],
                _ => offers.map(pick).to_vec(),
            };
            let has = open.iter().filter(|offer| offers.contains(&offer.id)).flat_map(|offer| &offer.volumes);
            let has: Vec<VolumeId> = has.map(|volume| volume.id).collect();
            let revocable = offers
                .iter()
                .any(|offer| open.iter().any(|open| open.id == *offer && !open.resources.revocable.is_zero()));
            let tasks = cpus.map(|cpus| {
                world.last_task += 1;
                let mut spec = task(framework, world.last_task, cpus, 128 * cpus);
                if revocable {
                    spec.resources = revocable_size(cpus);
                }
                for &volume in has.iter().filter(|_| volumes) {
                    let source = FolderSource::Volume { volume, writable: writes };
                    spec.grants.folders.push(Folder { guest_path: format!("/{volume}"), source });
                }
                Arc::new(spec)
            });
            let of_volume = has.first().filter(|_| wanted % 7 < 2).map(|&volume| match wanted % 7 {
                0 => VolumeOperation::Destroy(volume),
                _ => VolumeOperation::Share { volume, shared: wanted.is_multiple_of(2) },
            });
            let made = (wanted % 7 == 2).then(|| VolumeOperation::Create {
                role: ROLES[wanted % 3].to_owned(),
                name: format!("volume {}", wanted % 5),
                size: Bytes::from_mib(64),
            });
            let of_volumes = of_volume.into_iter().chain(made).map(OfferOperation::from);
            FrameworkCommand::Accept {
                offers,
                operations: operation.into_iter().map(OfferOperation::from).chain(of_volumes).collect(),
                tasks: tasks.to_vec(),
                refuse: Duration::from_secs(refuse),
            }
        });
    }

    /// On all that a framework is offered for one role, or with a task too many.
    fn launch_group(&mut self, framework: usize, cpus: [u64; 3], whole: bool) {
        self.framework_says(framework, |world, framework| {
            let mut open = world.cluster.offers(world.now);
            open.retain(|offer| offer.framework == framework.id);
            let role = open.first().map(|offer| offer.role.clone());
            open.retain(|offer| Some(&offer.role) == role.as_ref());
            let mut tasks = Vec::new();
            for (at, cpus) in cpus.into_iter().enumerate() {
                let Some(offer) = open.get(at % open.len().max(1)) else { continue };
                world.last_task += 1;
                let cpus = if whole { cpus.min(offer.resources.cpus.get() / 3_000).max(1) } else { cpus };
                let task = Arc::new(TaskSpec { ..task(framework, world.last_task, cpus, 128) });
                tasks.push(Placed { agent: offer.agent, task });
            }
            let offers = open.iter().map(|offer| offer.id).collect();
            FrameworkCommand::LaunchGroup { offers, tasks, refuse: Duration::ZERO }
        });
    }

    fn return_agent(&mut self, id: AgentId, forgets: bool) {
        let session = self.session();
        let host = self.hosts.get_mut(&id).expect("it was picked");
        host.session = Some(session);
        host.told.clear();
        if forgets {
            host.tasks.clear();
        }
        let tasks = host.tasks.values().cloned().collect();
        let info = AgentInfo { reserved: keeps(id.0 as usize), ..agent_info(whole()) };
        let identity = AgentIdentity { member: Some(member(id)), key: AgentKey(u128::from(id.0)), run: 1 };
        self.apply(Command::Agent(session, AgentCommand::Register { identity, info, tasks, complete: true }));
        self.tell_volumes(id);
    }

    fn tell_volumes(&mut self, id: AgentId) {
        let host = &self.hosts[&id];
        if let Some(session) = host.session {
            let volumes = host.volumes.iter().copied().collect();
            self.apply(Command::Agent(session, AgentCommand::Volumes(volumes)));
        }
    }

    fn move_task(&mut self, id: AgentId, session: SessionId, task: TaskId, state: TaskState) {
        let host = self.hosts.get_mut(&id).expect("it was picked");
        let held = host.tasks.get_mut(&task).expect("it was picked");
        // An agent repeats an end that is not acknowledged, and never takes it back.
        if !held.state.is_terminal() {
            held.state = state;
            *host.updates.entry(task).or_default() += 1;
            held.update = UpdateId(host.updates[&task]);
        }
        let status = TaskStatus::new(task, UpdateId(host.updates[&task]), held.state, Source::Executor);
        self.apply(Command::Agent(session, AgentCommand::Updates(vec![status])));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::AgentJoins => {
                let session = self.session();
                self.last_agent += 1;
                let info = AgentInfo { reserved: keeps(self.last_agent as usize), ..agent_info(whole()) };
                let identity = AgentIdentity { member: None, key: AgentKey(self.last_agent), run: 1 };
                let register = AgentCommand::Register { identity, info, tasks: vec![], complete: true };
                self.apply(Command::Agent(session, register));
            }
            Step::AgentReturns(pick, forgets) => {
                if let Some(id) = self.any_agent(pick) {
                    self.return_agent(id, forgets);
                }
            }
            Step::AgentDisconnects(pick) => {
                if let Some((id, session)) = self.connected_agent(pick) {
                    self.hosts.get_mut(&id).expect("it was picked").session = None;
                    self.apply(Command::Disconnected(session));
                }
            }
            Step::AgentDrains(pick) => {
                if let Some((_, session)) = self.connected_agent(pick) {
                    self.apply(Command::Agent(session, AgentCommand::Drain));
                }
            }
            Step::AgentLeaves(pick) => {
                if let Some((id, session)) = self.connected_agent(pick) {
                    self.hosts.get_mut(&id).expect("it was picked").tasks.clear();
                    self.apply(Command::Agent(session, AgentCommand::Leave));
                }
            }
            Step::TaskMoves(agent, task, state) => {
                let Some((id, session)) = self.connected_agent(agent) else { return };
                let held: Vec<_> = self.hosts[&id].tasks.keys().copied().collect();
                if let Some(&task) = held.get(task % held.len().max(1)) {
                    self.move_task(id, session, task, state);
                }
            }
            Step::AgentRemoved(pick) => {
                if let Some(id) = self.any_agent(pick) {
                    self.hosts.get_mut(&id).expect("it was picked").tasks.clear();
                    self.operator_says(OperatorCommand::RemoveAgent(id));
                }
            }
            Step::AgentWithdrawn(pick, drain) => {
                let Some(agent) = self.any_agent(pick) else { return };
                self.operator_says(match drain {
                    None => OperatorCommand::Deactivate(agent),
                    Some((grace, mark_gone)) => {
                        OperatorCommand::Drain { agent, grace: Duration::from_secs(grace), mark_gone }
                    }
                });
            }
            Step::AgentReactivated(pick) => {
                if let Some(agent) = self.any_agent(pick) {
                    self.operator_says(OperatorCommand::Reactivate(agent));
                }
            }
            Step::MaintenanceScheduled(agents, start, lasts) => {
                let agents = agents.into_iter().filter_map(|pick| self.any_agent(pick)).collect();
                let wall_ms = self.wall_ms();
                let when = Unavailability { start_ms: wall_ms + start * 1_000, duration_ms: lasts * 1_000 };
                let maintenance = Maintenance { agents, when, grace: Duration::from_secs(lasts / 4) };
                self.operator_says(OperatorCommand::Schedule { maintenance, wall_ms });
            }
            Step::MaintenanceCancelled(id) => {
                self.operator_says(OperatorCommand::CancelMaintenance(MaintenanceId(id)));
            }
            Step::AnswersInverse(pick, refuse) => self.framework_says(pick, |world, framework| {
                let its = world.asked.extract_if(.., |(session, _)| *session == framework.session);
                let offers = its.map(|(_, id)| id).collect();
                match refuse.map(Duration::from_secs) {
                    None => FrameworkCommand::AcceptInverse(offers),
                    Some(refuse) => FrameworkCommand::DeclineInverse { offers, refuse },
                }
            }),
            Step::TokenRevoked(pick) => {
                let id = TokenId(pick as u64 % (self.last_token + 1));
                self.operator_says(OperatorCommand::RevokeToken(id));
            }
            Step::FrameworkJoins(role) => {
                let session = match role % 2 {
                    0 => self.session(),
                    _ => {
                        let who = self.token();
                        self.session_of(who)
                    }
                };
                let info = in_roles(role);
                self.apply(Command::Framework(session, FrameworkCommand::Subscribe { member: None, info }.into()));
            }
            Step::FrameworkReturns(pick, roles) => {
                let all: Vec<_> = self.frameworks.keys().copied().collect();
                if let Some(&id) = all.get(pick % all.len().max(1)) {
                    let session = self.session();
                    let info = FrameworkInfo { failover_timeout: Duration::from_secs(20), ..in_roles(roles) };
                    let subscribe = FrameworkCommand::Subscribe { member: Some(member(id)), info };
                    self.apply(Command::Framework(session, subscribe.into()));
                }
            }
            Step::FrameworkChanges(pick, roles) => {
                self.framework_says(pick, |_, _| FrameworkCommand::Update(in_roles(roles)));
            }
            Step::FrameworkDisconnects(pick) => {
                if let Some(framework) = self.connected_framework(pick) {
                    self.frameworks.insert(framework.id, None);
                    self.apply(Command::Disconnected(framework.session));
                }
            }
            Step::Accepts { offers, operation, cpus, refuse } => self.accept(offers, operation, cpus, refuse),
            Step::LaunchesGroup { framework, cpus, whole } => self.launch_group(framework, cpus, whole),
            Step::Reserves(pick, operation) => {
                let all: Vec<_> = self.hosts.keys().copied().collect();
                if let Some(&id) = all.get(pick % all.len().max(1)) {
                    self.operator_says(OperatorCommand::Reserve(id, operation_of(operation)));
                }
            }
            Step::VolumeMade(pick, role) => {
                let Some(agent) = self.any_agent(pick) else { return };
                self.operator_says(OperatorCommand::CreateVolume {
                    agent,
                    role: ROLES[role % 3].to_owned(),
                    name: format!("volume {}", role % 5),
                    size: Bytes::from_mib(64),
                });
            }
            Step::VolumeDestroyed(pick) => {
                if let Some(volume) = self.any_volume(pick) {
                    self.operator_says(OperatorCommand::DestroyVolume(volume));
                }
            }
            Step::VolumeShared(pick, shared) => {
                if let Some(volume) = self.any_volume(pick) {
                    self.operator_says(OperatorCommand::ShareVolume { volume, shared });
                }
            }
            Step::AgentTellsVolumes(pick) => {
                if let Some((id, _)) = self.connected_agent(pick) {
                    self.tell_volumes(id);
                }
            }
            Step::Declines(pick, refuse) => self.framework_says(pick, |world, framework| {
                let open = world.cluster.offers(world.now).into_iter().filter(|offer| offer.framework == framework.id);
                let refuse = Duration::from_secs(refuse);
                FrameworkCommand::Decline { offers: open.map(|offer| offer.id).collect(), refuse }
            }),
            Step::Kills(pick) => {
                self.framework_says(pick, |world, framework| {
                    FrameworkCommand::Kill(world.any_task(framework.id, pick))
                });
            }
            Step::KilledByOperator(pick) => {
                let task = self.launched.iter().nth(pick % (self.launched.len() + 1)).copied();
                let nobodys = TaskId { framework: FrameworkId(1), number: 999_999 };
                let kill = OperatorCommand::KillTask(task.unwrap_or(nobodys));
                self.apply(Command::Operator(Principal::owner(), None, kill));
            }
            Step::Acknowledges(pick) => self.framework_says(pick, |world, framework| {
                let its = |&(task, _): &(TaskId, UpdateId)| task.framework == framework.id;
                let acknowledged = world.heard.extract_if(.., |heard| its(heard));
                let acknowledged = acknowledged.map(|(task, update)| Acknowledgement { task, update, agent: None });
                FrameworkCommand::Acknowledge(acknowledged.collect())
            }),
            Step::Reconciles(pick) => self.framework_says(pick, |world, framework| {
                FrameworkCommand::Reconcile(vec![Question { task: world.any_task(framework.id, pick), agent: None }])
            }),
            Step::Revives(pick, of) => self.framework_says(pick, |_, _| FrameworkCommand::Revive { role: one_of(of) }),
            Step::Wants(pick, of, [waiting, spare]) => self.framework_says(pick, |_, _| {
                let resources = if pick.is_multiple_of(3) { revocable_size(1) } else { size(1, 128) };
                let want = Want { resources, constraints: vec![], volumes: vec![], waiting, spare, gang: 0 };
                FrameworkCommand::Demand { role: one_of(of), wants: vec![want] }
            }),
            Step::Quota(pick, least, most) => {
                let limit = Ceiling { cpus: Some(MilliCpu::from_cores(most)), ..Ceiling::default() };
                let quota = Some(Quota { guarantee: size(least, 0), limit });
                let role = ROLES[pick % 3].to_owned();
                let command = OperatorCommand::SetQuota { role, quota: quota.filter(|_| most > 0), force: true };
                self.apply(Command::Operator(Principal::owner(), None, command));
            }
            Step::Measures(pick, cpus) => {
                let Some((id, session)) = self.connected_agent(pick) else { return };
                self.apply(Command::Agent(session, AgentCommand::Unused(MilliCpu::from_cores(cpus))));
                let ends = |state: TaskState| state.is_terminal() || state == TaskState::Killing;
                let tasks = self.cluster.tasks();
                let live = tasks.iter().filter(|task| task.agent == id && !ends(task.status.state));
                let live: u64 = live.map(|task| task.resources.revocable.get()).sum();
                assert!(live <= cpus * 1000, "{id} has {cpus} revocable cpus, and runs {live} thousandths on them");
            }
            Step::Suppresses(pick, of) => {
                self.framework_says(pick, |_, _| FrameworkCommand::Suppress { role: one_of(of) });
            }
            Step::TearsDown(pick) => self.framework_says(pick, |_, _| FrameworkCommand::Teardown),
            Step::Nonsense(pick) => self.nonsense(pick),
            Step::TimePasses(seconds) => {
                self.now = self.now + Duration::from_secs(seconds);
                self.apply(Command::Tick);
                let wall_ms = self.wall_ms();
                if self.cluster.wall_clock_is_due(wall_ms) {
                    self.apply(Command::WallClock(wall_ms));
                }
            }
        }
    }

    /// Commands that are refused: of sessions that do not exist, of the wrong kind, or a second introduction.
    fn nonsense(&mut self, pick: usize) {
        let nobody = SessionId(999_999);
        let session = self.connected_framework(pick).map_or(nobody, |framework| framework.session);
        self.apply(Command::Agent(session, AgentCommand::Leave));
        self.apply(Command::Framework(nobody, FrameworkCommand::Teardown.into()));
        let again = FrameworkCommand::Subscribe { member: None, info: framework_info("a") };
        if session != nobody {
            self.apply(Command::Framework(session, again.into()));
        }
        let foreign = TaskId { framework: FrameworkId(999), number: 1 };
        self.apply(Command::Framework(session, FrameworkCommand::Kill(foreign).into()));
        let question = Question { task: foreign, agent: None };
        self.apply(Command::Framework(session, FrameworkCommand::Reconcile(vec![question]).into()));
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

/// All tasks of a group are launched in one go.
fn check_groups_are_launched_whole(effects: &[Effect]) {
    let mut launched: BTreeMap<TaskId, (u32, u32)> = BTreeMap::new();
    for effect in effects {
        if let Effect::ToAgent(_, AgentOrder::Launch(spec)) = effect
            && let Some(group) = spec.group
        {
            let (count, size) = launched.entry(group.id(spec.id.framework)).or_default();
            (*count, *size) = (*count + 1, group.size);
        }
    }
    for (group, (count, size)) in launched {
        assert_eq!(count, size, "of {group}");
    }
}

const ROLES: [&str; 3] = ["a", "b", "a/c"];

/// What a task holds that runs on what is idle.
fn revocable_size(cpus: u64) -> Resources {
    size(0, 128 * cpus).with_revocable(MilliCpu::from_cores(cpus))
}

/// A framework in one to three roles.
fn in_roles(pick: usize) -> FrameworkInfo {
    let roles = (0..3).filter(|at| (pick % 7 + 1) & (1 << at) != 0).map(|at| ROLES[at].to_owned());
    FrameworkInfo { roles: roles.collect(), ..framework_info("a") }
}

/// Something that can be done to what an agent has, or not.
fn operation_of(pick: usize) -> Operation {
    let resources = with_disk(size(pick as u64 / 9 % 3 + 1, 128), 128);
    let role = ROLES[pick % 3].to_owned();
    match pick / 3 % 3 {
        0 => Operation::Unreserve { role, resources },
        1 => Operation::Reserve { role, within: None, resources },
        _ => Operation::Reserve { role: "a/c".to_owned(), within: Some("a".to_owned()), resources },
    }
}

/// What agents keep by their own configuration: nothing, or one core for one of the roles.
fn keeps(pick: usize) -> BTreeMap<String, Resources> {
    ROLES.get(pick % 5).map(|role| ((*role).to_owned(), with_disk(size(1, 128), 128))).into_iter().collect()
}

/// All that an agent has.
fn whole() -> Resources {
    with_disk(size(4, 512), 512)
}

fn with_disk(resources: Resources, mib: u64) -> Resources {
    Resources::new(resources.cpus, resources.mem, Bytes::from_mib(mib))
}

/// One role, or all.
fn one_of(pick: usize) -> Option<String> {
    ROLES.get(pick % 4).map(|role| (*role).to_owned())
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
