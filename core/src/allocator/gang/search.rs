//! Places for a gang of several kinds of tasks by trying: where the largest first does not do, another order may.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::super::Allocator;
use super::super::demand::{Gang, WantKey};
use super::place::Packing;
use super::{Asking, Places, Usable};
use crate::demand::Want;
use crate::id::AgentId;

/// So many places are tried, which takes some milliseconds. Small gangs are searched through with that; of large ones a way may be
/// missed, and is looked for again when something changes.
const TRIES: u32 = 10_000;

/// The tasks of one want, and the agents on which there is room for one.
struct Kind<'a> {
    key: WantKey,
    want: &'a Want,
    count: u32,
    agents: Vec<Candidate>,
}

/// An agent, and for which kinds there is room, one bit for each.
#[derive(Clone, Copy)]
struct Candidate {
    agent: AgentId,
    kinds: u64,
}

impl Allocator {
    /// Those that have the fewest places are placed first, where the others have the least room.
    pub(super) fn search(&self, asking: Asking<'_>, gang: &Gang<'_>, rooms: &Usable) -> Option<Places> {
        if gang.wants.len() < 2 {
            return None;
        }
        let mut packing = Packing::new(self, asking, rooms);
        let fits = |agent: AgentId| {
            let bit = |(at, &(_, want, _)): (usize, &(WantKey, &Want, u32))| u64::from(packing.fits(agent, want)) << at;
            gang.wants.iter().enumerate().map(bit).sum()
        };
        let mut candidates: Vec<Candidate> =
            rooms.keys().map(|&agent| Candidate { agent, kinds: fits(agent) }).collect();
        candidates.retain(|candidate| candidate.kinds != 0);
        let size =
            |candidate: &Candidate| rooms.get(&candidate.agent).map(|room| (room.resources.cpus, room.resources.mem));
        candidates.sort_by_key(|candidate| (candidate.kinds.count_ones(), size(candidate), candidate.agent));
        // Of as many agents as there are tasks one is left to the last of them.
        let enough = gang.tasks() as usize;
        let of = |at: usize| candidates.iter().filter(move |candidate| (candidate.kinds >> at) & 1 == 1);
        let wants = gang.wants.iter().enumerate();
        let kinds = wants.map(|(at, &(key, want, count))| {
            (of(at).count(), Kind { key, want, count, agents: of(at).take(enough).copied().collect() })
        });
        let mut kinds: Vec<_> = kinds.collect();
        kinds.sort_by_key(|(places, kind)| (*places, Reverse((kind.want.resources.cpus, kind.want.resources.mem))));
        let kinds: Vec<Kind<'_>> = kinds.into_iter().map(|(_, kind)| kind).collect();
        let mut tries = TRIES;
        let found = packing.try_all(&kinds, 0, 0, &mut tries);
        self.gangs.borrow_mut().examined += (TRIES - tries) as usize;
        found.then(|| packing.places())
    }
}

impl Packing<'_> {
    /// Whether all tasks of these kinds find a place, of the first of which so many have one: alike tasks on agents in their order, as
    /// which of them is where does not matter.
    fn try_all(&mut self, kinds: &[Kind<'_>], placed: u32, from: usize, tries: &mut u32) -> bool {
        let Some((kind, others)) = kinds.split_first() else { return true };
        if placed == kind.count {
            return self.try_all(others, 0, 0, tries);
        }
        let mut at = from;
        while let Some(candidate) = kind.agents.get(at) {
            if *tries == 0 {
                return false;
            }
            *tries -= 1;
            if self.fits(candidate.agent, kind.want)
                && let Some(before) = self.put(candidate.agent, kind.key, kind.want)
            {
                if self.try_all(kinds, placed + 1, at, tries) {
                    return true;
                }
                self.take_back(before);
            }
            // One that is as this one was does not do either.
            let is_alike = |other: &Candidate| {
                other.kinds == candidate.kinds && self.room(other.agent) == self.room(candidate.agent)
            };
            at += 1 + kind.agents[at + 1..].iter().take_while(|other| is_alike(other)).count();
        }
        false
    }
}
