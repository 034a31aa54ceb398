//! What is told of the tasks of one run: while they run, as each ends, and in the end.

use std::collections::BTreeSet;

use haggle_core::{Reason, TaskState, TaskStatus};
use haggle_sdk::{Outcome, Progress};

use super::plan::Plan;
use super::tally::Tally;
use super::waiting::Reasons;
use crate::exit;
use crate::output::printer::{Say, Voice, draws_progress};
use crate::output::record::{RunRecord, StatusRecord};
use crate::output::{self, Table};

/// Lines about single failures of an array, and as many about its retries. More tell nothing that the table does not.
const FAILURES_TOLD: u32 = 10;

/// The books of one run.
pub(super) struct Account {
    voice: Option<Voice>,
    array: bool,
    json: bool,
    quiet: bool,
    /// The exit code of each task, by index.
    codes: Vec<u8>,
    /// Tasks that were ended since another one of their gang was: the code of that one says more.
    ended_for_others: BTreeSet<usize>,
    tally: Tally,
    ended: u64,
    running: u64,
    failures: u32,
    retries: u32,
    /// The last line that told of progress.
    told: Option<(u64, u64)>,
    /// Comes after everything that the task wrote.
    last_words: Option<String>,
}

impl Account {
    pub(super) fn new(plan: &Plan, voice: Voice) -> Self {
        Self {
            voice: Some(voice),
            array: plan.array,
            json: plan.json,
            quiet: plan.quiet,
            // A task of which nothing was ever heard is a fault of the cluster.
            codes: vec![exit::FAULT; plan.count as usize],
            ended_for_others: BTreeSet::new(),
            tally: Tally::default(),
            ended: 0,
            running: 0,
            failures: 0,
            retries: 0,
            told: None,
            last_words: None,
        }
    }

    /// Where to send what is to be printed.
    ///
    /// # Panics
    /// After [`Self::close`].
    pub(super) fn voice(&self) -> Voice {
        self.voice.clone().expect("the account is open")
    }

    /// Takes note of what happened.
    pub(super) async fn enter(&mut self, progress: &Progress) {
        match progress {
            Progress::Running { .. } => self.running += 1,
            Progress::Launched { .. } => {}
            Progress::Waiting { since, waiting, why, .. } => {
                self.tell_waiting(&Reasons { since: *since, waiting: *waiting, lines: vec![why.to_string()] }).await;
            }
            Progress::Retrying { index, status, .. } => {
                self.running = self.running.saturating_sub(1);
                let name = if self.array { format!("[{index}] ") } else { String::new() };
                self.retries += 1;
                let text = format!("{name}{}; once more", how_it_ended(status));
                self.note_some(self.retries, &text, "more retries are not told of").await;
            }
            Progress::Ended(outcome) => self.enter_end(outcome).await,
        }
    }

    /// Says for how long nothing could be launched, and why: behind that when there is one reason, else below it.
    pub(super) async fn tell_waiting(&mut self, Reasons { since, waiting, lines }: &Reasons) {
        let who = if self.array { format!("{waiting} tasks wait") } else { "the task waits".into() };
        let headline = format!("{who}, for {} s now:", since.as_secs());
        if let [only] = lines.as_slice() {
            return self.note(&format!("{headline} {only}")).await;
        }
        self.note(&headline).await;
        for line in lines {
            self.note(&format!("  {line}")).await;
        }
    }

    async fn enter_end(&mut self, outcome: &Outcome) {
        self.ended += 1;
        self.running = self.running.saturating_sub(1);
        let status = outcome.status.as_ref();
        // One that was never launched was cancelled first.
        let state = status.map_or(TaskState::Killed, |status| status.state);
        let reason = status.map_or(Some(Reason::KilledDuringLaunch), |status| status.reason);
        let code = exit::of_task(state, reason, status.and_then(|status| status.exit_code));
        self.tally.add(state, reason, status.and_then(|status| status.usage));
        let index = usize::try_from(outcome.index).unwrap_or(usize::MAX);
        if let Some(slot) = self.codes.get_mut(index) {
            *slot = code;
            self.ended_for_others.extend((reason == Some(Reason::TaskGroup)).then_some(index));
        }
        if self.json {
            self.print_record(outcome, state, reason).await;
        } else if code != 0 {
            self.tell_failure(outcome, reason).await;
        }
    }

    async fn tell_failure(&mut self, outcome: &Outcome, reason: Option<Reason>) {
        let how = outcome.status.as_ref().map_or_else(|| "was never launched".into(), how_it_ended);
        if !self.array {
            // A program that ends with a code of its own has told its user what it had to tell.
            if reason != Some(Reason::Exit) {
                self.last_words = Some(format!("{} {how}", outcome.name));
            }
            return;
        }
        self.failures += 1;
        let text = format!("[{}] {how}", outcome.index);
        self.note_some(self.failures, &text, "more failures are only counted").await;
    }

    /// The first few of many notes of a kind, and then once that there are more.
    async fn note_some(&self, number: u32, text: &str, and_more: &str) {
        match number {
            ..=FAILURES_TOLD => self.note(text).await,
            more if more == FAILURES_TOLD + 1 => self.note(and_more).await,
            _ => {}
        }
    }

    async fn print_record(&self, outcome: &Outcome, state: TaskState, reason: Option<Reason>) {
        let record = RunRecord {
            id: outcome.status.as_ref().map(|status| status.task.to_string()),
            name: &outcome.name,
            index: outcome.index,
            status: outcome.status.as_ref().map_or_else(|| StatusRecord::bare(state, reason), Into::into),
            agent: outcome.status.as_ref().and_then(|status| status.agent).map(|agent| agent.to_string()),
            agent_name: outcome.agent_name.as_deref(),
            attempts: outcome.attempts,
        };
        if let Ok(mut line) = output::json_text(&record) {
            line.push('\n');
            self.say(Say::Out(line.into())).await;
        }
    }

    /// A line on standard error, unless nobody wants any.
    pub(super) async fn note(&self, text: &str) {
        if !self.quiet {
            self.say(Say::Err(format!("haggle: {}\n", output::printable(text)).into())).await;
        }
    }

    /// How far the array is: on the bar, or in a line where there is none and something has changed.
    pub(super) fn tell_progress(&mut self) {
        let now = (self.ended, self.running);
        if !self.array || self.json || self.quiet || self.told == Some(now) {
            return;
        }
        let count = self.codes.len();
        let say = if draws_progress() {
            Say::Progress { ended: self.ended, message: self.standing() }
        } else {
            Say::Err(format!("haggle: {} of {count} ended; {}\n", self.ended, self.standing()).into())
        };
        // Progress is told again in a moment; nobody waits for a slow terminal because of it.
        if self.voice.as_ref().is_some_and(|voice| voice.try_send(say).is_ok()) {
            self.told = Some(now);
        }
    }

    fn standing(&self) -> String {
        let summary = self.tally.summary();
        let comma = if summary.is_empty() { "" } else { ", " };
        format!("{summary}{comma}{} running", self.running)
    }

    /// Says what had to wait, and gives the exit code.
    pub(super) async fn close(&mut self) -> u8 {
        if let Some(words) = self.last_words.take() {
            self.note(&words).await;
        }
        self.voice = None;
        let by_themselves = (0..).zip(&self.codes).filter(|(index, _)| !self.ended_for_others.contains(index));
        exit::of_array(by_themselves.map(|(_, &code)| code).chain(self.codes.iter().copied()))
    }

    /// What became of them all.
    pub(super) fn table(&self) -> Table {
        self.tally.table()
    }

    async fn say(&self, say: Say) {
        if let Some(voice) = &self.voice {
            // The printer outlives every voice.
            let _ = voice.send(say).await;
        }
    }
}

/// `FAILED, MEMORY_LIMIT: wants 80 MiB memory, is limited to 64 MiB`.
fn how_it_ended(status: &TaskStatus) -> String {
    let mut words = status.state.to_string();
    if let Some(reason) = status.reason {
        words += &format!(", {reason}");
    }
    if !status.message.is_empty() {
        words += &format!(": {}", status.message);
    }
    words
}
