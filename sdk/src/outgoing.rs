//! What a framework says, on its way out: numbered, and kept until it is known what became of it.
//!
//! The master tells in its answer to a subscription which calls it has heard. After a lost connection to the same
//! master the calls above are sent again. Another master has heard none, and what was said of the old one's offers
//! means nothing to it: launches and declined offers are left out, kills and acknowledgements are not.

mod stream;
#[cfg(test)]
mod tests;
mod wishes;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use haggle_core::cluster::{FrameworkCall, FrameworkCommand, FrameworkInfo, Question};
use haggle_core::planted::{self, Bug};
use haggle_core::{Epoch, FrameworkId, Member, QueueUpdate, TaskId, Test, Want};
use tokio::sync::Notify;

pub(crate) use stream::{Attempt, CallStream};
use wishes::{Wishes, is_wish, supersedes};

use crate::error::SessionOver;
use crate::task::wire_size;

/// Commands that wait to be sent on a live connection. A framework that is this far ahead of it has to wait. While there
/// is no connection nobody waits: what is kept then is bounded by the tasks of the framework, since equal wishes are
/// kept once, and only who reads events brings the connection back.
const WAITING_MAX: usize = 1024;

/// Calls that were sent and may have to be sent again: more than are on their way at any time.
const SENT_MAX: usize = 4096;

/// Bytes of such calls. The connection and both sides' buffers hold less.
const SENT_BYTES_MAX: usize = haggle_proto::MESSAGE_MAX;

/// Acknowledgements that wait for another call to go along with. More of them are worth a message.
const COMPANY_MAX: usize = 256;

/// Acknowledgements or questions in one call: a third of a megabyte.
const PIECE_MAX: usize = 10_000;

/// The queue of what a framework says, which outlives the sessions it is sent on.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<FrameworkCommand>,
    /// Sent on a lost session, and not heard by the master.
    again: VecDeque<FrameworkCall>,
    /// Sent on this session, and perhaps not heard. Nothing that is void on the next session is among them.
    sent: VecDeque<FrameworkCall>,
    sent_bytes: usize,
    last_number: u64,
    /// Tasks that shall end, and have not as far as is known; whether the kill is among those that wait.
    kills: HashMap<TaskId, bool>,
    /// What was last said of offers in general.
    wishes: Wishes,
    /// The wishes that this session was opened with.
    opened_with: Wishes,
    /// What the framework said that it is, since it subscribed first.
    info: Option<FrameworkInfo>,
    /// Who admitted the framework last.
    master: Option<(Member<FrameworkId>, Epoch)>,
    /// The session that may take from here: the stream of an earlier one, not dropped yet, must not.
    session: u64,
    admitted: bool,
    /// Whether nobody is left to speak.
    deserted: bool,
    /// Whether the framework said that it leaves.
    leaving: bool,
    closed: bool,
    waker: Option<Waker>,
    /// Whether the stream looks again before long by itself: acknowledgements alone need not wake it.
    looks_again: bool,
}

impl Queue {
    /// A queue whose first session is opened with this wish.
    pub fn wanting(wish: FrameworkCommand) -> Self {
        debug_assert!(is_wish(&wish), "{wish:?}");
        let mut state = State::default();
        state.wishes.say(wish);
        Self { state: Mutex::new(state), room: Notify::new() }
    }

    /// Says something, as soon as there is room for it.
    pub(crate) async fn say(&self, command: FrameworkCommand) -> Result<(), SessionOver> {
        loop {
            let room = self.room.notified();
            {
                let state = self.locked();
                if state.closed || !state.admitted || state.waiting.len() < WAITING_MAX {
                    break;
                }
            }
            room.await;
        }
        self.say_now(command)
    }

    /// Says something at once. For those who say no more than a few things for each of their tasks.
    ///
    /// # Errors
    /// When nothing will be sent any more.
    pub fn say_now(&self, command: FrameworkCommand) -> Result<(), SessionOver> {
        let mut state = self.locked();
        if state.closed {
            return Err(SessionOver);
        }
        state.push(command);
        if !(state.looks_again && state.waits_for_company()) {
            state.wake();
        }
        Ok(())
    }

    /// Begins the next session. Nothing but its opening is sent before it is admitted; with that belongs what is given back
    /// here, so that the master decides on no offer before it has heard which are wanted.
    pub fn begin(&self) -> (u64, Vec<FrameworkCommand>) {
        let mut state = self.locked();
        state.session += 1;
        state.admitted = false;
        state.opened_with = state.wishes.clone();
        state.looks_again = false;
        state.wake();
        (state.session, state.wishes.all())
    }

    /// A master took the framework in. Gives back the launches that no master will ever hear of: they were said when
    /// their offers were void already.
    ///
    /// # Errors
    /// When a later master has led since: this one knows nothing of it yet.
    pub fn admit(&self, member: Member<FrameworkId>, epoch: Epoch, last_call: u64) -> Result<Vec<TaskId>, StaleMaster> {
        let mut state = self.locked();
        if let Some((_, latest)) = state.master.filter(|&(_, latest)| epoch < latest) {
            return Err(StaleMaster { epoch, latest });
        }
        let is_same = state.master.replace((member, epoch)) == Some((member, epoch));
        state.last_number = state.last_number.max(last_call);
        state.take_up(is_same, last_call);
        state.admitted = true;
        let void = state.drop_void();
        if state.wishes != state.opened_with {
            let wishes = state.wishes.all();
            state.waiting.extend(wishes);
        }
        state.wake();
        drop(state);
        self.room.notify_waiters();
        Ok(void)
    }

    /// What this session is to send now, as much as goes into one message.
    pub fn take(&self, session: u64) -> Vec<FrameworkCall> {
        let mut state = self.locked();
        if state.session != session || !state.admitted {
            return Vec::new();
        }
        let calls = stream::one_message(&mut state);
        drop(state);
        self.room.notify_waiters();
        calls
    }

    /// The session is lost.
    pub fn lost(&self, session: u64) {
        let mut state = self.locked();
        if state.session == session {
            // The next number, which no stream has: the stream of this session ends.
            state.session += 1;
            state.admitted = false;
            state.wake();
            drop(state);
            self.room.notify_waiters();
        }
    }

    /// What the framework is, if it has said so since it subscribed first: what its next session is opened with.
    pub fn info(&self) -> Option<FrameworkInfo> {
        self.locked().info.clone()
    }

    /// A task is known to have ended, or not to be there.
    pub fn ended(&self, task: TaskId) {
        self.locked().kills.remove(&task);
    }

    /// The same of tasks in the queue of an allocation.
    pub(crate) fn ended_in_queue(&self, update: &QueueUpdate) {
        let mut state = self.locked();
        if state.kills.is_empty() {
            return;
        }
        let framework = update.allocation.framework;
        for (first, count) in update.ended_runs() {
            let has_ended = |task: &TaskId| task.number.checked_sub(first).is_some_and(|at| at < count);
            state.kills.retain(|task, _| task.framework != framework || !has_ended(task));
        }
    }

    /// Nobody is left to speak: once everything is sent, the session ends.
    pub(crate) fn desert(&self) {
        let mut state = self.locked();
        state.deserted = true;
        state.wake();
    }

    /// Nothing will be sent any more.
    pub(crate) fn close(&self) {
        let mut state = self.locked();
        state.closed = true;
        state.wake();
        drop(state);
        self.room.notify_waiters();
    }

    /// Whether the end of a session is what the framework wants: it said so, or nobody is left to speak for it.
    pub fn is_over(&self) -> bool {
        let state = self.locked();
        state.leaving || state.closed || (state.deserted && state.is_empty())
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // No step below panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A master that was followed by another one already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this master leads no longer: it is of {epoch}, and one of {latest} has answered before")]
pub struct StaleMaster {
    epoch: Epoch,
    latest: Epoch,
}

impl State {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.again.is_empty()
    }

    /// Whether a few acknowledgements are all there is to send. Most are followed by a launch within a millisecond, and
    /// nobody waits for them.
    fn waits_for_company(&self) -> bool {
        let few = |command: &FrameworkCommand| matches!(command, FrameworkCommand::Acknowledge(updates) if updates.len() < COMPANY_MAX);
        let is_all = self.waiting.len() == 1 && self.again.is_empty() && !self.deserted;
        is_all && self.waiting.front().is_some_and(few)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Queues a command, as part of one that waits already where that says the same.
    fn push(&mut self, command: FrameworkCommand) {
        match command {
            FrameworkCommand::Kill(task) => {
                if self.kills.insert(task, true) != Some(true) {
                    self.waiting.push_back(FrameworkCommand::Kill(task));
                }
            }
            FrameworkCommand::Acknowledge(mut updates) => {
                if let Some(FrameworkCommand::Acknowledge(before)) = self.waiting.back_mut() {
                    let room = PIECE_MAX.saturating_sub(before.len()).min(updates.len());
                    before.extend(updates.drain(..room));
                }
                for piece in updates.chunks(PIECE_MAX) {
                    self.waiting.push_back(FrameworkCommand::Acknowledge(piece.to_vec()));
                }
            }
            FrameworkCommand::Reconcile(questions) => self.push_questions(questions),
            command if is_wish(&command) => {
                self.wishes.say(command.clone());
                // What was said between the two does not change what the later one means.
                self.waiting.retain(|other| !supersedes(&command, other));
                // Without a connection the next session is opened with it.
                if self.admitted {
                    self.waiting.push_back(command);
                }
            }
            FrameworkCommand::Update(info) => {
                self.wishes.keep(&info.roles);
                self.info = Some(info.clone());
                self.waiting.push_back(FrameworkCommand::Update(info));
            }
            // The offers are void.
            command if is_answer(&command) && !self.admitted => {}
            command => self.waiting.push_back(command),
        }
    }

    /// Queues questions together with those that wait: none waits twice.
    fn push_questions(&mut self, questions: Vec<Question>) {
        let asks_for_all =
            |command: &FrameworkCommand| matches!(command, FrameworkCommand::Reconcile(of) if of.is_empty());
        if questions.is_empty() {
            self.waiting.retain(|command| !asks_for_all(command));
            self.waiting.push_back(FrameworkCommand::Reconcile(Vec::new()));
            return;
        }
        let mut merged = BTreeMap::new();
        self.waiting.retain(|command| match command {
            FrameworkCommand::Reconcile(before) if !before.is_empty() => {
                merged.extend(before.iter().map(|question| (question.task, *question)));
                false
            }
            _ => true,
        });
        merged.extend(questions.into_iter().map(|question| (question.task, question)));
        let merged: Vec<Question> = merged.into_values().collect();
        let pieces = merged.chunks(PIECE_MAX).map(|piece| FrameworkCommand::Reconcile(piece.to_vec()));
        self.waiting.extend(pieces);
    }

    /// Sorts out what was sent on the lost session: what is to be sent again under its old number, and what anew.
    fn take_up(&mut self, is_same_master: bool, last_call: u64) {
        self.sent_bytes = 0;
        // What was not sent again yet has the higher numbers.
        let mut unheard = std::mem::take(&mut self.sent);
        unheard.append(&mut self.again);
        if is_same_master || planted::is(Bug::CallsToAnyMaster) {
            unheard.retain(|call| call.number > last_call);
            self.again = unheard;
            return;
        }
        let mut killed: Vec<TaskId> = self.kills.iter().filter(|&(_, &waits)| !waits).map(|(&task, _)| task).collect();
        killed.sort_unstable();
        for task in killed.into_iter().filter(|_| !planted::is(Bug::KillSaidOnce)) {
            self.push(FrameworkCommand::Kill(task));
        }
    }

    /// Drops what was said of offers of an earlier session; the tasks that were to be launched on them.
    fn drop_void(&mut self) -> Vec<TaskId> {
        let mut void = Vec::new();
        self.waiting.retain(|command| match command {
            FrameworkCommand::Accept { tasks, .. } => {
                void.extend(tasks.iter().map(|task| task.id));
                false
            }
            FrameworkCommand::LaunchGroup { tasks, .. } => {
                void.extend(tasks.iter().map(|placed| placed.task.id));
                false
            }
            FrameworkCommand::Open { allocation, .. } => {
                void.push(allocation.id);
                false
            }
            command => !is_answer(command) && !is_wish(command),
        });
        void
    }

    /// Takes the next call.
    fn next(&mut self) -> Option<FrameworkCall> {
        let call = match self.again.pop_front() {
            Some(call) => call,
            None => {
                let command = self.waiting.pop_front()?;
                if let FrameworkCommand::Kill(task) = command
                    && let Some(waits) = self.kills.get_mut(&task)
                {
                    *waits = false;
                }
                self.last_number += 1;
                FrameworkCall { number: self.last_number, command }
            }
        };
        self.leaving |= call.command == FrameworkCommand::Teardown;
        if !is_wish(&call.command) && !is_answer(&call.command) {
            self.keep(call.clone());
        }
        Some(call)
    }

    fn keep(&mut self, call: FrameworkCall) {
        self.sent_bytes += command_size(&call.command);
        self.sent.push_back(call);
        while self.sent.len() > SENT_MAX || self.sent_bytes > SENT_BYTES_MAX {
            let Some(oldest) = self.sent.pop_front() else { return };
            self.sent_bytes -= command_size(&oldest.command);
        }
    }
}

/// Whether it takes nothing, and means something to the session alone in which it was asked for.
fn is_answer(command: &FrameworkCommand) -> bool {
    matches!(
        command,
        FrameworkCommand::Decline { .. } | FrameworkCommand::AcceptInverse(_) | FrameworkCommand::DeclineInverse { .. }
    )
}

/// About the bytes of a command on the wire.
fn command_size(command: &FrameworkCommand) -> usize {
    /// Two ids and a number, as varints with their tags.
    const ID_SIZE: usize = 32;
    match command {
        FrameworkCommand::Accept { tasks, .. } => tasks.iter().map(|task| wire_size(task)).sum(),
        FrameworkCommand::LaunchGroup { tasks, .. } => {
            tasks.iter().map(|placed| ID_SIZE + wire_size(&placed.task)).sum()
        }
        FrameworkCommand::Enqueue { tasks, .. } => tasks.iter().map(|tasks| ID_SIZE + wire_size(&tasks.spec)).sum(),
        FrameworkCommand::Open { allocation, .. } => ID_SIZE + allocation.name.len(),
        FrameworkCommand::Acknowledge(updates) => updates.len() * ID_SIZE,
        FrameworkCommand::Reconcile(tasks) => tasks.len() * ID_SIZE,
        FrameworkCommand::Demand { wants, .. } => wants.iter().map(want_size).sum(),
        _ => ID_SIZE,
    }
}

/// About the bytes of one want on the wire.
fn want_size(want: &Want) -> usize {
    /// Amounts and counts, as varints with their tags.
    const NUMBERS: usize = 64;
    /// Tags and lengths around two texts.
    const AROUND: usize = 8;
    let value = |test: &Test| match test {
        Test::Equals(value) | Test::NotEquals(value) => value.len(),
        Test::Exists | Test::NotExists => 0,
    };
    let constraints = want.constraints.iter().map(|one| AROUND + one.attribute.len() + value(&one.test));
    let scalars = want.resources.scalars().map(|(name, _)| NUMBERS + name.len());
    let ports = want.resources.ports.ranges().len() * AROUND;
    NUMBERS + ports + constraints.chain(scalars).sum::<usize>()
}
