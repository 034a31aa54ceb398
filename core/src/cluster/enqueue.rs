//! Putting tasks into the queues of allocations, and what becomes of them there.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::accept::{check_limits, is_shared, tasks_of_principal};
use super::agents::heard_from;
use super::effect::{AgentOrder, Effect, FrameworkEvent};
use super::history::EndedQueued;
use super::not_launched::NotLaunched;
use super::queued::{Queued, Stands};
use super::refusal::Refusal;
use super::state::State;
use crate::access::{Tenant, Verb};
use crate::id::{AgentId, FrameworkId, SessionId, TaskId, UpdateId};
use crate::queue::{QueueEnd, QueueNews, QueueUpdate, QueuedTasks, Shape};
use crate::task::{Reason, Source, TaskState};
use crate::time::Now;

/// Ends of a framework's tasks that may come while it acknowledges none, as a multiple of what it may have when it launches
/// more: what is in its queues by then.
const UNACKNOWLEDGED_MAX: usize = 4;

/// Passes tasks on to where their allocation is. Those that cannot be in it are told so, as one that is launched in vain.
pub(super) fn enqueue(
    state: &mut State,
    now: Now,
    session: SessionId,
    allocation: TaskId,
    tasks: Vec<QueuedTasks>,
    last: bool,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Launch)?;
    let agent = match find(state, framework, allocation) {
        Ok(agent) => agent,
        Err(why) => {
            for tasks in tasks {
                let id = tasks.spec.id;
                report(state, session, allocation, &tasks, &NotLaunched::NoAllocation(id, allocation, why), out);
            }
            return Ok(());
        }
    };
    let mut has = tasks_of_principal(state, framework);
    let mut taken = Vec::with_capacity(tasks.len());
    for tasks in tasks {
        match check(state, framework, allocation, &tasks, has) {
            Ok(()) => {
                let queued = Queued {
                    allocation: allocation.number,
                    shape: Arc::new(Shape::from(&*tasks.spec)),
                    stands: Stands::Waiting,
                    sent: Some(now),
                    since: None,
                };
                has += tasks.count as usize;
                state.tally.launches(u64::from(tasks.count));
                let run = (tasks.spec.id.number, u64::from(tasks.count));
                state.insert_queued(allocation, run.0, run.1, queued);
                state.announce_run(allocation, run, Stands::Waiting, None, "", out);
                taken.push(tasks);
            }
            Err(why) => {
                if let NotLaunched::TooManyOfPrincipal { principal, .. } = &why {
                    state.principals.note_dropped(principal);
                }
                report(state, session, allocation, &tasks, &why, out);
            }
        }
    }
    if let Some(known) = state.tasks.get_mut(&allocation).and_then(|task| task.allocation.as_mut()) {
        known.last |= last;
    }
    if (last || !taken.is_empty())
        && let Some(session) = state.agent_session(agent)
    {
        out.push(Effect::ToAgent(session, AgentOrder::Enqueue { allocation, tasks: taken, last }));
    }
    Ok(())
}

/// Where an allocation is that takes tasks, or why there is none.
fn find(state: &State, framework: FrameworkId, id: TaskId) -> Result<AgentId, &'static str> {
    let task = state.tasks.get(&id).filter(|_| id.framework == framework);
    let task = task.ok_or("it is not known, or has ended")?;
    let allocation = task.allocation.as_ref().ok_or("it is a task, and no allocation")?;
    if task.status.state.is_terminal() || task.kill {
        return Err("it has ended, or is about to");
    }
    if allocation.last {
        return Err("its framework has said that no more follow");
    }
    // What an agent holds is compared with what it should hold while it registers: nothing may come between.
    let registered = state.agents.get(&task.agent).is_some_and(|agent| agent.registering.is_none());
    match state.agent_session(task.agent) {
        Some(_) if registered => Ok(task.agent),
        _ => Err("its agent is not connected"),
    }
}

fn check(
    state: &State,
    framework: FrameworkId,
    allocation: TaskId,
    tasks: &QueuedTasks,
    has: usize,
) -> Result<(), NotLaunched> {
    let first = tasks.spec.id;
    if first.framework != framework {
        return Err(NotLaunched::NotIts(first, framework));
    }
    let task = &state.tasks[&allocation];
    tasks.check(&task.portion.resources).map_err(|invalid| NotLaunched::InvalidQueued(first, allocation, invalid))?;
    for (volume, writable) in tasks.spec.grants.volumes() {
        if !task.portion.volumes.contains(&volume) {
            return Err(NotLaunched::NoVolume(first, volume, allocation.to_string()));
        }
        if writable && is_shared(state, volume) {
            return Err(NotLaunched::VolumeShared(first, volume));
        }
    }
    let count = u64::from(tasks.count);
    let last = TaskId { number: first.number + (count - 1), ..first };
    let known = state.tasks.range(first..=last).next().map(|(&id, task)| (id, task.status.state));
    let known = known.or_else(|| state.history.first_in(first, last).map(|(id, task)| (id, task.status.state)));
    if let Some((id, known)) = known {
        return Err(NotLaunched::Reused(id, known));
    }
    if state.queued.has_any(first, count) {
        let id = state.queued.from(first).next().map_or(first, |run| run.first);
        return Err(NotLaunched::Reused(id, state.queued_state(id).unwrap_or(TaskState::Staging)));
    }
    check_limits(state, framework, first, tasks.count as usize, has)?;
    let (most, has) = (state.config.queued_per_allocation, task.allocation.as_ref().map_or(0, |known| known.queued));
    match has + tasks.count as usize > most {
        true => Err(NotLaunched::QueueFull { task: first, allocation, has, most }),
        false => Ok(()),
    }
}

/// Tells the framework that asked, in one word for all of a kind.
fn report(
    state: &mut State,
    session: SessionId,
    allocation: TaskId,
    tasks: &QueuedTasks,
    why: &NotLaunched,
    out: &mut Vec<Effect>,
) {
    let (verdict, reason) = why.verdict();
    let (first, count) = (tasks.spec.id.number, u64::from(tasks.count.min(QueuedTasks::MAX)));
    state.tally.refuses_launch((verdict, reason), count);
    let ended = vec![QueueEnd::never_ran(first, count, Source::Master, verdict, reason, &why.to_string())];
    let update = QueueUpdate::by_master(allocation, None, ended);
    out.push(Effect::ToFramework(session, FrameworkEvent::Queue(Arc::new(update))));
}

/// News of the tasks in allocations, on their way from an agent to frameworks.
pub(super) fn update(
    state: &mut State,
    now: Now,
    session: SessionId,
    updates: Vec<Arc<QueueUpdate>>,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let agent = heard_from(state, now, session, Verb::Report)?;
    if state.agents[&agent].registering.is_some() {
        return Err(Refusal::StillRegistering(session));
    }
    for update in updates {
        let update = match update.agent == Some(agent) {
            true => update,
            false => Arc::new(QueueUpdate { agent: Some(agent), ..Arc::unwrap_or_clone(update) }),
        };
        update_one(state, now, agent, session, update, out);
    }
    Ok(())
}

fn update_one(
    state: &mut State,
    now: Now,
    agent: AgentId,
    session: SessionId,
    update: Arc<QueueUpdate>,
    out: &mut Vec<Effect>,
) {
    let (id, number) = (update.allocation, update.update);
    let has_framework = state.frameworks.contains_key(&id.framework);
    let its = state.tasks.get_mut(&id).filter(|task| task.agent == agent && task.allocation.is_some());
    let Some(task) = its else {
        // Its allocation is told to have ended.
        return acknowledge_ourselves(session, &update, out);
    };
    let most = state.config.unacknowledged_per_framework.saturating_mul(UNACKNOWLEDGED_MAX);
    let told = update.ended.iter().fold(0, |sum: u64, end| sum.saturating_add(end.count));
    let told = usize::try_from(told).unwrap_or(usize::MAX);
    let ended = state.frameworks.get(&id.framework).map_or(0, |framework| framework.ended_queued);
    if has_framework && ended.saturating_add(told) > most {
        // Its agent keeps it, and says it again. One that makes up ends is never heard.
        return;
    }
    let is_news = number > task.latest_update;
    task.latest_update = task.latest_update.max(number);
    if has_framework
        && number != UpdateId::UNACKNOWLEDGED
        && let Some(allocation) = &mut task.allocation
    {
        allocation.unacknowledged.insert(number, Arc::clone(&update));
    }
    if is_news {
        let tenant = Arc::clone(&task.tenant);
        tally(state, &tenant, &update);
    }
    let late = if has_framework { begin(state, now, &update) } else { update.started.clone() };
    announce(&update, is_news, &late, out);
    if !has_framework {
        acknowledge_ourselves(session, &update, out);
        return state.left_ended(id, update);
    }
    let ended = if number == UpdateId::UNACKNOWLEDGED { Vec::new() } else { update.ended_runs() };
    for (first, count) in ended {
        let taken = state.take_queued(TaskId { number: first, ..id }, count);
        let Some(last) = count.checked_sub(1).and_then(|more| first.checked_add(more)) else { continue };
        let mut next = first;
        for run in taken {
            ended_unknown(state, id, next, run.first.number, number);
            let again = matches!(run.value.stands, Stands::Ended(..));
            let since = run.value.since.filter(|_| again).or(Some(now));
            let queued = Queued { stands: Stands::Ended(number, TaskState::Finished), since, ..run.value };
            state.insert_queued(id, run.first.number, run.count, queued);
            next = run.first.number + run.count;
        }
        ended_unknown(state, id, next, last + 1, number);
    }
    state.tell_queue(update, out);
}

/// Notes which tasks have begun. Gives back those of which that is no news: few or none.
fn begin(state: &mut State, now: Now, update: &QueueUpdate) -> Vec<u64> {
    let mut late = Vec::new();
    for &number in &update.started {
        let id = TaskId { number, ..update.allocation };
        match state.queued.get(id).filter(|queued| queued.stands == Stands::Waiting) {
            Some(queued) => {
                let running = Queued { stands: Stands::Running, since: Some(now), ..queued.clone() };
                state.moves_queued(id, running);
            }
            None => late.push(number),
        }
    }
    late
}

/// Tells whoever watches what is news of it: mostly all, and then it is told as it is. `late`: those of which it is none that they
/// have begun.
fn announce(update: &Arc<QueueUpdate>, is_news: bool, late: &[u64], out: &mut Vec<Effect>) {
    let (has_begun, has_ended) = (late.len() < update.started.len(), is_news && !update.ended.is_empty());
    if !has_begun && !has_ended {
        return;
    }
    let told = match late.is_empty() && (is_news || update.ended.is_empty()) {
        true => Arc::clone(update),
        false => {
            let started = update.started.iter().copied().filter(|number| !late.contains(number)).collect();
            let ended = if has_ended { update.ended.clone() } else { Vec::new() };
            Arc::new(QueueUpdate { started, ended, ..**update })
        }
    };
    out.push(Effect::AnnounceQueued(QueueNews::Told(told)));
}

fn tally(state: &mut State, tenant: &Tenant, update: &QueueUpdate) {
    for QueueEnd { count, source, ending, .. } in &update.ended {
        state.tally.ends(tenant.role(), (ending.state, ending.reason, *source), Some(&ending.usage), *count);
    }
}

/// For a framework that is gone, or has the last word of the allocation.
fn acknowledge_ourselves(session: SessionId, update: &QueueUpdate, out: &mut Vec<Effect>) {
    if update.update != UpdateId::UNACKNOWLEDGED {
        out.push(Effect::ToAgent(session, AgentOrder::Acknowledge(update.allocation, update.update)));
    }
}

/// Tasks that this master has not heard of, or whose end was acknowledged while the agent said it again.
fn ended_unknown(state: &mut State, allocation: TaskId, from: u64, to: u64, update: UpdateId) {
    if from < to {
        let shape = Shape::default();
        let queued = Queued {
            allocation: allocation.number,
            shape: Arc::new(shape),
            stands: Stands::Ended(update, TaskState::Finished),
            sent: None,
            since: None,
        };
        state.insert_queued(allocation, from, to - from, queued);
    }
}

/// A framework has taken note of an allocation's updates up to this one.
pub(super) fn acknowledged(state: &mut State, id: TaskId, up_to: UpdateId) {
    let known = state.tasks.get_mut(&id).and_then(|task| task.allocation.as_mut());
    let Some(allocation) = known else { return };
    let settled = allocation.acknowledged;
    allocation.acknowledged = settled.max(up_to);
    let named_ended = allocation.named_ended;
    let later = match up_to.0.checked_add(1) {
        Some(next) => allocation.unacknowledged.split_off(&UpdateId(next)),
        None => Default::default(),
    };
    for update in core::mem::replace(&mut allocation.unacknowledged, later).into_values() {
        let mut runs = Vec::new();
        for (first, count) in update.ended_runs() {
            for run in state.take_queued(TaskId { number: first, ..id }, count) {
                match run.value.stands {
                    Stands::Ended(told, _) if told <= up_to => runs.push(run),
                    _ => state.insert_queued(id, run.first.number, run.count, run.value),
                }
            }
        }
        if update.update <= settled {
            // It was said again, and is in the history.
            continue;
        }
        let tenant = state.tenant_of_queue(id);
        state.history.push_queued(EndedQueued { tenant, update, runs }, state.config.history, &mut state.modules);
    }
    // How these ended an earlier master has told.
    for run in named_ended.then(|| state.queue_of(id)).into_iter().flatten() {
        if matches!(run.value.stands, Stands::Ended(told, _) if told <= up_to) {
            state.take_queued(run.first, run.count);
        }
    }
}

/// Has one task in a queue ended. False when it is in none, or has ended.
pub(super) fn kill(state: &mut State, id: TaskId, out: &mut Vec<Effect>) -> bool {
    let Some(queued) = state.queued.get(id).filter(|queued| !matches!(queued.stands, Stands::Ended(..))) else {
        return false;
    };
    let is_news = queued.stands != Stands::Killing;
    let queued = Queued { stands: Stands::Killing, ..queued.clone() };
    let allocation = queued.of(id);
    let agent = state.tasks.get(&allocation).map(|allocation| allocation.agent);
    state.moves_queued(id, queued);
    if is_news {
        state.announce_run(allocation, (id.number, 1), Stands::Killing, None, "", out);
    }
    if let Some(session) = agent.and_then(|agent| state.agent_session(agent)) {
        out.push(Effect::ToAgent(session, AgentOrder::Kill(id)));
    }
    true
}

/// What is said of tasks that never came to their allocation.
pub(super) const TOO_LATE: (TaskState, Reason) = (TaskState::Dropped, Reason::InvalidOffers);
