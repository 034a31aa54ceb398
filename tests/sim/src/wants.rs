//! What frameworks say that they want, which agents that leaves, and whether it is what they are offered.

use std::collections::BTreeMap;

use haggle_core::attributes::HOSTNAME;
use haggle_core::cluster::{Command, Effect, FrameworkCommand, FrameworkEvent, OperatorCommand};
use haggle_core::{Bytes, Constraint, MilliCpu, Offer, Placement, Resources, SessionId, Test, Traits, Want};

use crate::plan::{ROLES, Temper};
use crate::rng::Rng;
use crate::world::World;

/// What machines say of themselves: of two zones each is in one, and one in three has a disk that is fast.
pub(crate) fn attributes(machine: usize) -> BTreeMap<String, String> {
    let zone = ("zone".to_owned(), ["here", "there"][machine % 2].to_owned());
    let fast = machine.is_multiple_of(3).then(|| ("ssd".to_owned(), "yes".to_owned()));
    [zone].into_iter().chain(fast).collect()
}

/// Some tasks of a kind.
pub(crate) fn want(rng: &mut Rng, temper: &Temper) -> Want {
    let (cpus, mem) = (MilliCpu::new(rng.range(100, 2000)), Bytes::from_mib(64));
    let resources = match rng.chance(temper.idles) {
        true => Resources::new(MilliCpu::ZERO, mem, Bytes::ZERO).with_revocable(cpus),
        false => Resources::new(cpus, mem, Bytes::ZERO),
    };
    let gang = u32::from(rng.chance(temper.groups));
    Want {
        resources,
        constraints: if rng.chance(temper.chooses) { constraints(rng) } else { Vec::new() },
        volumes: Vec::new(),
        waiting: rng.below(4) as u32,
        spare: if gang == 0 { rng.below(3) as u32 } else { 0 },
        gang,
    }
}

fn constraints(rng: &mut Rng) -> Vec<Constraint> {
    let one = |rng: &mut Rng| {
        let of = |attribute: &str, test| Constraint { attribute: attribute.to_owned(), test };
        match rng.below(5) {
            0 => of("zone", Test::Equals("here".to_owned())),
            1 => of("zone", Test::NotEquals("here".to_owned())),
            2 => of("ssd", Test::Exists),
            3 => of("ssd", Test::NotExists),
            _ => of(HOSTNAME, Test::NotEquals(format!("machine-{}", rng.below(6)))),
        }
    };
    (0..rng.range(1, 2)).map(|_| one(rng)).collect()
}

impl World {
    /// How offers to a role are made from now on.
    pub(crate) fn how_offers_are_made(&mut self) -> OperatorCommand {
        let role = ROLES[self.rng.index(ROLES.len())].to_owned();
        if self.rng.chance(500) {
            let placement = [None, Some(Placement::Binpack), Some(Placement::Spread)][self.rng.index(3)];
            return OperatorCommand::SetPlacement { role, placement };
        }
        let cpus = MilliCpu::new(self.rng.range(1, 15) * 100);
        let least = self.rng.chance(700).then(|| Resources::new(cpus, Bytes::ZERO, Bytes::ZERO));
        OperatorCommand::SetMinAllocatable { role, least }
    }
}

/// What somebody wants, in one of its roles or in all.
type Said = (Option<String>, Vec<Want>);

/// What each framework of a master's wants, as far as it has said so itself.
#[derive(Debug, Default)]
pub(crate) struct Wants(BTreeMap<SessionId, Vec<Said>>);

/// What a command changes of that: what is wanted now, or that it is whatever there is, or nothing.
pub(crate) fn said(command: &Command) -> Option<(SessionId, Option<Said>)> {
    let Command::Framework(session, call) = command else { return None };
    match &call.command {
        FrameworkCommand::Demand { role, wants } => Some((*session, Some((role.clone(), wants.clone())))),
        FrameworkCommand::Subscribe { .. }
        | FrameworkCommand::Update(_)
        | FrameworkCommand::Revive { .. }
        | FrameworkCommand::Suppress { .. } => Some((*session, None)),
        _ => None,
    }
}

impl Wants {
    /// A master has heard this, and not refused it.
    pub(crate) fn note(&mut self, said: Option<(SessionId, Option<Said>)>) {
        match said {
            Some((session, Some((role, wants)))) => {
                let known = self.0.entry(session).or_default();
                known.retain(|(before, _)| role.is_some() && *before != role);
                known.push((role, wants));
            }
            Some((session, None)) => drop(self.0.remove(&session)),
            None => {}
        }
    }

    /// An offer that nobody wants to whom it is made.
    pub(crate) fn unwanted<'a>(&self, effects: &'a [Effect]) -> Option<&'a Offer> {
        effects.iter().find_map(|effect| match effect {
            Effect::ToFramework(session, FrameworkEvent::Offers(offers)) => {
                let said = self.0.get(session)?;
                offers.iter().find(|offer| !is_wanted(said, offer))
            }
            _ => None,
        })
    }
}

fn is_wanted(said: &[(Option<String>, Vec<Want>)], offer: &Offer) -> bool {
    let of_role = said.iter().find(|(role, _)| role.as_ref() == Some(&offer.role));
    let Some((_, wants)) = of_role.or(said.iter().find(|(role, _)| role.is_none())) else { return true };
    let agent = Traits { name: &offer.agent_name, attributes: &offer.attributes };
    wants
        .iter()
        .any(|want| Constraint::all_hold(&want.constraints, agent).is_ok() && offer.resources.contains(&want.resources))
}
