//! What an agent holds when it registers, compared with what it should hold.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::command::HeldTask;
use super::effect::{AgentOrder, Announcement, Effect};
use super::moments::Moments;
use super::queued::{Queued, Stands, with_queue};
use super::state::{Orphan, Registering, State, Task};
use super::{enqueue, groups, reconcile, revocable, updates, withdrawal};
use crate::access::is_role;
use crate::id::{AgentId, FrameworkId, SessionId, TaskId, UpdateId, VolumeId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::queue::{HeldQueue, HeldRun};
use crate::reservation::Portion;
use crate::resources::Resources;
use crate::runs::{Run, Runs};
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
    let Registering { unnamed, unnamed_queued, .. } =
        agent.registering.take().map(|registering| *registering).unwrap_or_default();
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
    end_missing_queued(state, now, &unnamed_queued, missing, out);
    end_unwanted(state, session, id, out);
    state.has_seen(id);
    reconcile::answer_questions(state, id, out);
    withdrawal::came_back(state, now, id, out);
}

/// Ends the tasks in queues that their agent came back without. What the same process does not know never came to it.
fn end_missing_queued(state: &mut State, now: Now, missing: &Runs<()>, event: TaskEvent, out: &mut Vec<Effect>) {
    let ended = match event {
        TaskEvent::AgentForgot => TaskState::Dropped,
        _ => TaskState::Gone,
    };
    let first = TaskId { framework: FrameworkId(0), number: 0 };
    for Run { first, count, .. } in missing.from(first) {
        // One whose allocation is missing as well has ended with it.
        state.end_queued(now, (first, count), (ended, Reason::AgentRestarted, "its agent came back without it"), out);
    }
}

/// Takes in a part of what is in a queue.
pub(super) fn take_in_queue(
    state: &mut State,
    session: SessionId,
    agent: AgentId,
    HeldQueue { allocation: id, runs }: HeldQueue,
    out: &mut Vec<Effect>,
) {
    let its = state.tasks.get_mut(&id).filter(|task| task.agent == agent && !task.status.state.is_terminal());
    // Else it is an orphan, and is told to end with all that is in it.
    let Some(task) = its.filter(|_| state.frameworks.contains_key(&id.framework)) else { return };
    with_queue(task);
    for held in runs {
        take_in_run(state, session, id, held, out);
    }
}

fn take_in_run(state: &mut State, session: SessionId, allocation: TaskId, held: HeldRun, out: &mut Vec<Effect>) {
    let HeldRun { first, count, state: told, update, shape } = held;
    let Some(last) = count.checked_sub(1).and_then(|more| first.checked_add(more)) else { return };
    let start = TaskId { number: first, ..allocation };
    let agent = state.tasks[&allocation].agent;
    if let Some(registering) = state.agents.get_mut(&agent).and_then(|agent| agent.registering.as_mut()) {
        registering.unnamed_queued.take(start, count);
    }
    let stands = match told {
        TaskState::Running => Stands::Running,
        ended if ended.is_terminal() => Stands::Ended(update, ended),
        _ => Stands::Waiting,
    };
    let known = state.take_queued(start, count);
    let mut next = first;
    let mut adopted = Vec::new();
    for run in known {
        adopted.extend((next < run.first.number).then(|| (next, run.first.number - next)));
        next = run.last().number.saturating_add(1);
        let stands = match run.value.stands {
            // Its end is told by the update that follows.
            known @ (Stands::Waiting | Stands::Running) if told.is_terminal() => known,
            Stands::Waiting | Stands::Running => stands,
            kept @ (Stands::Killing | Stands::Ended(..)) => kept,
        };
        let moves = stands != run.value.stands;
        if stands == Stands::Killing {
            let order = |task| Effect::ToAgent(session, AgentOrder::Kill(task));
            out.extend((Run { first: run.first, count: run.count, value: () }).tasks().map(order));
        }
        state.insert_queued(allocation, run.first.number, run.count, Queued { stands, ..run.value });
        if moves {
            state.announce_run(allocation, (run.first.number, run.count), stands, None, "", out);
        }
    }
    adopted.extend((next <= last).then(|| (next, last - next + 1)));
    let allocated = with_queue(state.tasks.get_mut(&allocation).expect("the caller has seen it"));
    if told.is_terminal() {
        if update <= allocated.acknowledged {
            return;
        }
        // Until the update comes, a question about it is not answered with a guess.
        allocated.named_ended |= !adopted.is_empty();
    }
    for (first, count) in adopted {
        let shape = Arc::clone(&shape);
        let queued = Queued { allocation: allocation.number, shape, stands, sent: None, since: None };
        state.insert_queued(allocation, first, count, queued);
        // An earlier master took them in. Their framework is told.
        for number in first..=first + (count - 1) {
            let id = TaskId { number, ..allocation };
            let Some(status) = state.queued_status(id) else { continue };
            state.tell(TaskStatus { reason: Some(Reason::AgentReregistered), source: Source::Agent, ..status }, out);
        }
    }
}

/// Ends those of its tasks whose kill came while nobody knew them.
fn end_unwanted(state: &mut State, session: SessionId, id: AgentId, out: &mut Vec<Effect>) {
    let is_here = |task: &TaskId| {
        let queued = state.queued.get(*task)?;
        (state.tasks.get(&queued.of(*task))?.agent == id).then_some(*task)
    };
    let kills = state.frameworks.values().flat_map(|framework| &framework.kills);
    let unwanted: Vec<TaskId> = kills.filter_map(is_here).collect();
    for task in unwanted {
        if let Some(framework) = state.frameworks.get_mut(&task.framework) {
            framework.kills.remove(&task);
        }
        enqueue::kill(state, task, out);
    }
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
            true => adopt(state, now, agent, held, out),
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
    if task.portion.resources != held.resources || !same(&task.portion.volumes, &held.volumes) {
        // What it really holds counts, whatever was launched.
        state.release(id);
        state.tasks.get_mut(&id).expect("it was just there").portion = holds(held.resources, &held.volumes);
    }
    state.hold(id);
    let task = state.tasks.get_mut(&id).expect("it was just there");
    if task.status.state == TaskState::Unreachable {
        let event = TaskEvent::Reported(reported);
        state.declare(now, id, event, Reason::AgentReregistered, "its agent came back", out);
    } else if let Some(next) = task.status.state.next(TaskEvent::Reported(reported)) {
        // Its update, which follows, tells the framework.
        let status = TaskStatus { state: next, ..task.told(id) };
        state.note(id, status.clone());
        out.push(Effect::Announce(Announcement::Task(status)));
    }
    match &state.tasks[&id] {
        task if task.kill => out.push(Effect::ToAgent(session, groups::order_to_end(state, id))),
        task if task.preempted => out.push(Effect::ToAgent(session, revocable::order_to_end(id))),
        _ => {}
    }
}

/// Takes in a task of which this master has never heard: an earlier one launched it. Its framework is told.
pub(super) fn adopt(state: &mut State, now: Now, agent: AgentId, held: HeldTask, out: &mut Vec<Effect>) {
    let HeldTask { id, mut name, resources, role, volumes, module, state: reported, update, group, trace: _, life } =
        held;
    name.truncate(name.floor_char_boundary(NAME_MAX));
    let group = group.filter(|group| state.groups.can_adopt(id, *group));
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
        name: name.into(),
        portion: holds(resources, &volumes),
        holds: false,
        kill: false,
        preempted: false,
        module: module.map(|module| state.modules.take(module)),
        nth: state.next_task(),
        life: life.map_or_else(Moments::default, |life| Moments::held(now, life)),
        latest_update: update,
        status: status.clone().into(),
        kept: false,
        group: group.map(Box::new),
        allocation: None,
    };
    state.insert_task(id, task);
    if let Some(group) = group {
        state.groups.is_adopted(id, group);
    }
    if !reported.is_terminal() {
        state.hold(id);
        state.tell(status, out);
    }
}

/// What a task holds that an agent names.
fn holds(resources: Resources, volumes: &[VolumeId]) -> Portion {
    let mut portion = Portion::from(resources);
    portion.give(&Portion { volumes: volumes.to_vec(), ..Portion::default() });
    portion
}

/// Whether these are the same volumes, in whatever order.
fn same(sorted: &[VolumeId], named: &[VolumeId]) -> bool {
    sorted.len() == named.len() && named.iter().all(|volume| sorted.contains(volume))
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
    let portion = state.allocator.charge(held.id.framework, &role, agent, &held.resources, &held.volumes);
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
