//! What goes wrong, drawn one after the other.

use std::num::NonZeroU32;
use std::time::Duration;

use haggle_core::cluster::{
    AgentCommand, AgentIdentity, FrameworkCall, FrameworkCommand, FrameworkInfo, HeldTask, OperatorCommand, Question,
};
use haggle_core::{
    AgentId, AgentInfo, AgentKey, Bytes, Ceiling, ClusterId, FrameworkId, InverseOfferId, Maintenance, MaintenanceId,
    Member, MilliCpu, OfferId, Quota, RequestId, Resources, TaskId, TaskState, TaskStatus, Unavailability, UpdateId,
};

use crate::master::COUNTED_MAX;
use crate::net::{Msg, Peer, Place, Way};
use crate::plan::{Fault, MS, ROLES, S, Time};
use crate::program::Told;
use crate::say;
use crate::store::LEASE;
use crate::world::{Event, ProgramEvent, Undo, World};

impl World {
    /// Lets one thing go wrong, and the next after a while.
    pub(crate) fn strike(&mut self) {
        if !self.faulty {
            return;
        }
        let gap = self.plan.fault_gap;
        let wait = self.rng.range(1, 2 * gap);
        self.after(wait, Event::Fault);
        let all: u64 = self.plan.faults.iter().map(|(_, weight)| weight).sum();
        if all == 0 {
            return;
        }
        let mut drawn = self.rng.below(all);
        for (fault, weight) in self.plan.faults.clone() {
            if drawn < weight {
                say!(self, "fault: {fault:?}");
                return self.inflict(fault);
            }
            drawn -= weight;
        }
    }

    fn inflict(&mut self, fault: Fault) {
        let master = self.rng.index(self.plan.masters);
        let at = self.rng.index(self.plan.agents);
        let framework = self.rng.index(self.frameworks.len() + self.programs.len());
        let program = framework.checked_sub(self.frameworks.len());
        match fault {
            Fault::Break => {
                if let Some(id) = self.some_conn() {
                    self.break_up(id, true, true);
                }
            }
            Fault::HalfOpen => {
                if let Some(id) = self.some_conn() {
                    let (master, peer) = (self.rng.chance(400), self.rng.chance(400));
                    self.break_up(id, master, peer);
                }
            }
            Fault::Partition | Fault::OneWay => self.partition(fault == Fault::OneWay),
            Fault::MasterCrash => {
                let wait = self.rng.range(50 * MS, 8 * S);
                self.crash_master(self.leader().unwrap_or(master), wait);
            }
            Fault::MasterPause => {
                let at = if self.rng.chance(800) { self.leader().unwrap_or(master) } else { master };
                match self.rng.chance(300) {
                    true => self.suspend_master(at),
                    false => {
                        let pause = self.rng.range(LEASE / 10, 8 * LEASE);
                        self.pause_master(at, pause);
                    }
                }
            }
            Fault::ClockJump => {
                let by = self.rng.range(MS, 30 * S);
                self.masters[master].clock.jump(by);
                self.masters[master].counted += COUNTED_MAX;
                self.agents[at].clock.jump(by / 2);
            }
            Fault::AgentCrash => {
                self.crash_agent(at);
                let wait = self.rng.range(10 * MS, 15 * S);
                self.start_agent(at, wait);
            }
            Fault::Reboot | Fault::DiskLost | Fault::DiskSwapped => self.reboot(at, fault),
            Fault::AgentPause => self.agents[at].paused_until = self.now + self.rng.range(100 * MS, 25 * S),
            Fault::ExecutorCrash => {
                let tasks: Vec<TaskId> = self.agents[at].executor.keys().copied().collect();
                if !tasks.is_empty() {
                    let task = tasks[self.rng.index(tasks.len())];
                    self.crash_executor(at, task);
                }
            }
            Fault::FrameworkCrash if program.is_some() => {
                let at = program.unwrap_or_default();
                let life = self.programs[at].life;
                self.end_program(at, Told::Died);
                let wait = self.rng.range(10 * MS, 8 * S);
                self.after(wait, Event::Program(at, life, ProgramEvent::Start));
            }
            Fault::FrameworkCrash => {
                let lives: Vec<u64> = self.frameworks[framework].instances.keys().copied().collect();
                for life in lives {
                    self.end_instance(framework, life);
                }
                let wait = self.rng.range(10 * MS, 8 * S);
                self.after(wait, Event::Undo(Undo::Start(framework)));
            }
            Fault::FrameworkPause => {
                let until = self.now + self.rng.range(100 * MS, 15 * S);
                if let Some(at) = program {
                    if let Some(run) = &mut self.programs[at].run {
                        run.paused_until = until;
                    }
                    return;
                }
                for instance in self.frameworks[framework].instances.values_mut() {
                    instance.paused_until = until;
                }
            }
            Fault::Takeover if program.is_none() => self.start_framework(framework),
            Fault::Takeover => {}
            Fault::Storm => {
                for id in self.live_conns() {
                    self.break_up(id, true, true);
                }
            }
            Fault::RegistryDown => self.store.down_until = self.now + self.rng.range(100 * MS, 10 * S),
            Fault::RegistryFull => self.store.full_until = self.now + self.rng.range(100 * MS, 10 * S),
            Fault::Drain => self.drain(at),
            Fault::OperatorKill => {
                let tasks: Vec<TaskId> = self.oracle.tasks.keys().copied().collect();
                if !tasks.is_empty() {
                    let task = tasks[self.rng.index(tasks.len())];
                    let request = RequestId(self.rng.wide());
                    self.operator(request, &OperatorCommand::KillTask(task));
                }
            }
            Fault::OperatorGone => {
                let id = self.some_agent(at);
                let request = RequestId(self.rng.wide());
                self.operator(request, &OperatorCommand::AgentGone(id));
            }
            Fault::OperatorQuota => {
                let role = ROLES[self.rng.index(ROLES.len())].to_owned();
                let command = if self.rng.chance(250) {
                    self.how_offers_are_made()
                } else if self.rng.chance(300) {
                    OperatorCommand::SetWeight { role, weight: NonZeroU32::new(self.rng.below(5) as u32) }
                } else {
                    let cpus = |cores| MilliCpu::from_cores(cores);
                    let guarantee = Resources::new(cpus(self.rng.below(3)), Bytes::ZERO, Bytes::ZERO);
                    let limit = Ceiling { cpus: Some(cpus(self.rng.range(2, 6))), ..Ceiling::default() };
                    let quota = self.rng.chance(700).then_some(Quota { guarantee, limit });
                    OperatorCommand::SetQuota { role, quota, force: self.rng.chance(500) }
                };
                let request = RequestId(self.rng.wide());
                self.operator(request, &command);
            }
            Fault::OperatorReserve => {
                let agent = self.some_agent(at);
                self.operator_reserves(agent);
            }
            Fault::OperatorVolume => {
                let agent = self.some_agent(at);
                self.operator_on_volumes(agent);
            }
            Fault::OperatorDrain => {
                let agent = self.some_agent(at);
                let command = match self.rng.below(6) {
                    0 => OperatorCommand::Deactivate(agent),
                    1 | 2 => OperatorCommand::Reactivate(agent),
                    _ => {
                        let grace = if self.rng.chance(300) { 0 } else { self.rng.below(15_000) };
                        let grace = Duration::from_millis(grace);
                        OperatorCommand::Drain { agent, grace, mark_gone: self.rng.chance(200) }
                    }
                };
                let request = RequestId(self.rng.wide());
                self.operator(request, &command);
            }
            Fault::Maintenance => {
                let command = if self.rng.chance(300) {
                    OperatorCommand::CancelMaintenance(MaintenanceId(self.rng.range(1, 6)))
                } else {
                    let agents = (0..self.rng.range(1, 3)).map(|_| {
                        let at = self.rng.index(self.plan.agents);
                        self.some_agent(at)
                    });
                    let agents = agents.collect();
                    let wall_ms = self.wall_ms();
                    let when = Unavailability {
                        start_ms: wall_ms + self.rng.below(20_000),
                        duration_ms: self.rng.range(1_000, 20_000),
                    };
                    let grace = Duration::from_millis(self.rng.below(when.duration_ms));
                    OperatorCommand::Schedule { maintenance: Maintenance { agents, when, grace }, wall_ms }
                };
                let request = RequestId(self.rng.wide());
                self.operator(request, &command);
            }
            Fault::Rogue => self.rogue(),
            Fault::SlowReader => {
                if let Some(place) = self.some_conn().and_then(|id| self.net.conns[&id].peer.place()) {
                    let lasts = self.rng.range(S, 30 * S);
                    self.net.slow.insert(place, self.now + lasts);
                    self.after(lasts, Event::Undo(Undo::Slow(place)));
                }
            }
            Fault::RegistryLost => {
                let cluster = ClusterId(self.rng.wide());
                if self.plan.masters == 1 {
                    let wait = self.rng.range(50 * MS, 8 * S);
                    self.crash_master(0, wait);
                }
                self.store.lose(cluster);
                self.oracle.begins_anew(cluster);
            }
        }
    }

    /// Mostly the agent of that machine.
    fn some_agent(&mut self, at: usize) -> AgentId {
        let member = self.agents[at].disk.member.map(|member| member.id);
        member.filter(|_| self.rng.chance(700)).unwrap_or(AgentId(self.rng.below(9)))
    }

    fn some_conn(&mut self) -> Option<u64> {
        let live = self.live_conns();
        (!live.is_empty()).then(|| live[self.rng.index(live.len())])
    }

    /// A master stands still for a while.
    pub(crate) fn pause_master(&mut self, at: usize, pause: Time) {
        if !self.masters[at].up {
            return;
        }
        let until = (self.now + pause).max(self.masters[at].paused_until);
        let from = self.now.max(self.masters[at].paused_until);
        self.masters[at].paused += until - from;
        self.masters[at].counted += COUNTED_MAX;
        self.masters[at].paused_until = until;
        say!(self, "master {at} stands still for {} ms", (until - self.now) / MS);
    }

    /// A master's machine is suspended. One that is frozen, as a copy of a machine is that is brought back to life, has no
    /// clock that tells it so: it may not know that it leads no more. Agents are made to come to it at that moment.
    fn suspend_master(&mut self, at: usize) {
        let pause = self.rng.range(2 * LEASE, 8 * LEASE);
        let from = self.now.max(self.masters[at].paused_until);
        self.pause_master(at, pause);
        if !self.masters[at].up {
            return;
        }
        let frozen = self.rng.chance(500);
        // It may have been suspended already.
        let until = self.masters[at].paused_until;
        self.masters[at].clock.stand(from, until, frozen);
        if !frozen || self.plan.masters == 1 {
            return;
        }
        self.masters[at].suspended = true;
        let lead = self.masters[at].lead.as_ref().filter(|lead| lead.of == self.store.cluster);
        self.oracle.frozen.extend(lead.map(|lead| lead.epoch));
        // Its network comes back after it.
        let away = pause + self.rng.range(S, 4 * S);
        for (from, to) in [(Place::Master(at), Place::Store), (Place::Store, Place::Master(at))] {
            self.set_cut(from, to, true);
            self.after(away, Event::Undo(Undo::Cut(from, to)));
        }
        for agent in 0..self.agents.len() {
            if self.rng.chance(500) {
                let then = pause + self.rng.range(0, 2 * S);
                self.after(then, Event::Undo(Undo::Restart(agent, at)));
            }
        }
    }

    fn partition(&mut self, one_way: bool) {
        let place = match self.rng.below(4) {
            0 => match self.rng.index(self.frameworks.len() + self.programs.len()) {
                at if at < self.frameworks.len() => Place::Framework(at),
                at => Place::Program(at - self.frameworks.len()),
            },
            1 if self.plan.masters > 1 => Place::Store,
            _ => Place::Agent(self.rng.index(self.plan.agents)),
        };
        // Either one master, or all of them.
        let masters: Vec<usize> = match self.rng.chance(500) {
            true => vec![self.rng.index(self.plan.masters)],
            false => (0..self.plan.masters).collect(),
        };
        let up = self.rng.chance(500);
        let lasts = self.rng.range(200 * MS, 30 * S);
        for master in masters {
            let master = Place::Master(master);
            for (from, to, cut) in [(place, master, up || !one_way), (master, place, !up || !one_way)] {
                if cut {
                    self.set_cut(from, to, true);
                    self.after(lasts, Event::Undo(Undo::Cut(from, to)));
                }
            }
        }
    }

    fn reboot(&mut self, at: usize, fault: Fault) {
        self.power_off(at);
        match fault {
            Fault::DiskLost => {
                self.clear_disk(at);
            }
            Fault::DiskSwapped => {
                let other = self.rng.index(self.plan.agents);
                if other != at {
                    let disk = self.agents[other].disk.clone();
                    let of_this = disk.member.filter(|member| member.cluster == self.store.cluster);
                    self.oracle.copied.extend(of_this.map(|member| member.id));
                    self.oracle.copied_keys.insert(disk.key);
                    self.agents[at].disk = disk;
                    self.agents[at].swapped = true;
                    self.oracle.forgets_epoch(at);
                }
            }
            _ => {}
        }
        let wait = self.rng.range(100 * MS, 15 * S);
        self.start_agent(at, wait);
    }

    /// Somebody who follows no rule: what he claims is drawn from what could do harm.
    fn rogue(&mut self) {
        let number = self.rng.next();
        let master = self.leader().unwrap_or(0);
        let conn = self.open(Peer::Rogue(number), master);
        if self.rng.chance(500) {
            self.rogue_agent(conn);
        } else {
            self.rogue_framework(conn);
        }
        let ends = self.rng.range(10 * MS, 10 * S);
        self.after(ends, Event::Undo(Undo::Rogue(conn)));
    }

    fn cluster_of_rogue(&mut self) -> ClusterId {
        if self.rng.chance(700) { self.store.cluster } else { ClusterId(self.rng.wide()) }
    }

    fn number_of_rogue(&mut self) -> u64 {
        [0, 1, 2, 3, 1 << 40, u64::MAX - 1, u64::MAX][self.rng.index(7)]
    }

    fn task_of_rogue(&mut self) -> TaskId {
        let tasks: Vec<TaskId> = self.oracle.tasks.keys().copied().collect();
        if !tasks.is_empty() && self.rng.chance(500) {
            return tasks[self.rng.index(tasks.len())];
        }
        TaskId { framework: FrameworkId(self.number_of_rogue()), number: self.number_of_rogue() }
    }

    fn rogue_agent(&mut self, conn: u64) {
        let joins = self.rng.chance(200);
        let member = Member { cluster: self.cluster_of_rogue(), id: AgentId(self.number_of_rogue()) };
        let identity =
            AgentIdentity { member: (!joins).then_some(member), key: AgentKey(self.rng.wide()), run: self.rng.next() };
        let most = [1, 4_000, u64::MAX][self.rng.index(3)];
        let resources = Resources::new(MilliCpu::new(most), Bytes::new(most), Bytes::new(most));
        let info = AgentInfo { name: "rogue".to_string(), resources, ..AgentInfo::default() };
        let complete = self.rng.chance(500);
        let mut register = vec![AgentCommand::Register { identity, info, tasks: Vec::new(), complete }];
        // It claims no tasks of others: whoever is believed to run a task may tell its end.
        let task = TaskId { framework: FrameworkId(u64::MAX - self.rng.below(3)), number: 7 };
        for _ in 0..self.rng.below(4) {
            register.push(match self.rng.below(4) {
                0 => AgentCommand::Heartbeat,
                1 => AgentCommand::Holds {
                    tasks: vec![HeldTask {
                        id: task,
                        name: String::new(),
                        role: "role".to_owned(),
                        volumes: Vec::new(),
                        module: None,
                        resources: Resources::new(MilliCpu::new(most), Bytes::new(most), Bytes::new(0)),
                        state: TaskState::Running,
                        update: UpdateId(u64::MAX),
                        group: None,
                        trace: None,
                        life: None,
                    }],
                    complete: self.rng.chance(500),
                },
                2 => AgentCommand::Updates(vec![TaskStatus::new(
                    task,
                    UpdateId(self.number_of_rogue()),
                    TaskState::Finished,
                    haggle_core::Source::Agent,
                )]),
                _ => AgentCommand::Drain,
            });
        }
        for report in register {
            self.send(conn, Way::Up, Msg::Report(report));
        }
    }

    fn rogue_framework(&mut self, conn: u64) {
        let id = match self.rng.chance(500) {
            // Nobody may take the place of a framework of ours: it would be that framework, as far as anybody can tell.
            true => Some(Member { cluster: ClusterId(self.rng.wide()), id: FrameworkId(self.number_of_rogue()) }),
            false if self.rng.chance(500) => {
                Some(Member { cluster: self.store.cluster, id: FrameworkId(u64::MAX - self.rng.below(5)) })
            }
            false => None,
        };
        let info = FrameworkInfo {
            name: "rogue".to_string(),
            roles: vec!["default".to_string()],
            failover_timeout: Duration::from_millis(self.rng.below(4_000)),
        };
        self.send(conn, Way::Up, Msg::Call(FrameworkCommand::Subscribe { member: id, info }.into()));
        for _ in 0..self.rng.below(6) {
            let task = self.task_of_rogue();
            let command = match self.rng.below(7) {
                6 => FrameworkCommand::AcceptInverse(vec![InverseOfferId(self.rng.below(40))]),
                0 => FrameworkCommand::Kill(task),
                1 => FrameworkCommand::Reconcile(vec![Question { task, agent: Some(AgentId(self.number_of_rogue())) }]),
                2 => FrameworkCommand::Acknowledge(vec![haggle_core::cluster::Acknowledgement {
                    task,
                    update: UpdateId(self.number_of_rogue()),
                    agent: Some(AgentId(self.number_of_rogue())),
                }]),
                3 => FrameworkCommand::Decline {
                    offers: vec![OfferId(self.number_of_rogue()), OfferId(self.rng.below(40))],
                    refuse: Duration::MAX,
                },
                4 => FrameworkCommand::Accept {
                    offers: vec![OfferId(self.rng.below(40))],
                    operations: Vec::new(),
                    tasks: vec![],
                    refuse: Duration::MAX,
                },
                _ => FrameworkCommand::Suppress { role: None },
            };
            let number = self.number_of_rogue();
            self.send(conn, Way::Up, Msg::Call(FrameworkCall { number, command }));
        }
    }
}
