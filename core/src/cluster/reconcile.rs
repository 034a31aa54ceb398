//! Answering where tasks stand.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::command::Question;
use super::effect::Effect;
use super::refusal::Refusal;
use super::state::{Presence, State};
use crate::id::{SessionId, TaskId, UpdateId};
use crate::task::{Reason, Source, TaskState, TaskStatus};

/// One update for each task asked for; for all of the framework's that run, or whose end it has not acknowledged,
/// when it names none.
pub(super) fn reconcile(
    state: &mut State,
    session: SessionId,
    tasks: &[Question],
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session)?;
    if let Some(&Question { task, .. }) = tasks.iter().find(|question| question.task.framework != framework) {
        return Err(Refusal::NotItsTask { task, framework });
    }
    if tasks.is_empty() {
        for &task in &state.frameworks[&framework].tasks {
            answer(state, task, out);
        }
    }
    for &Question { task, .. } in tasks {
        answer(state, task, out);
    }
    Ok(())
}

/// Tells the framework where a task stands. No answer is given while an agent may still come with a task of which
/// this master has never heard.
pub(super) fn answer(state: &State, id: TaskId, out: &mut Vec<Effect>) {
    let status = match state.tasks.get(&id).or_else(|| state.history.get(id)) {
        Some(task) => task.status.clone(),
        None if state.is_recovering() => return,
        None => TaskStatus {
            message: "the master does not know it".to_string(),
            ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, unknown(state), Source::Master)
        },
    };
    let told = TaskStatus {
        update: UpdateId::UNACKNOWLEDGED,
        source: Source::Master,
        reason: Some(Reason::Reconciliation),
        ..status
    };
    state.tell(told, out);
}

/// A task of which nothing is known may run on an agent that has not come back since the last master.
fn unknown(state: &State) -> TaskState {
    let unseen = Presence::Unreachable { seen: false };
    match state.agents.values().any(|agent| agent.presence == unseen) {
        true => TaskState::Unreachable,
        false => TaskState::Unknown,
    }
}
