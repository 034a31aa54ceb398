//! One seed from its first event to its last check.

use std::collections::BTreeSet;

use haggle_core::cluster::OperatorCommand;
use haggle_core::{AgentId, ClusterId, FrameworkId, Member, Now, RequestId, Resources, TaskId, TaskState};

use crate::agent::{Agent, Disk};
use crate::clock::Clock;
use crate::framework::Framework;
use crate::master::Master;
use crate::net::{Peer, Place};
use crate::oracle::Truth;
use crate::plan::{Plan, S, Time};
use crate::program::Program;
use crate::rng::Rng;
use crate::say;
use crate::volumes;
use crate::world::{Event, MasterEvent, World};

/// How long everything may take to settle once nothing goes wrong any more: longer than every timeout in a row.
const PATIENCE: Time = 900 * S;

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The promise that was broken, and when.
    pub broken: Option<String>,
    /// Of everything that happened.
    pub hash: u64,
    /// Things that happened.
    pub events: u64,
    /// Tasks that started.
    pub starts: u64,
    /// Ends that frameworks were told.
    pub ends: u64,
    /// Masters that led.
    pub epochs: u64,
    /// What happened, in words, when they were asked for.
    pub lines: Vec<String>,
}

/// Runs one seed. A panic of a state machine is a broken promise as well.
pub fn run(seed: u64, words: bool) -> Report {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng);
    let mut world = World::new(plan, rng, words);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.live()));
    if let Err(panic) = outcome {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()))
            .unwrap_or_default();
        world.oracle.fail(format!("panic: {text}"));
    }
    let at = world.now as f64 / 1e9;
    Report {
        seed,
        broken: world.oracle.broken.take().map(|what| format!("at {at:.3} s: {what}")),
        hash: world.log.hash,
        events: world.log.events,
        starts: world.oracle.starts,
        ends: world.oracle.ends_told,
        epochs: world.store.epoch,
        lines: world.log.lines.take().unwrap_or_default(),
    }
}

impl World {
    fn live(&mut self) {
        self.set_up();
        say!(self, "{:?}", self.plan);
        self.run_until(self.plan.chaos);
        self.heal();
        self.wait_for("everything to settle", Self::unsettled);
        self.check_ends();
        self.canaries = true;
        self.wait_for("a canary to finish on every agent", Self::missing_canary);
        self.leaving = true;
        for at in 0..self.agents.len() {
            self.drain(at);
        }
        self.wait_for("everybody to leave", Self::still_there);
    }

    fn set_up(&mut self) {
        self.store.cluster = ClusterId(self.rng.wide());
        self.oracle.cluster = self.store.cluster;
        for at in 0..self.plan.masters {
            let clock = self.some_clock();
            self.masters.push(Master::new(clock));
            let wait = self.rng.range(0, S);
            self.after(wait, Event::Master(at, 0, MasterEvent::Start));
        }
        for at in 0..self.plan.agents {
            let clock = self.some_clock();
            let (cores, key) = (self.rng.range(1, 4), self.rng.wide());
            self.agents.push(Agent::new(cores, Disk::new(key), clock));
            self.boot(at);
        }
        for (at, temper) in self.plan.frameworks.clone().into_iter().enumerate() {
            self.frameworks.push(Framework::new(temper));
            self.start_framework(at);
        }
        for (at, manner) in self.plan.programs.clone().into_iter().enumerate() {
            self.programs.push(Program::new(manner));
            self.start_program(at);
        }
        self.after(S, Event::Fault);
    }

    fn some_clock(&mut self) -> Clock {
        let drift = self.plan.drift;
        let most = u64::try_from(2 * drift).expect("not negative");
        Clock::new(i64::try_from(self.rng.range(0, most)).expect("small") - drift)
    }

    /// Nothing goes wrong any more, and what went wrong is made good.
    fn heal(&mut self) {
        say!(self, "nothing goes wrong any more");
        self.faulty = false;
        self.mend_all();
        self.net.slow.clear();
        self.store.down_until = 0;
        self.store.full_until = 0;
        for id in self.conns_where(|conn| matches!(conn.peer, Peer::Rogue(_))) {
            self.break_up(id, true, true);
        }
        for at in 0..self.agents.len() {
            let of_another = self.agents[at].disk.member.is_some_and(|member| member.cluster != self.store.cluster);
            // Somebody has looked why two agents have one id, and why one is turned away.
            if self.agents[at].swapped || of_another {
                self.power_off(at);
                self.clear_disk(at);
                self.start_agent(at, S);
            }
        }
        for at in 0..self.agents.len() {
            // Started again without flags, as nobody else can end what these keep.
            if !self.agents[at].keeps.is_empty() {
                self.crash_agent(at);
                self.start_agent(at, S);
            }
        }
        for at in 0..self.frameworks.len() {
            if self.frameworks[at].instances.is_empty() {
                self.start_framework(at);
            }
        }
        for at in 0..self.programs.len() {
            self.start_program(at);
        }
    }

    /// Lets time pass until nothing is missing any more.
    fn wait_for(&mut self, what: &str, missing: fn(&Self) -> Option<String>) {
        let end = self.now + PATIENCE;
        let operator_acts = self.rng.chance(500);
        while self.oracle.broken.is_none() {
            self.run_until(self.now + 5 * S);
            self.sweep_conns();
            self.lift_quotas();
            self.destroy_volumes();
            self.end_reservations();
            self.bring_back();
            let Some(still) = missing(self) else { return };
            if self.now > end {
                return self.oracle.fail(format!("waited for {what}, and still {still}"));
            }
            if operator_acts {
                self.give_up_lost_agents();
            }
        }
    }

    /// What a role may have at most, or is promised, or is offered at least, holds nobody up for ever.
    fn lift_quotas(&mut self) {
        let lift = |role: &str| OperatorCommand::SetQuota { role: role.to_owned(), quota: None, force: false };
        let no_least = |role: &str| OperatorCommand::SetMinAllocatable { role: role.to_owned(), least: None };
        let limits = self.store.roles_with_quotas().map(lift);
        let commands: Vec<OperatorCommand> = limits.chain(self.store.roles_with_least().map(no_least)).collect();
        for command in commands {
            let request = RequestId(self.rng.wide());
            self.operator(request, &command);
        }
    }

    /// No agent is kept out of use for ever.
    fn bring_back(&mut self) {
        let windows = self.store.maintenance().map(OperatorCommand::CancelMaintenance);
        let agents = self.store.withdrawn().map(OperatorCommand::Reactivate);
        let commands: Vec<OperatorCommand> = windows.chain(agents).collect();
        for command in commands {
            let request = RequestId(self.rng.wide());
            self.operator(request, &command);
        }
    }

    /// An operator declares gone what no machine is any more.
    fn give_up_lost_agents(&mut self) {
        let of_this = |member: &Member<AgentId>| member.cluster == self.store.cluster;
        let own: BTreeSet<AgentId> =
            self.agents.iter().filter_map(|agent| agent.disk.member).filter(of_this).map(|member| member.id).collect();
        let Some(at) = self.leader() else { return };
        let Some(lead) = &self.masters[at].lead else { return };
        let connected: BTreeSet<AgentId> =
            lead.cluster.agents(Now::ZERO).into_iter().filter(|view| view.connected).map(|view| view.id).collect();
        let lost: Vec<AgentId> =
            self.store.agents().filter(|id| !own.contains(id) && !connected.contains(id)).collect();
        for id in lost {
            let request = RequestId(self.rng.wide());
            self.operator(request, &OperatorCommand::AgentGone(id));
        }
    }

    fn unsettled(&self) -> Option<String> {
        let Some(at) = self.leader() else { return Some("nobody leads".to_string()) };
        for (at, framework) in self.frameworks.iter().enumerate() {
            if !framework.instances.values().any(|instance| instance.subscribed) {
                return Some(format!("framework {at} is not subscribed"));
            }
            for (number, record) in &framework.store.tasks {
                let task =
                    framework.store.member.map(|member| haggle_core::TaskId { framework: member.id, number: *number });
                let reused = task.and_then(|task| self.oracle.tasks.get(&task)).is_some_and(|truth| truth.reused);
                if !record.is_over() && !reused {
                    return Some(format!("framework {at} knows no end of {task:?}, which is {:?}", record.state));
                }
            }
        }
        for (at, program) in self.programs.iter().enumerate() {
            if let Some(unsettled) = program.unsettled() {
                return Some(format!("program {at} {unsettled}"));
            }
        }
        for (at, agent) in self.agents.iter().enumerate() {
            let Some(process) = &agent.process else { return Some(format!("agent {at} does not run")) };
            if !process.registered {
                return Some(format!("agent {at} is not registered"));
            }
            if let Some((task, held)) = agent.executor.iter().next() {
                return Some(format!("agent {at} holds {task}, which is {held:?}"));
            }
            if let Some((task, state)) = process.node.task_states().next() {
                return Some(format!("the node of agent {at} holds {task}, which is {state}"));
            }
        }
        let lead = self.masters[at].lead.as_ref()?;
        let counts = lead.cluster.counts();
        let known = lead.cluster.agents(Now::ZERO);
        if known.len() != self.agents.len() || known.iter().any(|view| !view.connected) || counts.agents != known.len()
        {
            return Some(format!("the master knows {} agents", counts.agents));
        }
        if let Some(view) = known.iter().find(|view| view.used != Resources::default() || view.tasks != 0) {
            return Some(format!("the master counts {} as used on {}", view.used, view.id));
        }
        if let Some(view) = known.iter().find(|view| !view.reserved.is_empty()) {
            return Some(format!("of {} is reserved {:?}", view.id, view.reserved));
        }
        if let Some(view) = volumes::volumes(&lead.cluster).first() {
            return Some(format!("there is {view:?}"));
        }
        if let Some(at) = self.agents.iter().position(|agent| !agent.disk.volumes.is_empty()) {
            return Some(format!("agent {at} has {:?}", self.agents[at].disk.volumes));
        }
        if let Some(view) = known.iter().find(|view| view.withdrawal.is_some()) {
            return Some(format!("{} is out of use: {:?}", view.id, view.withdrawal));
        }
        if (counts.tasks, counts.kept_updates, counts.orphans, counts.questions) != (0, 0, 0, 0) {
            let tasks = lead.cluster.tasks();
            let open: Vec<_> = tasks[tasks.len() - counts.tasks..].iter().map(|view| &view.status).collect();
            return Some(format!("the master holds {counts:?}, and {open:?}"));
        }
        None
    }

    /// Every task has ended once, and its framework knows how.
    fn check_ends(&mut self) {
        let mut wrong = None;
        for (id, truth) in &self.oracle.tasks {
            if truth.abandoned || truth.reused || truth.doubtful {
                continue;
            }
            let Some((member, agent, kept)) = self.kept(*id, truth) else { continue };
            if member != Some(Member { cluster: self.store.cluster, id: id.framework }) {
                continue;
            }
            let excused = truth.lost || self.oracle.gone.contains(&agent) || self.oracle.copied.contains(&agent);
            let by_itself = matches!(truth.told, Some(TaskState::Finished | TaskState::Failed));
            if truth.told != kept {
                wrong = Some(format!("{id} was told as {:?}, and is kept as {kept:?}", truth.told));
            } else if !excused && truth.ended.is_some() && truth.told != truth.ended {
                wrong = Some(format!("{id} ended as {:?}, and was told as {:?}", truth.ended, truth.told));
            } else if !truth.lost && truth.ended.is_none() && by_itself {
                wrong = Some(format!("{id} never ended, and was told as {:?}", truth.told));
            }
        }
        if let Some(wrong) = wrong {
            self.oracle.fail(wrong);
        }
    }

    /// Who a task belongs to by now, where it was launched, and what is kept of its end.
    fn kept(&self, id: TaskId, truth: &Truth) -> Option<(Option<Member<FrameworkId>>, AgentId, Option<TaskState>)> {
        match truth.owner {
            Place::Framework(at) => {
                let store = &self.frameworks[at].store;
                let record = store.tasks.get(&id.number)?;
                Some((store.member, record.agent, record.state))
            }
            Place::Program(at) => {
                let program = &self.programs[at];
                // What it is told is checked as it is told.
                Some((program.run.as_ref()?.member, program.launches.get(&id)?.agent, truth.told))
            }
            _ => None,
        }
    }

    fn missing_canary(&self) -> Option<String> {
        if let Some(at) = self.programs.iter().position(|program| !program.has_canary()) {
            return Some(format!("program {at} has none"));
        }
        let store = &self.frameworks[0].store;
        for (at, agent) in self.agents.iter().enumerate() {
            let id = agent.disk.member.map(|member| member.id);
            let finished = |record: &&crate::framework::Record| {
                record.canary && Some(record.agent) == id && record.state == Some(TaskState::Finished)
            };
            if !store.tasks.values().any(|record| finished(&record)) {
                return Some(format!("there is none on agent {at}"));
            }
        }
        None
    }

    fn still_there(&self) -> Option<String> {
        if let Some(at) = self.frameworks.iter().position(|framework| !framework.store.torn_down) {
            return Some(format!("framework {at} is there"));
        }
        if let Some(at) = self.programs.iter().position(|program| !program.left) {
            return Some(format!("program {at} is there"));
        }
        if let Some(at) = self.agents.iter().position(|agent| !agent.left) {
            return Some(format!("agent {at} is there"));
        }
        let Some(at) = self.leader() else { return Some("nobody leads".to_string()) };
        let counts = self.masters[at].lead.as_ref()?.cluster.counts();
        let ended = counts.ended;
        if counts != (haggle_core::cluster::Counts { ended, ..Default::default() }) {
            return Some(format!("the master holds {counts:?}"));
        }
        if !self.store.is_empty() {
            return Some("the registry remembers somebody".to_string());
        }
        None
    }
}
