//! Answering where tasks stand.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::command::Question;
use super::effect::Effect;
use super::history::EndedOf;
use super::refusal::Refusal;
use super::state::{Presence, State};
use crate::access::Verb;
use crate::id::{AgentId, FrameworkId, SessionId, TaskId, UpdateId};
use crate::planted::{self, Bug};
use crate::task::{Reason, Source, TaskState, TaskStatus};

/// Questions of one framework that wait for agents, and as many kills. Whoever has more asks again later.
pub(super) const WAITING_MAX: usize = 100_000;

/// What is known of a task that the master does not know.
enum Unknown {
    /// Said now.
    Is(TaskState),
    /// Said now, and again when more is known.
    IsForNow(TaskState),
    /// Known later.
    Wait,
}

/// One update for each task asked for; for all of the framework's that run, or whose end it has not acknowledged,
/// when it names none.
pub(super) fn reconcile(
    state: &mut State,
    session: SessionId,
    questions: &[Question],
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Reconcile)?;
    if questions.is_empty() {
        for &task in &state.frameworks[&framework].tasks {
            tell_known(state, task, out);
        }
        for task in state.queued.of(framework).flat_map(|run| run.tasks()) {
            tell_known(state, task, out);
        }
    }
    // Of many it is looked up at once which of them ended in queues: one alone is found by looking.
    let ended = (questions.len() > 1).then(|| state.history.queued_of(framework));
    for &Question { task, agent } in questions {
        match task.framework == framework {
            true => answer_one(state, ended.as_ref(), task, agent, out),
            false => not_its_task(session, framework, task, out),
        }
    }
    Ok(())
}

/// The last word on a task that was in a queue.
fn ended_in_queue(state: &State, among: Option<&EndedOf>, id: TaskId) -> Option<TaskStatus> {
    match among {
        Some(among) => state.history.queued_among(among, id),
        None => state.history.queued(id)?.queued_status(id),
    }
}

/// Tells the framework where a task stands; when that cannot be known yet, as soon as it is.
pub(super) fn answer(state: &mut State, id: TaskId, agent: Option<AgentId>, out: &mut Vec<Effect>) {
    answer_one(state, None, id, agent, out);
}

fn answer_one(state: &mut State, among: Option<&EndedOf>, id: TaskId, agent: Option<AgentId>, out: &mut Vec<Effect>) {
    if state.task(id).is_some() || state.queued.get(id).is_some() {
        return tell_known(state, id, out);
    }
    match ended_in_queue(state, among, id) {
        Some(status) => tell(state, status, out),
        None => answer_unknown(state, id, agent, out),
    }
}

fn answer_unknown(state: &mut State, id: TaskId, agent: Option<AgentId>, out: &mut Vec<Effect>) {
    let known_so_far = match agent {
        Some(agent) => on_agent(state, agent),
        None if state.is_recovering() => Unknown::Wait,
        None => Unknown::Is(TaskState::Unknown),
    };
    let waits = matches!(known_so_far, Unknown::IsForNow(_) | Unknown::Wait);
    if waits && !planted::is(Bug::QuestionForgotten) && !remember(state, id, agent) {
        return over_limit(state, id, "questions wait for agents", out);
    }
    if let Unknown::Is(told) | Unknown::IsForNow(told) = known_so_far {
        let message = match told {
            TaskState::Gone => "its agent does not hold it",
            TaskState::Unreachable => "its agent is silent, and may hold it",
            _ => "the master does not know it",
        };
        let status = TaskStatus {
            message: message.to_string(),
            agent,
            ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, told, Source::Master)
        };
        tell(state, status, out);
    }
}

/// Says that a framework is to ask again later: so many questions or kills of its wait already.
pub(super) fn over_limit(state: &State, id: TaskId, what: &str, out: &mut Vec<Effect>) {
    let status = TaskStatus {
        reason: Some(Reason::FrameworkLimit),
        message: alloc::format!("{WAITING_MAX} {what}: ask for this one again later"),
        ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, TaskState::Unknown, Source::Master)
    };
    state.tell(status, out);
}

/// Says that a task is of somebody else. The session goes on: one wrong id must not cost a framework its others.
pub(super) fn not_its_task(session: SessionId, framework: FrameworkId, task: TaskId, out: &mut Vec<Effect>) {
    let status = TaskStatus {
        reason: Some(Reason::TaskInvalid),
        message: alloc::format!("{task} is not of {framework}"),
        ..TaskStatus::new(task, UpdateId::UNACKNOWLEDGED, TaskState::Error, Source::Master)
    };
    out.push(Effect::ToFramework(session, super::effect::FrameworkEvent::Update(status)));
}

/// More is known of an agent: answers what waited for it, and, when it was the last that was expected back, what waited
/// for all.
pub(super) fn answer_questions(state: &mut State, id: AgentId, out: &mut Vec<Effect>) {
    if let Some(agent) = state.agents.get_mut(&id) {
        let waiting = core::mem::take(&mut agent.questions);
        answer_all(state, waiting, Some(id), out);
    }
    if !state.questions.is_empty() && !state.is_recovering() {
        let waiting = core::mem::take(&mut state.questions);
        answer_all(state, waiting, None, out);
    }
}

pub(super) fn answer_all(state: &mut State, tasks: BTreeSet<TaskId>, agent: Option<AgentId>, out: &mut Vec<Effect>) {
    // In order: those of one framework are looked up together.
    let mut among: Option<(FrameworkId, EndedOf)> = None;
    for task in tasks {
        let Some(framework) = state.frameworks.get_mut(&task.framework) else { continue };
        framework.questions -= 1;
        if among.as_ref().is_none_or(|(of, _)| *of != task.framework) {
            among = Some((task.framework, state.history.queued_of(task.framework)));
        }
        answer_one(state, among.as_ref().map(|(_, ended)| ended), task, agent, out);
    }
}

/// Nobody is left to be answered.
pub(super) fn forget_questions(state: &mut State, framework: FrameworkId) {
    if state.frameworks[&framework].questions == 0 {
        return;
    }
    let all = TaskId { framework, number: 0 }..=TaskId { framework, number: u64::MAX };
    let of_agents = state.agents.values_mut().map(|agent| &mut agent.questions);
    for questions in of_agents.chain([&mut state.questions]) {
        let its: Vec<TaskId> = questions.range(all.clone()).copied().collect();
        for task in its {
            questions.remove(&task);
        }
    }
}

fn on_agent(state: &State, id: AgentId) -> Unknown {
    let Some(agent) = state.agents.get(&id) else {
        return Unknown::Is(TaskState::Gone);
    };
    match agent.presence {
        _ if !state.unseen.contains(&id) && agent.registering.is_none() => Unknown::Is(TaskState::Gone),
        Presence::Unreachable { .. } => Unknown::IsForNow(TaskState::Unreachable),
        Presence::Connected(_) | Presence::Disconnected | Presence::Recovering => Unknown::Wait,
    }
}

/// Whether the question waits for its agent now.
fn remember(state: &mut State, id: TaskId, agent: Option<AgentId>) -> bool {
    let questions = match agent {
        Some(agent) => state.agents.get_mut(&agent).map(|agent| &mut agent.questions),
        None => Some(&mut state.questions),
    };
    let (Some(questions), Some(framework)) = (questions, state.frameworks.get_mut(&id.framework)) else { return false };
    if framework.questions >= WAITING_MAX && !questions.contains(&id) {
        return false;
    }
    framework.questions += usize::from(questions.insert(id));
    true
}

/// An end that was told and not acknowledged is told again as it was: of a task in a queue with all that ended along with it.
fn tell_known(state: &State, id: TaskId, out: &mut Vec<Effect>) {
    if state.tell_queued_end(id, out) {
        return;
    }
    if let Some(status) = state.queued_status(id) {
        tell(state, status, out);
    } else if let Some(task) = state.task(id) {
        tell(state, TaskStatus { update: UpdateId::UNACKNOWLEDGED, ..task.told(id) }, out);
    }
}

fn tell(state: &State, status: TaskStatus, out: &mut Vec<Effect>) {
    let told = TaskStatus { source: Source::Master, reason: Some(Reason::Reconciliation), ..status };
    state.tell(told, out);
}
