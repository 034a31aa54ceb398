//! What frameworks, operators and agents reserve.

use haggle_core::cluster::{OfferView, OperatorCommand, ReservationView};
use haggle_core::{AgentId, Bytes, MilliCpu, Now, Offer, Operation, RequestId, Reserved, Resources};

use crate::plan::ROLES;
use crate::world::World;

impl World {
    /// One of the roles of frameworks, or one below it, which has none.
    pub(crate) fn a_role_to_reserve(&mut self) -> String {
        let role = ROLES[self.rng.index(ROLES.len())];
        if self.rng.chance(300) { format!("{role}/below") } else { role.to_owned() }
    }

    /// Less than the smallest agent has.
    pub(crate) fn some_of_an_agent(&mut self) -> Resources {
        let cpus = MilliCpu::new(self.rng.range(1, 8) * 100);
        Resources::new(cpus, Bytes::from_mib(self.rng.range(0, 128)), Bytes::ZERO)
    }

    fn operation(&mut self, reserved: &[Reserved], roles: [String; 2]) -> Operation {
        let [role, below] = roles;
        if let Some(part) = reserved.first().filter(|_| self.rng.chance(500)) {
            let (role, mut resources) = (part.reservation.role().to_owned(), self.some_of_an_agent());
            resources.cut_to(&part.resources);
            return Operation::Unreserve { role, resources };
        }
        let resources = self.some_of_an_agent();
        match self.rng.below(4) {
            0 => Operation::Unreserve { role, resources },
            1 => Operation::Reserve { role: below, within: Some(role), resources },
            2 => Operation::Reserve { role: below, within: None, resources },
            _ => Operation::Reserve { role, within: None, resources },
        }
    }

    /// What a framework does to what it is offered; now and then what is none of its business.
    pub(crate) fn operations(&mut self, offer: &Offer) -> Vec<Operation> {
        let role = if self.rng.chance(100) { self.a_role_to_reserve() } else { offer.role.clone() };
        let below = format!("{role}/below");
        (0..self.rng.range(1, 3)).map(|_| self.operation(&offer.reserved, [role.clone(), below.clone()])).collect()
    }

    /// An operator reserves something of an agent, or ends that.
    pub(crate) fn operator_reserves(&mut self, agent: AgentId) {
        let role = ROLES[self.rng.index(ROLES.len())].to_owned();
        let below = format!("{role}/below");
        let reserved = self.store.reserved_on(agent).to_vec();
        let operation = self.operation(&reserved, [role, below]);
        let request = RequestId(self.rng.wide());
        self.operator(request, &OperatorCommand::Reserve(agent, operation));
    }

    /// Nothing is kept from anybody for ever.
    pub(crate) fn end_reservations(&mut self) {
        let agents: Vec<AgentId> = self.store.agents().collect();
        for agent in agents {
            let Some(Reserved { reservation, resources }) = self.store.reserved_on(agent).first().cloned() else {
                continue;
            };
            let operation = Operation::Unreserve { role: reservation.role().to_owned(), resources };
            let request = RequestId(self.rng.wide());
            self.operator(request, &OperatorCommand::Reserve(agent, operation));
        }
    }

    /// Nothing is decided while the registry is written: then it remembers what is reserved as the master knows it.
    pub(crate) fn check_reserved(&mut self, at: usize) {
        let Some(lead) = &self.masters[at].lead else { return };
        if lead.epoch.0 != self.store.epoch || lead.of != self.store.cluster {
            return;
        }
        let mut wrong = None;
        for view in lead.cluster.agents(Now::ZERO) {
            let parts = view.reserved.into_iter().map(|part| part.reserved);
            let known: Vec<Reserved> = parts.filter(|part| part.reservation.can_end()).collect();
            let remembered = self.store.reserved_on(view.id);
            if known != remembered {
                wrong = Some(format!("of {} is reserved {known:?}, and remembered {remembered:?}", view.id));
            }
        }
        if let Some(wrong) = wrong {
            self.oracle.fail(wrong);
        }
    }
}

/// What is wrong about the parts of an agent that are reserved: more is promised than there is.
pub(crate) fn overpromised(parts: &[ReservationView]) -> Option<String> {
    let is_over = |part: &&ReservationView| {
        let mut promised = part.used.clone();
        promised.give(&part.offered);
        // An agent may come back that keeps less.
        !part.reserved.reservation.is_fixed() && !part.reserved.resources.contains(&promised)
    };
    parts.iter().find(is_over).map(|part| format!("more than all is promised of {part:?}"))
}

/// What is wrong about an offer: something in it is reserved for others.
pub(crate) fn not_its(offer: &OfferView) -> Option<String> {
    let others = offer.reserved.iter().find(|part| !part.reservation.is_for(&offer.role));
    others.map(|part| format!("{} for {:?} is made of {part:?}", offer.id, offer.role))
}
