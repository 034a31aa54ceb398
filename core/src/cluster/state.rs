//! What a master knows.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::command::FrameworkInfo;
use super::config::Config;
use super::effect::{AgentRecord, FrameworkRecord, Recovered};
use super::enrol::{self, Enrolled};
use super::groups::Groups;
use super::guard::StormGuard;
use super::history::History;
use super::inverse::InverseOffers;
use super::maintenance::Windows;
use super::modules::{ModuleAt, Modules};
use super::moments::Moments;
use super::operator::Requests;
use super::principals::Principals;
use super::queued::{Allocation, Queued};
use super::sessions::Sessions;
use super::tally::Tally;
use super::timers::{Timer, Timers};
use super::tokens::Tokens;
use super::told::Told;
use super::volumes::Volumes;
use super::withdrawal::{self, Withdrawn};
use crate::access::{PlainKind, PrincipalId, Tenant};
use crate::agent::AgentInfo;
use crate::allocator::Allocator;
use crate::group::Group;
use crate::id::{AgentId, AgentKey, ClusterId, Epoch, FrameworkId, Member, SessionId, TaskId, UpdateId};
use crate::planted::{self, Bug};
use crate::quota::RoleRecord;
use crate::reservation::{Portion, Reserved};
use crate::runs::Runs;
use crate::time::Now;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) config: Config,
    pub(super) cluster: ClusterId,
    pub(super) epoch: Epoch,
    pub(super) sessions: Sessions,
    pub(super) tokens: Tokens,
    pub(super) enrolled: Enrolled,
    /// Boxed, as tasks are: half of the room in the nodes of such a tree is empty.
    pub(super) agents: BTreeMap<AgentId, Box<Agent>>,
    pub(super) agents_by_key: BTreeMap<AgentKey, AgentId>,
    /// Agents of the registry that have not registered with this master: nobody knows what runs there.
    pub(super) unseen: BTreeSet<AgentId>,
    pub(super) frameworks: BTreeMap<FrameworkId, Framework>,
    pub(super) principals: Principals,
    /// Tasks that run, and ended ones whose end is not acknowledged.
    pub(super) tasks: BTreeMap<TaskId, Box<Task>>,
    /// Of those and of the history.
    pub(super) modules: Modules,
    pub(super) groups: Groups,
    /// Tasks in the queues of allocations that have not ended, or whose end is not acknowledged.
    pub(super) queued: Runs<Queued>,
    /// Tasks whose end is acknowledged.
    pub(super) history: History,
    /// Questions about unknown tasks, of which no agent is named: answered once no agent is expected back.
    pub(super) questions: BTreeSet<TaskId>,
    /// Agents that take no tasks, because somebody wants it so.
    pub(super) withdrawn: Withdrawn,
    pub(super) maintenance: Windows,
    pub(super) inverse: InverseOffers,
    /// What operators have decided of roles.
    pub(super) roles: BTreeMap<String, RoleRecord>,
    pub(super) allocator: Allocator,
    pub(super) timers: Timers,
    pub(super) guard: StormGuard,
    pub(super) requests: Requests,
    pub(super) tally: Tally,
    pub(super) last_agent: u64,
    pub(super) last_framework: u64,
    /// Updates that this master made.
    pub(super) last_update: u64,
    /// Tasks that this master has heard of.
    pub(super) last_task: u64,
}

/// More offers than any master makes: an answer to an offer of an earlier master must not pass for one to a new offer.
const OFFERS_PER_EPOCH: u64 = 1_000_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    /// Shared with the allocator.
    pub(super) info: Arc<AgentInfo>,
    pub(super) key: AgentKey,
    /// Whether it proves its id with a certificate.
    pub(super) certified: bool,
    /// What of it is reserved beside its own configuration.
    pub(super) reserved: Vec<Reserved>,
    pub(super) volumes: Volumes,
    /// Of the process that registered last.
    pub(super) run: u64,
    pub(super) presence: Presence,
    /// Whether it says itself that it takes no more tasks, and will leave.
    pub(super) draining: bool,
    pub(super) last_seen: Now,
    /// When its timer is set. May be earlier than it needs to be: hearing from an agent moves no timer.
    pub(super) timer: Now,
    /// Its tasks that run, and ended ones whose end it keeps.
    pub(super) tasks: BTreeSet<TaskId>,
    /// What there is to know while it registers.
    pub(super) registering: Option<Box<Registering>>,
    /// While it registers: whether it is another process than the one that its tasks were launched on.
    pub(super) restarted: bool,
    /// What it runs though it should not: told to end, and counted as allocated until it has.
    pub(super) orphans: BTreeMap<TaskId, Orphan>,
    /// Questions about unknown tasks that were launched here: answered once it is known what runs here.
    pub(super) questions: BTreeSet<TaskId>,
}

/// What an agent runs though it should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Orphan {
    pub(super) role: String,
    pub(super) portion: Portion,
}

/// An agent that names what it holds, piece by piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registering {
    /// Those of its tasks that it has not named so far.
    pub(super) unnamed: BTreeSet<TaskId>,
    /// Tasks in the queues of its allocations that it has not named so far.
    pub(super) unnamed_queued: Runs<()>,
    /// Those of its tasks that were archived since it began. A later piece may name them all the same.
    pub(super) archived: BTreeSet<TaskId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Connected(SessionId),
    /// Its connection was lost. Its tasks count as running for now.
    Disconnected,
    /// It was known to the last master, and is expected back.
    Recovering,
    /// It was away for too long. It may still come back.
    Unreachable {
        since: Now,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Framework {
    pub(super) info: FrameworkInfo,
    /// Whose it is, in all of its roles.
    pub(super) tenant: Arc<Tenant>,
    /// The same in each of its roles, shared with its tasks.
    by_role: BTreeMap<Arc<str>, Arc<Tenant>>,
    pub(super) link: Link,
    pub(super) tasks: BTreeSet<TaskId>,
    /// How many of its tasks have ended.
    pub(super) ended: usize,
    /// Its tasks in queues that have not ended. They are not among `tasks`.
    pub(super) queued: usize,
    /// Of those that have ended, how many of whose ends are not acknowledged.
    pub(super) ended_queued: usize,
    /// Updates that the master keeps until they are acknowledged, in the order in which they were made.
    pub(super) kept: BTreeSet<(UpdateId, TaskId)>,
    /// When they are sent again, and how long after that once more.
    pub(super) resend: Option<(Now, core::time::Duration)>,
    /// Tasks that are to end should they turn up: their kill came while nobody knew them.
    pub(super) kills: BTreeSet<TaskId>,
    /// Questions of its that wait for agents.
    pub(super) questions: usize,
    /// The highest number of its calls.
    pub(super) last_call: u64,
}

/// How a framework can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Connected(SessionId),
    /// Not at all, and for no longer than until then.
    LostUntil(Now),
}

/// There may be a hundred thousand of these: 256 bytes are one of the sizes in which memory is given out.
const _: () = assert!(size_of::<Task>() <= 256, "a task's record is larger than it was");

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) name: Box<str>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) agent: AgentId,
    /// What it holds, and what of it is reserved.
    pub(super) portion: Portion,
    /// Whether the resources count as allocated. Its end frees them, once.
    pub(super) holds: bool,
    /// Whether somebody wants its end: said again to an agent that was away.
    pub(super) kill: bool,
    /// Whether it is to end since what it runs on is wanted back: said again likewise.
    pub(super) preempted: bool,
    /// What it runs; `None`: an allocation, or its agent did not say.
    pub(super) module: Option<ModuleAt>,
    /// Which of this master's tasks it is, in the order in which it heard of them.
    pub(super) nth: u64,
    /// When what became of it.
    pub(super) life: Moments,
    /// The latest update of its agent.
    pub(super) latest_update: UpdateId,
    /// The last that is known of it.
    pub(super) status: Told,
    /// Whether the master repeats that until it is acknowledged. Else its agent does.
    pub(super) kept: bool,
    /// Which group it is in: few are in one.
    pub(super) group: Option<Box<Group>>,
    /// Of an allocation, what there is to know of its queue.
    pub(super) allocation: Option<Box<Allocation>>,
}

impl State {
    pub(super) fn new(config: Config, recovered: Recovered, now: Now) -> Self {
        let last_offer = recovered.epoch.0.saturating_sub(1).saturating_mul(OFFERS_PER_EPOCH);
        let mut state = Self {
            cluster: recovered.cluster,
            epoch: recovered.epoch,
            roles: BTreeMap::new(),
            allocator: Allocator::new(last_offer),
            withdrawn: Withdrawn::default(),
            maintenance: Windows::above(recovered.last_maintenance),
            inverse: InverseOffers::above(last_offer),
            sessions: Sessions::default(),
            tokens: Tokens::new(recovered.tokens),
            enrolled: Enrolled::default(),
            agents: BTreeMap::new(),
            agents_by_key: BTreeMap::new(),
            unseen: BTreeSet::new(),
            frameworks: BTreeMap::new(),
            principals: Principals::default(),
            tasks: BTreeMap::new(),
            modules: Modules::default(),
            groups: Groups::default(),
            queued: Runs::default(),
            history: History::default(),
            questions: BTreeSet::new(),
            timers: Timers::default(),
            guard: StormGuard::default(),
            requests: Requests::default(),
            tally: Tally::default(),
            last_agent: recovered.last_agent,
            last_framework: recovered.last_framework,
            last_update: 0,
            last_task: 0,
            config,
        };
        for (role, weight) in state.config.weights.clone() {
            state.configure_role(&role, &RoleRecord { weight: Some(weight), ..RoleRecord::default() });
        }
        for (role, record) in recovered.roles {
            state.configure_role(&role, &record);
            state.roles.insert(role, record);
        }
        for (id, record) in recovered.agents {
            state.recover_agent(now, id, record);
        }
        for (id, enrolment) in recovered.enrolled {
            enrol::recover(&mut state, id, enrolment);
        }
        for (id, maintenance) in recovered.maintenance {
            state.maintenance.insert(id, maintenance);
        }
        for (id, withdrawal) in recovered.withdrawn {
            withdrawal::recover(&mut state, id, withdrawal);
        }
        for (id, FrameworkRecord { info, principal }) in recovered.frameworks {
            state.last_framework = state.last_framework.max(id.0);
            let until = now + info.failover_timeout;
            if !planted::is(Bug::TimerNotRecovered) {
                state.timers.set(until, Timer::Framework(id));
            }
            state.principals.insert(&principal, id);
            let framework = Framework::new(info, principal, Link::LostUntil(until));
            state.allocator.set_framework(id, &framework.info.roles);
            state.frameworks.insert(id, framework);
        }
        state
    }

    fn recover_agent(&mut self, now: Now, id: AgentId, record: AgentRecord) {
        let AgentRecord { info, key, unreachable_since, certified, reserved, volumes, last_volume } = record;
        let (presence, timer) = match unreachable_since {
            Some(since) => (Presence::Unreachable { since }, since + self.config.agent_gone_after),
            None => (Presence::Recovering, now + self.config.reregister_timeout),
        };
        self.last_agent = self.last_agent.max(id.0);
        self.timers.set(timer, Timer::Agent(id));
        let mut agent = Agent::new(Arc::new(info), key, presence, now, timer);
        agent.certified = certified;
        agent.reserved = reserved;
        agent.volumes = Volumes::recovered(volumes, last_volume);
        self.agents.insert(id, Box::new(agent));
        // A registry of an earlier version knows no keys.
        if key != AgentKey::default() && !certified {
            self.agents_by_key.insert(key, id);
        }
        self.unseen.insert(id);
    }

    /// A weight that is not recorded is that of the configuration.
    pub(super) fn configure_role(&mut self, role: &str, record: &RoleRecord) {
        let configured = self.config.weights.get(role).copied();
        self.allocator.configure_role(role, RoleRecord { weight: record.weight.or(configured), ..record.clone() });
    }

    pub(super) fn member<Id>(&self, id: Id) -> Member<Id> {
        Member { cluster: self.cluster, id }
    }

    pub(super) fn agent_session(&self, id: AgentId) -> Option<SessionId> {
        match self.agents.get(&id)?.presence {
            Presence::Connected(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn framework_session(&self, id: FrameworkId) -> Option<SessionId> {
        match self.frameworks.get(&id)?.link {
            Link::Connected(session) => Some(session),
            Link::LostUntil(_) => None,
        }
    }

    /// A key finds an agent no more. One with a certificate is not found by its key, which may be another's then.
    pub(super) fn forget_key(&mut self, id: AgentId, key: AgentKey) {
        if self.agents_by_key.get(&key) == Some(&id) {
            self.agents_by_key.remove(&key);
        }
    }

    /// Whether an agent is expected that may come with tasks of which this master has never heard.
    pub(super) fn is_recovering(&self) -> bool {
        self.unseen.iter().any(|id| !matches!(self.agents[id].presence, Presence::Unreachable { .. }))
    }

    /// It is known what runs on an agent. With the last of them, no unknown task can turn up any more.
    pub(super) fn has_seen(&mut self, id: AgentId) {
        if self.unseen.remove(&id) && self.unseen.is_empty() {
            for framework in self.frameworks.values_mut() {
                framework.kills.clear();
            }
        }
    }

    /// Counts nothing as allocated any more that an agent runs though it should not: it will tell anew, or never.
    pub(super) fn drop_orphans(&mut self, id: AgentId) {
        let orphans = self.agents.get_mut(&id).map(|agent| core::mem::take(&mut agent.orphans));
        for (task, Orphan { role, portion }) in orphans.unwrap_or_default() {
            self.allocator.free(task.framework, &role, id, &portion);
        }
    }

    /// A task that runs, whose end is not acknowledged, or that is among the last that ended.
    pub(super) fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(Box::as_ref).or_else(|| self.history.get(id))
    }

    /// Tasks of a principal's frameworks that run or wait in queues, or whose end is not acknowledged.
    pub(super) fn tasks_of_principal(&self, who: &PrincipalId) -> usize {
        self.principals.frameworks(who).iter().map(|id| self.frameworks[id].held_tasks()).sum()
    }

    /// Whose a task of a framework in this role is; nobody's when the framework is gone.
    pub(super) fn tenant_in(&self, framework: FrameworkId, role: &str) -> Arc<Tenant> {
        let nobody = || {
            let principal = PrincipalId { name: Arc::from(""), kind: PlainKind::Framework };
            Arc::new(Tenant::new(Arc::new(principal), [Arc::from(role)]))
        };
        self.frameworks.get(&framework).map_or_else(nobody, |framework| framework.tenant_in(role))
    }
}

impl Agent {
    pub(super) fn new(info: Arc<AgentInfo>, key: AgentKey, presence: Presence, now: Now, timer: Now) -> Self {
        Self {
            info,
            key,
            certified: false,
            reserved: Vec::new(),
            volumes: Volumes::default(),
            run: 0,
            presence,
            draining: false,
            last_seen: now,
            timer,
            tasks: BTreeSet::new(),
            registering: None,
            restarted: false,
            orphans: BTreeMap::new(),
            questions: BTreeSet::new(),
        }
    }

    /// What the registry is to remember of it.
    pub(super) fn record(&self) -> AgentRecord {
        let unreachable_since = match self.presence {
            Presence::Unreachable { since } => Some(since),
            _ => None,
        };
        AgentRecord {
            info: (*self.info).clone(),
            key: self.key,
            unreachable_since,
            certified: self.certified,
            reserved: self.reserved.clone(),
            volumes: self.volumes.known.values().cloned().collect(),
            last_volume: self.volumes.last,
        }
    }
}

impl Framework {
    pub(super) fn new(info: FrameworkInfo, principal: PrincipalId, link: Link) -> Self {
        let tenant = Arc::new(Tenant::new(Arc::new(principal), []));
        let mut framework = Self {
            info: FrameworkInfo { roles: Vec::new(), ..info.clone() },
            tenant,
            by_role: BTreeMap::new(),
            link,
            tasks: BTreeSet::new(),
            ended: 0,
            queued: 0,
            ended_queued: 0,
            kept: BTreeSet::new(),
            resend: None,
            kills: BTreeSet::new(),
            questions: 0,
            last_call: 0,
        };
        framework.become_another(info);
        framework
    }

    /// Is this from now on. Tasks are whose they were.
    pub(super) fn become_another(&mut self, info: FrameworkInfo) {
        let principal = &self.tenant.principal;
        let roles: Vec<Arc<str>> = info.roles.iter().map(|role| Arc::from(role.as_str())).collect();
        let in_one = |role: &Arc<str>| (role.clone(), Arc::new(Tenant::new(Arc::clone(principal), [role.clone()])));
        self.by_role = roles.iter().map(in_one).collect();
        self.tenant = Arc::new(Tenant::new(Arc::clone(principal), roles));
        self.info = info;
    }

    /// Whose its tasks in this role are, be it one that it has left.
    pub(super) fn tenant_in(&self, role: &str) -> Arc<Tenant> {
        let left = || Arc::new(Tenant::new(Arc::clone(&self.tenant.principal), [Arc::from(role)]));
        self.by_role.get(role).map_or_else(left, Arc::clone)
    }

    /// Tasks that have not ended or whose end it has not acknowledged, those in queues among them.
    pub(super) fn held_tasks(&self) -> usize {
        self.tasks.len() + self.queued + self.ended_queued
    }

    /// Those of them that have ended.
    pub(super) fn unacknowledged(&self) -> usize {
        self.ended + self.ended_queued
    }

    /// What the registry is to remember of it.
    pub(super) fn record(&self) -> FrameworkRecord {
        FrameworkRecord { info: self.info.clone(), principal: (*self.tenant.principal).clone() }
    }
}
