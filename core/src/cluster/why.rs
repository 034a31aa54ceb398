//! Why a framework has not what it wants, told to somebody who sees so much of the others.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::Cluster;
use super::view::{AheadView, Why};
use super::views::has_there;
use crate::access::{Principal, Verb};
use crate::allocator::{Ahead, Sight, Waits};
use crate::id::{AgentId, FrameworkId};
use crate::time::Now;

impl Cluster {
    /// Why a framework is not offered what it wants in one of its roles, or in the first of them; `None` when it is not known,
    /// is not in that role, or is not for `who` to see. Of others, those are named that `who` would find in a list: the rest are
    /// counted.
    pub fn why(&self, now: Now, who: &Principal, id: FrameworkId, role: Option<&str>) -> Option<Why> {
        let state = &self.state;
        let framework = state.frameworks.get(&id)?;
        let visible = |role: &&String| who.may(Verb::Why, &framework.tenant_in(role));
        let roles: Vec<String> = framework.info.roles.iter().filter(visible).cloned().collect();
        let role = roles.iter().find(|own| role.is_none_or(|role| role == own.as_str()))?.clone();
        let sees_all = who.may_all(Verb::ListAgents);
        let looked_at = RefCell::new(BTreeMap::new());
        let sees_agent = |id: AgentId| {
            let look = || state.agents.get(&id).is_some_and(|agent| has_there(state, who, id, agent));
            // It is asked for each thing that is in the way there.
            sees_all || *looked_at.borrow_mut().entry(id).or_insert_with(look)
        };
        let sees_framework = |id: FrameworkId, role: &str| who.may(Verb::ListFrameworks, &state.tenant_in(id, role));
        let sight = Sight { framework: &sees_framework, agent: &sees_agent };
        let Waits { since, offers, rank, ranked, ahead, hindrances } = state.allocator.why(id, &role, now, &sight)?;
        let named = |ahead: Ahead| {
            let name = state.frameworks.get(&ahead.framework)?.info.name.clone();
            Some(AheadView { name, ahead })
        };
        Some(Why {
            framework: id,
            name: framework.info.name.clone(),
            role,
            roles,
            waits_for: since.map(|since| now.since(since)),
            offers,
            rank,
            ranked,
            ahead: ahead.into_iter().filter_map(named).collect(),
            hindrances,
        })
    }
}
