//! An agent's sessions with masters.

use haggle_core::cluster::{AgentCommand, AgentIdentity, AgentOrder, Rejection};
use haggle_core::node::Command;
use haggle_core::planted::{self, Bug};
use haggle_core::{AgentId, AgentInfo, Epoch, Member, MilliCpu, Now};

use super::SILENT_HEARTBEATS;
use crate::net::{ConnId, Msg, Peer, Way};
use crate::plan::{MS, S, Time};
use crate::say;
use crate::wants;
use crate::world::{AgentEvent, World};

impl World {
    /// How often an agent says that it lives.
    pub(super) fn heartbeat(&self) -> Time {
        Time::try_from(self.plan.agent_timeout.as_nanos()).expect("seconds") / 5
    }

    pub(super) fn agent_connects(&mut self, at: usize) {
        let now = self.now;
        let life = self.agents[at].life;
        let agent = &self.agents[at];
        let process = agent.process.as_ref().expect("it runs");
        if process.conn.is_some() {
            return;
        }
        let conn = self.open(Peer::Agent(at, life), process.target);
        let agent = &mut self.agents[at];
        let shows = Now::from_nanos(agent.clock.read(now));
        let process = agent.process.as_mut().expect("it runs");
        process.conn = Some(conn);
        process.heard = now;
        let mut held = process.node.held(shows);
        let identity = AgentIdentity { member: agent.disk.member, key: agent.disk.key, run: process.run };
        let info = AgentInfo {
            name: format!("machine-{at}"),
            resources: agent.resources.clone(),
            reserved: agent.keeps.clone(),
            attributes: wants::attributes(at),
        };
        let piece = self.rng.index(3) + 1;
        let rest = held.split_off(held.len().min(piece));
        let complete = rest.is_empty();
        let register = AgentCommand::Register { identity, info, tasks: held, complete };
        self.send(conn, Way::Up, Msg::Report(register));
        let pieces = rest.chunks(piece).count();
        for (number, tasks) in rest.chunks(piece).enumerate() {
            let complete = number + 1 == pieces;
            self.send(conn, Way::Up, Msg::Report(AgentCommand::Holds { tasks: tasks.to_vec(), complete }));
        }
    }

    pub(super) fn agent_heartbeat(&mut self, at: usize) {
        let heartbeat = self.heartbeat();
        self.agent_later(at, heartbeat, AgentEvent::Heartbeat);
        let process = self.agents[at].process.as_ref().expect("it runs");
        let Some(conn) = process.conn else { return };
        if self.now.saturating_sub(process.heard) > heartbeat * SILENT_HEARTBEATS {
            say!(self, "agent {at} gives up a silent master");
            self.break_up(conn, true, false);
            return self.agent_disconnected(at, None);
        }
        if process.registered {
            self.send(conn, Way::Up, Msg::Report(AgentCommand::Heartbeat));
            self.measure(at);
        }
    }

    /// What is unused goes up and down as it likes, whatever runs; nothing is once everything is made good.
    fn measure(&mut self, at: usize) {
        if self.faulty && !self.rng.chance(self.plan.measures) {
            return;
        }
        let tenths = self.agents[at].resources.cpus.get() / 100;
        let unused = if self.faulty { self.rng.range(0, tenths) * 100 } else { 0 };
        self.report(at, AgentCommand::Unused(MilliCpu::new(unused)));
    }

    pub(crate) fn report(&mut self, at: usize, report: AgentCommand) {
        let process = self.agents[at].process.as_ref().expect("it runs");
        if let Some(conn) = process.conn.filter(|_| process.registered) {
            self.send(conn, Way::Up, Msg::Report(report));
        }
    }

    /// A connection of an agent is no more.
    pub(crate) fn agent_lost(&mut self, at: usize, life: u64, conn: ConnId) {
        let agent = &self.agents[at];
        if agent.life == life && agent.process.as_ref().is_some_and(|process| process.conn == Some(conn)) {
            self.agent_disconnected(at, None);
        }
    }

    fn agent_disconnected(&mut self, at: usize, leader: Option<usize>) {
        let masters = self.plan.masters;
        let pause = self.rng.range(MS, 100 * MS);
        let process = self.agents[at].process.as_mut().expect("it runs");
        process.conn = None;
        process.registered = false;
        process.target = leader.unwrap_or((process.target + 1) % masters);
        let wait = if leader.is_some() { pause } else { process.backoff + pause };
        process.backoff = (process.backoff * 2).min(2 * S);
        self.node_does(at, Command::Disconnected);
        self.agent_later(at, wait, AgentEvent::Connect);
    }

    /// Something comes from a master.
    pub(crate) fn agent_receives(&mut self, at: usize, life: u64, conn: ConnId, msg: Msg) {
        let now = self.now;
        let agent = &mut self.agents[at];
        let Some(process) = agent.process.as_mut().filter(|process| process.conn == Some(conn)) else { return };
        if agent.life != life {
            return;
        }
        process.heard = now;
        match msg {
            Msg::Order(epoch, order) => {
                let is_of_another = matches!(order, AgentOrder::Refused(Rejection::OtherCluster(_)));
                if epoch < process.highest && !is_of_another && !planted::is(Bug::NoEpochCheck) {
                    say!(self, "agent {at} hangs up on {epoch}");
                    self.break_up(conn, true, false);
                    return self.agent_disconnected(at, None);
                }
                // Being turned away is nothing that it carries out, and being taken in only once that is on disk.
                if !matches!(order, AgentOrder::Refused(_) | AgentOrder::Registered { .. }) {
                    self.oracle.obeys(at, epoch);
                }
                self.agent_ordered(at, conn, epoch, order);
            }
            Msg::StandsBy(leader) => {
                self.break_up(conn, true, false);
                self.agent_disconnected(at, leader);
            }
            Msg::Closed | Msg::Failed(_) => {
                let left =
                    self.agents[at].process.as_ref().is_some_and(|process| process.leaving && process.registered);
                let failed = matches!(msg, Msg::Failed(_));
                if let Msg::Failed(why) = &msg {
                    say!(self, "agent {at} hears that {why}");
                }
                self.break_up(conn, true, false);
                if left && !failed {
                    return self.agent_has_left(at);
                }
                self.agent_disconnected(at, None);
            }
            _ => {}
        }
    }

    fn agent_ordered(&mut self, at: usize, conn: ConnId, epoch: Epoch, order: AgentOrder) {
        match order {
            AgentOrder::Registered { member, .. } => {
                if self.agents[at].disk.member.is_some_and(|own| own.cluster != member.cluster) {
                    self.oracle.fail(format!("agent {at} is of another cluster, and is taken in as {member:?}"));
                }
                if !self.agent_remembers(at, member, epoch) {
                    return;
                }
                self.oracle.obeys(at, epoch);
                let agent = &mut self.agents[at];
                let process = agent.process.as_mut().expect("it runs");
                process.registered = true;
                process.highest = process.highest.max(epoch);
                process.backoff = 100 * MS;
                let (draining, leaving) = (process.draining, process.leaving);
                self.tell_volumes(at);
                self.operator_has_waited(at);
                if draining {
                    self.report(at, AgentCommand::Drain);
                }
                self.node_does(at, Command::Registered(member.id));
                if leaving {
                    self.report(at, AgentCommand::Leave);
                }
            }
            AgentOrder::Refused(rejection) => self.agent_refused(at, conn, &rejection),
            AgentOrder::Launch(spec) => self.node_does(at, Command::Launch(spec)),
            AgentOrder::Open(spec) => self.node_does(at, Command::Open(spec)),
            AgentOrder::Enqueue { allocation, tasks, last } => {
                self.node_does(at, Command::Enqueue { allocation, tasks, last });
            }
            AgentOrder::Kill(task) => self.node_does(at, Command::Kill(task)),
            AgentOrder::End { task, reason, why } => self.node_does(at, Command::End { task, reason, why }),
            AgentOrder::StopAll => self.node_does(at, Command::StopAll),
            AgentOrder::Acknowledge(task, update) => self.node_does(at, Command::Acknowledge(task, update)),
            AgentOrder::Resend(framework) => self.node_does(at, Command::Resend(framework)),
            AgentOrder::RemoveFramework(framework) => self.node_does(at, Command::RemoveFramework(framework)),
            AgentOrder::CreateVolume { volume, .. } => self.changes_volume(at, volume, true),
            AgentOrder::DestroyVolume(volume) => self.changes_volume(at, volume, false),
        }
    }

    /// Writes its id and the epoch to a new file, which then takes the place of the old one. False when the agent dies over
    /// it: then all of it is on disk, or nothing.
    fn agent_remembers(&mut self, at: usize, member: Member<AgentId>, epoch: Epoch) -> bool {
        let disk = &self.agents[at].disk;
        if disk.member == Some(member) && disk.epoch == epoch {
            return true;
        }
        let dies = self.faulty && self.rng.chance(self.plan.torn_files);
        if !dies || self.rng.chance(500) {
            let disk = &mut self.agents[at].disk;
            (disk.member, disk.epoch) = (Some(member), epoch);
            let key = disk.key;
            self.oracle.named(member, key);
        }
        if dies {
            say!(self, "agent {at} dies over its identity");
            self.crash_agent(at);
            let wait = self.rng.range(10 * MS, 2 * S);
            self.start_agent(at, wait);
        }
        !dies
    }

    fn agent_refused(&mut self, at: usize, conn: ConnId, rejection: &Rejection) {
        self.break_up(conn, true, false);
        if let Rejection::Later(_) = rejection {
            let process = self.agents[at].process.as_mut().expect("it runs");
            process.backoff = process.backoff.max(S);
            return self.agent_disconnected(at, None);
        }
        let leaving = self.agents[at].process.as_ref().is_some_and(|process| process.leaving);
        if leaving {
            return self.agent_has_left(at);
        }
        let lead = self.net.conns.get(&conn).and_then(|conn| self.masters[conn.master].lead.as_ref());
        let by_one_of_before = lead.is_none_or(|lead| lead.of != self.store.cluster);
        if let Rejection::OtherCluster(_) = rejection
            && (by_one_of_before || (self.faulty && !self.is_of_this_cluster(at)))
        {
            // It stops and leaves its tasks alone. Whoever looks after the machine starts it again, and has to find out.
            self.crash_agent(at);
            return self.start_agent(at, 2 * S);
        }
        let member = self.agents[at].disk.member;
        // An operator may have wanted it gone once it was drained.
        let is_gone = member.is_some_and(|member| self.oracle.gone.contains(&member.id));
        match rejection {
            Rejection::Final(_) if is_gone => {}
            Rejection::Final(why) | Rejection::OtherCluster(why) => self.oracle.turned_away(at, member, why),
            Rejection::Gone(_) | Rejection::Later(_) => {}
        }
        if let Rejection::Gone(_) = rejection {
            self.oracle.void(at, member);
        }
        // It ends every task, forgets who it is and stops, or an operator has it do so; it is started again. Of its volumes nobody
        // knows then.
        self.power_off(at);
        self.forget_identity(at);
        self.start_agent(at, 2 * S);
    }

    fn agent_has_left(&mut self, at: usize) {
        say!(self, "agent {at} has left");
        self.power_off(at);
        self.clear_disk(at);
        if self.leaving {
            self.agents[at].left = true;
        } else {
            self.start_agent(at, S);
        }
    }

    /// Has an agent drain, and leave then.
    pub(crate) fn drain(&mut self, at: usize) {
        let Some(process) = &mut self.agents[at].process else { return };
        say!(self, "agent {at} drains");
        let process = match process.draining {
            true => return,
            false => process,
        };
        process.draining = true;
        self.report(at, AgentCommand::Drain);
        self.node_does(at, Command::Drain);
    }
}
