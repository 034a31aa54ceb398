//! Tasks that live and die together: when one comes to any end but a good one, the others are ended.
//!
//! Who is in a group only their agents keep. So that another master finds out what has become of each of them, the end of a task is
//! acknowledged to its agent only once nothing of its group runs any more: of a group that runs, a task that no agent names is lost.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::effect::{AgentOrder, Announcement, Effect};
use super::state::State;
use crate::group::Group;
use crate::id::TaskId;
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::task::{Reason, TaskState, TaskStatus};

/// Every group of which a task is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    all: BTreeMap<TaskId, Known>,
    /// Those of which a task has moved on.
    changed: BTreeSet<TaskId>,
    /// Those of an earlier master's that are not known whole, while agents are expected that may bring the rest.
    in_part: BTreeSet<TaskId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    size: u32,
    /// Those of its tasks that run, or whose end is not settled.
    tasks: BTreeSet<TaskId>,
    /// Those of them whose end its framework has acknowledged. Their agents are told once nothing of the group runs.
    acknowledged: BTreeSet<TaskId>,
    /// Whether an earlier master launched it.
    adopted: bool,
    /// Why what is left of it is ended.
    over: Option<String>,
}

impl Groups {
    /// A task is known from now on.
    pub(super) fn joins(&mut self, task: TaskId, group: Group) {
        let id = group.id(task.framework);
        let known = self.all.entry(id).or_insert_with(|| Known {
            size: group.size,
            tasks: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            adopted: false,
            over: None,
        });
        known.tasks.insert(task);
        self.changed.insert(id);
    }

    /// Whether a task of which this master has never heard can be of this group: not of one that it has launched itself, for it knows
    /// all of those. What is over takes in whatever is brought, for it is ended.
    pub(super) fn can_adopt(&self, task: TaskId, group: Group) -> bool {
        let is_open = |known: &Known| known.over.is_some() || known.adopted && known.tasks.len() < known.size as usize;
        self.all.get(&group.id(task.framework)).is_none_or(is_open)
    }

    /// Its agent brought a task of which this master has never heard.
    pub(super) fn is_adopted(&mut self, task: TaskId, group: Group) {
        if let Some(known) = self.all.get_mut(&group.id(task.framework)) {
            known.adopted = true;
        }
    }

    /// A task has moved on.
    pub(super) fn note(&mut self, task: TaskId, group: Group) {
        self.changed.insert(group.id(task.framework));
    }

    /// A task's end is settled.
    pub(super) fn leaves(&mut self, task: TaskId, group: Group) {
        let id = group.id(task.framework);
        let Some(known) = self.all.get_mut(&id) else { return };
        known.tasks.remove(&task);
        known.acknowledged.remove(&task);
        if known.tasks.is_empty() {
            self.all.remove(&id);
            self.changed.remove(&id);
            self.in_part.remove(&id);
        }
    }

    /// Whether its framework has taken note of a task's end, which is kept for its group.
    pub(super) fn is_acknowledged(&self, task: TaskId, group: Group) -> bool {
        self.all.get(&group.id(task.framework)).is_some_and(|known| known.acknowledged.contains(&task))
    }
}

pub(super) fn is_acknowledged(state: &State, id: TaskId) -> bool {
    let group = state.tasks.get(&id).and_then(|task| task.group());
    group.is_some_and(|group| state.groups.is_acknowledged(id, group))
}

/// A framework has taken note of the end of a task. Whether that is kept for now, since others of its group run.
pub(super) fn keeps_end(state: &mut State, id: TaskId) -> bool {
    let Some(group) = state.tasks[&id].group() else { return false };
    let group = group.id(id.framework);
    let runs = state.groups.all.get(&group).is_some_and(|known| known.tasks.iter().any(|task| runs(state, *task)));
    if runs {
        let known = state.groups.all.get_mut(&group).expect("it was just there");
        known.acknowledged.insert(id);
        return true;
    }
    false
}

/// What its agent is told of a task that is to end.
pub(super) fn order_to_end(state: &State, id: TaskId) -> AgentOrder {
    let group = state.tasks.get(&id).and_then(|task| task.group());
    let known = group.and_then(|group| state.groups.all.get(&group.id(id.framework)));
    match known.and_then(|known| known.over.clone()) {
        Some(why) => AgentOrder::End { task: id, reason: Reason::TaskGroup, why },
        None => AgentOrder::Kill(id),
    }
}

/// Ends what is left of groups of which something has failed, and settles what is kept of those of which nothing runs: once, at
/// the end of a batch of commands.
pub(super) fn settle(state: &mut State, out: &mut Vec<Effect>) {
    if !state.groups.in_part.is_empty() && !state.is_recovering() {
        let in_part = core::mem::take(&mut state.groups.in_part);
        state.groups.changed.extend(in_part);
    }
    while let Some(id) = state.groups.changed.pop_first() {
        if !state.frameworks.contains_key(&id.framework) {
            // All of its tasks end as it is.
            continue;
        }
        look_at(state, id, out);
    }
}

fn look_at(state: &mut State, id: TaskId, out: &mut Vec<Effect>) {
    let Some(known) = state.groups.all.get(&id) else { return };
    let tasks: Vec<TaskId> = known.tasks.iter().copied().collect();
    let some_run = tasks.iter().any(|task| runs(state, *task));
    if known.over.is_none() {
        let is_whole = tasks.len() >= known.size as usize || !known.adopted || !some_run;
        if !is_whole && state.is_recovering() {
            state.groups.in_part.insert(id);
        }
        let lost = (!is_whole && !state.is_recovering()).then(|| {
            format!("no agent holds {} of its group's {} tasks", known.size as usize - tasks.len(), known.size)
        });
        let over = failure(state, &tasks).or(lost);
        state.groups.all.get_mut(&id).expect("it was just there").over = over;
    }
    if state.groups.all[&id].over.is_some() && !planted::is(Bug::GroupLivesOn) {
        tasks.iter().for_each(|task| end(state, *task, out));
    }
    if !some_run {
        settle_ends(state, id, out);
    }
}

/// What has become of one of these that the others are not to survive.
fn failure(state: &State, tasks: &[TaskId]) -> Option<String> {
    let failed = |task: &&TaskId| {
        let state = state.tasks[*task].status.state;
        state == TaskState::Unreachable || state.is_terminal() && state != TaskState::Finished
    };
    // One that an earlier master ended for another's sake is not the cause.
    let is_effect = |task: &&TaskId| state.tasks[*task].status.reason == Some(Reason::TaskGroup);
    let cause = tasks.iter().filter(failed).min_by_key(is_effect)?;
    let status = &state.tasks[cause].status;
    if status.reason == Some(Reason::TaskGroup) {
        return Some(String::from(status.message()));
    }
    let reason = status.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    Some(format!("{cause} of its group is {}{reason}", status.state))
}

/// Has a task ended for its group's sake. One whose agent is away is told of when that comes back.
fn end(state: &mut State, id: TaskId, out: &mut Vec<Effect>) {
    let task = state.tasks.get_mut(&id).expect("the caller has seen the task");
    if task.status.state.is_terminal() {
        return;
    }
    let was_told = core::mem::replace(&mut task.kill, true);
    let agent = task.agent;
    if let Some(next) = task.status.state.next(TaskEvent::KillRequested) {
        let status = TaskStatus { state: next, ..task.told(id) };
        state.note(id, status.clone());
        out.push(Effect::Announce(Announcement::Task(status)));
    }
    if let Some(session) = state.agent_session(agent).filter(|_| !was_told) {
        out.push(Effect::ToAgent(session, order_to_end(state, id)));
    }
}

/// Nothing of a group runs any more: what its framework has acknowledged is over.
fn settle_ends(state: &mut State, id: TaskId, out: &mut Vec<Effect>) {
    let known = state.groups.all.get_mut(&id).expect("the caller has seen it");
    for task in core::mem::take(&mut known.acknowledged) {
        let Some(known) = state.tasks.get(&task) else { continue };
        let (update, agent) = (known.status.update, known.agent);
        if !update.is_by_master()
            && let Some(session) = state.agent_session(agent)
        {
            out.push(Effect::ToAgent(session, AgentOrder::Acknowledge(task, update)));
        }
        state.archive(task);
    }
}

/// Whether it does work, as far as is known.
fn runs(state: &State, id: TaskId) -> bool {
    let state = state.tasks[&id].status.state;
    matches!(state, TaskState::Staging | TaskState::Starting | TaskState::Running | TaskState::Killing)
}
