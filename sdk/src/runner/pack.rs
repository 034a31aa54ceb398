//! Which waiting task goes on which agent.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use haggle_core::{AgentId, AgentInfo, Resources, VolumeId};

use super::need::Need;

/// Tasks in one launch. Above this, the first of them waits longer and throughput no longer grows.
pub(super) const LAUNCH_MAX: usize = 512;

/// Bytes of specs in one launch, so that it fits into one message with room to spare.
pub(super) const LAUNCH_BYTES_MAX: usize = haggle_proto::MESSAGE_MAX / 4;

/// A place in the line: who has the lower ticket has waited longer.
pub(super) type Ticket = u64;

/// A task that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    /// Its index among the tasks.
    pub(super) index: u64,
    /// About its bytes on the wire.
    pub(super) size: usize,
}

/// The tasks that wait, in one line for each different wish: what does not fit once does not fit for all behind
/// it, so that a hundred thousand equal tasks cost as much to look at as one.
#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    wishes: Vec<Wish>,
    len: usize,
    next: Ticket,
}

#[derive(Debug)]
struct Wish {
    need: Need,
    waiters: VecDeque<Waiter>,
}

/// What one agent offers, and which tasks go there.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) agent: AgentId,
    pub(super) info: Arc<AgentInfo>,
    pub(super) free: Resources,
    /// The volumes there, and whether each is shared.
    pub(super) volumes: BTreeMap<VolumeId, bool>,
    /// When its agent will not be there any more, in milliseconds since 1970; the end of time when none is known.
    pub(super) away_from: u64,
    /// Indexes of the tasks.
    pub(super) taken: Vec<u64>,
    bytes: usize,
}

impl Room {
    pub(super) fn new(agent: AgentId, info: Arc<AgentInfo>, free: Resources) -> Self {
        Self { agent, info, free, volumes: BTreeMap::new(), away_from: u64::MAX, taken: Vec::new(), bytes: 0 }
    }

    fn has_room(&self, need: &Need, waiter: &Waiter) -> bool {
        self.taken.len() < LAUNCH_MAX
            && (self.taken.is_empty() || self.bytes + waiter.size <= LAUNCH_BYTES_MAX)
            && self.fits(need)
    }

    /// Whether a task could be launched there.
    pub(super) fn fits(&self, need: &Need) -> bool {
        self.free.contains(&need.resources)
            && need.suits(self.info.traits()).is_ok()
            && need.volumes.iter().all(|volume| self.volumes.contains_key(volume))
    }

    /// A task is to be launched there, which fits.
    pub(super) fn use_for(&mut self, need: &Need) {
        self.free.take(&need.resources).expect("a room was only chosen because the task fits");
        // One that is shared is there for the next as well.
        self.volumes.retain(|volume, shared| *shared || !need.volumes.contains(volume));
    }

    fn take(&mut self, need: &Need, waiter: &Waiter) {
        self.use_for(need);
        self.taken.push(waiter.index);
        self.bytes += waiter.size;
    }
}

impl WaitQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Joins the end of the line.
    pub(super) fn push(&mut self, index: u64, need: &Need, size: usize) {
        let waiter = Waiter { ticket: self.next, index, size };
        self.next += 1;
        self.len += 1;
        match self.wishes.iter_mut().find(|wish| wish.need == *need) {
            Some(wish) => wish.waiters.push_back(waiter),
            None => self.wishes.push(Wish { need: need.clone(), waiters: VecDeque::from([waiter]) }),
        }
    }

    /// Leaves the line.
    pub(super) fn remove(&mut self, index: u64) {
        for wish in &mut self.wishes {
            if let Some(at) = wish.waiters.iter().position(|waiter| waiter.index == index) {
                wish.waiters.remove(at);
                self.len -= 1;
            }
        }
        self.wishes.retain(|wish| !wish.waiters.is_empty());
    }

    /// Everybody leaves; who did.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        self.take_where(|_| true)
    }

    /// Everybody leaves who wants something of this kind; who did, in the order of the line.
    pub(super) fn take_where(&mut self, is_wanted: impl Fn(&Need) -> bool) -> Vec<u64> {
        let leaving = self.wishes.extract_if(.., |wish| is_wanted(&wish.need));
        let mut waiters: Vec<Waiter> = leaving.flat_map(|wish| wish.waiters).collect();
        waiters.sort_unstable_by_key(|waiter| waiter.ticket);
        self.len -= waiters.len();
        waiters.into_iter().map(|waiter| waiter.index).collect()
    }

    /// What is waited for, and by how many.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&Need, u32)> {
        self.wishes.iter().map(|wish| (&wish.need, u32::try_from(wish.waiters.len()).unwrap_or(u32::MAX)))
    }

    /// How many wait for this.
    pub(super) fn count(&self, need: &Need) -> usize {
        self.wishes.iter().find(|wish| wish.need == *need).map_or(0, |wish| wish.waiters.len())
    }

    /// Those leave who have waited longest for this, so many at most and as many as fit into one message.
    pub(super) fn take_first(&mut self, need: &Need, most: usize) -> Vec<u64> {
        let Some(at) = self.wishes.iter().position(|wish| wish.need == *need) else { return Vec::new() };
        let waiters = &mut self.wishes[at].waiters;
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < most
            && bytes < LAUNCH_BYTES_MAX
            && let Some(waiter) = waiters.pop_front()
        {
            bytes += waiter.size;
            taken.push(waiter.index);
        }
        if waiters.is_empty() {
            self.wishes.remove(at);
        }
        self.len -= taken.len();
        taken
    }

    /// Who has waited longest.
    pub(super) fn first(&self) -> Option<u64> {
        let heads = self.wishes.iter().filter_map(|wish| wish.waiters.front());
        heads.min_by_key(|waiter| waiter.ticket).map(|waiter| waiter.index)
    }

    /// Fills the rooms: who has waited longest first, each into the room that is there for longest, and of those into the one
    /// with the most processor time left, so that tasks spread over the agents as long as there is a choice. A task that fits nowhere lets others pass.
    pub(super) fn fill(&mut self, rooms: &mut [Room]) {
        let mut open: Vec<usize> = (0..self.wishes.len()).collect();
        while let Some((position, &at)) =
            open.iter().enumerate().min_by_key(|&(_, &at)| self.wishes[at].waiters.front().map(|head| head.ticket))
        {
            let Wish { need, waiters } = &mut self.wishes[at];
            let room = waiters.front().and_then(|head| {
                rooms
                    .iter_mut()
                    .filter(|room| room.has_room(need, head))
                    .max_by_key(|room| (room.away_from, room.free.cpus, Reverse(room.taken.len()), Reverse(room.agent)))
            });
            let (Some(room), Some(head)) = (room, waiters.front()) else {
                open.swap_remove(position);
                continue;
            };
            room.take(need, head);
            waiters.pop_front();
            self.len -= 1;
            if waiters.is_empty() {
                open.swap_remove(position);
            }
        }
        self.wishes.retain(|wish| !wish.waiters.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_core::{Bytes, MilliCpu};

    fn wants(milli: u64, mib: u64) -> Resources {
        Resources::new(MilliCpu::new(milli), Bytes::from_mib(mib), Bytes::ZERO)
    }

    fn line(wishes: &[Resources]) -> WaitQueue {
        let mut line = WaitQueue::default();
        for (index, wish) in wishes.iter().enumerate() {
            line.push(index as u64, &wish.clone().into(), 100);
        }
        line
    }

    fn room(agent: u64, zone: &str, free: Resources) -> Room {
        let attributes = [("zone".to_owned(), zone.to_owned())].into();
        Room::new(AgentId(agent), Arc::new(AgentInfo { attributes, ..AgentInfo::default() }), free)
    }

    fn filled(line: &mut WaitQueue, free: &[Resources]) -> Vec<Vec<u64>> {
        let mut rooms: Vec<_> = (0..).zip(free).map(|(agent, free)| room(agent, "a", free.clone())).collect();
        line.fill(&mut rooms);
        rooms.into_iter().map(|room| room.taken).collect()
    }

    #[test]
    fn as_many_as_fit_are_taken_in_the_order_of_the_line() {
        let mut line = line(&vec![wants(500, 64); 5]);

        let taken = filled(&mut line, &[wants(2000, 192)]);

        assert_eq!(taken, [vec![0, 1, 2]]);
        assert_eq!((line.len(), line.first()), (2, Some(3)));
    }

    #[test]
    fn an_agent_that_will_not_be_there_is_the_last_resort() {
        let mut line = line(&vec![wants(500, 1); 3]);
        let room = |agent, away_from| Room { away_from, ..room(agent, "a", wants(500, 64)) };
        let mut rooms = [room(1, 1_000), room(2, 2_000), room(3, u64::MAX)];

        line.fill(&mut rooms);

        assert_eq!(rooms.map(|room| room.taken), [vec![2], vec![1], vec![0]]);
    }

    #[test]
    fn tasks_spread_over_agents_while_there_is_a_choice() {
        let mut line = line(&vec![wants(500, 1); 5]);

        let taken = filled(&mut line, &[wants(1000, 64), wants(1000, 64), wants(500, 64)]);

        assert_eq!(taken, [vec![0, 3], vec![1, 4], vec![2]]);
        assert!(line.is_empty());
    }

    #[test]
    fn a_task_that_fits_nowhere_lets_others_pass_and_keeps_its_place() {
        let mut line = line(&[wants(4000, 1), wants(500, 1), wants(500, 1)]);

        let taken = filled(&mut line, &[wants(1000, 64)]);

        assert_eq!(taken, [vec![1, 2]]);
        assert_eq!(line.first(), Some(0));
    }

    #[test]
    fn one_launch_is_bounded_in_tasks_and_bytes() {
        let mut many = line(&vec![wants(1, 0); LAUNCH_MAX + 1]);
        assert_eq!(filled(&mut many, &[wants(100_000, 0)])[0].len(), LAUNCH_MAX);

        let mut large = WaitQueue::default();
        for index in 0..3 {
            large.push(index, &wants(1, 0).into(), LAUNCH_BYTES_MAX / 2);
        }
        assert_eq!(filled(&mut large, &[wants(1000, 0)]), [vec![0, 1]]);
    }

    #[test]
    fn who_leaves_by_kind_leaves_in_the_order_of_the_line() {
        let mut line = line(&[wants(500, 1), wants(4000, 1), wants(250, 1), wants(500, 1)]);

        assert_eq!(line.take_where(|need| need.resources.cpus < MilliCpu::from_cores(4)), [0, 2, 3]);

        assert_eq!(line.kinds().collect::<Vec<_>>(), [(&Need::from(wants(4000, 1)), 1)]);
        assert_eq!((line.len(), line.clear(), line.len()), (1, vec![1], 0));
    }

    #[test]
    fn a_task_goes_to_an_agent_that_is_what_it_needs_alone() {
        let mut line = line(&vec![wants(500, 1); 2]);
        let need = Need { resources: wants(500, 1), constraints: vec!["zone=b".parse().unwrap()], ..Need::default() };
        (2..4).for_each(|index| line.push(index, &need, 100));
        let mut rooms = [room(1, "a", wants(8000, 64)), room(2, "b", wants(500, 64))];

        line.fill(&mut rooms);

        assert_eq!(rooms.map(|room| room.taken), [vec![0, 1], vec![2]]);
        assert_eq!(line.kinds().collect::<Vec<_>>(), [(&need, 1)]);
    }

    #[test]
    fn a_volume_goes_to_one_task_and_a_shared_one_to_all() {
        let volumes = [1, 2].map(|number| VolumeId { agent: AgentId(1), number });
        let [own, shared] = volumes.map(|volume| Need { volumes: vec![volume], ..wants(500, 1).into() });
        let mut line = WaitQueue::default();
        for (index, need) in [&own, &own, &shared, &shared].into_iter().enumerate() {
            line.push(index as u64, need, 100);
        }
        let mut there = room(1, "a", wants(8000, 64));
        there.volumes = [(volumes[0], false), (volumes[1], true)].into();

        line.fill(std::slice::from_mut(&mut there));

        assert_eq!(there.taken, [0, 2, 3]);
        assert_eq!(line.kinds().collect::<Vec<_>>(), [(&own, 1)]);
    }

    #[test]
    fn who_leaves_the_line_is_not_launched() {
        let mut line = line(&vec![wants(500, 1); 3]);

        line.remove(1);

        assert_eq!(filled(&mut line, &[wants(4000, 64)]), [vec![0, 2]]);
    }
}
