//! A framework that keeps its promises, or not: writes down what it launches before it accepts, and what it hears
//! before it acknowledges.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{
    Acknowledgement, FrameworkCall, FrameworkCommand, FrameworkEvent as Heard, FrameworkInfo, Question,
};
use haggle_core::planted::{self, Bug};
use haggle_core::{
    AgentId, Bytes, Digest, Epoch, FrameworkId, Grants, Limits, Member, MilliCpu, Offer, OfferId, Resources, Sharing,
    TaskId, TaskSpec, TaskState, TaskStatus, UpdateId,
};

use crate::net::{ConnId, Msg, Peer, Place, Way};
use crate::plan::{MS, S, Temper, Time};
use crate::say;
use crate::world::{Event, FrameworkEvent, World};

const HEARTBEAT: Time = 5 * S;
const SILENCE: Time = 12 * S;

/// A framework with its store and its instances.
pub(crate) struct Framework {
    /// How it behaves.
    pub(crate) temper: Temper,
    /// What outlives its instances.
    pub(crate) store: Store,
    /// The instances that run.
    pub(crate) instances: BTreeMap<u64, Instance>,
    /// Counts its instances.
    pub(crate) last: u64,
    /// Counts the identities that it has had.
    pub(crate) identities: u64,
}

/// What a framework keeps, in one place for all its instances. Only the latest instance may write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    /// Its id.
    pub(crate) member: Option<Member<FrameworkId>>,
    /// The latest master that it has subscribed with.
    epoch: Epoch,
    /// The number of its last task.
    pub(crate) last_task: u64,
    /// What became of each.
    pub(crate) tasks: BTreeMap<u64, Record>,
    owner: u64,
    /// Agents that have a canary.
    pub(crate) canaries: BTreeSet<AgentId>,
    declined: BTreeSet<AgentId>,
    /// Acknowledgements that it has given: now and then it gives one again.
    given: Vec<Acknowledgement>,
    /// Whether it has left for good.
    pub(crate) torn_down: bool,
}

/// A task as its framework knows it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Where it was launched.
    pub(crate) agent: AgentId,
    /// The last that was heard.
    pub(crate) state: Option<TaskState>,
    /// Whether the framework wants its end.
    pub(crate) kill: bool,
    /// Whether it proves that its agent works.
    pub(crate) canary: bool,
    /// Acknowledgements that it owes and has not given.
    owed: Vec<Acknowledgement>,
}

/// One instance of a framework.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Until when it stands still.
    pub(crate) paused_until: Time,
    /// Its session.
    pub(crate) conn: Option<ConnId>,
    /// Whether the session's master has taken it in.
    pub(crate) subscribed: bool,
    epoch: Option<Epoch>,
    last_call: u64,
    calls: VecDeque<FrameworkCall>,
    heard: Time,
    target: usize,
    backoff: Time,
    acks: Vec<Acknowledgement>,
    acking: bool,
    revived: bool,
}

impl Framework {
    /// A framework that has not started.
    pub(crate) fn new(temper: Temper) -> Self {
        Self { temper, store: Store::default(), instances: BTreeMap::new(), last: 0, identities: 1 }
    }
}

impl Record {
    /// Whether its end is known.
    pub(crate) fn is_over(&self) -> bool {
        self.state.is_some_and(TaskState::is_terminal)
    }
}

impl World {
    /// Until when an instance stands still.
    pub(crate) fn framework_paused(&self, at: usize, life: u64) -> Time {
        self.frameworks[at].instances.get(&life).map_or(0, |instance| instance.paused_until)
    }

    /// Starts an instance, which takes the store over.
    pub(crate) fn start_framework(&mut self, at: usize) {
        let target = self.rng.index(self.plan.masters);
        let framework = &mut self.frameworks[at];
        if framework.store.torn_down {
            return;
        }
        framework.last += 1;
        let life = framework.last;
        framework.store.owner = life;
        framework.instances.insert(
            life,
            Instance {
                paused_until: 0,
                conn: None,
                subscribed: false,
                epoch: None,
                last_call: 0,
                calls: VecDeque::new(),
                heard: self.now,
                target,
                backoff: 50 * MS,
                acks: Vec::new(),
                acking: false,
                revived: false,
            },
        );
        say!(self, "framework {at} starts its instance {life}");
        for event in [FrameworkEvent::Connect, FrameworkEvent::Heartbeat, FrameworkEvent::Act] {
            self.after(MS, Event::Framework(at, life, event));
        }
    }

    /// Ends an instance.
    pub(crate) fn end_instance(&mut self, at: usize, life: u64) {
        if let Some(instance) = self.frameworks[at].instances.remove(&life) {
            say!(self, "framework {at} ends its instance {life}");
            if let Some(conn) = instance.conn {
                self.break_up(conn, true, false);
            }
        }
    }

    fn instance(&mut self, at: usize, life: u64) -> Option<&mut Instance> {
        self.frameworks[at].instances.get_mut(&life)
    }

    /// Whether an instance may write to the store. One that was replaced notices here, and ends.
    fn may_write(&mut self, at: usize, life: u64) -> bool {
        let owns = self.frameworks[at].store.owner == life;
        if !owns {
            self.end_instance(at, life);
        }
        owns
    }

    /// What happens to an instance.
    pub(crate) fn framework_happens(&mut self, at: usize, life: u64, event: FrameworkEvent) {
        let Some(instance) = self.instance(at, life) else { return };
        match event {
            FrameworkEvent::Connect => {
                if instance.conn.is_none() {
                    self.subscribe(at, life);
                }
            }
            FrameworkEvent::Heartbeat => {
                self.after(HEARTBEAT, Event::Framework(at, life, FrameworkEvent::Heartbeat));
                let now = self.now;
                let Some(instance) = self.instance(at, life) else { return };
                let Some(conn) = instance.conn else { return };
                if now.saturating_sub(instance.heard) > SILENCE {
                    self.break_up(conn, true, false);
                    return self.framework_disconnected(at, life, None);
                }
                if instance.subscribed {
                    self.send(conn, Way::Up, Msg::Ping);
                }
            }
            FrameworkEvent::Acknowledge => {
                instance.acking = false;
                let acks = std::mem::take(&mut instance.acks);
                self.call(at, life, FrameworkCommand::Acknowledge(acks));
            }
            FrameworkEvent::Act => {
                self.act(at, life);
                let wait = if self.faulty { self.rng.range(300 * MS, 3 * S) } else { 2 * S };
                self.after(wait, Event::Framework(at, life, FrameworkEvent::Act));
            }
        }
    }

    fn subscribe(&mut self, at: usize, life: u64) {
        let now = self.now;
        let framework = &self.frameworks[at];
        let info = FrameworkInfo {
            name: format!("framework-{at}"),
            role: if at == 0 { "default".to_string() } else { format!("role-{at}") },
            failover_timeout: framework.temper.failover_timeout,
        };
        let member = framework.store.member;
        let target = framework.instances[&life].target;
        let conn = self.open(Peer::Framework(at, life), target);
        let instance = self.instance(at, life).expect("it connects");
        instance.conn = Some(conn);
        instance.heard = now;
        self.send(conn, Way::Up, Msg::Call(FrameworkCommand::Subscribe { member, info }.into()));
    }

    /// Makes a call. Without a session it waits for the next.
    fn call(&mut self, at: usize, life: u64, command: FrameworkCommand) {
        let repeats = self.faulty && self.rng.chance(self.frameworks[at].temper.repeats_calls);
        let Some(instance) = self.instance(at, life) else { return };
        instance.last_call += 1;
        let call = FrameworkCall { number: instance.last_call, command };
        instance.calls.push_back(call.clone());
        let Some(conn) = instance.conn.filter(|_| instance.subscribed) else { return };
        if repeats {
            self.send(conn, Way::Up, Msg::Call(call.clone()));
        }
        self.send(conn, Way::Up, Msg::Call(call));
    }

    /// A connection of an instance is no more.
    pub(crate) fn framework_lost(&mut self, at: usize, life: u64, conn: ConnId) {
        if self.instance(at, life).is_some_and(|instance| instance.conn == Some(conn)) {
            self.framework_disconnected(at, life, None);
        }
    }

    fn framework_disconnected(&mut self, at: usize, life: u64, leader: Option<usize>) {
        let masters = self.plan.masters;
        let pause = self.rng.range(MS, 100 * MS);
        let Some(instance) = self.instance(at, life) else { return };
        instance.conn = None;
        instance.subscribed = false;
        instance.target = leader.unwrap_or((instance.target + 1) % masters);
        let wait = if leader.is_some() { pause } else { instance.backoff + pause };
        instance.backoff = (instance.backoff * 2).min(S);
        self.after(wait, Event::Framework(at, life, FrameworkEvent::Connect));
    }

    /// Something comes from a master.
    pub(crate) fn framework_receives(&mut self, at: usize, life: u64, conn: ConnId, msg: Msg) {
        let now = self.now;
        let Some(instance) = self.instance(at, life).filter(|instance| instance.conn == Some(conn)) else { return };
        instance.heard = now;
        match msg {
            Msg::Event(epoch, heard) => self.framework_hears(at, life, epoch, heard),
            Msg::StandsBy(leader) => {
                self.break_up(conn, true, false);
                self.framework_disconnected(at, life, leader);
            }
            Msg::Closed => {
                self.break_up(conn, true, false);
                if self.leaving && self.frameworks[at].store.owner == life {
                    self.frameworks[at].store.torn_down = true;
                    return self.end_instance(at, life);
                }
                self.framework_disconnected(at, life, None);
            }
            // What it says after its farewell comes too late.
            Msg::Failed(_) if self.leaving => {
                self.break_up(conn, true, false);
                self.framework_disconnected(at, life, None);
            }
            Msg::Failed(why) => {
                self.oracle.fail(format!("framework {at} behaves, and its session failed: {why}"));
            }
            _ => {}
        }
    }

    fn framework_hears(&mut self, at: usize, life: u64, epoch: Epoch, heard: Heard) {
        match heard {
            Heard::Subscribed { member, epoch, last_call } => self.subscribed(at, life, member, epoch, last_call),
            Heard::Offers(offers) => {
                for offer in offers {
                    self.offered(at, life, &offer);
                }
            }
            Heard::Rescinded(_) | Heard::AgentLost(_) => {}
            Heard::Update(status) => self.updated(at, life, epoch, &status),
            Heard::Error(why) => self.cast_out(at, life, &why),
        }
    }

    fn subscribed(&mut self, at: usize, life: u64, member: Member<FrameworkId>, epoch: Epoch, last_call: u64) {
        if !self.may_write(at, life) {
            return;
        }
        // A master that was replaced, and does not know it yet.
        if epoch < self.frameworks[at].store.epoch {
            let conn = self.instance(at, life).and_then(|instance| instance.conn);
            self.break_up(conn.expect("it hears"), true, false);
            return self.framework_disconnected(at, life, None);
        }
        self.frameworks[at].store.epoch = epoch;
        say!(self, "framework {at} is {} of {epoch}, which heard call {last_call}", member.id);
        self.oracle.subscribed(Place::Framework(at), self.frameworks[at].identities, member);
        self.frameworks[at].store.member = Some(member);
        let instance = self.instance(at, life).expect("it hears");
        instance.subscribed = true;
        instance.backoff = 50 * MS;
        let conn = instance.conn.expect("it hears");
        let same = instance.epoch.replace(epoch) == Some(epoch);
        let calls = std::mem::take(&mut instance.calls);
        if same || planted::is(Bug::ResendsAfterFailover) {
            for call in calls.into_iter().filter(|call| call.number > last_call) {
                self.send(conn, Way::Up, Msg::Call(call.clone()));
                self.instance(at, life).expect("it hears").calls.push_back(call);
            }
        } else {
            instance.last_call = instance.last_call.max(last_call);
            // What an earlier master was told is asked anew. Acknowledgements do no harm, however late.
            for FrameworkCall { command, .. } in calls {
                if matches!(command, FrameworkCommand::Acknowledge(_)) {
                    self.call(at, life, command);
                }
            }
        }
        // An answer may have been lost with the session, whoever the master is.
        let id = member.id;
        let open: Vec<_> = self.frameworks[at]
            .store
            .tasks
            .iter()
            .filter(|(_, record)| !record.is_over())
            .map(|(&n, r)| (n, r.clone()))
            .collect();
        let question = |(number, record): &(u64, Record)| Question {
            task: TaskId { framework: id, number: *number },
            agent: Some(record.agent),
        };
        let questions: Vec<_> = open.iter().map(question).collect();
        if !questions.is_empty() && !planted::is(Bug::AsksNothing) {
            self.call(at, life, FrameworkCommand::Reconcile(questions));
        }
        for (number, _) in open.iter().filter(|(_, record)| record.kill && !same) {
            self.call(at, life, FrameworkCommand::Kill(TaskId { framework: id, number: *number }));
        }
    }

    /// The master's last word. An instance that was replaced ends; a framework that was removed begins anew.
    fn cast_out(&mut self, at: usize, life: u64, why: &str) {
        say!(self, "framework {at} is told by its master: {why}");
        if self.frameworks[at].store.owner != life {
            return self.end_instance(at, life);
        }
        if why.contains("failed over") {
            // The session that took over is its own, and this word is of the session before.
            return;
        }
        self.end_instance(at, life);
        let framework = &mut self.frameworks[at];
        self.oracle.removed(framework.store.member, why);
        if self.leaving {
            framework.store.torn_down = true;
            return;
        }
        let last_task = framework.store.last_task;
        framework.store = Store { last_task, ..Store::default() };
        framework.identities += 1;
        self.start_framework(at);
    }

    fn offered(&mut self, at: usize, life: u64, offer: &Offer) {
        if self.leaving {
            return;
        }
        if self.canaries {
            let store = &mut self.frameworks[at].store;
            // What is declined the first time has to come again.
            if at == 0 && !store.canaries.contains(&offer.agent) && !store.declined.insert(offer.agent) {
                return self.launch(at, life, offer, 1, true, false);
            }
            return self.decline(at, life, offer.id, S);
        }
        let temper = &self.frameworks[at].temper;
        let (ignores, wanted) = (temper.ignores_offers, temper.tasks);
        let wants_more = self.faulty && self.frameworks[at].store.tasks.len() < usize::try_from(wanted).expect("few");
        if self.faulty && self.rng.chance(ignores) {
            return;
        }
        if !wants_more || self.rng.chance(300) {
            let refuse = self.rng.range(0, 5 * S);
            return self.decline(at, life, offer.id, refuse);
        }
        let count = self.rng.range(1, 4);
        self.launch(at, life, offer, count, false, false);
    }

    fn decline(&mut self, at: usize, life: u64, offer: OfferId, refuse: Time) {
        let refuse = Duration::from_nanos(refuse);
        self.call(at, life, FrameworkCommand::Decline { offers: vec![offer], refuse });
    }

    fn launch(&mut self, at: usize, life: u64, offer: &Offer, count: u64, canary: bool, again: bool) {
        if !self.may_write(at, life) {
            return;
        }
        let Some(member) = self.frameworks[at].store.member else { return };
        let mut left = offer.resources.clone();
        let mut tasks = Vec::new();
        for _ in 0..count {
            let wants = Resources::new(
                MilliCpu::new(if canary { 100 } else { self.rng.range(1, 20) * 100 }),
                Bytes::from_mib(if canary { 1 } else { self.rng.range(1, 600) }),
                Bytes::new(0),
            );
            // Now and then it asks for more than there is.
            if left.take(&wants).is_err() && !self.rng.chance(50) {
                continue;
            }
            let reuses = !canary && self.faulty && self.rng.chance(self.frameworks[at].temper.reuses);
            let store = &mut self.frameworks[at].store;
            let number = match reuses && store.last_task > 0 {
                true => self.rng.range(1, store.last_task),
                false => {
                    store.last_task += 1;
                    store.last_task
                }
            };
            let id = TaskId { framework: member.id, number };
            if reuses {
                self.oracle.reused(id);
            }
            let store = &mut self.frameworks[at].store;
            let record = Record { agent: offer.agent, state: None, kill: false, canary, owed: Vec::new() };
            store.tasks.entry(number).or_insert(record);
            if canary {
                store.canaries.insert(offer.agent);
            }
            let endless = !canary && self.rng.chance(self.plan.endless);
            let takes = match (canary, endless) {
                (true, _) => 10 * MS,
                (_, true) => 10_000 * S,
                _ => self.rng.range(MS, 200 * MS) << self.rng.below(8),
            };
            let fails = !canary && self.rng.chance(200);
            self.oracle.wanted(id, Place::Framework(at), takes, if fails { TaskState::Failed } else { TaskState::Finished });
            tasks.push(Arc::new(spec(id, wants)));
        }
        let refuse = Duration::from_nanos(self.rng.range(0, 2 * S));
        self.call(at, life, FrameworkCommand::Accept { offers: vec![offer.id], tasks, refuse });
        // Now and then it takes what it has taken.
        if !again && !canary && self.faulty && self.rng.chance(self.frameworks[at].temper.meddles) {
            self.launch(at, life, offer, 1, false, true);
        }
    }

    fn updated(&mut self, at: usize, life: u64, epoch: Epoch, status: &TaskStatus) {
        if !self.may_write(at, life) {
            return;
        }
        say!(self, "framework {at} hears {}", crate::words::told(status));
        let framework = &mut self.frameworks[at];
        if framework.store.member.map(|member| member.id) != Some(status.task.framework) {
            return;
        }
        let Some(record) = framework.store.tasks.get_mut(&status.task.number) else {
            return;
        };
        self.oracle.told(status, epoch);
        // A canary that never came to its agent proves nothing; another follows.
        if record.canary && status.state.is_terminal() && status.state != TaskState::Finished {
            framework.store.canaries.remove(&record.agent);
        }
        let reused = self.oracle.tasks.get(&status.task).is_some_and(|truth| truth.reused);
        // The number is its own fault; the task that had it first goes on.
        if reused && status.state == TaskState::Error {
            return;
        }
        let lost_write = planted::is(Bug::AckBeforePersist) && status.state.is_terminal();
        if !record.is_over() && !lost_write {
            record.state = Some(status.state);
        }
        if status.update == UpdateId::UNACKNOWLEDGED {
            return;
        }
        let ack = Acknowledgement::from(status);
        if self.faulty && framework.temper.never_acks {
            record.owed.push(ack);
            return;
        }
        self.frameworks[at].store.given.push(ack);
        let twice = self.faulty && self.rng.chance(self.frameworks[at].temper.acks_twice);
        let wait = self.rng.range(MS, 50 * MS);
        let Some(instance) = self.instance(at, life) else { return };
        for _ in 0..=usize::from(twice) {
            instance.acks.push(ack);
        }
        if !std::mem::replace(&mut instance.acking, true) {
            self.after(wait, Event::Framework(at, life, FrameworkEvent::Acknowledge));
        }
        if lost_write && self.rng.chance(100) {
            // It dies with what it has acknowledged and not written.
            self.after(wait + MS, Event::Undo(crate::world::Undo::Framework(at, life)));
        } else if lost_write
            && let Some(record) = self.frameworks[at].store.tasks.get_mut(&status.task.number)
            && !record.is_over()
        {
            record.state = Some(status.state);
        }
    }

    /// Something that a framework does of its own accord.
    fn act(&mut self, at: usize, life: u64) {
        if self.leaving {
            if self.instance(at, life).is_some_and(|instance| instance.subscribed) {
                self.call(at, life, FrameworkCommand::Teardown);
            }
            return;
        }
        let Some(member) = self.frameworks[at].store.member else { return };
        if self.frameworks[at].store.owner != life {
            return;
        }
        let framework = member.id;
        if !self.faulty {
            return self.settle(at, life, framework);
        }
        let temper = self.frameworks[at].temper.clone();
        if self.rng.chance(temper.kills) {
            let open: Vec<u64> = self.frameworks[at]
                .store
                .tasks
                .iter()
                .filter(|(_, r)| !r.is_over())
                .map(|(&number, _)| number)
                .collect();
            if !open.is_empty() {
                let number = open[self.rng.index(open.len())];
                self.kill(at, life, TaskId { framework, number });
            }
        }
        if self.rng.chance(temper.acks_twice) && !self.frameworks[at].store.given.is_empty() {
            let given = &self.frameworks[at].store.given;
            let late = given[self.rng.index(given.len())];
            self.call(at, life, FrameworkCommand::Acknowledge(vec![late]));
        }
        if self.rng.chance(temper.meddles) {
            let other = TaskId { framework: FrameworkId(self.rng.below(4)), number: self.rng.below(20) };
            let command = match self.rng.below(6) {
                0 => FrameworkCommand::Kill(other),
                1 => FrameworkCommand::Reconcile(vec![Question { task: other, agent: None }]),
                2 => FrameworkCommand::Decline { offers: vec![OfferId(self.rng.below(50))], refuse: Duration::MAX },
                3 => FrameworkCommand::Reconcile(Vec::new()),
                _ => FrameworkCommand::Acknowledge(vec![Acknowledgement {
                    task: other,
                    update: UpdateId([0, 1, 2, u64::MAX][self.rng.index(4)]),
                    agent: Some(AgentId(self.rng.below(5))),
                }]),
            };
            // An acknowledgement of what it was not told is its own fault, if the task is its own.
            if other.framework != framework
                || !matches!(command, FrameworkCommand::Kill(_) | FrameworkCommand::Acknowledge(_))
            {
                self.call(at, life, command);
            }
        }
        match self.rng.below(20) {
            0 => self.call(at, life, FrameworkCommand::Suppress),
            1..=4 => self.call(at, life, FrameworkCommand::Revive),
            _ => {}
        }
    }

    fn kill(&mut self, at: usize, life: u64, task: TaskId) {
        if let Some(record) = self.frameworks[at].store.tasks.get_mut(&task.number) {
            record.kill = true;
            self.call(at, life, FrameworkCommand::Kill(task));
        }
    }

    /// Once nothing goes wrong any more: acknowledges what it owes, ends what has no end, and wants offers.
    fn settle(&mut self, at: usize, life: u64, framework: FrameworkId) {
        let records = &mut self.frameworks[at].store.tasks;
        let owed: Vec<_> = records.values_mut().flat_map(|record| std::mem::take(&mut record.owed)).collect();
        let mut endless: Vec<_> = records
            .iter()
            .filter(|(_, record)| !record.is_over() && !record.kill)
            .map(|(&number, _)| TaskId { framework, number })
            .filter(|&task| self.oracle.is_endless(task))
            .collect();
        // A number that was used twice may run although an end of it is known; so may what ran on an agent whose place
        // another took.
        let runs = self.agents.iter().flat_map(|agent| &agent.executor).filter(|(_, held)| held.ending.is_none());
        endless.extend(runs.map(|(&task, _)| task).filter(|task| {
            let copied = records.get(&task.number).is_some_and(|record| self.oracle.copied.contains(&record.agent));
            let reused = self.oracle.tasks.get(task).is_some_and(|truth| truth.reused);
            task.framework == framework && (copied || reused)
        }));
        if !owed.is_empty() {
            self.call(at, life, FrameworkCommand::Acknowledge(owed));
        }
        for task in endless {
            self.kill(at, life, task);
        }
        if !self.canaries {
            return self.call(at, life, FrameworkCommand::Suppress);
        }
        if !std::mem::replace(&mut self.instance(at, life).expect("it settles").revived, true) {
            self.call(at, life, FrameworkCommand::Revive);
        }
    }
}

/// A task that is right in every other respect.
pub(crate) fn spec(id: TaskId, resources: Resources) -> TaskSpec {
    TaskSpec {
        id,
        name: String::new(),
        module: Digest([0; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources,
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
    }
}
