//! What the master is told that a runner wants: how many tasks of each kind wait, and for how many more it keeps room.
//!
//! **How many wait: all that are in line**, be there an offer on its way to them or not. The master counts its open offers
//! against what is wanted, and those on their way are among them; and it hears a statement after everything that was said
//! before. So a statement and an offer that pass each other on the way do no harm: the number is right when the master reads it.
//!
//! **When it is said: when the master would think otherwise.** It counts a launched task down by itself, and [`Stated`] does
//! the same, so that nothing is said while tasks only come to be launched. The two part where the master drops a launch, since
//! its offer was gone: it has not counted that. The task is in line again then, and the difference is said. If it is not
//! wanted any more, the master offers room for one too many. Whoever declines says first what is wanted, so too much is asked
//! for once, and too little never.
//!
//! **Room to keep** ([`Spare`]) is asked for only where every task that waits would fit in it. So no task waits behind room that
//! its own runner keeps for smaller ones; and whatever is in hand while tasks wait was too small for each of them, and is
//! declined.

use std::time::Duration;

use haggle_core::cluster::FrameworkCommand;
use haggle_core::{Resources, Traits, VolumeId, Want};

use super::pack::WaitQueue;
use super::spare::Spare;
use crate::task::Task;

/// What is wanted: of the kinds of waiting tasks those of most tasks, as many as may be wanted at once. The rest follows when
/// these are launched.
pub(super) fn wants(lines: [&WaitQueue; 2], spare: &Spare) -> Vec<Want> {
    let [line, unvetted] = lines;
    let mut wants: Vec<Want> = line.kinds().map(|(need, count)| need.want(count, 0)).collect();
    for (need, count) in unvetted.kinds() {
        match wants.iter_mut().find(|want| need.is_of(want)) {
            Some(want) => want.waiting = want.waiting.saturating_add(count),
            None => wants.push(need.want(count, 0)),
        }
    }
    let waits = || line.kinds().chain(unvetted.kinds()).map(|(need, _)| need);
    let spare: Vec<_> = spare.kinds().filter(|(room, _)| waits().all(|need| room.covers(need))).collect();
    if wants.len() > Want::MAX {
        wants.sort_by_key(|want| std::cmp::Reverse(want.waiting));
        wants.truncate(Want::MAX);
    }
    for (need, count) in spare {
        match wants.iter().position(|want| need.is_of(want)) {
            Some(at) => wants[at].spare = count,
            None if wants.len() < Want::MAX => wants.push(need.want(0, count)),
            None => {}
        }
    }
    wants
}

/// The same, all of it at once or not at all.
pub(super) fn together(wants: Vec<Want>) -> Vec<Want> {
    wants.into_iter().map(|want| Want { gang: 1, spare: 0, ..want }).collect()
}

/// What is wanted of the first master, with the subscription: it need not offer whole agents first.
pub(super) fn opening(tasks: &[Task], gang: bool) -> Vec<Want> {
    let mut line = WaitQueue::default();
    for (index, task) in tasks.iter().enumerate() {
        line.push(index as u64, &task.need(), task.size());
    }
    let wants = wants([&line, &WaitQueue::default()], &Spare::new(Duration::ZERO));
    if gang { together(wants) } else { wants }
}

/// What the master thinks is wanted.
#[derive(Debug)]
pub(super) struct Stated(Option<Vec<Want>>);

impl Stated {
    /// It was told this with the subscription.
    pub(super) fn with(wants: Vec<Want>) -> Self {
        Self(Some(wants))
    }

    /// A task was launched on such an agent. The order of the wants stays, for the master counts the first that it may be.
    pub(super) fn launched(&mut self, resources: &Resources, volumes: &[VolumeId], agent: Traits<'_>, in_group: bool) {
        let Some(wants) = &mut self.0 else { return };
        if let Some(at) = Want::of_launched(wants.iter(), resources, volumes, agent, in_group) {
            wants[at].waiting -= 1;
            if wants[at].waiting == 0 && wants[at].spare == 0 {
                wants.remove(at);
            }
        }
    }

    /// Nobody knows what it thinks.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// Whether it thinks that nothing is wanted.
    pub(super) fn is_nothing(&self) -> bool {
        self.0.as_ref().is_some_and(Vec::is_empty)
    }

    /// What to say to make it think this, if it does not.
    pub(super) fn say(&mut self, wants: Vec<Want>) -> Option<FrameworkCommand> {
        let is_same =
            |stated: &Vec<Want>| stated.len() == wants.len() && wants.iter().all(|want| stated.contains(want));
        if self.0.as_ref().is_some_and(is_same) {
            return None;
        }
        self.0 = Some(wants.clone());
        Some(FrameworkCommand::Demand { role: None, wants })
    }
}
