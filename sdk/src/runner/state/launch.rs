//! Which offers are used, kept and given back.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::FrameworkCommand;
use haggle_core::planted::{self, Bug};
use haggle_core::{AgentId, Now, TaskId, TaskSpec};

use super::{Launch, News, Phase, RunnerState};
use crate::runner::holdings::HOPE;
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
        if self.line.is_empty() || self.holdings.is_empty() {
            return;
        }
        let mut rooms = self.holdings.rooms();
        self.line.fill(&mut rooms);
        for room in rooms {
            if room.taken.is_empty() {
                continue;
            }
            let Some((hold, offers)) = self.holdings.take(room.agent) else { continue };
            let mut tasks = Vec::with_capacity(room.taken.len());
            for index in room.taken {
                tasks.extend(self.launch_one(index, room.agent, &hold.agent_name));
            }
            // What is left over is wanted again at once, if anything is: more room for the next task.
            self.out.commands.push(FrameworkCommand::Accept { offers, tasks, refuse: Duration::ZERO });
            self.stall.launched(now);
            self.idle_since = None;
        }
    }

    fn launch_one(&mut self, index: u64, agent: AgentId, agent_name: &str) -> Option<Arc<TaskSpec>> {
        let job = self.jobs.get_mut(&index)?;
        self.last_number += 1;
        let number = self.last_number;
        let task = TaskId { framework: self.framework, number };
        job.phase = Phase::Live { number, running: false };
        job.launches += 1;
        job.agent_name = Some(agent_name.to_owned());
        self.launches.insert(number, Launch { index, agent, is_known: false, unreachable_since: None });
        self.out.news.push(News::Progress(Progress::Launched {
            index,
            task,
            agent,
            agent_name: agent_name.to_owned(),
            attempt: job.launches,
        }));
        Some(Arc::new(job.task.spec(task)))
    }

    /// Holds on to offers only as long as that may be of use.
    pub(super) fn give_back(&mut self, now: Now) {
        let hopeless = self.holdings.take_hopeless(now, &self.line);
        if std::mem::take(&mut self.new_wish) && now < self.refused_until && !self.suppressed && !self.away {
            // What was too small for the others may do for this one.
            self.refused_until = Now::ZERO;
            self.out.commands.push(FrameworkCommand::Revive);
        }
        if !hopeless.is_empty() {
            self.refused_until = now + HOPE;
            self.out.commands.push(FrameworkCommand::Decline { offers: hopeless, refuse: HOPE });
        }
        if self.away {
            return;
        }
        // A task that rests asks for offers when it wakes.
        if !self.line.is_empty() || !self.unvetted.is_empty() {
            self.idle_since = None;
            if std::mem::take(&mut self.suppressed) && !planted::is(Bug::NeverRevived) {
                self.out.commands.push(FrameworkCommand::Revive);
            }
            return;
        }
        if now < *self.idle_since.get_or_insert(now) + self.policy.linger {
            return;
        }
        if !std::mem::replace(&mut self.suppressed, true) {
            self.out.commands.push(FrameworkCommand::Suppress);
        }
        if !self.holdings.is_empty() {
            let offers = self.holdings.take_all();
            self.out.commands.push(FrameworkCommand::Decline { offers, refuse: Duration::ZERO });
        }
    }
}
