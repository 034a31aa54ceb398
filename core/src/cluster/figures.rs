//! The cluster in a few numbers, as metrics have them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

use super::Cluster;
use super::state::{Link, Presence};
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::Resources;

/// How many there are of each kind, and how much there is in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Agents that are connected and take tasks.
    pub agents_active: usize,
    /// Agents that are connected and leave.
    pub agents_draining: usize,
    /// Agents that are connected and out of use: deactivated, drained, or in a maintenance window.
    pub agents_withdrawn: usize,
    /// Agents whose connection was lost, or that a new master expects back.
    pub agents_disconnected: usize,
    /// Agents that were away for too long.
    pub agents_unreachable: usize,
    /// Frameworks that are connected.
    pub frameworks_connected: usize,
    /// Frameworks that may come back.
    pub frameworks_disconnected: usize,
    /// Frameworks that would take something that they are not offered.
    pub frameworks_waiting: usize,
    /// What all agents have that are there or may be back soon.
    pub total: Resources,
    /// What agents measure to be unused of what tasks hold: beside the total.
    pub revocable: MilliCpu,
    /// What tasks hold of it, without ports.
    pub used: Resources,
    /// What open offers promise of it, without ports.
    pub offered: Resources,
    /// How often a framework refuses something of an agent.
    pub refusals: usize,
    /// Agents that changed and were not looked at yet for whoever would take what is free there.
    pub agents_dirty: usize,
}

impl Cluster {
    /// Takes time in proportion to the agents and frameworks.
    pub fn figures(&self) -> Figures {
        let state = &self.state;
        let standing = state.allocator.standing();
        let mut figures = Figures {
            frameworks_waiting: standing.waiting,
            total: standing.total.clone(),
            revocable: standing.revocable,
            used: standing.used,
            offered: standing.offered.clone(),
            refusals: standing.refusals,
            agents_dirty: standing.dirty,
            ..Figures::default()
        };
        for (&id, agent) in &state.agents {
            *match agent.presence {
                Presence::Connected(_) if agent.draining => &mut figures.agents_draining,
                Presence::Connected(_) if state.withdrawn.get(id).is_some() => &mut figures.agents_withdrawn,
                Presence::Connected(_) => &mut figures.agents_active,
                Presence::Disconnected | Presence::Recovering => &mut figures.agents_disconnected,
                Presence::Unreachable { .. } => &mut figures.agents_unreachable,
            } += 1;
        }
        for framework in state.frameworks.values() {
            *match framework.link {
                Link::Connected(_) => &mut figures.frameworks_connected,
                Link::LostUntil(_) => &mut figures.frameworks_disconnected,
            } += 1;
        }
        figures
    }

    /// How much the frameworks of each role refuse for now: of roles in which somebody does. Takes time in proportion to that.
    pub fn refusals_of_roles(&self) -> BTreeMap<String, usize> {
        let refusals = self.state.allocator.refusals_of_roles();
        refusals.into_iter().map(|(role, refusals)| (role.to_string(), refusals)).collect()
    }

    /// How many volumes each role has, with all roles below it, and how much room they take: of those that have some. Takes time in
    /// proportion to the agents and their volumes.
    pub fn volumes_of_roles(&self) -> BTreeMap<String, (usize, Bytes)> {
        let mut sums: BTreeMap<&str, (usize, Bytes)> = BTreeMap::new();
        for volume in self.state.agents.values().flat_map(|agent| agent.volumes.known.values()) {
            let mut path = Some(volume.role());
            while let Some(role) = path {
                let (count, room) = sums.entry(role).or_default();
                *count += 1;
                *room = room.saturating_add(volume.size);
                path = role.rsplit_once('/').map(|(above, _)| above);
            }
        }
        sums.into_iter().map(|(role, sum)| (role.to_string(), sum)).collect()
    }
}
