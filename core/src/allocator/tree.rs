//! The tree of roles: who is next, at every level.
//!
//! `eng/batch` is a child of `eng`, and all roles without a `/` are children of the root. Children compete by their weighted
//! dominant shares. Frameworks that are in a role which has children compete together as one more child, of weight 1 (Mesos's
//! virtual leaf `eng/.`), and by their own shares among themselves.

mod budget;
mod kept;
mod order;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::num::NonZeroU32;
use core::ops::Bound;

use super::ledger::Account;
use super::patience::Patience;
use super::room::Budgets;
use super::seat::Seat;
use super::share::{Place, Ranking};
use crate::id::FrameworkId;
use crate::placement::Placement;
use crate::quota::RoleRecord;
use crate::resources::Resources;

pub(super) use budget::Budget;

/// A role, by its place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoleId(usize);

impl RoleId {
    pub(super) const FIRST: Self = Self(0);
    pub(super) const LAST: Self = Self(usize::MAX);
}

/// Above all roles.
pub(super) const ROOT: RoleId = RoleId(0);

/// What competes under a role. By path where shares and grants are equal, the frameworks of the role itself first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Child {
    Own,
    Role(Arc<str>, RoleId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) path: Arc<str>,
    pub(super) parent: Option<RoleId>,
    depth: usize,
    pub(super) weight: NonZeroU32,
    /// Where an operator has said so of this role itself.
    pub(super) placement: Option<Placement>,
    pub(super) min_allocatable: Option<Resources>,
    /// Whether an operator has decided something of it: then it stays without frameworks.
    configured: bool,
    pub(super) budget: Budget,
    /// Of the frameworks in it alone.
    pub(super) own: Account,
    /// The frameworks in it.
    pub(super) members: BTreeSet<FrameworkId>,
    /// Those that have left it and have something here all the same.
    left: BTreeSet<FrameworkId>,
    /// The roles right below it.
    pub(super) children: BTreeSet<RoleId>,
    /// The frameworks in it that would take something, in the order in which they are served.
    eager: Ranking<FrameworkId>,
    /// What competes under it: only what leads to a framework that would take something.
    competing: Ranking<Child>,
    /// Its places: in its parent, of its own frameworks in it, and among those whose guarantees are not met.
    place: Option<Place>,
    own_place: Option<Place>,
    needy_place: Option<Place>,
    /// What agents keep for it, and for the roles below it, used or not.
    pub(super) reserved: Resources,
    /// How many parts of agents are reserved for this very role.
    parts: usize,
    /// How many are for it and the roles below it, without those that are of agents' own configuration.
    pub(super) parts_below: usize,
    pub(super) patience: Patience,
}

/// All roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    /// By id; `None` where one was removed.
    roles: Vec<Option<Role>>,
    unused: Vec<RoleId>,
    by_path: BTreeMap<Arc<str>, RoleId>,
    /// Roles whose places are out of date, the deepest first.
    stale: BTreeSet<(Reverse<usize>, RoleId)>,
    /// Roles with a guarantee of their own that is not met, and frameworks that would take something, by share.
    needy: Ranking<(Arc<str>, RoleId)>,
    /// How many roles have a quota.
    pub(super) quotas: usize,
    /// How many roles have a least offer of their own.
    pub(super) minima: usize,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Role::new(Arc::from(""), None, 0);
        Self {
            roles: Vec::from([Some(root)]),
            unused: Vec::new(),
            by_path: BTreeMap::new(),
            stale: BTreeSet::new(),
            needy: Ranking::default(),
            quotas: 0,
            minima: 0,
        }
    }
}

impl Role {
    fn new(path: Arc<str>, parent: Option<RoleId>, depth: usize) -> Self {
        Self {
            path,
            parent,
            depth,
            weight: NonZeroU32::MIN,
            placement: None,
            min_allocatable: None,
            configured: false,
            budget: Budget::default(),
            own: Account::default(),
            members: BTreeSet::new(),
            left: BTreeSet::new(),
            children: BTreeSet::new(),
            eager: Ranking::default(),
            competing: Ranking::default(),
            place: None,
            own_place: None,
            needy_place: None,
            reserved: Resources::default(),
            parts: 0,
            parts_below: 0,
            patience: Patience::default(),
        }
    }
}

impl Tree {
    pub(super) fn role(&self, id: RoleId) -> &Role {
        self.roles[id.0].as_ref().expect("a role that is named is there")
    }

    fn role_mut(&mut self, id: RoleId) -> &mut Role {
        self.roles[id.0].as_mut().expect("a role that is named is there")
    }

    pub(super) fn find(&self, path: &str) -> Option<RoleId> {
        self.by_path.get(path).copied()
    }

    /// Every role but the root, by path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Role)> {
        self.by_path.iter().map(|(path, &id)| (&**path, self.role(id)))
    }

    /// Every role but the root behind this one, by path.
    pub(super) fn iter_after(&self, path: Option<&str>) -> impl Iterator<Item = (RoleId, &Role)> {
        let from = path.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_path.range::<str, _>((from, Bound::Unbounded)).map(|(_, &id)| (id, self.role(id)))
    }

    /// The role itself, its parent, and so on, up to the root.
    pub(super) fn up_from(&self, id: RoleId) -> impl Iterator<Item = (RoleId, &Role)> {
        let mut next = Some(id);
        core::iter::from_fn(move || {
            let id = next?;
            let role = self.role(id);
            next = role.parent;
            Some((id, role))
        })
    }

    /// The role of this path, which is made with all above it unless it is there.
    fn make(&mut self, path: &str) -> RoleId {
        if let Some(id) = self.find(path) {
            return id;
        }
        let parent = path.rsplit_once('/').map_or(ROOT, |(above, _)| self.make(above));
        let path: Arc<str> = Arc::from(path);
        let role = Role::new(path.clone(), Some(parent), self.role(parent).depth + 1);
        let id = self.unused.pop().unwrap_or_else(|| {
            self.roles.push(None);
            RoleId(self.roles.len() - 1)
        });
        self.roles[id.0] = Some(role);
        self.by_path.insert(path, id);
        self.role_mut(parent).children.insert(id);
        id
    }

    /// Removes a role that has nothing, and those above it that have nothing then.
    fn prune(&mut self, mut id: RoleId) {
        while let Some(parent) = self.role(id).parent
            && self.role(id).members.is_empty()
            && self.role(id).left.is_empty()
            && self.role(id).parts == 0
            && self.role(id).children.is_empty()
            && !self.role(id).configured
        {
            let mut role = self.roles[id.0].take().expect("a role that is named is there");
            self.unused.push(id);
            self.by_path.remove(&role.path);
            self.stale.remove(&(Reverse(role.depth), id));
            self.needy.move_to(&(role.path.clone(), id), &mut role.needy_place, None);
            let above = self.role_mut(parent);
            above.children.remove(&id);
            above.competing.move_to(&Child::Role(role.path, id), &mut role.place, None);
            self.set_stale(parent);
            id = parent;
        }
    }

    /// What an operator has decided of a role; without a word it stands as if nothing was ever said of it.
    pub(super) fn configure(&mut self, path: &str, record: RoleRecord) {
        let id = self.make(path);
        let role = self.role_mut(id);
        role.configured = !record.is_default();
        role.weight = record.weight.unwrap_or(NonZeroU32::MIN);
        role.placement = record.placement;
        let had_quota = core::mem::replace(&mut role.budget.quota, record.quota).is_some();
        let had_least = core::mem::replace(&mut role.min_allocatable, record.min_allocatable).is_some();
        let (has_quota, has_least) = (role.budget.quota.is_some(), role.min_allocatable.is_some());
        self.quotas = self.quotas - usize::from(had_quota) + usize::from(has_quota);
        self.minima = self.minima - usize::from(had_least) + usize::from(has_least);
        self.note_shortfall(id);
        self.set_stale(id);
        self.prune(id);
    }

    /// A framework is in this role from now on.
    pub(super) fn join(&mut self, path: &str, framework: FrameworkId) -> RoleId {
        let id = self.make(path);
        let role = self.role_mut(id);
        role.left.remove(&framework);
        role.members.insert(framework);
        id
    }

    /// A framework is not in this role, and has something here all the same.
    pub(super) fn keep(&mut self, path: &str, framework: FrameworkId) -> RoleId {
        let id = self.make(path);
        let role = self.role_mut(id);
        role.members.remove(&framework);
        role.left.insert(framework);
        id
    }

    /// A framework has nothing to do with this role any more, and what it has is nobody's.
    pub(super) fn forget(&mut self, Seat { framework, role: id }: Seat, place: &mut Option<Place>, account: &Account) {
        let role = self.role_mut(id);
        role.members.remove(&framework);
        role.left.remove(&framework);
        role.eager.move_to(&framework, place, None);
        self.each_account(id, |of| {
            of.take(&account.allocated);
            of.close(&account.promised);
        });
        self.prune(id);
    }

    /// Changes what the frameworks of a role have, in it and in all roles above.
    pub(super) fn each_account(&mut self, id: RoleId, change: impl Fn(&mut Account)) {
        change(&mut self.role_mut(id).own);
        self.each_budget(id, |budget| change(&mut budget.account));
        if self.quotas > 0 {
            self.note_shortfall(id);
        }
        self.set_stale(id);
    }

    fn each_above(&mut self, id: RoleId, change: impl Fn(&mut Role)) {
        let mut next = Some(id);
        while let Some(id) = next {
            let role = self.role_mut(id);
            change(role);
            next = role.parent;
        }
    }

    /// Every framework in a role and in those below it.
    pub(super) fn members_below(&self, id: RoleId) -> Vec<Seat> {
        let role = self.role(id);
        let mut members: Vec<_> = role.members.iter().map(|&framework| Seat { framework, role: id }).collect();
        for child in &role.children {
            members.extend(self.members_below(*child));
        }
        members
    }

    /// What lapsed or was answered changes the patience with a role and with all above it.
    pub(super) fn each_patience(&mut self, id: RoleId, change: impl Fn(&mut Patience)) {
        self.each_above(id, |role| change(&mut role.patience));
    }

    /// The path of a role, for people.
    pub(super) fn path(&self, id: RoleId) -> String {
        String::from(&*self.role(id).path)
    }
}

impl Budgets for Tree {
    fn tree(&self) -> &Self {
        self
    }

    fn budget(&self, id: RoleId) -> &Budget {
        &self.role(id).budget
    }

    fn budget_mut(&mut self, id: RoleId) -> &mut Budget {
        &mut self.role_mut(id).budget
    }
}
