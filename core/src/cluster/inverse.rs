//! Inverse offers: whoever holds something on an agent that will not be there is asked to be off it in time.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::effect::{Effect, FrameworkEvent};
use super::refusal::Refusal;
use super::state::State;
use super::timers::Timer;
use crate::access::Verb;
use crate::id::{AgentId, FrameworkId, InverseOfferId, SessionId, TaskId};
use crate::time::Now;
use crate::upkeep::InverseOffer;

/// What became of asking a framework about an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It has not answered.
    Open(InverseOfferId),
    /// It will be off in time.
    Accepted,
    /// It will not, and is not asked again before then.
    Declined { until: Now },
}

/// Who was asked about which agent. One question at a time for each agent and framework.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InverseOffers {
    open: BTreeMap<InverseOfferId, (AgentId, FrameworkId)>,
    asked: BTreeMap<(AgentId, FrameworkId), Asked>,
    of_framework: BTreeMap<FrameworkId, BTreeSet<AgentId>>,
    /// Of whom it is to be seen whether they hold something there.
    changed: BTreeSet<(AgentId, FrameworkId)>,
    last: u64,
}

impl InverseOffers {
    /// None; their numbers will be above `last`.
    pub(super) fn above(last: u64) -> Self {
        Self { last, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// What became of asking about an agent.
    pub(super) fn about(&self, agent: AgentId) -> impl Iterator<Item = (FrameworkId, Asked)> {
        let all = (agent, FrameworkId(0))..=(agent, FrameworkId(u64::MAX));
        self.asked.range(all).map(|(&(_, framework), &asked)| (framework, asked))
    }
}

impl State {
    /// A framework has something on an agent that it had not, or the other way round.
    pub(super) fn note_holder(&mut self, agent: AgentId, framework: FrameworkId) {
        if self.maintenance.upcoming(agent).is_some() {
            self.inverse.changed.insert((agent, framework));
        }
    }
}

/// Asks those who have something on agents that will not be there, and takes back what is of no matter any more: once, at
/// the end of a batch of commands, one event of each kind for each framework.
pub(super) fn make(state: &mut State, out: &mut Vec<Effect>) {
    if state.inverse.changed.is_empty() {
        return;
    }
    let (mut made, mut rescinded) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    while let Some((agent, framework)) = state.inverse.changed.pop_first() {
        let when = state.maintenance.upcoming(agent).filter(|_| holds(state, agent, framework));
        match (state.inverse.asked.get(&(agent, framework)), when) {
            (None, Some(when)) => {
                state.inverse.last += 1;
                let id = InverseOfferId(state.inverse.last);
                state.inverse.open.insert(id, (agent, framework));
                state.inverse.asked.insert((agent, framework), Asked::Open(id));
                state.inverse.of_framework.entry(framework).or_default().insert(agent);
                made.entry(framework).or_default().push(InverseOffer { id, agent, when });
            }
            (Some(_), None) => {
                if let Some(Asked::Open(id)) = forget(state, agent, framework) {
                    rescinded.entry(framework).or_default().push(id);
                }
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
    for (framework, offers) in rescinded {
        tell(state, framework, FrameworkEvent::InverseRescinded(offers), out);
    }
    for (framework, offers) in made {
        tell(state, framework, FrameworkEvent::InverseOffers(offers), out);
    }
}

/// Offers that are gone, or somebody else's, are passed over.
pub(super) fn accept(state: &mut State, session: SessionId, offers: &[InverseOfferId]) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::AnswerInverse)?;
    for &id in offers {
        if let Some(agent) = close(state, framework, id) {
            state.inverse.asked.insert((agent, framework), Asked::Accepted);
        }
    }
    Ok(())
}

/// The same, and it is asked again after `refuse` if it still holds something there.
pub(super) fn decline(
    state: &mut State,
    now: Now,
    session: SessionId,
    offers: &[InverseOfferId],
    refuse: Duration,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::AnswerInverse)?;
    for &id in offers {
        if let Some(agent) = close(state, framework, id) {
            let until = now + refuse;
            state.inverse.asked.insert((agent, framework), Asked::Declined { until });
            state.timers.set(until, Timer::Inverse(agent, framework));
        }
    }
    Ok(())
}

/// What a framework declined may be asked again.
pub(super) fn time_out(state: &mut State, agent: AgentId, framework: FrameworkId) {
    forget(state, agent, framework);
    state.note_holder(agent, framework);
}

/// It is another time at which an agent will not be there, or none.
pub(super) fn ask_anew(state: &mut State, agent: AgentId, out: &mut Vec<Effect>) {
    forget_agent(state, agent, out);
    if let Some(known) = state.agents.get(&agent) {
        let by_offer = state.allocator.offers_of(agent).into_iter().filter_map(|id| state.allocator.offer(id));
        let mut holders: BTreeSet<FrameworkId> = by_offer.map(|offer| offer.framework).collect();
        // The tasks are ordered by framework: of each, one is looked at.
        let mut next = known.tasks.first();
        while let Some(&TaskId { framework, .. }) = next {
            holders.insert(framework);
            next = framework
                .0
                .checked_add(1)
                .and_then(|above| known.tasks.range(TaskId { framework: FrameworkId(above), number: 0 }..).next());
        }
        for framework in holders {
            state.note_holder(agent, framework);
        }
    }
}

/// Nobody is asked about an agent any more.
pub(super) fn forget_agent(state: &mut State, agent: AgentId, out: &mut Vec<Effect>) {
    let asked: Vec<FrameworkId> = state.inverse.about(agent).map(|(framework, _)| framework).collect();
    for framework in asked {
        if let Some(Asked::Open(id)) = forget(state, agent, framework) {
            tell(state, framework, FrameworkEvent::InverseRescinded([id].into()), out);
        }
    }
}

/// A framework has gone, or lost its connection: what it was asked it is asked again when it is back.
pub(super) fn forget_framework(state: &mut State, framework: FrameworkId) {
    for agent in state.inverse.of_framework.get(&framework).cloned().unwrap_or_default() {
        forget(state, agent, framework);
    }
}

fn forget(state: &mut State, agent: AgentId, framework: FrameworkId) -> Option<Asked> {
    let asked = state.inverse.asked.remove(&(agent, framework))?;
    match asked {
        Asked::Open(id) => drop(state.inverse.open.remove(&id)),
        Asked::Declined { until } => state.timers.cancel(until, Timer::Inverse(agent, framework)),
        Asked::Accepted => {}
    }
    if let Some(agents) = state.inverse.of_framework.get_mut(&framework) {
        agents.remove(&agent);
        if agents.is_empty() {
            state.inverse.of_framework.remove(&framework);
        }
    }
    Some(asked)
}

/// Ends an open question of a framework's: about which agent it was.
fn close(state: &mut State, framework: FrameworkId, id: InverseOfferId) -> Option<AgentId> {
    let &(agent, asked) = state.inverse.open.get(&id)?;
    if asked != framework {
        return None;
    }
    state.inverse.open.remove(&id);
    Some(agent)
}

/// Whether a framework can be asked, and has tasks that hold something there, or an offer.
fn holds(state: &State, agent: AgentId, framework: FrameworkId) -> bool {
    let Some(known) = state.agents.get(&agent).filter(|_| state.framework_session(framework).is_some()) else {
        return false;
    };
    let its = TaskId { framework, number: 0 }..=TaskId { framework, number: u64::MAX };
    let offers = state.allocator.offers_of(agent);
    known.tasks.range(its).any(|task| state.tasks[task].holds)
        || offers.into_iter().filter_map(|id| state.allocator.offer(id)).any(|offer| offer.framework == framework)
}

fn tell(state: &State, framework: FrameworkId, event: FrameworkEvent, out: &mut Vec<Effect>) {
    if let Some(session) = state.framework_session(framework) {
        out.push(Effect::ToFramework(session, event));
    }
}
