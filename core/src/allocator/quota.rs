//! What roles are promised, and may have at most: set, and held against what there is.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::tree::{ROOT, RoleId};
use super::{Allocator, Promise};
use crate::id::OfferId;
use crate::quota::{Ceiling, Quota, RoleRecord};
use crate::reservation::is_at_or_below;
use crate::resources::Resources;

/// Why a quota cannot hold as things are. It can be set all the same, by force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaRefusal {
    /// More runs already.
    #[error(
        "tasks of {role:?} hold, and agents keep for it, {used}, which is above the limit of {limit}: force it, and no more is offered until they end"
    )]
    BelowUse {
        /// Whose.
        role: String,
        /// What tasks hold.
        used: String,
        /// What was to be the most.
        limit: String,
    },
    /// More would be promised than there is.
    #[error(
        "with this, roles are promised {promised}, and all agents together have {total}: force it if more agents are to come"
    )]
    Overcommitted {
        /// To all roles.
        promised: String,
        /// Of all agents.
        total: String,
    },
    /// A role above is not allowed what one below it is promised.
    #[error("{role:?} may have at most {limit}, and roles in it would be promised {promised}")]
    AboveParent {
        /// The one above.
        role: String,
        /// What it may have at most.
        limit: String,
        /// What those below are promised.
        promised: String,
    },
}

impl Allocator {
    /// What an operator has decided of a role: weight, 1 without one, quota, placement and least offer.
    pub fn configure_role(&mut self, role: &str, record: RoleRecord) {
        self.tree.configure(role, record);
        self.add_up_free();
        self.forget_all_bounds();
        self.gangs.get_mut().forget_all();
        // What a limit, a promise to others or a least offer kept from somebody may be free now.
        self.dirty_agents.extend(self.idle.agents());
    }

    /// Whether a quota can hold as things are.
    ///
    /// # Errors
    /// The first thing that speaks against it.
    pub fn check_quota(&self, role: &str, quota: &Quota) -> Result<(), QuotaRefusal> {
        let used = self.tree.find(role).map(|id| self.consumed_without_offers(id)).unwrap_or_default();
        if !quota.limit.admits(&used) {
            let (used, limit) = (used.to_string(), quota.limit.to_string());
            return Err(QuotaRefusal::BelowUse { role: role.to_string(), used, limit });
        }
        let promised_below = |path: &str| self.promised_below(path, role, quota);
        let mut above = role;
        loop {
            let own = if above == role { Some(quota) } else { self.quota_of(above) };
            let promised = promised_below(above);
            if let Some(own) = own.filter(|own| !own.limit.admits(&promised)) {
                let (role, limit, promised) = (above.to_string(), own.limit.to_string(), promised.to_string());
                return Err(QuotaRefusal::AboveParent { role, limit, promised });
            }
            match above.rsplit_once('/') {
                Some((parent, _)) => above = parent,
                None => break,
            }
        }
        let mut promised = promised_below("");
        promised.ports = Default::default();
        match self.total.contains(&promised) {
            true => Ok(()),
            false => {
                let (promised, total) = (promised.to_string(), self.total.to_string());
                Err(QuotaRefusal::Overcommitted { promised, total })
            }
        }
    }

    fn quota_of(&self, path: &str) -> Option<&Quota> {
        self.tree.role(self.tree.find(path)?).budget.quota.as_ref()
    }

    /// What a role with all below it is promised, were `new` the quota of `role`. The root has the path "".
    fn promised_below(&self, path: &str, role: &str, new: &Quota) -> Resources {
        let mut children: Vec<&str> = Vec::new();
        let id = if path.is_empty() { Some(ROOT) } else { self.tree.find(path) };
        if let Some(id) = id {
            children.extend(self.tree.role(id).children.iter().map(|child| &*self.tree.role(*child).path));
        }
        // The role itself, and those above it, need not be known yet.
        let rest =
            if path.is_empty() { Some(role) } else { role.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) };
        if let Some(name) = rest.and_then(|rest| rest.split('/').next()) {
            let child = &role[..role.len() - rest.map_or(0, str::len) + name.len()];
            if !children.contains(&child) {
                children.push(child);
            }
        }
        let mut sum = Resources::default();
        for child in children {
            sum.give(&self.promised_below(child, role, new));
        }
        let own = if path == role { Some(new) } else { self.quota_of(path) };
        if let Some(own) = own {
            sum.raise_to(&own.guarantee);
        }
        sum
    }

    /// What counts towards a role's quota, and would if all offers were taken back.
    pub(super) fn consumed_without_offers(&self, role: RoleId) -> Resources {
        let mut consumed = self.tree.role(role).budget.consumed().into_owned();
        for (_, promise) in self.promises.iter() {
            consumed.take_up_to(&self.counts_only_while_offered(promise, role));
        }
        consumed
    }

    /// What of an offer counts towards a role because it is offered: what is reserved for the role counts anyhow.
    fn counts_only_while_offered(&self, promise: &Promise, role: RoleId) -> Resources {
        if !self.tree.up_from(promise.seat.role).any(|(id, _)| id == role) {
            return Resources::default();
        }
        let path = &self.tree.role(role).path;
        let mut counts = promise.portion.resources.clone();
        let anyhow = promise.portion.reserved.iter().filter(|part| is_at_or_below(part.reservation.role(), path));
        anyhow.for_each(|part| counts.take_up_to(&part.resources));
        counts
    }

    /// The open offers that are to be taken back so that no role has more than it may, the newest first.
    pub fn above_limits(&self) -> Vec<OfferId> {
        let over: Vec<(RoleId, &Ceiling, Resources)> = (self.tree.iter())
            .filter_map(|(path, role)| {
                let quota = role.budget.quota.as_ref()?;
                let consumed = role.budget.consumed();
                let is_over = !quota.limit.admits(&consumed);
                is_over.then(|| Some((self.tree.find(path)?, &quota.limit, consumed.into_owned())))?
            })
            .collect();
        let mut above = Vec::new();
        for (role, limit, mut has) in over {
            for (id, promise) in self.promises.iter().rev() {
                if limit.admits(&has) {
                    break;
                }
                let counts = self.counts_only_while_offered(promise, role);
                if !counts.is_empty() {
                    has.take_up_to(&counts);
                    above.push(id);
                }
            }
        }
        above.sort_unstable();
        above.dedup();
        above
    }
}
