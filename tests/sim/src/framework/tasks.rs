//! What a framework does with offers, and with news of its tasks.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{Acknowledgement, FrameworkCommand};
use haggle_core::planted::{self, Bug};
use haggle_core::{
    Bytes, Digest, Epoch, Grants, Limits, MilliCpu, Offer, OfferId, OfferOperation, Placed, Resources, Sharing, TaskId,
    TaskSpec, TaskState, TaskStatus, UpdateId,
};

use super::Record;
use crate::net::Place;
use crate::plan::{MS, S, Time};
use crate::say;
use crate::world::{Event, FrameworkEvent, World};

impl World {
    pub(super) fn offered(&mut self, at: usize, life: u64, offer: &Offer) {
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
            let cpus = MilliCpu::new(if canary { 100 } else { self.rng.range(1, 20) * 100 });
            let mem = Bytes::from_mib(if canary { 1 } else { self.rng.range(1, 600) });
            // Most of what is revocable is in offers of nothing else, to those that want just that.
            let is_revocable = !canary && !left.revocable.is_zero() && (left.cpus.is_zero() || self.rng.chance(500));
            let wants = match is_revocable {
                true => Resources::new(MilliCpu::ZERO, mem.min(left.mem), Bytes::ZERO).with_revocable(left.revocable),
                false => Resources::new(cpus, mem, Bytes::ZERO),
            };
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
            if reuses && member.cluster == self.store.cluster {
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
            self.oracle.wanted(
                member.cluster,
                id,
                Place::Framework(at),
                takes,
                if fails { TaskState::Failed } else { TaskState::Finished },
            );
            let grants = if canary { Grants::default() } else { self.mounts(offer) };
            tasks.push(Arc::new(TaskSpec { grants, ..spec(id, wants) }));
        }
        let refuse = Duration::from_nanos(self.rng.range(0, 2 * S));
        let reserves = !canary && self.faulty && self.rng.chance(self.frameworks[at].temper.reserves);
        let operations = if reserves { self.operations(offer) } else { Vec::new() };
        let mut operations: Vec<OfferOperation> = operations.into_iter().map(Into::into).collect();
        if !canary && self.faulty && self.rng.chance(self.frameworks[at].temper.volumes) {
            operations.extend(self.volume_operations(offer));
        }
        self.call(at, life, FrameworkCommand::Accept { offers: vec![offer.id], operations, tasks, refuse });
        // Now and then it takes what it has taken.
        if !again && !canary && self.faulty && self.rng.chance(self.frameworks[at].temper.meddles) {
            self.launch(at, life, offer, 1, false, true);
        }
    }

    /// Launches a group on all of these offers that are for one role. The others lapse. Its first task may fail; then nothing but that
    /// ends those that are endless.
    pub(super) fn launch_group(&mut self, at: usize, life: u64, offers: &[Offer]) {
        let (Some(member), Some(first)) = (self.frameworks[at].store.member, offers.first()) else { return };
        if self.leaving || self.canaries || !self.may_write(at, life) {
            return;
        }
        let offers: Vec<&Offer> = offers.iter().filter(|offer| offer.role == first.role).collect();
        let fails = self.rng.chance(500);
        let mut tasks = Vec::new();
        for offer in offers.iter().chain(&offers[..1]) {
            let store = &mut self.frameworks[at].store;
            store.last_task += 1;
            let id = TaskId { framework: member.id, number: store.last_task };
            let record = Record { agent: offer.agent, state: None, kill: false, canary: false, owed: Vec::new() };
            store.tasks.insert(id.number, record);
            let (cpus, mem) = (self.rng.range(1, 6) * 100, self.rng.range(1, 100));
            let wants = Resources::new(MilliCpu::new(cpus), Bytes::from_mib(mem), Bytes::new(0));
            let is_first = tasks.is_empty();
            let takes = match !is_first && self.rng.chance(500) {
                true => 10_000 * S,
                false => self.rng.range(MS, 200 * MS) << self.rng.below(8),
            };
            let outcome = if is_first && fails { TaskState::Failed } else { TaskState::Finished };
            self.oracle.wanted(member.cluster, id, Place::Framework(at), takes, outcome);
            let grants = self.mounts(offer);
            tasks.push(Placed { agent: offer.agent, task: Arc::new(TaskSpec { grants, ..spec(id, wants) }) });
        }
        let refuse = Duration::from_nanos(self.rng.range(0, 2 * S));
        let offers = offers.iter().map(|offer| offer.id).collect();
        self.call(at, life, FrameworkCommand::LaunchGroup { offers, operations: Vec::new(), tasks, refuse });
    }

    pub(super) fn updated(&mut self, at: usize, life: u64, epoch: Epoch, status: &TaskStatus) {
        if !self.may_write(at, life) {
            return;
        }
        say!(self, "framework {at} hears {}", crate::words::told(status));
        let framework = &mut self.frameworks[at];
        let Some(member) = framework.store.member.filter(|member| member.id == status.task.framework) else { return };
        let Some(record) = framework.store.tasks.get_mut(&status.task.number) else {
            return;
        };
        self.oracle.told(member.cluster, epoch, status);
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
}

/// A task that is right in every other respect.
pub(crate) fn spec(id: TaskId, resources: Resources) -> TaskSpec {
    TaskSpec {
        id,
        name: String::new(),
        role: String::new(),
        module: Digest([0; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources,
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    }
}
