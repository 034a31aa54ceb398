//! A framework's sessions with masters.

use std::time::Duration;

use haggle_core::cluster::{FrameworkCall, FrameworkCommand, FrameworkEvent as Heard, FrameworkInfo, Question};
use haggle_core::planted::{self, Bug};
use haggle_core::{Epoch, FrameworkId, Member, TaskId};

use super::{Record, Store};
use crate::net::{ConnId, Msg, Peer, Place, Way};
use crate::plan::{MS, S};
use crate::say;
use crate::world::{Event, FrameworkEvent, World};

impl World {
    pub(super) fn subscribe(&mut self, at: usize, life: u64) {
        let now = self.now;
        let framework = &self.frameworks[at];
        let info = self.info(at);
        let member = framework.store.member;
        let target = framework.instances[&life].target;
        let conn = self.open(Peer::Framework(at, life), target);
        let instance = self.instance(at, life).expect("it connects");
        instance.conn = Some(conn);
        instance.heard = now;
        self.send(conn, Way::Up, Msg::Call(FrameworkCommand::Subscribe { member, info }.into()));
    }

    /// What a framework is.
    pub(super) fn info(&self, at: usize) -> FrameworkInfo {
        let temper = &self.frameworks[at].temper;
        FrameworkInfo {
            name: format!("framework-{at}"),
            roles: temper.roles.clone(),
            failover_timeout: temper.failover_timeout,
        }
    }

    /// Makes a call. Without a session it waits for the next.
    pub(super) fn call(&mut self, at: usize, life: u64, command: FrameworkCommand) {
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

    pub(super) fn framework_disconnected(&mut self, at: usize, life: u64, leader: Option<usize>) {
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
            Heard::Offers(offers) if self.faulty && self.rng.chance(self.frameworks[at].temper.groups) => {
                self.launch_group(at, life, &offers);
            }
            Heard::Offers(offers) => {
                for offer in offers {
                    self.offered(at, life, &offer);
                }
            }
            Heard::InverseOffers(offers) => {
                let offers = offers.into_iter().map(|offer| offer.id).collect();
                match self.rng.below(3) {
                    0 => self.call(at, life, FrameworkCommand::AcceptInverse(offers)),
                    1 => {
                        let refuse = Duration::from_millis(self.rng.below(5_000));
                        self.call(at, life, FrameworkCommand::DeclineInverse { offers, refuse });
                    }
                    _ => {}
                }
            }
            Heard::Rescinded(_) | Heard::InverseRescinded(_) | Heard::AgentLost(_) | Heard::OperationDropped { .. } => {
            }
            Heard::Queue(update) => {
                let allocation = update.allocation;
                self.oracle.fail(format!("framework {at} hears of {allocation}, and never opened one"));
            }
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
        // Where another cluster gives its id anew, its numbers begin anew.
        let is_other = framework.store.member.is_some_and(|member| member.cluster != self.store.cluster);
        let last_task = if is_other { 0 } else { framework.store.last_task };
        framework.store = Store { last_task, ..Store::default() };
        framework.identities += 1;
        self.start_framework(at);
    }
}
