//! Agents in the order of what is free on them for whoever asks: what is reserved is free for some roles, and not for others.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::ledger::Holding;
use super::tree::{RoleId, Tree};
use crate::id::AgentId;
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::Resources;

/// What is free on an agent for somebody, as far as agents are ordered by it.
pub(super) type RoomLeft = (MilliCpu, Bytes);

/// An agent's place in such an order.
pub(super) type Slot = (RoomLeft, AgentId);

/// What is free on one agent, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rooms {
    /// For those who may use nothing of what is reserved.
    others: Option<RoomLeft>,
    /// Where something is reserved.
    kept: Option<Box<Kept>>,
}

/// What is free for those for whom something is reserved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    roles: Vec<RoleId>,
    /// For the frameworks of each of these roles.
    own: Vec<Option<RoomLeft>>,
}

/// Agents on which something is free.
///
/// Those on which something is reserved for the same roles are together, as the same of their orders is right for whoever asks. Of
/// such groups there are as many as operators and frameworks have found reason for, and one where nothing is reserved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots(BTreeMap<Vec<RoleId>, Group>);

/// The orders of one group: for whom is told in [`Rooms`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    own: Vec<BTreeSet<Slot>>,
    others: BTreeSet<Slot>,
}

/// One of the orders: that of one of the roles for which something is reserved in its group, or that of all others.
pub(super) type Order = (Vec<RoleId>, Option<usize>);

impl Rooms {
    /// What is free on an agent; nothing on one that is not active.
    pub(super) fn of(holding: &Holding, tree: &Tree) -> Self {
        if !holding.active {
            return Self::default();
        }
        if holding.reserved.is_empty() {
            return Self { others: holding.room_left(), kept: None };
        }
        let free = holding.free();
        let room = |free: &Resources| (!free.is_empty()).then_some((free.cpus, free.mem));
        let kept = holding.reserved.iter().filter_map(|part| tree.find(part.reservation.role()));
        let roles: Vec<RoleId> = kept.collect::<BTreeSet<_>>().into_iter().collect();
        let own = roles.iter().map(|&role| room(&free.usable(&tree.role(role).path).resources)).collect();
        Self { others: room(&free.unreserved()), kept: Some(Box::new(Kept { roles, own })) }
    }

    fn is_nothing(&self) -> bool {
        self.others.is_none() && self.own().iter().all(Option::is_none)
    }

    /// The roles for which something is reserved there.
    fn roles(&self) -> &[RoleId] {
        self.kept.as_ref().map_or(&[], |kept| &kept.roles)
    }

    fn own(&self) -> &[Option<RoomLeft>] {
        self.kept.as_ref().map_or(&[], |kept| &kept.own)
    }
}

impl Slots {
    pub(super) fn insert(&mut self, agent: AgentId, rooms: &Rooms) {
        if rooms.is_nothing() {
            return;
        }
        if !self.0.contains_key(rooms.roles()) {
            let own = rooms.roles().iter().map(|_| BTreeSet::new()).collect();
            self.0.insert(rooms.roles().to_vec(), Group { own, others: BTreeSet::new() });
        }
        let group = self.0.get_mut(rooms.roles()).expect("it was just made");
        let orders = group.own.iter_mut().zip(rooms.own()).chain([(&mut group.others, &rooms.others)]);
        for (slots, room) in orders {
            slots.extend(room.map(|room| (room, agent)));
        }
    }

    pub(super) fn remove(&mut self, agent: AgentId, rooms: &Rooms) {
        let Some(group) = self.0.get_mut(rooms.roles()) else { return };
        let orders = group.own.iter_mut().zip(rooms.own()).chain([(&mut group.others, &rooms.others)]);
        for (slots, room) in orders {
            if let Some(room) = *room {
                slots.remove(&(room, agent));
            }
        }
        if group.others.is_empty() && group.own.iter().all(BTreeSet::is_empty) {
            self.0.remove(rooms.roles());
        }
    }

    /// All of them, some more than once.
    pub(super) fn agents(&self) -> impl Iterator<Item = AgentId> {
        let orders = self.0.values().flat_map(|group| group.own.iter().chain([&group.others]));
        orders.flatten().map(|&(_, agent)| agent)
    }

    /// Of each group the order of what is free for a role.
    pub(super) fn of<'a>(
        &'a self,
        tree: &'a Tree,
        role: RoleId,
    ) -> impl Iterator<Item = (&'a [RoleId], &'a BTreeSet<Slot>)> {
        self.0.iter().map(move |(kept, group)| (&kept[..], group.order(order_of(tree, role, kept))))
    }

    /// The orders of what is free for these roles.
    pub(super) fn orders(&self, tree: &Tree, roles: impl Iterator<Item = RoleId>) -> BTreeSet<Order> {
        let one = |role: RoleId| self.0.keys().map(move |kept| (kept.clone(), order_of(tree, role, kept)));
        roles.flat_map(one).collect()
    }

    /// The first of an order from there on.
    pub(super) fn next(&self, (kept, of): &Order, from: Slot) -> Option<Slot> {
        self.0.get(kept)?.order(*of).range(from..).next().copied()
    }
}

impl Group {
    fn order(&self, of: Option<usize>) -> &BTreeSet<Slot> {
        of.and_then(|of| self.own.get(of)).unwrap_or(&self.others)
    }
}

/// Which of these roles stands for somebody: the deepest of those that it is in or below.
fn order_of(tree: &Tree, role: RoleId, kept: &[RoleId]) -> Option<usize> {
    if kept.is_empty() {
        return None;
    }
    tree.up_from(role).find_map(|(above, _)| kept.iter().position(|role| *role == above))
}
