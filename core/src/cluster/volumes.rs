//! Volumes: made, destroyed and shared by operators and frameworks, and told of by the agents that hold them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::effect::{AgentOrder, Effect};
use super::refusal::Refusal;
use super::state::{Agent, State};
use super::tally::OfferEnd;
use super::view::VolumeStanding;
use super::{agents, offers, reserve};
use crate::access::{Principal, Verb};
use crate::allocator::HeldVolume;
use crate::id::{AgentId, FrameworkId, OfferId, SessionId, TaskId, VolumeId};
use crate::planted::{self, Bug};
use crate::quantity::Bytes;
use crate::reservation::{Portion, Reservation, is_at_or_below};
use crate::time::Now;
use crate::volume::{Volume, VolumeOperation};

/// Volumes of one agent: each is looked at whenever the agent is offered.
const VOLUMES_MAX: usize = 64;

/// With more than these, frameworks make no more there: operators can at any time.
const VOLUMES_FOR_FRAMEWORKS: usize = VOLUMES_MAX / 2;

/// Folders that an agent may name, those of its volumes and those of which nobody knows any more.
const HELD_MAX: usize = 1024;

/// What is known of the volumes of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Volumes {
    /// Those that were made and not destroyed.
    pub(super) known: BTreeMap<VolumeId, Volume>,
    /// The highest number ever given here.
    pub(super) last: u64,
    /// What it says that it holds; `None` until it says so.
    held: Option<BTreeSet<VolumeId>>,
}

impl Volumes {
    /// As the registry remembers them.
    pub(super) fn recovered(volumes: Vec<Volume>, last: u64) -> Self {
        Self { known: volumes.into_iter().map(|volume| (volume.id, volume)).collect(), last, held: None }
    }

    /// The same, of an agent that has just come back.
    pub(super) fn unconfirmed(self) -> Self {
        Self { held: None, ..self }
    }

    /// The room of all of them.
    pub(super) fn room(&self) -> Portion {
        let mut room = Portion::default();
        self.known.values().for_each(|volume| room.give(&volume.portion()));
        room
    }

    fn is_there(&self, volume: &Volume) -> bool {
        volume.made && self.holds(volume.id)
    }

    fn holds(&self, id: VolumeId) -> bool {
        self.held.as_ref().is_some_and(|held| held.contains(&id))
    }

    /// What it holds and nobody knows of.
    pub(super) fn strays(&self) -> impl Iterator<Item = VolumeId> {
        self.held.iter().flatten().copied().filter(|id| !self.known.contains_key(id))
    }

    /// How a known one stands, while its agent is connected.
    pub(super) fn standing(&self, volume: &Volume) -> VolumeStanding {
        match (&self.held, volume.made) {
            (None, _) => VolumeStanding::Away,
            (Some(_), false) => VolumeStanding::Making,
            (Some(held), true) if held.contains(&volume.id) => VolumeStanding::Ready,
            (Some(_), true) => VolumeStanding::Missing,
        }
    }
}

/// Makes a volume of disk that no task holds. Offers that are in the way are taken back, the newest first.
pub(super) fn create(
    state: &mut State,
    who: &Principal,
    id: AgentId,
    (role, name, size): (&str, String, Bytes),
    out: &mut Vec<Effect>,
) -> Result<VolumeId, Refusal> {
    VolumeOperation::Create { role: role.to_string(), name: name.clone(), size }.check()?;
    let agent = check_new(state, &Draft::default(), id, (role, &name), VOLUMES_MAX)?;
    let mut free = state.allocator.free_on(id);
    let mut in_the_way: Vec<OfferId> = Vec::new();
    let mut open = state.allocator.offers_of(id).into_iter().rev();
    let reservation = loop {
        match place(&free, role, size) {
            Ok(reservation) => break reservation,
            Err(has) => {
                let offer = open.next().ok_or_else(|| no_disk(id, role, size, has))?;
                in_the_way.push(offer);
                free.give(&state.allocator.offer(offer).expect("it is open").portion);
            }
        }
    };
    let volume = new_volume(who, agent, id, 0, (reservation, name, size));
    let made = volume.id;
    offers::rescind(state, in_the_way, OfferEnd::Rescinded, out);
    add(state, id, volume, out);
    reserve::remember(state, id, out);
    settle(state, id);
    out.push(Effect::VolumeCreated(made));
    Ok(made)
}

/// Removes a volume that no task uses, or a folder of which nobody knows any more. Offers of it are taken back.
pub(super) fn destroy(state: &mut State, volume: VolumeId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let id = holder_of(state, volume).ok_or(Refusal::VolumeUnknown(volume))?;
    let session = check_unused(state, id, volume)?;
    rescind(state, id, volume, out);
    remove(state, session, id, volume, out);
    reserve::remember(state, id, out);
    Ok(())
}

/// Has any number of tasks read a volume at once, or one at a time use it. Offers of it are taken back.
pub(super) fn share(state: &mut State, volume: VolumeId, shared: bool, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let agent = state.agents.get(&volume.agent).filter(|agent| agent.volumes.known.contains_key(&volume));
    if agent.ok_or(Refusal::VolumeUnknown(volume))?.volumes.known[&volume].shared == shared {
        return Ok(());
    }
    check_unused(state, volume.agent, volume)?;
    rescind(state, volume.agent, volume, out);
    change_shared(state, volume, shared);
    reserve::remember(state, volume.agent, out);
    Ok(())
}

/// What a framework was offered, and wants to do something with.
pub(super) struct InHand<'a> {
    pub(super) who: &'a Principal,
    /// For which of its roles.
    pub(super) role: &'a str,
    pub(super) agent: AgentId,
    pub(super) left: &'a mut Portion,
}

/// What the operations of one framework come to that are planned and not carried out.
#[derive(Default)]
pub(super) struct Draft {
    made: Vec<Volume>,
    destroyed: BTreeSet<VolumeId>,
}

impl Draft {
    fn made_on(&self, id: AgentId) -> impl Iterator<Item = &Volume> {
        self.made.iter().filter(move |volume| volume.id.agent == id)
    }
}

/// Something that is done to a volume.
pub(super) enum Step {
    Create(Volume),
    Destroy(VolumeId, SessionId),
    Share { volume: VolumeId, shared: bool },
}

/// What a framework wants done to what it was offered. A volume that is made, or is shared from then on or not any more, is in a later
/// offer. Behind what is planned already; changes that and what is left only when it can be done.
pub(super) fn plan(
    state: &State,
    draft: &mut Draft,
    InHand { who, role, agent: id, left }: InHand<'_>,
    operation: &VolumeOperation,
) -> Result<Step, Refusal> {
    operation.check()?;
    let of = match operation {
        VolumeOperation::Create { role, .. } => role.clone(),
        VolumeOperation::Destroy(volume) | VolumeOperation::Share { volume, .. } => {
            let known = state.agents.get(&id).and_then(|agent| agent.volumes.known.get(volume));
            let offered = known.filter(|_| left.volumes.contains(volume));
            offered.ok_or(Refusal::VolumeNotOffered(*volume))?.role().to_string()
        }
    };
    let verb = match operation {
        VolumeOperation::Create { .. } => Verb::CreateOffered,
        VolumeOperation::Destroy(_) => Verb::DestroyOffered,
        VolumeOperation::Share { .. } => Verb::ShareOffered,
    };
    if !who.may_use(verb, &of) {
        return Err(Refusal::RoleDenied(who.clone(), of));
    }
    if !is_at_or_below(&of, role) {
        return Err(Refusal::NotItsRole(of, role.to_string()));
    }
    let step = match operation {
        VolumeOperation::Create { role: of, name, size } => {
            let agent = check_new(state, draft, id, (of, name), VOLUMES_FOR_FRAMEWORKS)?;
            let reservation = place(left, of, *size).map_err(|has| no_disk(id, of, *size, has))?;
            let number = draft.made_on(id).count();
            let volume = new_volume(who, agent, id, number, (reservation, name.clone(), *size));
            draft.made.push(volume.clone());
            Step::Create(volume)
        }
        VolumeOperation::Destroy(volume) => {
            let session = check_unused(state, id, *volume)?;
            draft.destroyed.insert(*volume);
            Step::Destroy(*volume, session)
        }
        VolumeOperation::Share { volume, shared } => {
            check_unused(state, id, *volume)?;
            Step::Share { volume: *volume, shared: *shared }
        }
    };
    left.take_up_to(&step.taken());
    Ok(step)
}

impl Step {
    /// What of the offers is not in hand any more.
    fn taken(&self) -> Portion {
        match self {
            Self::Create(volume) => volume.portion(),
            Self::Destroy(volume, _) | Self::Share { volume, .. } => {
                Portion { volumes: Vec::from([*volume]), ..Portion::default() }
            }
        }
    }
}

/// Does what was planned. It is not [remembered](reserve::remember) yet.
pub(super) fn carry_out(
    state: &mut State,
    framework: FrameworkId,
    role: &str,
    id: AgentId,
    step: Step,
    out: &mut Vec<Effect>,
) {
    let taken = step.taken();
    match step {
        Step::Create(volume) => {
            add(state, id, volume, out);
            state.allocator.free(framework, role, id, &taken);
            settle(state, id);
        }
        Step::Destroy(volume, session) => {
            rescind(state, id, volume, out);
            state.allocator.free(framework, role, id, &taken);
            remove(state, session, id, volume, out);
        }
        Step::Share { volume, shared } => {
            rescind(state, id, volume, out);
            state.allocator.free(framework, role, id, &taken);
            change_shared(state, volume, shared);
        }
    }
}

/// An agent says which volumes it holds: all of them, when it has registered and whenever that has changed.
pub(super) fn held(
    state: &mut State,
    now: Now,
    session: SessionId,
    volumes: Vec<VolumeId>,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let id = state.agent_of(session, Verb::Report)?;
    if volumes.len() > HELD_MAX {
        return Err(Refusal::TooManyVolumes(id, HELD_MAX));
    }
    agents::heard_from(state, now, session, Verb::Report)?;
    let agent = state.agents.get_mut(&id).expect("it has a session");
    let held: BTreeSet<VolumeId> = volumes.into_iter().collect();
    let is_first = agent.volumes.held.is_none();
    let (mut is_news, mut new) = (false, BTreeSet::new());
    for volume in agent.volumes.known.values_mut() {
        let was_there = agent.volumes.held.as_ref().is_some_and(|before| before.contains(&volume.id));
        match held.contains(&volume.id) {
            true => {
                is_news |= !volume.made;
                volume.made = true;
                if !was_there {
                    new.insert(volume.role().to_string());
                }
            }
            // The order to make it may not have arrived.
            false if is_first && !volume.made => out.push(Effect::ToAgent(session, order_to_make(volume))),
            false => {}
        }
    }
    agent.volumes.held = Some(held);
    if is_news {
        reserve::remember(state, id, out);
    }
    settle(state, id);
    for role in new {
        // Whoever takes whatever there is holds what belongs to the volume, and is offered both.
        let incomplete = state.allocator.offers_to_complete(id, &role);
        offers::rescind(state, incomplete, OfferEnd::Rescinded, out);
    }
    Ok(())
}

/// Has the allocator know of the volumes of an agent.
pub(super) fn settle(state: &mut State, id: AgentId) {
    let Some(agent) = state.agents.get(&id) else { return };
    let volumes = agent.volumes.known.values();
    let held = volumes.map(|volume| (volume.id, HeldVolume::new(volume, agent.volumes.is_there(volume))));
    state.allocator.set_volumes(id, &agent.reserved, held);
}

impl State {
    /// What there is to know of volumes of an agent.
    pub(super) fn volumes_of(&self, id: AgentId, volumes: &[VolumeId]) -> Vec<Volume> {
        let Some(agent) = self.agents.get(&id).filter(|_| !volumes.is_empty()) else { return Vec::new() };
        volumes.iter().filter_map(|id| agent.volumes.known.get(id).cloned()).collect()
    }

    /// The tasks that use a volume.
    pub(super) fn users_of(&self, id: AgentId, volume: VolumeId) -> impl Iterator<Item = TaskId> {
        let agent = self.agents.get(&id);
        let uses = move |portion: &Portion| portion.volumes.contains(&volume);
        let tasks = agent.into_iter().flat_map(|agent| &agent.tasks).copied();
        let tasks =
            tasks.filter(move |task| self.tasks.get(task).is_some_and(|task| task.holds && uses(&task.portion)));
        let orphans = agent.into_iter().flat_map(|agent| &agent.orphans);
        tasks.chain(orphans.filter(move |(_, orphan)| uses(&orphan.portion)).map(|(&task, _)| task))
    }
}

/// Volumes of this role on an agent, as people read it.
pub(super) fn named(agent: &Agent, role: &str) -> String {
    let its = agent.volumes.known.values().filter(|volume| volume.role() == role);
    let one = |volume: &Volume| format!("{} ({:?}, {})", volume.id, volume.name, volume.size);
    its.map(one).collect::<Vec<_>>().join(", ")
}

/// The agent, when one more of this name can be made there behind what is planned.
fn check_new<'a>(
    state: &'a State,
    draft: &Draft,
    id: AgentId,
    (role, name): (&str, &str),
    most: usize,
) -> Result<&'a Agent, Refusal> {
    let agent = state.agents.get(&id).ok_or(Refusal::AgentUnknown(id))?;
    session_of(state, id)?;
    let stays = |volume: &&Volume| !draft.destroyed.contains(&volume.id);
    let all = || agent.volumes.known.values().filter(stays).chain(draft.made_on(id));
    if let Some(Volume { id, name, .. }) = all().find(|volume| volume.role() == role && volume.name == name) {
        return Err(Refusal::VolumeNamed(*id, role.to_string(), name.clone()));
    }
    match all().count() >= most {
        true => Err(Refusal::TooManyVolumes(id, most)),
        false => Ok(agent),
    }
}

/// The reservation for a role of which there is so much disk in one piece; else the most that there is.
fn place(has: &Portion, role: &str, size: Bytes) -> Result<Reservation, Bytes> {
    let parts = has.reserved.iter().filter(|part| part.reservation.role() == role);
    let most = parts.max_by_key(|part| part.resources.disk);
    match most {
        Some(part) if part.resources.disk >= size => Ok(part.reservation.clone()),
        other => Err(other.map_or(Bytes::ZERO, |part| part.resources.disk)),
    }
}

fn no_disk(agent: AgentId, role: &str, wanted: Bytes, has: Bytes) -> Refusal {
    Refusal::NoReservedDisk { agent, role: role.to_string(), wanted, has }
}

/// One that is to be made on an agent, behind so many others.
fn new_volume(
    who: &Principal,
    agent: &Agent,
    id: AgentId,
    behind: usize,
    (reservation, name, size): (Reservation, String, Bytes),
) -> Volume {
    let numbered = (agent.volumes.last + 1..).map(|number| VolumeId { agent: id, number });
    // A folder of a cluster that was lost is none of this one's.
    let id =
        numbered.filter(|volume| !agent.volumes.holds(*volume)).nth(behind).expect("there is always a number above");
    Volume { id, name, reservation, size, shared: false, creator: who.id(), made: false }
}

fn add(state: &mut State, id: AgentId, volume: Volume, out: &mut Vec<Effect>) {
    let session = state.agent_session(id).expect("the caller has seen it connected");
    let agent = state.agents.get_mut(&id).expect("the caller has seen the agent");
    out.push(Effect::ToAgent(session, order_to_make(&volume)));
    agent.volumes.last = volume.id.number;
    agent.volumes.known.insert(volume.id, volume);
}

fn order_to_make(volume: &Volume) -> AgentOrder {
    AgentOrder::CreateVolume { volume: volume.id, role: volume.role().to_string(), size: volume.size }
}

/// The agent on which a volume is, be it that nobody knows of it any more.
fn holder_of(state: &State, volume: VolumeId) -> Option<AgentId> {
    if state.agents.get(&volume.agent).is_some_and(|agent| agent.volumes.known.contains_key(&volume)) {
        return Some(volume.agent);
    }
    state.agents.iter().find(|(_, agent)| agent.volumes.holds(volume)).map(|(&id, _)| id)
}

/// The session of an agent that has named its tasks. Before that, who uses its volumes and what is free there is not known.
fn session_of(state: &State, id: AgentId) -> Result<SessionId, Refusal> {
    let registers = state.agents.get(&id).is_some_and(|agent| agent.registering.is_some());
    let session = state.agent_session(id).filter(|_| !registers || planted::is(Bug::DestroyedBeforeNamed));
    session.ok_or(Refusal::VolumesAway(id))
}

/// The session of the agent, when no task uses the volume.
fn check_unused(state: &State, id: AgentId, volume: VolumeId) -> Result<SessionId, Refusal> {
    let session = session_of(state, id)?;
    match state.users_of(id, volume).next() {
        Some(task) => Err(Refusal::VolumeInUse(volume, task)),
        None => Ok(session),
    }
}

fn rescind(state: &mut State, id: AgentId, volume: VolumeId, out: &mut Vec<Effect>) {
    let offers = state.allocator.offers_with(id, volume);
    offers::rescind(state, offers, OfferEnd::Rescinded, out);
}

fn remove(state: &mut State, session: SessionId, id: AgentId, volume: VolumeId, out: &mut Vec<Effect>) {
    let agent = state.agents.get_mut(&id).expect("the caller has seen the agent");
    if let Some(held) = &mut agent.volumes.held {
        held.remove(&volume);
    }
    agent.volumes.known.remove(&volume);
    out.push(Effect::ToAgent(session, AgentOrder::DestroyVolume(volume)));
    settle(state, id);
}

fn change_shared(state: &mut State, volume: VolumeId, shared: bool) {
    let agent = state.agents.get_mut(&volume.agent).expect("the caller has seen the volume");
    agent.volumes.known.get_mut(&volume).expect("the caller has seen it").shared = shared;
    settle(state, volume.agent);
}
