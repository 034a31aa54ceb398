//! What a program submits, kills and is told; and whether its runner keeps what it promises.

use haggle_core::cluster::FrameworkCommand;
use haggle_core::{Bytes, Digest, MilliCpu, Reason, Resources, TaskId, TaskState, TaskStatus};
use haggle_sdk::simulation::{News, NoAgent};
use haggle_sdk::{Progress, Task};

use super::{Launch, Told, Wish};
use crate::net::Place;
use crate::plan::{MS, S};
use crate::say;
use crate::world::{Event, ProgramEvent, World};

impl World {
    /// The runner decides: the program is told, and what is to be said goes into the queue and out.
    pub(super) fn program_decides(&mut self, at: usize, life: u64) {
        let now = self.now;
        let Some(run) = self.run_of(at, life) else { return };
        let shows = run.now(now);
        let Some(state) = &mut run.state else { return };
        let decisions = state.decide(shows);
        if state.deadline().is_some_and(|due| due <= shows) {
            let due = state.deadline();
            self.oracle.fail(format!("the runner of program {at} has done what was due, and {due:?} is due again"));
            return;
        }
        for command in decisions.commands {
            if let FrameworkCommand::Acknowledge(acks) = &command {
                run.acknowledged.extend(acks.iter().map(|ack| ack.task));
            }
            if run.queue.say_now(command).is_err() {
                return;
            }
        }
        for news in decisions.news {
            self.program_told(at, news);
        }
        self.check_acknowledged(at, life);
        self.program_sends(at, life);
        if decisions.survey {
            let wait = self.rng.range(MS, 200 * MS);
            self.after(wait, Event::Program(at, life, ProgramEvent::Surveyed));
        }
        let Some(run) = self.run_of(at, life) else { return };
        run.wake += 1;
        let number = run.wake;
        if let Some(due) = run.state.as_ref().and_then(|state| state.deadline()) {
            let wait = u64::try_from(due.since(shows).as_nanos()).unwrap_or(S).max(1);
            self.after(wait, Event::Program(at, life, ProgramEvent::Wake(number)));
        }
    }

    /// An end that was acknowledged is an end that the program has heard of.
    fn check_acknowledged(&mut self, at: usize, life: u64) {
        let Some(run) = self.run_of(at, life) else { return };
        for task in std::mem::take(&mut run.acknowledged) {
            let ended = self.oracle.has_told_end(task);
            if ended && self.programs[at].launches.get(&task).is_some_and(|launch| !launch.over) {
                self.oracle.fail(format!("the runner of program {at} acknowledges the end of {task} and tells nobody"));
            }
        }
    }

    fn program_told(&mut self, at: usize, news: News) {
        say!(self, "program {at} is told {news:?}");
        match news {
            News::Refused { index, why } => {
                let NoAgent::TooBig(why) = why else { panic!("its tasks go anywhere: {why}") };
                let fits = |agent: &crate::agent::Agent| agent.resources.contains(&why.wants);
                // It may know of nobody but one that follows no rule.
                if self.agents.iter().all(fits) && why.agent_name != "rogue" {
                    self.oracle.fail(format!("the runner of program {at} refuses task {index}, which fits everywhere"));
                }
                self.program_result(at, index, Told::Refused);
            }
            News::Progress(Progress::Launched { index, task, agent, .. }) => {
                self.program_launched(at, index, Launch { index, agent, heard: false, over: false }, task);
            }
            News::Progress(Progress::Running { index, task }) => {
                if self.programs[at].launches.get(&task).is_none_or(|launch| launch.index != index || launch.over) {
                    self.oracle.fail(format!("program {at} is told that {task} runs, which is no launch of {index}"));
                }
            }
            News::Progress(Progress::Retrying { index, status, .. }) => self.program_launch_over(at, index, &status),
            News::Progress(Progress::Ended(outcome)) => {
                if let Some(status) = &outcome.status {
                    self.check_effort(at, outcome.index, status);
                    // One that waited for its next launch has told of the last before.
                    if self.programs[at].launches.get(&status.task).is_some_and(|launch| !launch.over) {
                        self.program_launch_over(at, outcome.index, status);
                    }
                }
                let state = outcome.status.map(|status| status.state);
                self.program_result(at, outcome.index, Told::Ended(state));
            }
            News::Progress(Progress::Waiting { .. }) => {}
        }
    }

    fn program_launched(&mut self, at: usize, index: u64, launch: Launch, task: TaskId) {
        let program = &mut self.programs[at];
        let beside = program.launches.iter().find(|(_, launch)| launch.index == index && !launch.over);
        if let Some((other, _)) = beside {
            return self
                .oracle
                .fail(format!("program {at} is told of {task} beside {other}, both of its task {index}"));
        }
        let wish = program.wishes.get_mut(&index).filter(|wish| wish.result.is_none() && !wish.killed);
        let Some(wish) = wish else {
            return self
                .oracle
                .fail(format!("program {at} does not want its task {index} any more, launched as {task}"));
        };
        wish.launches += 1;
        let (takes, outcome) = (wish.takes, wish.outcome);
        if program.launches.insert(task, launch).is_some() {
            return self.oracle.fail(format!("the runner of program {at} uses {task} twice"));
        }
        let of = program.run.as_ref().and_then(|run| run.member).map(|member| member.cluster);
        self.oracle.wanted(of.unwrap_or_default(), task, Place::Program(at), takes, outcome);
    }

    fn program_launch_over(&mut self, at: usize, index: u64, status: &TaskStatus) {
        let task = status.task;
        match self.programs[at].launches.get_mut(&task) {
            Some(launch) if launch.index == index && !launch.over => launch.over = true,
            _ => self.oracle.fail(format!("program {at} is told of the end of {task}, which is no launch of {index}")),
        }
    }

    /// The one result of a task.
    fn program_result(&mut self, at: usize, index: u64, told: Told) {
        match self.programs[at].wishes.get_mut(&index) {
            Some(wish) if wish.result.is_none() => wish.result = Some(told),
            other => {
                let other = format!("{other:?}");
                self.oracle.fail(format!("program {at} is told {told:?} of its task {index}, and had {other}"));
            }
        }
    }

    /// A task ends for its program when it has finished, when it was ended, or when it was tried as often as it may be.
    fn check_effort(&mut self, at: usize, index: u64, status: &TaskStatus) {
        let program = &self.programs[at];
        let Some(wish) = program.wishes.get(&index).filter(|wish| !wish.killed) else { return };
        let by_its_agent = status.state == TaskState::Killed && status.reason == Some(Reason::AgentDraining);
        let worth_another = by_its_agent
            || matches!(
                status.state,
                TaskState::Failed
                    | TaskState::Lost
                    | TaskState::Gone
                    | TaskState::GoneByOperator
                    | TaskState::Unreachable
            );
        if worth_another && wish.launches < 1 + program.manner.policy.retries {
            let launches = wish.launches;
            self.oracle
                .fail(format!("program {at} is told that its task {index} is {}, after {launches}", status.state));
        }
        if !status.state.is_terminal() && status.state != TaskState::Unreachable {
            self.oracle
                .fail(format!("program {at} is told that its task {index} has ended, and it is {}", status.state));
        }
    }

    /// A launch starts: no more of one task may than it has tries.
    pub(crate) fn program_started(&mut self, task: TaskId) {
        let oracle = &self.oracle;
        let Some(Place::Program(at)) = oracle.tasks.get(&task).map(|truth| truth.owner) else { return };
        let program = &mut self.programs[at];
        let Some(index) = program.launches.get(&task).map(|launch| launch.index) else { return };
        // One that was lost with its machine before a word of it came through counts as one that never began; and so may
        // one on an agent of which there are two, or of which two masters told.
        let unheard = program.launches.iter().filter(|&(&other, launch)| {
            let lost = oracle.is_lost(other) || oracle.gone.contains(&launch.agent);
            let excused = (lost && !launch.heard) || oracle.is_doubtful(other) || oracle.copied.contains(&launch.agent);
            other != task && launch.index == index && excused
        });
        let unheard = u32::try_from(unheard.count()).expect("few");
        let Some(wish) = program.wishes.get_mut(&index) else { return };
        wish.starts += 1;
        let (starts, most) = (wish.starts, 1 + program.manner.policy.retries + unheard);
        if starts > most {
            self.oracle
                .fail(format!("task {index} of program {at} starts for the {starts}th time as {task}, of {most}"));
        }
    }

    /// Something that a program does of its own accord.
    pub(super) fn program_acts(&mut self, at: usize, life: u64) {
        let leaving = self.leaving;
        let Some(run) = self.run_of(at, life).filter(|run| run.state.is_some()) else { return };
        if leaving {
            if !std::mem::replace(&mut run.said_farewell, true) {
                // A queue that is closed belongs to a session that is over.
                let _ = run.queue.say_now(FrameworkCommand::Teardown);
                self.program_sends(at, life);
            }
            return;
        }
        let program = &self.programs[at];
        let (submitted, wanted) = (program.wishes.len() as u64, program.manner.tasks);
        let has_canary = program.open().any(|(_, wish)| wish.canary) || program.has_canary();
        let manner = program.manner.clone();
        if self.canaries && !has_canary {
            self.submit(at, life, true);
        } else if self.faulty {
            for _ in 0..self.rng.range(0, 4).min(wanted.saturating_sub(submitted)) {
                self.submit(at, life, false);
            }
        }
        let open: Vec<u64> =
            self.programs[at].open().filter(|(_, wish)| !wish.canary).map(|(index, _)| index).collect();
        let mut unwanted = Vec::new();
        if self.faulty && !open.is_empty() && self.rng.chance(manner.kills) {
            unwanted.push(open[self.rng.index(open.len())]);
        }
        if !self.faulty {
            // It has waited for long enough.
            let hopeless = |index: &u64| {
                let wish = &self.programs[at].wishes[index];
                let fits = self.agents.iter().any(|agent| agent.resources.contains(&wish.wants));
                !wish.killed && (wish.takes > 1_000 * S || !fits)
            };
            unwanted.extend(open.iter().copied().filter(hopeless));
        }
        let cancels = self.faulty && self.rng.chance(manner.cancels);
        if cancels {
            unwanted = open;
        }
        for index in &unwanted {
            self.programs[at].wishes.get_mut(index).expect("it is open").killed = true;
        }
        let run = self.run_of(at, life).expect("it acts");
        let state = run.state.as_mut().expect("it was just there");
        match cancels {
            true => state.cancel(),
            false => unwanted.into_iter().for_each(|index| state.kill(index)),
        }
        self.program_later(at, life);
    }

    fn submit(&mut self, at: usize, life: u64, canary: bool) {
        let now = self.now;
        let endless = !canary && self.rng.chance(self.plan.endless);
        // Now and then it wants more than any machine has.
        let most = if self.rng.chance(30) { 90 } else { 20 };
        // No two are of one kind: for those a runner would open an allocation, which no agent here knows.
        let index = self.programs[at].wishes.len() as u64;
        let mem = Bytes::from_mib(if canary { 1 } else { self.rng.range(1, 600) });
        let wants = Resources::new(
            MilliCpu::new(if canary { 100 } else { self.rng.range(1, most) * 100 }),
            mem.saturating_add(Bytes::new(index)),
            Bytes::new(0),
        );
        let takes = match (canary, endless) {
            (true, _) => 10 * MS,
            (_, true) => 10_000 * S,
            _ => self.rng.range(MS, 200 * MS) << self.rng.below(8),
        };
        let outcome = if !canary && self.rng.chance(200) { TaskState::Failed } else { TaskState::Finished };
        let task = Task::new(Digest([0; 32])).name("").resources(wants.clone());
        let program = &mut self.programs[at];
        let wish = Wish { wants, takes, outcome, canary, killed: false, starts: 0, launches: 0, result: None };
        program.wishes.insert(index, wish);
        let run = self.run_of(at, life).expect("it acts");
        let shows = run.now(now);
        run.state.as_mut().expect("the caller has seen it").submit(shows, index, task);
        self.program_later(at, life);
    }
}
