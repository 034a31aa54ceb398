//! All tasks together: launched as one group once there is room for all, and again as one.

use std::cmp::Reverse;
use std::time::Duration;

use haggle_core::cluster::FrameworkCommand;
use haggle_core::{Now, Placed, Reason, TaskState, TaskStatus};

use super::{Launch, News, Phase, RunnerState};
use crate::runner::need::Need;
use crate::runner::pack::Room;
use crate::runner::progress::Progress;
use crate::runner::retry::{RELAUNCHES_MAX, Verdict, rest, verdict};

/// How long what is too little for a gang need not be offered again. The master offers a gang what is enough; some of it was
/// taken back meanwhile.
pub(super) const TOO_LITTLE: Duration = Duration::from_millis(250);

impl RunnerState {
    /// Whether every task waits for room.
    pub(super) fn all_wait(&self) -> bool {
        self.waiting.len() + self.unvetted.len() == self.jobs.len()
    }

    /// Launches all tasks, if what is in hand is enough for all of them.
    pub(super) fn launch_gang(&mut self, now: Now) {
        if self.waiting.len() != self.jobs.len() {
            return;
        }
        let mut rooms = self.holdings.rooms();
        let mut kinds: Vec<(Need, u32)> = self.waiting.kinds().map(|(need, count)| (need.clone(), count)).collect();
        kinds.sort_by_key(|(need, _)| Reverse((need.resources.cpus, need.resources.mem)));
        let mut places = Vec::with_capacity(self.jobs.len());
        for (need, count) in &kinds {
            for _ in 0..*count {
                let Some(room) = tightest(&mut rooms, need) else { return };
                room.use_for(need);
                places.push(room.agent);
            }
        }
        let tasks = kinds.iter().flat_map(|(need, count)| self.waiting.take_first(need, *count as usize));
        let tasks: Vec<u64> = tasks.collect();
        let mut offers = Vec::new();
        for room in rooms.iter().filter(|room| places.contains(&room.agent)) {
            offers.extend(self.holdings.take(room.agent).into_iter().flat_map(|(_, offers)| offers));
        }
        let mut placed = Vec::with_capacity(tasks.len());
        for (index, agent) in tasks.into_iter().zip(places) {
            let Some(room) = rooms.iter().find(|room| room.agent == agent) else { continue };
            let task = self.launch_one(now, index, (agent, &room.info), None);
            placed.extend(task.map(|task| Placed { agent, task }));
        }
        placed.sort_by_key(|placed| placed.task.id);
        self.out.commands.push(FrameworkCommand::LaunchGroup {
            offers,
            operations: Vec::new(),
            tasks: placed,
            refuse: Duration::ZERO,
        });
        self.notice.launched(now);
    }

    /// A task's launch has ended. What comes next is decided once all of them have.
    pub(super) fn gang_task_ended(&mut self, now: Now, launch: &Launch, status: TaskStatus, was_lost: bool) {
        if status.state != TaskState::Finished && status.reason != Some(Reason::TaskGroup) && self.gang_cause.is_none()
        {
            self.gang_cause = Some(if was_lost { Verdict::Relaunch } else { verdict(&status) });
        }
        if let Some(job) = self.jobs.get_mut(&launch.index) {
            job.last = Some(status);
            job.phase = Phase::Over;
        }
        if self.jobs.values().any(|job| job.phase != Phase::Over) {
            return;
        }
        let is_well = |status: &TaskStatus| status.state == TaskState::Finished;
        let all_well = self.jobs.values().all(|job| job.last.as_ref().is_some_and(is_well));
        let was_killed = self.jobs.values().any(|job| job.killed);
        // Without a cause of its own, one of them was lost with a master.
        let cause = self.gang_cause.take().unwrap_or(Verdict::Retry);
        let (failures, relaunches) = self.jobs.values().next().map_or((0, 0), |job| (job.failures, job.relaunches));
        let next = match cause {
            _ if all_well || was_killed => Verdict::Final,
            Verdict::Relaunch if relaunches < RELAUNCHES_MAX => Verdict::Relaunch,
            Verdict::Relaunch | Verdict::Retry if failures < self.policy.retries => Verdict::Retry,
            _ => Verdict::Final,
        };
        let mut tasks: Vec<u64> = self.jobs.keys().copied().collect();
        tasks.sort_unstable();
        for index in tasks {
            self.gang_goes_on(now, index, next);
        }
    }

    fn gang_goes_on(&mut self, now: Now, index: u64, next: Verdict) {
        let Some(job) = self.jobs.get_mut(&index) else { return };
        match next {
            Verdict::Final => return self.end(index),
            Verdict::Retry => job.failures += 1,
            Verdict::Relaunch => job.relaunches += 1,
        }
        let rest = rest(job.failures + job.relaunches);
        if let Some(status) = job.last.clone() {
            self.out.news.push(News::Progress(Progress::Retrying { index, status, rest }));
        }
        self.rest(now, index, rest);
    }
}

/// The room with the least left that has enough for this.
fn tightest<'a>(rooms: &'a mut [Room], need: &Need) -> Option<&'a mut Room> {
    rooms.iter_mut().filter(|room| room.fits(need)).min_by_key(|room| (room.free.cpus, room.free.mem, room.agent))
}
