//! The one who sees everything, and says when a promise is broken.

use std::collections::{BTreeMap, BTreeSet};

use haggle_core::cluster::{AgentOrder, Change, Cluster, Command, Effect, FrameworkCommand, FrameworkEvent};
use haggle_core::{
    AgentId, AgentKey, ClusterId, Epoch, FrameworkId, Member, Reason, TaskId, TaskState, TaskStatus, UpdateId,
};

use crate::net::{Peer, Place};
use crate::plan::Time;

/// What is true of a task.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    /// Whose it is.
    pub(crate) owner: Place,
    /// How long it takes.
    pub(crate) takes: Time,
    outcome: TaskState,
    /// How often it started.
    pub(crate) starts: u32,
    /// How it ended in its executor, if it did.
    pub(crate) ended: Option<TaskState>,
    /// Whether its machine or its agent lost it, so that nobody can tell its end any more.
    pub(crate) lost: bool,
    /// Whether it was launched under a number that was in use.
    pub(crate) reused: bool,
    /// Whether an order to launch it was let out.
    pub(crate) launched: bool,
    /// The end that its framework was told.
    pub(crate) told: Option<TaskState>,
    /// The update that told the end, and who had it acknowledged to him.
    acknowledged: Option<(Epoch, UpdateId)>,
    told_by: Option<UpdateId>,
    /// Whether one told of it whose machine was frozen, so that nothing kept it from speaking beside the one that leads.
    pub(crate) doubtful: bool,
    /// Whether its framework is gone, so that nobody is to be told.
    pub(crate) abandoned: bool,
    /// The number of the first task of its group, once it was launched in one.
    group: Option<u64>,
}

/// Ground truth, and the first promise that was broken.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// The cluster that promises. What one before it promised is void.
    pub(crate) cluster: ClusterId,
    /// What is true of every task that a framework wanted.
    pub(crate) tasks: BTreeMap<TaskId, Truth>,
    /// What is wrong.
    pub(crate) broken: Option<String>,
    /// The latest master that each machine has obeyed, while it kept its disk.
    obeyed: BTreeMap<usize, Epoch>,
    keys: BTreeMap<(ClusterId, AgentId), AgentKey>,
    frameworks: BTreeMap<FrameworkId, (Place, u64)>,
    by_member: BTreeMap<(Place, u64), FrameworkId>,
    latest: Epoch,
    /// Masters whose machine was frozen, with all its clocks.
    pub(crate) frozen: BTreeSet<Epoch>,
    /// Agents that an operator or a timeout declared gone, or that left.
    pub(crate) gone: BTreeSet<AgentId>,
    /// Agents of whose work folder there was a copy.
    pub(crate) copied: BTreeSet<AgentId>,
    /// What those proved their ids with.
    pub(crate) copied_keys: BTreeSet<AgentKey>,
    /// For the report.
    pub(crate) starts: u64,
    /// For the report.
    pub(crate) ends_told: u64,
}

impl Oracle {
    /// The registry is lost: whoever is of the cluster before is of another one now.
    pub(crate) fn begins_anew(&mut self, cluster: ClusterId) {
        let before = std::mem::take(self);
        *self = Self {
            cluster,
            broken: before.broken,
            obeyed: before.obeyed,
            keys: before.keys,
            copied_keys: before.copied_keys,
            starts: before.starts,
            ends_told: before.ends_told,
            ..Self::default()
        };
    }

    /// Notes the first promise that was broken.
    pub(crate) fn fail(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// A framework has written down that it wants a task.
    pub(crate) fn wanted(&mut self, of: ClusterId, id: TaskId, owner: Place, takes: Time, outcome: TaskState) {
        if of != self.cluster {
            return;
        }
        self.tasks.entry(id).or_insert(Truth {
            owner,
            takes,
            outcome,
            starts: 0,
            ended: None,
            lost: false,
            reused: false,
            launched: false,
            told: None,
            acknowledged: None,
            told_by: None,
            doubtful: false,
            abandoned: false,
            group: None,
        });
    }

    /// A framework uses a number again: what becomes of that task is its own fault.
    pub(crate) fn reused(&mut self, id: TaskId) {
        if let Some(truth) = self.tasks.get_mut(&id) {
            truth.reused = true;
        }
    }

    /// A task starts; how long it takes.
    pub(crate) fn started(&mut self, id: TaskId, at: usize) -> Time {
        self.starts += 1;
        let Some(truth) = self.tasks.get_mut(&id) else {
            self.fail(format!("{id} starts on agent {at}, and nobody wanted it"));
            return 0;
        };
        truth.starts += 1;
        let (takes, starts, reused) = (truth.takes, truth.starts, truth.reused);
        if starts > 1 && !reused {
            self.fail(format!("{id} starts for the {starts}th time, on agent {at}"));
        }
        takes
    }

    /// How a task ends by itself.
    pub(crate) fn outcome(&self, id: TaskId) -> TaskState {
        self.tasks.get(&id).map_or(TaskState::Failed, |truth| truth.outcome)
    }

    /// Whether it has to be killed to end.
    pub(crate) fn is_endless(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|truth| truth.takes > 1_000 * crate::plan::S)
    }

    /// Whether another task of its group failed and that was told, so that its master has to end it.
    pub(crate) fn is_doomed(&self, id: TaskId) -> bool {
        let of = TaskId { number: 0, ..id }..=TaskId { number: u64::MAX, ..id };
        let Some(group) = self.tasks.get(&id).and_then(|truth| truth.group) else { return false };
        let others = self.tasks.range(of).map(|(_, truth)| truth).filter(|truth| truth.group == Some(group));
        let failed = |truth: &Truth| truth.ended == Some(TaskState::Failed) && truth.told == Some(TaskState::Failed);
        others.into_iter().any(|truth| failed(truth) && !truth.doubtful && !truth.reused)
    }

    /// A task has ended in its executor.
    pub(crate) fn ended(&mut self, id: TaskId, state: TaskState) {
        if let Some(truth) = self.tasks.get_mut(&id) {
            truth.ended.get_or_insert(state);
        }
    }

    /// A task and what was known of it are lost with its machine, its executor, or the agent that fetched it.
    pub(crate) fn lost(&mut self, id: TaskId) {
        if let Some(truth) = self.tasks.get_mut(&id) {
            truth.lost = true;
        }
    }

    /// Whether two masters may have told of a task.
    pub(crate) fn is_doubtful(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|truth| truth.doubtful)
    }

    /// Whether a task and what was known of it are lost.
    pub(crate) fn is_lost(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|truth| truth.lost)
    }

    /// Whether its framework was told how a task ended, with an update that can be acknowledged.
    pub(crate) fn has_told_end(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|truth| truth.told_by.is_some())
    }

    /// A master leads.
    pub(crate) fn leads(&mut self, epoch: Epoch) {
        if epoch <= self.latest {
            self.fail(format!("{epoch} leads after {}", self.latest));
        }
        self.latest = epoch;
    }

    /// An agent carries out an order.
    pub(crate) fn obeys(&mut self, at: usize, epoch: Epoch) {
        let seen = self.obeyed.entry(at).or_default();
        let stale = epoch < *seen;
        let latest = *seen;
        *seen = latest.max(epoch);
        if stale {
            self.fail(format!("agent {at} obeys {epoch}, and has seen {latest}"));
        }
    }

    /// A machine has lost its disk, and with it what it has seen.
    pub(crate) fn forgets_epoch(&mut self, at: usize) {
        self.obeyed.remove(&at);
    }

    /// An agent is given an id.
    pub(crate) fn named(&mut self, member: Member<AgentId>, key: AgentKey) {
        if self.copied_keys.contains(&key) {
            self.copied.insert(member.id);
        }
        if member.cluster != self.cluster {
            return;
        }
        let owner = *self.keys.entry((member.cluster, member.id)).or_insert(key);
        if owner != key {
            self.fail(format!("{} is given to two agents", member.id));
        }
    }

    /// A framework is given an id.
    pub(crate) fn subscribed(&mut self, at: Place, identity: u64, member: Member<FrameworkId>) {
        if member.cluster != self.cluster {
            return;
        }
        let owner = *self.frameworks.entry(member.id).or_insert((at, identity));
        let id = *self.by_member.entry((at, identity)).or_insert(member.id);
        if owner != (at, identity) {
            self.fail(format!("{} is given to two frameworks", member.id));
        }
        // One that never heard its first id has another now.
        if id != member.id {
            self.by_member.insert((at, identity), member.id);
        }
    }

    /// A framework was removed by its master.
    pub(crate) fn removed(&mut self, member: Option<Member<FrameworkId>>, why: &str) {
        let Some(member) = member else {
            return self.fail(format!("a framework without an id is turned away: {why}"));
        };
        if member.cluster != self.cluster {
            return;
        }
        for (_, truth) in self.tasks_of(member.id) {
            truth.abandoned = true;
        }
    }

    fn tasks_of(&mut self, framework: FrameworkId) -> impl Iterator<Item = (&TaskId, &mut Truth)> {
        self.tasks.range_mut(TaskId { framework, number: 0 }..=TaskId { framework, number: u64::MAX })
    }

    /// An agent of ours is told that somebody must act.
    pub(crate) fn turned_away(&mut self, at: usize, member: Option<Member<AgentId>>, why: &str) {
        if member.is_some_and(|member| member.cluster != self.cluster) {
            return;
        }
        self.fail(format!("agent {at}, which is {member:?}, is turned away for good: {why}"));
    }

    /// An agent of ours is told that its id is void.
    pub(crate) fn void(&mut self, at: usize, member: Option<Member<AgentId>>) {
        if let Some(member) = member
            && member.cluster == self.cluster
            && !self.gone.contains(&member.id)
        {
            self.fail(format!("agent {at} is told that {} is gone, and nobody declared it so", member.id));
        }
    }

    /// Which ends a command acknowledges, of those that the master knows.
    pub(crate) fn acknowledged(
        &self,
        speaker: Option<Peer>,
        command: &Command,
        cluster: &Cluster,
    ) -> Vec<(TaskId, UpdateId)> {
        let Some(speaker) = speaker.and_then(Peer::place) else { return Vec::new() };
        let Command::Framework(_, call) = command else { return Vec::new() };
        let FrameworkCommand::Acknowledge(acks) = &call.command else { return Vec::new() };
        let is_end = |task: &TaskId, update| {
            self.tasks.get(task).is_some_and(|truth| truth.owner == speaker && truth.told_by == Some(update))
        };
        acks.iter()
            .map(|ack| (ack.task, ack.update))
            .filter(|&(task, update)| is_end(&task, update) && cluster.task(task).is_some())
            .collect()
    }

    /// A master has taken note of acknowledged ends.
    pub(crate) fn note(&mut self, epoch: Epoch, acknowledged: Vec<(TaskId, UpdateId)>) {
        for (task, update) in acknowledged {
            if let Some(truth) = self.tasks.get_mut(&task) {
                truth.acknowledged = Some((epoch, update));
            }
        }
    }

    /// Something is durable.
    pub(crate) fn written(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::AgentRemoved(id) = change {
                self.gone.insert(*id);
            }
        }
    }

    /// Something of a master is said.
    pub(crate) fn let_out(&mut self, epoch: Epoch, effect: &Effect) {
        match effect {
            Effect::ToFramework(_, FrameworkEvent::Update(status)) if epoch < self.latest => self.says(epoch, status),
            Effect::ToAgent(_, AgentOrder::Launch(spec)) => {
                if let Some(truth) = self.tasks.get_mut(&spec.id) {
                    truth.launched = true;
                    truth.group = spec.group.map(|group| group.first);
                }
            }
            _ => {}
        }
    }

    /// A master has decided something.
    pub(crate) fn decided(&mut self, epoch: Epoch, effects: &[Effect]) {
        // One that was replaced decides, and does not come to speak.
        if epoch < self.latest {
            return;
        }
        for effect in effects {
            match effect {
                Effect::ToFramework(_, FrameworkEvent::Update(status)) => self.says(epoch, status),
                Effect::ToAgent(_, AgentOrder::Registered { member, .. }) if self.gone.contains(&member.id) => {
                    self.fail(format!("{} is taken in, and was gone", member.id));
                }
                _ => {}
            }
        }
    }

    /// A master tells a framework something: nothing may follow an acknowledged end.
    fn says(&mut self, epoch: Epoch, status: &TaskStatus) {
        let Some(truth) = self.tasks.get(&status.task).filter(|truth| !truth.reused) else { return };
        let Some((by, end)) = truth.acknowledged else { return };
        // The end that was acknowledged came from a frozen master: the one that leads knows nothing of it.
        if truth.doubtful {
            return;
        }
        // Two agents under one id: what one has lost, the other may hold.
        if status.agent.is_some_and(|agent| self.copied.contains(&agent)) {
            return;
        }
        // Who asks about what was forgotten hears that it is not known.
        if status.state.is_terminal() || status.state == TaskState::Unknown {
            return;
        }
        // A later master repeats what the agent has not seen acknowledged; it says nothing new.
        let repeats = epoch > by && !status.update.is_by_master() && status.update < end;
        if !repeats {
            self.fail(format!(
                "{} is told to be {} ({}), though its end {:?} was acknowledged with {end}",
                status.task, status.state, status.update, truth.told
            ));
        }
    }

    /// A framework hears of a task.
    pub(crate) fn told(&mut self, of: ClusterId, epoch: Epoch, status: &TaskStatus) {
        if of != self.cluster {
            return;
        }
        let Some(truth) = self.tasks.get_mut(&status.task) else { return };
        truth.doubtful |= self.frozen.contains(&epoch) && epoch < self.latest;
        if truth.reused || !status.state.is_terminal() {
            return;
        }
        if status.update != UpdateId::UNACKNOWLEDGED {
            truth.told_by = Some(status.update);
        }
        let (before, ended, lost) = (truth.told, truth.ended, truth.lost);
        truth.told.get_or_insert(status.state);
        let launched = truth.launched;
        if before.is_none() {
            self.ends_told += 1;
        }
        if let Some(before) = before
            && before != status.state
            && !truth.doubtful
            // A launch that was refused is unknown to whoever asks.
            && (launched || status.state != TaskState::Gone)
            // Two agents under one id: the one that came first had not the task, and the other has.
            && !status.agent.is_some_and(|agent| self.copied.contains(&agent))
        {
            return self.fail(format!("{} is told to be {}, and was {before} before", status.task, status.state));
        }
        let by_agent = matches!(status.state, TaskState::Finished | TaskState::Failed | TaskState::Killed)
            || status.reason == Some(Reason::Preempted);
        if by_agent && launched && !lost && ended.is_some_and(|ended| ended != status.state) {
            self.fail(format!("{} is told to be {}, and ended as {ended:?}", status.task, status.state));
        }
    }
}
