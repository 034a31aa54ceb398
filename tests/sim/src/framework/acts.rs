//! What a framework does of its own accord.

use std::time::Duration;

use haggle_core::cluster::{Acknowledgement, FrameworkCommand, Question};
use haggle_core::{AgentId, Bytes, FrameworkId, MilliCpu, OfferId, Resources, TaskId, UpdateId, Want};

use crate::plan::ROLES;
use crate::wants::want;
use crate::world::World;

impl World {
    /// Something that a framework does of its own accord.
    pub(super) fn act(&mut self, at: usize, life: u64) {
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
            0 => {
                let role = self.a_role(at);
                self.call(at, life, FrameworkCommand::Suppress { role });
            }
            1..=4 => {
                let role = self.a_role(at);
                self.call(at, life, FrameworkCommand::Revive { role });
            }
            5..=7 => {
                let wants = (0..self.rng.below(3)).map(|_| want(&mut self.rng, &temper)).collect();
                let role = self.a_role(at);
                self.call(at, life, FrameworkCommand::Demand { role, wants });
            }
            8 => self.change_roles(at, life),
            9..=12 if temper.idles > 0 => {
                let cpus = MilliCpu::new(self.rng.range(1, 6) * 100);
                let want = Want {
                    resources: Resources::new(MilliCpu::ZERO, Bytes::from_mib(64), Bytes::ZERO).with_revocable(cpus),
                    constraints: Vec::new(),
                    volumes: Vec::new(),
                    waiting: 3,
                    spare: 0,
                    gang: 0,
                };
                self.call(at, life, FrameworkCommand::Demand { role: None, wants: vec![want] });
            }
            _ => {}
        }
    }

    /// The role that it never leaves, or all.
    fn a_role(&mut self, at: usize) -> Option<String> {
        let all = self.rng.chance(700);
        self.frameworks[at].temper.roles.first().filter(|_| !all).cloned()
    }

    /// Keeps its first role, and has one of the others, or none.
    fn change_roles(&mut self, at: usize, life: u64) {
        let other = ROLES[self.rng.index(ROLES.len())].to_owned();
        let wanted = self.rng.chance(600);
        let roles = &mut self.frameworks[at].temper.roles;
        roles.truncate(1);
        roles.extend(Some(other).filter(|other| wanted && *other != roles[0]));
        let info = self.info(at);
        self.call(at, life, FrameworkCommand::Update(info));
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
            .filter(|&task| self.oracle.is_endless(task) && !self.oracle.is_doomed(task))
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
            return self.call(at, life, FrameworkCommand::Suppress { role: None });
        }
        if !std::mem::replace(&mut self.instance(at, life).expect("it settles").revived, true) {
            self.call(at, life, FrameworkCommand::Revive { role: None });
        }
    }
}
