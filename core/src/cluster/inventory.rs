//! What an agent holds when it registers, compared with what it should hold.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::command::HeldTask;
use super::effect::{AgentOrder, Announcement, Effect};
use super::state::{Orphan, Registering, State, Task};
use super::{reconcile, updates};
use crate::access::is_role;
use crate::id::{AgentId, SessionId, TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::spec::NAME_MAX;
use crate::task::{Reason, Source, TaskState, TaskStatus};
use crate::time::Now;

/// Takes in a part of what a registering agent holds.
pub(super) fn take_in(
    state: &mut State,
    now: Now,
    session: SessionId,
    agent: AgentId,
    held: Vec<HeldTask>,
    out: &mut Vec<Effect>,
) {
    let mut strangers = BTreeSet::new();
    for task in held {
        if let Some(registering) = &mut state.agents.get_mut(&agent).expect("it registers").registering {
            registering.unnamed.remove(&task.id);
        }
        if !state.frameworks.contains_key(&task.id.framework) {
            strangers.insert(task.id.framework);
        }
        take_in_one(state, now, session, agent, task, out);
    }
    for framework in strangers {
        out.push(Effect::ToAgent(session, AgentOrder::RemoveFramework(framework)));
    }
}

/// Everything is named: what was not, is not there. From here on the agent can be offered.
pub(super) fn complete(state: &mut State, now: Now, session: SessionId, id: AgentId, out: &mut Vec<Effect>) {
    let agent = state.agents.get_mut(&id).expect("it registers");
    let Registering { unnamed, .. } = agent.registering.take().unwrap_or_default();
    let missing = match core::mem::take(&mut agent.restarted) {
        true => TaskEvent::AgentRestarted,
        false => TaskEvent::AgentForgot,
    };
    for task in unnamed.into_iter().filter(|_| !planted::is(Bug::MissingNotTold)) {
        state.declare(now, task, missing, Reason::AgentRestarted, "its agent came back without it", out);
        // Its end was told and is not acknowledged, and its agent has forgotten it.
        if state.tasks.get(&task).is_some_and(|task| !task.kept) {
            state.detach(task);
            match state.frameworks.contains_key(&task.framework) {
                true => updates::keep(state, now, task),
                false => state.archive(task),
            }
        }
    }
    end_unwanted(state, session, id, out);
    state.has_seen(id);
    reconcile::answer_questions(state, id, out);
    state.allocator.set_agent_active(id, true);
}

/// Ends those of its tasks whose kill came while nobody knew them.
fn end_unwanted(state: &mut State, session: SessionId, id: AgentId, out: &mut Vec<Effect>) {
    for task in &state.agents[&id].tasks {
        let known = state.tasks.get_mut(task).expect("an agent's task is known");
        let kills = state.frameworks.get_mut(&task.framework).map(|framework| &mut framework.kills);
        if kills.is_some_and(|kills| kills.remove(task)) && !known.status.state.is_terminal() {
            known.kill = true;
            out.push(Effect::ToAgent(session, AgentOrder::Kill(*task)));
        }
    }
}

fn take_in_one(state: &mut State, now: Now, session: SessionId, agent: AgentId, held: HeldTask, out: &mut Vec<Effect>) {
    let (id, reported) = (held.id, held.state);
    let Some(task) = state.tasks.get_mut(&id) else {
        let is_new = state.frameworks.contains_key(&id.framework) && !state.was_archived(agent, id);
        return match is_new {
            true => adopt(state, agent, held, out),
            false => orphan(state, session, agent, held, out),
        };
    };
    let ended = task.status.state.is_terminal();
    if task.agent != agent || (ended && task.status.update.is_by_master()) || (ended && !reported.is_terminal()) {
        return orphan(state, session, agent, held, out);
    }
    task.latest_update = task.latest_update.max(held.update);
    if ended {
        // Its agent repeats it from now on.
        updates::let_go(state, id);
        return;
    }
    if reported.is_terminal() {
        // Its end is told by the update that follows.
        return state.release(id);
    }
    if task.portion.resources != held.resources {
        // What it really holds counts, whatever was launched.
        state.release(id);
        state.tasks.get_mut(&id).expect("it was just there").portion = held.resources.into();
    }
    state.hold(id);
    let task = state.tasks.get_mut(&id).expect("it was just there");
    if task.status.state == TaskState::Unreachable {
        let event = TaskEvent::Reported(reported);
        state.declare(now, id, event, Reason::AgentReregistered, "its agent came back", out);
    } else if let Some(next) = task.status.state.next(TaskEvent::Reported(reported)) {
        // Its update, which follows, tells the framework.
        task.status.state = next;
        out.push(Effect::Announce(Announcement::Task(task.status.clone())));
    }
    if state.tasks[&id].kill {
        out.push(Effect::ToAgent(session, AgentOrder::Kill(id)));
    }
}

/// Takes in a task of which this master has never heard: an earlier one launched it. Its framework is told.
pub(super) fn adopt(state: &mut State, agent: AgentId, held: HeldTask, out: &mut Vec<Effect>) {
    let HeldTask { id, mut name, resources, role, state: reported, update } = held;
    name.truncate(name.floor_char_boundary(NAME_MAX));
    let status = TaskStatus {
        agent: Some(agent),
        reason: Some(Reason::AgentReregistered),
        ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, reported, Source::Agent)
    };
    // Of its end, the number is kept: only an acknowledgement of that one settles it.
    let status = if reported.is_terminal() { TaskStatus { update, reason: None, ..status } } else { status };
    let task = Task {
        tenant: state.tenant_in(id.framework, &role_of(state, id, role)),
        agent,
        name,
        portion: resources.into(),
        holds: false,
        kill: false,
        latest_update: update,
        status: status.clone(),
        kept: false,
    };
    state.insert_task(id, task);
    if !reported.is_terminal() {
        state.hold(id);
        state.tell(status, out);
    }
}

/// Which role a task counts towards that an agent names: what it says, or the first of its framework's.
fn role_of(state: &State, id: TaskId, named: String) -> String {
    if is_role(&named) {
        return named;
    }
    let framework = state.frameworks.get(&id.framework);
    framework.map(|framework| framework.tenant.role().to_string()).unwrap_or_default()
}

/// Has an agent end what it should not run: a task whose end was told, that runs elsewhere, or whose framework is gone.
/// All tasks of a framework that is gone are ended with one order.
fn orphan(state: &mut State, session: SessionId, agent: AgentId, held: HeldTask, out: &mut Vec<Effect>) {
    if held.state.is_terminal() {
        // The update that follows is the master's to acknowledge.
        return;
    }
    let role = role_of(state, held.id, held.role);
    let portion = state.allocator.charge(held.id.framework, &role, agent, &held.resources);
    let known = state.agents.get_mut(&agent).expect("it registers");
    known.tasks.remove(&held.id);
    if let Some(before) = known.orphans.insert(held.id, Orphan { role, portion }) {
        // Whoever names it twice runs it once.
        state.allocator.free(held.id.framework, &before.role, agent, &before.portion);
    }
    if state.frameworks.contains_key(&held.id.framework) && !planted::is(Bug::OrphansNotKilled) {
        out.push(Effect::ToAgent(session, AgentOrder::Kill(held.id)));
    }
}
