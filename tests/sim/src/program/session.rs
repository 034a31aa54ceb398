//! A runner's sessions with masters: found, opened, lost, and what is said and heard on them.

use haggle_core::cluster::{FrameworkCommand, FrameworkEvent as Heard, FrameworkInfo};
use haggle_core::{Epoch, FrameworkId, Member, Now, TaskState};
use haggle_sdk::Event as News;
use haggle_sdk::simulation::{RunnerState, back_again, heard};

use super::Told;
use crate::net::{ConnId, Msg, Peer, Place, Way};
use crate::plan::{MS, S, Time};
use crate::say;
use crate::world::{Event, ProgramEvent, World};

/// How long a first subscription goes on trying.
const JOIN_PATIENCE: Time = 5 * S;

/// How long a master may take to answer a subscription, if there is no other, and if there is.
const ANSWER: (Time, Time) = (10 * S, 2 * S);

impl World {
    pub(super) fn program_connects(&mut self, at: usize, life: u64) {
        let now = self.now;
        let program = &self.programs[at];
        let timeout = program.manner.failover_timeout;
        let run = program.run.as_ref().expect("it connects");
        if run.conn.is_some() {
            return;
        }
        let patience = run.member.map_or(JOIN_PATIENCE, |_| Time::try_from(timeout.as_nanos()).expect("seconds"));
        if now.saturating_sub(run.lost_since) > patience {
            return self.program_over(at, "no master answers");
        }
        let (member, target) = (run.member, run.target);
        let conn = self.open(Peer::Program(at, life), target);
        let run = self.run_of(at, life).expect("it connects");
        let (session, wishes) = run.queue.begin();
        (run.conn, run.session, run.heard) = (Some(conn), session, now);
        let role = self.programs[at].manner.role.clone();
        let info = FrameworkInfo { name: format!("program-{at}"), roles: vec![role], failover_timeout: timeout };
        self.send(conn, Way::Up, Msg::Call(FrameworkCommand::Subscribe { member, info }.into()));
        if member.is_some() {
            self.send(conn, Way::Up, Msg::Call(FrameworkCommand::Reconcile(Vec::new()).into()));
        }
        for wish in wishes {
            self.send(conn, Way::Up, Msg::Call(wish.into()));
        }
        let wait = if self.plan.masters > 1 { ANSWER.1 } else { ANSWER.0 };
        self.after(wait, Event::Program(at, life, ProgramEvent::Unanswered(session)));
    }

    /// A connection of a process is no more.
    pub(crate) fn program_lost(&mut self, at: usize, life: u64, conn: ConnId) {
        if self.run_of(at, life).is_some_and(|run| run.conn == Some(conn)) {
            self.program_hangs_up(at, life, None);
        }
    }

    /// Ends the session, and looks for the next.
    pub(super) fn program_hangs_up(&mut self, at: usize, life: u64, leader: Option<usize>) {
        let (now, masters) = (self.now, self.plan.masters);
        let pause = self.rng.range(MS, 100 * MS);
        let Some(run) = self.run_of(at, life) else { return };
        let conn = run.conn.take();
        run.queue.lost(run.session);
        let over = run.queue.is_over();
        if std::mem::take(&mut run.subscribed) {
            run.lost_since = now;
            let shows = run.now(now);
            if let Some(state) = &mut run.state {
                state.hear(shows, News::Disconnected(String::new()));
            }
        }
        run.target = leader.unwrap_or((run.target + 1) % masters);
        let wait = if leader.is_some() { pause } else { run.backoff + pause };
        run.backoff = (run.backoff * 2).min(S);
        if let Some(conn) = conn {
            self.break_up(conn, true, false);
        }
        if over {
            return self.program_has_left(at);
        }
        self.program_later(at, life);
        self.after(wait, Event::Program(at, life, ProgramEvent::Connect));
    }

    fn program_has_left(&mut self, at: usize) {
        self.end_program(at, Told::Over);
        self.programs[at].left = true;
    }

    /// Something comes from a master.
    pub(crate) fn program_receives(&mut self, at: usize, life: u64, conn: ConnId, msg: Msg) {
        let now = self.now;
        let Some(run) = self.run_of(at, life).filter(|run| run.conn == Some(conn)) else { return };
        run.heard = now;
        let subscribed = run.subscribed;
        match msg {
            Msg::Event(epoch, Heard::Subscribed { member, epoch: of, last_call }) if !subscribed => {
                debug_assert_eq!(epoch, of);
                self.program_subscribed(at, life, member, of, last_call);
            }
            Msg::Event(_, Heard::Error(why)) => self.program_over(at, &why),
            Msg::Event(epoch, event) if subscribed => self.program_hears(at, life, epoch, event),
            Msg::Event(_, event) => {
                self.oracle.fail(format!("program {at} has subscribed, and hears {event:?} first"));
            }
            Msg::StandsBy(leader) => self.program_hangs_up(at, life, leader),
            Msg::Closed => self.program_hangs_up(at, life, None),
            // What it says after its farewell comes too late.
            Msg::Failed(_) if self.leaving => self.program_hangs_up(at, life, None),
            Msg::Failed(why) => self.oracle.fail(format!("program {at} behaves, and its session failed: {why}")),
            _ => {}
        }
    }

    fn program_subscribed(&mut self, at: usize, life: u64, member: Member<FrameworkId>, epoch: Epoch, last_call: u64) {
        let now = self.now;
        let knows = self.leader().filter(|_| self.rng.chance(500));
        let agents =
            knows.and_then(|leader| self.masters[leader].lead.as_ref()).map(|lead| lead.cluster.agents(Now::ZERO));
        let policy = self.programs[at].manner.policy;
        let run = self.run_of(at, life).expect("it hears");
        let Ok(void) = run.queue.admit(member, epoch, last_call) else {
            say!(self, "program {at} hangs up on {epoch}");
            return self.program_hangs_up(at, life, None);
        };
        run.subscribed = true;
        run.backoff = 50 * MS;
        let before = run.member.replace(member);
        let shows = run.now(now);
        match &mut run.state {
            Some(state) => {
                for event in back_again(member.id, void) {
                    state.hear(shows, event);
                }
            }
            None => run.state = Some(RunnerState::new(member.id, agents.unwrap_or_default(), policy, Vec::new())),
        }
        say!(self, "program {at} is {} of {epoch}, which heard call {last_call}", member.id);
        if before.is_some_and(|before| before != member) {
            self.oracle.fail(format!("program {at} was {before:?}, and is taken for {member:?}"));
        }
        self.oracle.subscribed(Place::Program(at), life, member);
        self.program_later(at, life);
    }

    fn program_hears(&mut self, at: usize, life: u64, epoch: Epoch, event: Heard) {
        let now = self.now;
        if let Heard::Update(status) = &event {
            say!(self, "program {at} hears {}", crate::words::told(status));
            let of = self.programs[at].run.as_ref().and_then(|run| run.member).map(|member| member.cluster);
            self.oracle.told(of.unwrap_or_default(), epoch, status);
            let is_there = !matches!(status.state, TaskState::Unknown | TaskState::Unreachable | TaskState::Gone);
            if let Some(launch) = self.programs[at].launches.get_mut(&status.task) {
                launch.heard |= is_there && !launch.over;
            }
        }
        let run = self.run_of(at, life).expect("it hears");
        let shows = run.now(now);
        if let (Some(state), Some(event)) = (&mut run.state, heard(&run.queue, event)) {
            state.hear(shows, event);
        }
        self.program_later(at, life);
    }

    /// The session is over for good. Whoever wants the tasks done starts the program again.
    fn program_over(&mut self, at: usize, why: &str) {
        say!(self, "program {at} is told: {why}");
        let member = self.programs[at].run.as_ref().and_then(|run| run.member);
        if let Some(member) = member {
            self.oracle.removed(Some(member), why);
        }
        if self.leaving {
            return self.program_has_left(at);
        }
        self.end_program(at, Told::Over);
        let life = self.programs[at].life;
        self.after(S, Event::Program(at, life, ProgramEvent::Start));
    }

    /// Sends what the queue lets go.
    pub(super) fn program_sends(&mut self, at: usize, life: u64) {
        loop {
            let Some(run) = self.run_of(at, life) else { return };
            let (session, conn) = (run.session, run.conn);
            let calls = run.queue.take(session);
            let Some(conn) = conn.filter(|_| !calls.is_empty()) else { return };
            for call in calls {
                self.send(conn, Way::Up, Msg::Call(call));
            }
        }
    }
}
