//! What a task needs of an agent: tasks that need the same wait in one line.

use haggle_core::{AgentId, Constraint, Resources, Traits, VolumeId, Want};

/// How much it needs, what the agent must be and allow, and which volumes it mounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) resources: Resources,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) volumes: Vec<VolumeId>,
}

impl Need {
    /// Whether an agent is what it needs, be it large enough or not.
    ///
    /// # Errors
    /// The first constraint that the agent does not meet.
    pub(crate) fn suits(&self, agent: Traits<'_>) -> Result<(), &Constraint> {
        Constraint::all_hold(&self.constraints, agent)
    }

    /// Whether it mounts no volume of another agent.
    pub(crate) fn can_be_on(&self, agent: AgentId) -> bool {
        self.volumes.iter().all(|volume| volume.agent == agent)
    }

    /// Whether room that was kept for a task with this need does for one with the other.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.resources.contains(&other.resources)
            && other.constraints.iter().all(|constraint| self.constraints.contains(constraint))
    }

    /// So many tasks with this need wait, and for so many room is kept.
    pub(crate) fn want(&self, waiting: u32, spare: u32) -> Want {
        Want {
            resources: self.resources.clone(),
            constraints: self.constraints.clone(),
            volumes: self.volumes.clone(),
            waiting,
            spare,
            gang: 0,
        }
    }

    /// Whether a want is for tasks with this need.
    pub(crate) fn is_of(&self, want: &Want) -> bool {
        want.resources == self.resources && want.constraints == self.constraints && want.volumes == self.volumes
    }
}

impl From<Resources> for Need {
    /// Of any agent.
    fn from(resources: Resources) -> Self {
        Self { resources, ..Self::default() }
    }
}
