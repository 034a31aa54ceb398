//! What must be true after every step.

use haggle_core::cluster::{AgentOrder, Change, Effect, FrameworkEvent};
use haggle_core::{Member, Now, Phase, TaskState, Withdrawal};

use crate::agent::Agent;
use crate::framework::Framework;
use crate::master::{Claim, Lead};
use crate::net::{ConnId, Place};
use crate::plan::{MS, S, Time};
use crate::program::Program;
use crate::reserve;
use crate::world::World;

impl World {
    /// What must be true after every step of the master that leads.
    pub(crate) fn check_master(&mut self, at: usize) {
        let Some(lead) = &self.masters[at].lead else { return };
        if lead.epoch.0 != self.store.epoch || lead.of != self.store.cluster {
            return;
        }
        let counts = lead.cluster.counts();
        let mut wrong = None;
        // One that follows no rule may claim to run more than it has.
        for view in lead.cluster.agents(Now::ZERO).into_iter().filter(|view| view.info.name != "rogue") {
            if let Some(withdrawal) = view.withdrawal.filter(|_| !view.offered.is_empty()) {
                wrong = Some(format!("{} is offered, and is {:?}", view.id, withdrawal.phase));
            }
            let mut promised = view.used.clone();
            promised.give(&view.offered);
            // What tasks hold beyond what is unused is counted until they have ended; it is offered to nobody.
            let idle = std::mem::take(&mut promised.revocable);
            if idle > view.revocable && !view.offered.revocable.is_zero() {
                wrong = Some(format!("of {} {} is unused, and {idle} are promised", view.id, view.revocable));
            }
            // Tasks of two agents under one id are counted together until the later one has named all of its own.
            let copied = view.offered.is_empty() && self.oracle.copied.contains(&view.id);
            if !copied && !view.info.resources.contains(&promised) {
                wrong = Some(format!("{} has {}, and {promised} are promised", view.id, view.info.resources));
            }
            if !copied && let Some(over) = reserve::overpromised(&view.reserved) {
                wrong = Some(format!("of {} {over}", view.id));
            }
        }
        wrong = wrong.or_else(|| lead.cluster.offers(Now::ZERO).iter().find_map(reserve::not_its));
        let known: usize = TaskState::ALL.into_iter().map(|state| lead.cluster.tally().tasks(state)).sum();
        if known != counts.tasks + counts.queued {
            let are = counts.tasks + counts.queued;
            wrong = Some(format!("{known} tasks are counted by their states, and {are} are known"));
        }
        // An agent may drain, until its tasks are killed and until their ends are acknowledged.
        let most_timers = counts.offers + 3 * counts.agents + 2 * counts.frameworks + counts.inverse_offers;
        if counts.ended > self.plan.history
            || counts.timers > most_timers
            || counts.kept_updates > counts.tasks
            || counts.questions > 1_000
            || counts.sessions > lead.sessions()
        {
            wrong = Some(format!("the master holds too much: {counts:?}, with {} sessions", lead.sessions()));
        }
        if let Some((peer, waiting)) = self.overlong(at) {
            wrong = Some(format!("{waiting} messages wait for {peer:?}, of {}", self.plan.outbox));
        }
        if let Some(wrong) = wrong {
            self.oracle.fail(wrong);
        }
    }

    /// Nobody is taken in under an id of another cluster, nor in the place of an agent that is connected.
    pub(crate) fn check_taken_in(
        &mut self,
        claim: Option<Claim>,
        conn: Option<ConnId>,
        before: Option<ConnId>,
        effects: &[Effect],
    ) {
        let is_welcome = |effect: &Effect| {
            matches!(
                effect,
                Effect::ToAgent(_, AgentOrder::Registered { .. })
                    | Effect::ToFramework(_, FrameworkEvent::Subscribed { .. })
            )
        };
        let Some(claim) = claim.filter(|_| effects.iter().any(is_welcome)) else { return };
        let peer = |conn: Option<ConnId>| conn.and_then(|conn| self.net.conns.get(&conn)).map(|conn| conn.peer);
        let (new, old) = (peer(conn), peer(before));
        match claim {
            Claim::Stranger => self.oracle.fail(format!("{new:?} is taken in, and is of another cluster")),
            Claim::Agent(id) if old.is_some() && new.is_some() && old != new => {
                self.oracle.fail(format!("{new:?} takes the place of {old:?} as {id}"));
            }
            Claim::Agent(_) => {}
        }
    }

    /// Nobody is declared away who was heard a short time ago, by a clock that a pause stops.
    pub(crate) fn check_declared(&mut self, at: usize, lead: &Lead, changes: &[Change]) {
        let ran = self.ran(at);
        let reregister = self.plan.reregister_timeout;
        for change in changes {
            let (place, timeout) = match change {
                Change::AgentRecorded(id, record)
                    if record.unreachable_since.is_some() && !self.oracle.copied.contains(id) =>
                {
                    let it = Member { cluster: self.store.cluster, id: *id };
                    let is_it = |agent: &Agent| agent.disk.member == Some(it);
                    (self.agents.iter().position(is_it).map(Place::Agent), self.plan.agent_timeout)
                }
                Change::FrameworkRemoved(id) if !self.leaving => {
                    let it = Member { cluster: self.store.cluster, id: *id };
                    let is_it = |framework: &Framework| framework.store.member == Some(it);
                    let runs = |program: &Program| program.run.as_ref().and_then(|run| run.member) == Some(it);
                    let found = self.frameworks.iter().position(is_it);
                    let program = self.programs.iter().position(runs);
                    let timeout = found.map(|at| self.frameworks[at].temper.failover_timeout);
                    let timeout = timeout.or(program.map(|at| self.programs[at].manner.failover_timeout));
                    (found.map(Place::Framework).or(program.map(Place::Program)), timeout.unwrap_or_default())
                }
                _ => continue,
            };
            let Some(place) = place else { continue };
            // One that was never heard was known to the last master, and has the time that agents have then.
            let (heard, timeout) = match lead.heard.get(&place) {
                Some(&heard) => (heard, timeout),
                None => (lead.began, timeout.min(reregister)),
            };
            let timeout = Time::try_from(timeout.as_nanos()).expect("seconds");
            // Clocks go wrong by a tenth.
            if ran.saturating_sub(heard) + S < timeout * 6 / 10 {
                let ago = (ran - heard) / MS;
                self.oracle.fail(format!("master {at} declares {place:?} away, and heard it {ago} ms ago: {change:?}"));
            }
        }
    }

    /// Nothing runs on an agent of which it is written that it is drained.
    pub(crate) fn check_drained(&mut self, changes: &[Change]) {
        for change in changes {
            let Change::AgentWithdrawn(id, Withdrawal { phase: Phase::Drained, .. }) = change else { continue };
            let it = Some(Member { cluster: self.store.cluster, id: *id });
            let machine = self.agents.iter().position(|agent| agent.disk.member == it);
            let Some(machine) = machine.filter(|_| !self.oracle.copied.contains(id)) else { continue };
            let used = self.agents[machine].in_use();
            if !used.is_empty() {
                self.oracle.fail(format!("{id} is called drained, and agent {machine} runs {used}"));
            }
        }
    }

    /// What must be true whenever an agent takes a task on.
    pub(crate) fn check_machine(&mut self, at: usize) {
        let used = self.agents[at].in_use();
        // Two machines under one id, and two tasks under one number: the master knows the size of the other.
        let copied = self.agents[at].disk.member.is_some_and(|member| self.oracle.copied.contains(&member.id));
        let holds = self.agents[at].executor.keys();
        let excused = copied && holds.filter_map(|task| self.oracle.tasks.get(task)).any(|truth| truth.reused);
        let all = &self.agents[at].resources;
        // No more of it can be unused.
        let has = &all.clone().with_revocable(all.cpus);
        if !excused && !has.contains(&used) {
            self.oracle.fail(format!("agent {at} has {has}, and runs {used}"));
        }
    }
}
