//! Which offers are used, kept, given back and asked for.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::FrameworkCommand;
use haggle_core::planted::{self, Bug};
use haggle_core::{AgentId, AgentInfo, Now, Resources, TaskId, TaskSpec};

use super::gang::TOO_LITTLE;
use super::{Launch, News, Phase, RunnerState};
use crate::runner::demand;
use crate::runner::progress::Progress;

impl RunnerState {
    pub(super) fn wake(&mut self, now: Now) {
        while let Some(&(until, index)) = self.resting.first()
            && until <= now
        {
            self.resting.pop_first();
            self.line_up(index);
        }
    }

    pub(super) fn launch(&mut self, now: Now) {
        if self.waiting.is_empty() || self.holdings.is_empty() {
            return;
        }
        if self.policy.gang {
            return self.launch_gang(now);
        }
        let mut rooms = self.holdings.rooms();
        self.waiting.fill(&mut rooms);
        for room in rooms {
            if room.taken.is_empty() {
                continue;
            }
            let Some((hold, offers)) = self.holdings.take(room.agent) else { continue };
            if self.open(now, (room.agent, &hold.info), &offers, &room.taken) {
                continue;
            }
            let mut tasks = Vec::with_capacity(room.taken.len());
            for index in room.taken {
                tasks.extend(self.launch_one(now, index, (room.agent, &hold.info), None));
            }
            // What is left over is offered again as far as it is wanted.
            self.out.commands.push(FrameworkCommand::Accept {
                offers,
                operations: Vec::new(),
                tasks,
                refuse: Duration::ZERO,
            });
            self.notice.launched(now);
        }
    }

    /// Launches a task by itself, or in the queue of an allocation, whose room is counted already.
    pub(super) fn launch_one(
        &mut self,
        now: Now,
        index: u64,
        (agent, info): (AgentId, &AgentInfo),
        allocation: Option<u64>,
    ) -> Option<Arc<TaskSpec>> {
        let job = self.jobs.get_mut(&index)?;
        if allocation.is_none() {
            self.stated.launched(job.task.wants(), &job.need.volumes, info.traits(), self.policy.gang);
            self.spare.launched(now, &job.need);
        }
        self.last_number += 1;
        let number = self.last_number;
        let task = TaskId { framework: self.framework, number };
        job.phase = Phase::Live { number, running: false };
        job.launches += 1;
        job.agent_name = Some(info.name.clone());
        self.launches.insert(number, Launch { index, agent, is_known: false, unreachable_since: None, allocation });
        self.out.news.push(News::Progress(Progress::Launched {
            index,
            task,
            agent,
            agent_name: info.name.clone(),
            attempt: job.launches,
        }));
        let mut spec = job.task.spec(task);
        // Tasks in a queue are told in one word as far as they are alike.
        spec.waited = allocation.is_none().then(|| now.since(job.since));
        Some(Arc::new(spec))
    }

    /// Gives back what is not needed, and says what is.
    pub(super) fn bargain(&mut self, now: Now) {
        self.spare.look(now);
        let nobody_waits = self.waiting.is_empty() && self.unvetted.is_empty();
        // What is in hand while tasks wait was too small for each of them.
        let room = if nobody_waits { self.spare.room() } else { &Resources::default() };
        let beyond = self.holdings.take_beyond(room);
        if !beyond.is_empty() {
            self.stated.forget();
        }
        let mut wants = demand::wants([&self.waiting, &self.unvetted], &self.spare);
        if self.policy.gang {
            // Room for a part of it is of no use.
            wants = if self.all_wait() { demand::together(wants) } else { Vec::new() };
        }
        let refuse = if self.policy.gang { TOO_LITTLE } else { Duration::ZERO };
        if !(self.stated.is_nothing() && planted::is(Bug::NeverRevived)) {
            self.out.commands.extend(self.stated.say(wants));
        }
        if !beyond.is_empty() {
            self.out.commands.push(FrameworkCommand::Decline { offers: beyond, refuse });
        }
    }
}
