//! What an operator sees of the state.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use super::Cluster;
use super::inverse::Asked;
use super::maintenance::Window;
use super::principals::Owned;
use super::sessions::Peer;
use super::state::{Agent, Framework, Link, Presence, State};
use super::tally::Tally;
use super::view::{
    AgentView, Counts, FrameworkView, MaintenanceView, OfferView, PhaseView, PrincipalView, ReservationView, RoleView,
    VolumeStanding, VolumeView, WithdrawalView,
};
use crate::access::{Principal, PrincipalId, Tenant, TokenId, TokenRecord, Verb};
use crate::allocator::{Promise, RoleStanding};
use crate::id::{AgentId, FrameworkId, MaintenanceId, OfferId, SessionId, TaskId};
use crate::quantity::Bytes;
use crate::reservation::{Portion, Reserved};
use crate::resources::Ports;
use crate::time::Now;
use crate::upkeep::{Drain, Phase, Withdrawal};
use crate::volume::Volume;

/// Some items of a list, and where to read on; `None` when there are no more.
pub type Page<V, C> = (Vec<V>, Option<C>);

impl Cluster {
    /// The agents that are connected or may be back soon, by id.
    pub fn agents(&self, now: Now) -> Vec<AgentView> {
        let agents = self.state.agents.iter();
        let there = agents.filter(|(_, agent)| !matches!(agent.presence, Presence::Unreachable { .. }));
        there.map(|(&id, agent)| agent_view(&self.state, now, id, agent)).collect()
    }

    /// Of every known agent behind `after`, unreachable ones among them, the next `max` by id: those of them that `who` may
    /// see. A framework sees an agent on which it has a task or an offer; a viewer of certain roles, where these have.
    pub fn agents_page(
        &self,
        now: Now,
        who: &Principal,
        after: Option<AgentId>,
        max: usize,
    ) -> Page<AgentView, AgentId> {
        let state = &self.state;
        let sees = who.may_all(Verb::ListAgents);
        let rest = state.agents.range((above(after), Bound::Unbounded)).map(by_id);
        page(rest, max, |id, agent| {
            (sees || has_there(state, who, id, agent)).then(|| {
                let mut view = agent_view(state, now, id, agent);
                if !sees {
                    view.reserved.retain(|part| who.may_use(Verb::ListRoles, part.reserved.reservation.role()));
                    let its =
                        agent.volumes.known.values().filter(|volume| who.may_use(Verb::ListVolumes, volume.role()));
                    (view.volumes, view.kept) = summed(its);
                }
                view
            })
        })
    }

    /// The frameworks that are connected or may be back soon, by id. Their resources are sums over all agents,
    /// without ports.
    pub fn frameworks(&self) -> Vec<FrameworkView> {
        self.state.frameworks.iter().map(|(&id, framework)| framework_view(&self.state, id, framework)).collect()
    }

    /// Of [`Self::frameworks`] behind `after`, the next `max`: those of them that `who` may see.
    pub fn frameworks_page(
        &self,
        who: &Principal,
        after: Option<FrameworkId>,
        max: usize,
    ) -> Page<FrameworkView, FrameworkId> {
        let state = &self.state;
        let rest = state.frameworks.range((above(after), Bound::Unbounded)).map(by_id);
        page(rest, max, |id, framework| {
            who.may(Verb::ListFrameworks, &framework.tenant).then(|| framework_view(state, id, framework))
        })
    }

    /// The roles by path: those with frameworks, those above one that has some, and those of which an operator has decided
    /// something.
    pub fn roles(&self) -> Vec<RoleView> {
        self.state.allocator.roles_after(None).map(|role| role_view(&role)).collect()
    }

    /// Of [`Self::roles`] behind `after`, the next `max`: those of them that `who` may use or see.
    pub fn roles_page(&self, who: &Principal, after: Option<&str>, max: usize) -> Page<RoleView, String> {
        let rest = self.state.allocator.roles_after(after);
        let mut page = Vec::new();
        let mut last = None;
        for (at, role) in rest.take(max).enumerate() {
            last = (at + 1 == max).then(|| role.name.to_string());
            if who.may_use(Verb::ListRoles, role.name) {
                page.push(role_view(&role));
            }
        }
        (page, last)
    }

    /// When the last of these offers was made that is open.
    pub fn offered_since(&self, offers: &[OfferId]) -> Option<Now> {
        offers.iter().filter_map(|&id| Some(self.state.allocator.offer(id)?.since)).max()
    }

    /// The open offers, by id.
    pub fn offers(&self, now: Now) -> Vec<OfferView> {
        self.state.allocator.offers_after(None).map(|(id, offer)| offer_view(&self.state, id, offer, now)).collect()
    }

    /// Of [`Self::offers`] behind `after`, the next `max`: those of them that `who` may see.
    pub fn offers_page(
        &self,
        now: Now,
        who: &Principal,
        after: Option<OfferId>,
        max: usize,
    ) -> Page<OfferView, OfferId> {
        let state = &self.state;
        let rest = state.allocator.offers_after(after);
        page(rest, max, |id, offer| {
            let tenant = state.tenant_in(offer.framework, &offer.role);
            who.may(Verb::ListOffers, &tenant).then(|| offer_view(state, id, offer, now))
        })
    }

    /// The volumes of the agents behind `after`, of the next `max` agents: those of them that `who` may use or see. What nobody
    /// knows any more is shown to whoever sees all.
    pub fn volumes_page(&self, who: &Principal, after: Option<AgentId>, max: usize) -> Page<VolumeView, AgentId> {
        let state = &self.state;
        let rest = state.agents.range((above(after), Bound::Unbounded)).map(by_id);
        let (pages, last) = page(rest, max, |id, agent| Some(volume_views(state, who, id, agent)));
        (pages.into_iter().flatten().collect(), last)
    }

    /// The maintenance windows behind `after` that are under way or to come, the next `max` by number.
    pub fn maintenance_page(&self, after: Option<MaintenanceId>, max: usize) -> Page<MaintenanceView, MaintenanceId> {
        let rest = self.state.maintenance.iter_after(after);
        page(rest, max, |id, window| Some(maintenance_view(&self.state, id, window)))
    }

    /// Of the principals that have frameworks, those behind `after`, the next `max` by name.
    pub fn principals_page(&self, after: Option<&PrincipalId>, max: usize) -> Page<PrincipalView, PrincipalId> {
        let state = &self.state;
        let mut last = None;
        let view = |(at, (id, owned)): (usize, (&PrincipalId, &Owned))| {
            last = (at + 1 == max).then(|| id.clone());
            let roles: BTreeSet<&String> =
                owned.frameworks.iter().flat_map(|id| &state.frameworks[id].info.roles).collect();
            PrincipalView {
                id: id.clone(),
                frameworks: owned.frameworks.len(),
                roles: roles.len(),
                tasks: state.tasks_of_principal(id),
                dropped: owned.dropped,
            }
        };
        let page = state.principals.iter_after(after).take(max).enumerate().map(view).collect();
        (page, last)
    }

    /// Of the tokens behind `after`, the next `max` by id, used-up and revoked ones among them.
    pub fn tokens_page(&self, after: Option<TokenId>, max: usize) -> Page<(TokenId, TokenRecord), TokenId> {
        page(self.state.tokens.iter_after(after), max, |id, record| Some((id, record.clone())))
    }

    /// Whose a framework is, while it is known.
    pub fn tenant_of(&self, id: FrameworkId) -> Option<Arc<Tenant>> {
        self.state.frameworks.get(&id).map(|framework| Arc::clone(&framework.tenant))
    }

    /// Whether the id is an agent's, which is there or may come back: else its certificate is void.
    pub fn is_member(&self, id: AgentId) -> bool {
        self.state.agents.contains_key(&id) || self.state.enrolled.contains(id)
    }

    /// Every id of which [`Self::is_member`] holds.
    pub fn members(&self) -> impl Iterator<Item = AgentId> {
        self.state.agents.keys().copied().chain(self.state.enrolled.ids())
    }

    /// Agents that come by certificates, and whether each is connected: those that are known, and those whose ids are kept.
    pub fn certified_agents(&self) -> Vec<(AgentId, bool)> {
        let known = self.state.agents.iter().filter(|(_, agent)| agent.certified);
        let known = known.map(|(&id, agent)| (id, matches!(agent.presence, Presence::Connected(_))));
        known.chain(self.state.enrolled.ids().map(|id| (id, false))).collect()
    }

    /// How much of everything the master holds in mind.
    pub fn counts(&self) -> Counts {
        let state = &self.state;
        let of_agents = |count: fn(&Agent) -> usize| state.agents.values().map(|agent| count(agent)).sum();
        let of_frameworks = |count: fn(&Framework) -> usize| state.frameworks.values().map(count).sum();
        Counts {
            sessions: state.sessions.len(),
            agents: state.agents.len(),
            frameworks: state.frameworks.len(),
            offers: state.allocator.open_offers(),
            tasks: state.tasks.len(),
            queued: usize::try_from(state.queued.tasks()).unwrap_or(usize::MAX),
            ended: state.history.len(),
            orphans: of_agents(|agent| agent.orphans.len()),
            kept_updates: of_frameworks(|framework| framework.kept.len()),
            questions: state.questions.len() + of_agents(|agent| agent.questions.len()),
            kills: of_frameworks(|framework| framework.kills.len()),
            maintenance: state.maintenance.len(),
            inverse_offers: state.inverse.len(),
            timers: state.timers.len(),
            tokens: state.tokens.len(),
            enrolled: state.enrolled.len(),
        }
    }

    /// What happened since this master began to lead.
    pub fn tally(&self) -> &Tally {
        &self.state.tally
    }

    /// The agent behind a connection, once it has introduced itself and while this is its connection.
    pub fn agent_of_session(&self, session: SessionId) -> Option<AgentId> {
        match self.state.sessions.get(session)?.speaks_for {
            Some(Peer::Agent(id)) => (self.state.agent_session(id) == Some(session)).then_some(id),
            _ => None,
        }
    }

    /// The connection of an agent, while there is one.
    pub fn session_of_agent(&self, id: AgentId) -> Option<SessionId> {
        self.state.agent_session(id)
    }
}

pub(super) fn above<T>(after: Option<T>) -> Bound<T> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}

fn by_id<Id: Copy, T>((&id, item): (&Id, T)) -> (Id, T) {
    (id, item)
}

/// Looks at the next `max`, so that no page takes long, however little of it is seen.
fn page<Id: Copy, T, V>(
    rest: impl Iterator<Item = (Id, T)>,
    max: usize,
    see: impl Fn(Id, T) -> Option<V>,
) -> Page<V, Id> {
    let mut page = Vec::new();
    let mut last = None;
    for (at, (id, item)) in rest.take(max).enumerate() {
        last = (at + 1 == max).then_some(id);
        page.extend(see(id, item));
    }
    (page, last)
}

/// Whether something on an agent is of `who`.
pub(super) fn has_there(state: &State, who: &Principal, id: AgentId, agent: &Agent) -> bool {
    let is_its = |framework: FrameworkId| {
        state.frameworks.get(&framework).is_some_and(|framework| who.may(Verb::ListAgents, &framework.tenant))
    };
    if state
        .allocator
        .offers_of(id)
        .iter()
        .filter_map(|offer| state.allocator.offer(*offer))
        .any(|offer| is_its(offer.framework))
    {
        return true;
    }
    // The tasks are ordered by framework: of each, one is looked at.
    let mut next = agent.tasks.first();
    while let Some(&TaskId { framework, .. }) = next {
        if is_its(framework) {
            return true;
        }
        let last = TaskId { framework, number: u64::MAX };
        next = agent.tasks.range((Bound::Excluded(last), Bound::Unbounded)).next();
    }
    false
}

fn agent_view(state: &State, now: Now, id: AgentId, agent: &Agent) -> AgentView {
    let offered = sum(state, state.allocator.offers_of(id));
    let mut used = state.allocator.allocated_on(id);
    used.take_up_to(&offered);
    let room = agent.volumes.room();
    let part = |reserved: Reserved| {
        let reservation = Some(&reserved.reservation);
        let (used, offered) = (used.of(reservation).into_owned(), offered.of(reservation).into_owned());
        let kept = room.of(reservation).into_owned();
        ReservationView { reserved, used, offered, kept }
    };
    // Also of one that is away, where all of it is promised to nobody.
    let reserved = agent.info.all_reserved(&agent.reserved, Some(&room)).into_iter().map(part).collect();
    AgentView {
        id,
        info: (*agent.info).clone(),
        connected: matches!(agent.presence, Presence::Connected(_)),
        draining: agent.draining,
        withdrawal: state.withdrawn.get(id).map(|known| withdrawal_view(&known, now)),
        unavailability: state.maintenance.next_of(id),
        revocable: state.allocator.revocable_on(id),
        reserved,
        used: used.resources,
        offered: offered.resources,
        volumes: agent.volumes.known.len(),
        kept: room.resources.disk,
        tasks: running(state, &agent.tasks) + in_queues(state, &agent.tasks),
    }
}

/// How many, and their room.
fn summed<'a>(volumes: impl Iterator<Item = &'a Volume>) -> (usize, Bytes) {
    volumes.fold((0, Bytes::ZERO), |(count, room), volume| (count + 1, room.saturating_add(volume.size)))
}

fn volume_views(state: &State, who: &Principal, agent: AgentId, holder: &Agent) -> Vec<VolumeView> {
    let is_connected = state.agent_session(agent).is_some();
    let view = |id, known: Option<&Volume>| VolumeView {
        id,
        agent,
        known: known.cloned(),
        standing: match known {
            _ if !is_connected => VolumeStanding::Away,
            Some(volume) => holder.volumes.standing(volume),
            None => VolumeStanding::Unknown,
        },
        user: state.users_of(agent, id).next(),
        users: state.users_of(agent, id).count(),
        offers: state.allocator.offers_with(agent, id).len(),
    };
    let its = holder.volumes.known.values().filter(|volume| who.may_use(Verb::ListVolumes, volume.role()));
    let mut views: Vec<_> = its.map(|volume| view(volume.id, Some(volume))).collect();
    if who.may_all(Verb::ListVolumes) {
        views.extend(holder.volumes.strays().map(|id| view(id, None)));
    }
    views
}

fn withdrawal_view(withdrawal: &Withdrawal, now: Now) -> WithdrawalView {
    let phase = match withdrawal.phase {
        Phase::Deactivated => PhaseView::Deactivated,
        Phase::Draining(Drain { kill_at, mark_gone }) => PhaseView::Draining { kill_in: kill_at.since(now), mark_gone },
        Phase::Drained => PhaseView::Drained,
    };
    WithdrawalView { phase, age: now.since(withdrawal.since), cause: withdrawal.cause }
}

fn maintenance_view(state: &State, id: MaintenanceId, window: &Window) -> MaintenanceView {
    let mut view = MaintenanceView {
        id,
        maintenance: window.maintenance.clone(),
        has_begun: window.has_begun,
        unanswered: 0,
        accepted: 0,
        declined: 0,
    };
    // Frameworks are asked about the window of an agent that is next.
    let asked_about = |agent: &&AgentId| state.maintenance.upcoming(**agent) == Some(view.maintenance.when);
    let agents = window.maintenance.agents.iter().filter(asked_about);
    let asked: Vec<_> = agents.flat_map(|&agent| state.inverse.about(agent)).collect();
    for (_, asked) in asked {
        match asked {
            Asked::Open(_) => view.unanswered += 1,
            Asked::Accepted => view.accepted += 1,
            Asked::Declined { .. } => view.declined += 1,
        }
    }
    view
}

fn framework_view(state: &State, id: FrameworkId, framework: &Framework) -> FrameworkView {
    let offered = sum(state, state.allocator.offers_to(id)).resources.with_ports(Ports::default());
    let mut used = state.allocator.allocated_to(id);
    used.take_up_to(&offered);
    FrameworkView {
        id,
        info: framework.info.clone(),
        connected: matches!(framework.link, Link::Connected(_)),
        suppressed: state.allocator.is_suppressed(id),
        used,
        offered,
        tasks: running(state, &framework.tasks) + framework.queued,
    }
}

fn role_view(role: &RoleStanding<'_>) -> RoleView {
    RoleView {
        name: role.name.to_string(),
        weight: role.weight.get(),
        frameworks: role.frameworks,
        waiting: role.waiting,
        used: role.used.clone(),
        offered: role.offered.clone(),
        reserved: role.reserved.clone(),
        share: role.share,
        fair_share: role.fair_share,
        quota: role.quota.cloned(),
        placement: role.placement,
        min_allocatable: role.min_allocatable.cloned(),
    }
}

fn offer_view(state: &State, id: OfferId, offer: &Promise, now: Now) -> OfferView {
    let age = now.since(offer.since);
    OfferView {
        id,
        framework: offer.framework,
        role: offer.role.to_string(),
        agent: offer.agent,
        resources: offer.portion.resources.clone(),
        reserved: offer.portion.reserved.clone(),
        volumes: state.volumes_of(offer.agent, &offer.portion.volumes),
        age,
    }
}

fn sum(state: &State, offers: impl IntoIterator<Item = OfferId>) -> Portion {
    let mut sum = Portion::default();
    for offer in offers.into_iter().filter_map(|id| state.allocator.offer(id)) {
        sum.give(&offer.portion);
    }
    sum
}

fn running<'a>(state: &State, tasks: impl IntoIterator<Item = &'a TaskId>) -> usize {
    tasks.into_iter().filter(|id| !state.tasks[id].status.state.is_terminal()).count()
}

/// How many tasks that have not ended are in the queues of those of these that are allocations.
pub(super) fn in_queues<'a>(state: &State, tasks: impl IntoIterator<Item = &'a TaskId>) -> usize {
    let queued = |id| Some(state.tasks.get(id)?.allocation.as_ref()?.queued);
    tasks.into_iter().filter_map(queued).fold(0, usize::saturating_add)
}
