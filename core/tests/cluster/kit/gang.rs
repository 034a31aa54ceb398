//! Two agents, of both of which a framework has offers for a group.

use std::sync::Arc;

use haggle_core::cluster::{Effect, FrameworkCommand};
use haggle_core::{OfferId, Placed, PlacedOperation, Resources};

use super::{Agent, Framework, NO_REFUSAL, World, task};

pub(crate) struct Gang {
    pub(crate) world: World,
    pub(crate) agents: [Agent; 2],
    pub(crate) framework: Framework,
}

impl Gang {
    /// Both agents have this, and all of it is offered for this role.
    pub(crate) fn of(mut world: World, role: &str, each: &Resources) -> Self {
        let framework = world.framework(role);
        let agents = [(); 2].map(|()| world.register(None, each.clone(), vec![]).0);
        Self { world, agents, framework }
    }

    /// A task for the agent in this place.
    pub(crate) fn task_on(&self, at: usize, number: u64, cpus: u64) -> Placed {
        Placed { agent: self.agents[at].id, task: Arc::new(task(self.framework, number, cpus, 128)) }
    }

    /// Launches this on whatever is offered.
    pub(crate) fn launch(&mut self, operations: Vec<PlacedOperation>, tasks: Vec<Placed>) -> Vec<Effect> {
        let offers = self.world.open_offers(self.framework);
        self.launch_on(offers, operations, tasks)
    }

    pub(crate) fn launch_on(
        &mut self,
        offers: Vec<OfferId>,
        operations: Vec<PlacedOperation>,
        tasks: Vec<Placed>,
    ) -> Vec<Effect> {
        let launch = FrameworkCommand::LaunchGroup { offers, operations, tasks, refuse: NO_REFUSAL };
        self.world.framework_says(self.framework, launch)
    }
}
