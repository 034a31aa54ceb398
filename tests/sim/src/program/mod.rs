//! A program that hands its tasks to the SDK's runner: the real state machine and the real queue, and here their I/O.

mod session;
mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use haggle_core::cluster::FrameworkCommand;
use haggle_core::{AgentId, FrameworkId, Member, Now, Resources, TaskId, TaskState};
use haggle_sdk::simulation::{Policy, Queue, RunnerState};

use crate::net::{ConnId, Place};
use crate::plan::{MS, S, Time};
use crate::say;
use crate::world::{Event, ProgramEvent, World};

const HEARTBEAT: Time = 5 * S;
const SILENCE: Time = 12 * S;

/// What a program wants of its runner.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// Whose share its tasks count towards.
    pub(crate) role: String,
    /// Tasks that it submits before the faults stop.
    pub(crate) tasks: u64,
    /// How the runner treats them.
    pub(crate) policy: Policy,
    /// Ends one of its tasks, in so many of a thousand looks.
    pub(crate) kills: u64,
    /// Ends all of its tasks, in so many of a thousand looks.
    pub(crate) cancels: u64,
    /// How long its tasks live on without it, and how long it looks for a master.
    pub(crate) failover_timeout: Duration,
}

/// A program and what it knows, which its processes share as a person does who starts it again.
pub(crate) struct Program {
    /// What it wants.
    pub(crate) manner: Manner,
    /// Its process, while there is one.
    pub(crate) run: Option<Run>,
    /// Counts its processes.
    pub(crate) life: u64,
    /// What it has submitted, by the index that the runner knows it under.
    pub(crate) wishes: BTreeMap<u64, Wish>,
    /// Every launch that the runner of this process told of.
    pub(crate) launches: BTreeMap<TaskId, Launch>,
    /// Whether it has left for good.
    pub(crate) left: bool,
}

/// One task that was submitted.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    wants: Resources,
    takes: Time,
    outcome: TaskState,
    canary: bool,
    killed: bool,
    starts: u32,
    launches: u32,
    /// What the program was told, once.
    pub(crate) result: Option<Told>,
}

/// How a task came out for the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The runner says that it has ended, and how its last launch did.
    Ended(Option<TaskState>),
    /// No agent could ever run it.
    Refused,
    /// The session is over.
    Over,
    /// The program was killed, and nobody is there to be told.
    Died,
}

/// One launch of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch {
    /// Of which task.
    pub(crate) index: u64,
    /// Where.
    pub(crate) agent: AgentId,
    /// Whether anything was heard of it, before its end, but that it is not there.
    heard: bool,
    /// Whether the runner has told how it ended.
    over: bool,
}

/// A process of the program.
pub(crate) struct Run {
    /// Until when it stands still.
    pub(crate) paused_until: Time,
    /// Whether a master has taken it in, in this session.
    pub(crate) subscribed: bool,
    /// Its name.
    pub(crate) member: Option<Member<FrameworkId>>,
    queue: Queue,
    state: Option<RunnerState>,
    started: Time,
    conn: Option<ConnId>,
    session: u64,
    heard: Time,
    lost_since: Time,
    target: usize,
    backoff: Time,
    deciding: bool,
    wake: u64,
    said_farewell: bool,
    /// Launches whose end it has acknowledged, and of which the program must hear.
    acknowledged: BTreeSet<TaskId>,
}

impl Program {
    /// One that has not started.
    pub(crate) fn new(manner: Manner) -> Self {
        Self { manner, run: None, life: 0, wishes: BTreeMap::new(), launches: BTreeMap::new(), left: false }
    }

    /// Tasks of which it was told nothing yet.
    fn open(&self) -> impl Iterator<Item = (u64, &Wish)> {
        self.wishes.iter().filter(|(_, wish)| wish.result.is_none()).map(|(&index, wish)| (index, wish))
    }

    /// Whether its canary has finished.
    pub(crate) fn has_canary(&self) -> bool {
        self.wishes.values().any(|wish| wish.canary && wish.result == Some(Told::Ended(Some(TaskState::Finished))))
    }

    /// What it still waits for.
    pub(crate) fn unsettled(&self) -> Option<String> {
        let Some(run) = &self.run else { return Some("does not run".to_string()) };
        if !run.subscribed {
            return Some("is not subscribed".to_string());
        }
        let open = self.open().next().map(|(index, wish)| format!("waits for the end of its task {index}: {wish:?}"));
        open.or_else(|| {
            let left = run.state.as_ref().map_or(0, RunnerState::unfinished);
            (left > 0).then(|| format!("was told of every end, and its runner has {left} tasks left"))
        })
    }
}

impl World {
    /// Until when a process of a program stands still.
    pub(crate) fn program_paused(&self, at: usize, life: u64) -> Time {
        let program = &self.programs[at];
        program.run.as_ref().filter(|_| program.life == life).map_or(0, |run| run.paused_until)
    }

    /// Starts a process.
    pub(crate) fn start_program(&mut self, at: usize) {
        let target = self.rng.index(self.plan.masters);
        let program = &mut self.programs[at];
        if program.left || program.run.is_some() {
            return;
        }
        program.life += 1;
        let life = program.life;
        program.run = Some(Run {
            paused_until: 0,
            subscribed: false,
            member: None,
            queue: Queue::wanting(FrameworkCommand::Demand { role: None, wants: Vec::new() }),
            state: None,
            started: self.now,
            conn: None,
            session: 0,
            heard: self.now,
            lost_since: self.now,
            target,
            backoff: 50 * MS,
            deciding: false,
            wake: 0,
            said_farewell: false,
            acknowledged: BTreeSet::new(),
        });
        say!(self, "program {at} starts its process {life}");
        for event in [ProgramEvent::Connect, ProgramEvent::Heartbeat, ProgramEvent::Act] {
            self.after(MS, Event::Program(at, life, event));
        }
    }

    /// Ends a process, and tells the program, if it still lives, that it will hear no more.
    pub(crate) fn end_program(&mut self, at: usize, last: Told) {
        let program = &mut self.programs[at];
        let Some(run) = program.run.take() else { return };
        program.launches.clear();
        for wish in program.wishes.values_mut() {
            wish.result.get_or_insert(last);
        }
        say!(self, "program {at} ends: {last:?}");
        if let Some(conn) = run.conn {
            self.break_up(conn, true, false);
        }
    }

    fn run_of(&mut self, at: usize, life: u64) -> Option<&mut Run> {
        let program = &mut self.programs[at];
        program.run.as_mut().filter(|_| program.life == life)
    }

    /// What happens to a process.
    pub(crate) fn program_happens(&mut self, at: usize, life: u64, event: ProgramEvent) {
        if let ProgramEvent::Start = event {
            return self.start_program(at);
        }
        let now = self.now;
        let Some(run) = self.run_of(at, life) else { return };
        match event {
            ProgramEvent::Start => {}
            ProgramEvent::Connect => self.program_connects(at, life),
            ProgramEvent::Unanswered(session) => {
                if run.session == session && !run.subscribed {
                    self.program_hangs_up(at, life, None);
                }
            }
            ProgramEvent::Heartbeat => {
                let silent = now.saturating_sub(run.heard) > SILENCE;
                let (conn, subscribed) = (run.conn, run.subscribed);
                self.after(HEARTBEAT, Event::Program(at, life, ProgramEvent::Heartbeat));
                match conn {
                    Some(_) if silent => self.program_hangs_up(at, life, None),
                    Some(conn) if subscribed => self.send(conn, crate::net::Way::Up, crate::net::Msg::Ping),
                    _ => {}
                }
            }
            ProgramEvent::Decide => {
                run.deciding = false;
                self.program_decides(at, life);
            }
            ProgramEvent::Wake(number) => {
                if run.wake == number {
                    self.program_decides(at, life);
                }
            }
            ProgramEvent::Surveyed => {
                let agents = self.leader().filter(|&leader| {
                    self.masters[leader].paused_until <= now
                        && self.net.connects(Place::Program(at), Place::Master(leader))
                });
                let agents = agents
                    .and_then(|leader| self.masters[leader].lead.as_ref())
                    .map(|lead| lead.cluster.agents(Now::ZERO));
                let run = self.run_of(at, life).expect("it was just there");
                let shows = run.now(now);
                if let Some(state) = &mut run.state {
                    state.surveyed(shows, agents);
                }
                self.program_later(at, life);
            }
            ProgramEvent::Act => {
                self.program_acts(at, life);
                let wait = if self.faulty { self.rng.range(300 * MS, 3 * S) } else { 2 * S };
                self.after(wait, Event::Program(at, life, ProgramEvent::Act));
            }
        }
    }

    /// Has the runner decide soon, on everything that comes until then.
    fn program_later(&mut self, at: usize, life: u64) {
        let Some(run) = self.run_of(at, life) else { return };
        if !std::mem::replace(&mut run.deciding, true) {
            let wait = self.rng.range(MS / 100, MS);
            self.after(wait, Event::Program(at, life, ProgramEvent::Decide));
        }
    }
}

impl Run {
    /// The runner's time.
    fn now(&self, now: Time) -> Now {
        Now::from_nanos(now - self.started)
    }
}
