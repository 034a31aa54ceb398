//! What a session keeps room for while nothing waits: what its last tasks used.

use std::time::Duration;

use haggle_core::{Now, Resources};

use super::need::Need;

/// How long it is counted how many tasks ran at once, before the room that is kept follows.
const WINDOW: Duration = Duration::from_secs(1);

/// Room for more tasks of one kind is not kept. One launch takes as many.
const UNITS_MAX: u32 = 512;

/// Kinds that room is kept for. The one that was launched least recently makes way.
const KINDS_MAX: usize = 16;

/// For each kind of tasks, as many as ran at once in the last second or two, at least one, until `linger` after the last
/// launch. What is kept follows once a second, so that a thousand tasks in a second change it as often as one does.
#[derive(Debug)]
pub(super) struct Spare {
    linger: Duration,
    kinds: Vec<Kind>,
    /// When the counts of now become what is kept.
    turn: Option<Now>,
    room: Resources,
}

#[derive(Debug)]
struct Kind {
    need: Need,
    running: u32,
    /// The most that ran at once since the last turn.
    most: u32,
    /// For how many room is kept.
    kept: u32,
    launched: Now,
}

impl Spare {
    /// `linger`: how long after the last launch; zero keeps nothing.
    pub(super) fn new(linger: Duration) -> Self {
        Self { linger, kinds: Vec::new(), turn: None, room: Resources::default() }
    }

    pub(super) fn launched(&mut self, now: Now, need: &Need) {
        // Others may wait for a volume, which nobody else has then.
        if self.linger.is_zero() || !need.volumes.is_empty() {
            return;
        }
        let at = self.find(need).unwrap_or_else(|| self.begin(now, need));
        let kind = &mut self.kinds[at];
        kind.launched = now;
        kind.running += 1;
        kind.most = kind.most.max(kind.running);
        if kind.kept == 0 {
            kind.kept = 1;
            self.turn.get_or_insert(now + WINDOW);
            self.count();
        }
    }

    pub(super) fn ended(&mut self, need: &Need) {
        if let Some(at) = self.find(need) {
            self.kinds[at].running = self.kinds[at].running.saturating_sub(1);
        }
    }

    /// Follows what has happened until now.
    pub(super) fn look(&mut self, now: Now) {
        let turns = self.turn.is_some_and(|turn| turn <= now);
        let mut changed = false;
        for kind in &mut self.kinds {
            let kept = match kind.kept {
                _ if kind.launched + self.linger <= now => 0,
                _ if turns => kind.most.clamp(1, UNITS_MAX),
                kept => kept,
            };
            changed |= std::mem::replace(&mut kind.kept, kept) != kept;
            if turns {
                kind.most = kind.running;
            }
        }
        if turns {
            self.turn = Some(now + WINDOW);
        }
        if changed {
            self.kinds.retain(|kind| kind.kept > 0 || kind.running > 0);
            self.turn = self.turn.filter(|_| self.kinds.iter().any(|kind| kind.kept > 0));
            self.count();
        }
    }

    /// When [`Self::look`] may see a difference next.
    pub(super) fn next_deadline(&self) -> Option<Now> {
        let kept = self.kinds.iter().filter(|kind| kind.kept > 0);
        kept.map(|kind| kind.launched + self.linger).chain(self.turn).min()
    }

    /// The kinds that room is kept for, and for how many tasks.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&Need, u32)> {
        self.kinds.iter().filter(|kind| kind.kept > 0).map(|kind| (&kind.need, kind.kept))
    }

    /// All of that together.
    pub(super) fn room(&self) -> &Resources {
        &self.room
    }

    fn find(&self, need: &Need) -> Option<usize> {
        self.kinds.iter().position(|kind| kind.need == *need)
    }

    fn begin(&mut self, now: Now, need: &Need) -> usize {
        if self.kinds.len() >= KINDS_MAX
            && let Some(at) = (0..self.kinds.len()).min_by_key(|&at| self.kinds[at].launched)
        {
            self.kinds.swap_remove(at);
        }
        self.kinds.push(Kind { need: need.clone(), running: 0, most: 0, kept: 0, launched: now });
        self.kinds.len() - 1
    }

    fn count(&mut self) {
        self.room = Resources::default();
        for kind in &self.kinds {
            for _ in 0..kind.kept {
                self.room.give(&kind.need.resources);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_core::{Bytes, MilliCpu};

    const START: Now = Now::from_millis(1000);
    const LINGER: Duration = Duration::from_secs(5);

    fn cpus(milli: u64) -> Need {
        Resources::new(MilliCpu::new(milli), Bytes::from_mib(1), Bytes::ZERO).into()
    }

    fn kept(spare: &mut Spare, now: Now) -> Vec<u32> {
        spare.look(now);
        spare.kinds().map(|(_, count)| count).collect()
    }

    #[test]
    fn room_for_one_is_kept_from_the_first_launch_until_the_linger_is_over() {
        let mut spare = Spare::new(LINGER);
        assert_eq!(spare.next_deadline(), None);

        spare.launched(START, &cpus(500));

        assert_eq!(kept(&mut spare, START), [1]);
        assert_eq!(spare.room(), &cpus(500).resources);
        assert_eq!(kept(&mut spare, START + (LINGER - Duration::from_nanos(1))), [1]);
        assert_eq!(kept(&mut spare, START + LINGER), [0; 0]);
        assert_eq!((spare.room(), spare.next_deadline()), (&Resources::default(), None));
    }

    #[test]
    fn room_follows_what_ran_at_once_up_and_down() {
        let mut spare = Spare::new(LINGER);
        for _ in 0..4 {
            spare.launched(START, &cpus(500));
        }
        for _ in 0..3 {
            spare.ended(&cpus(500));
        }

        assert_eq!(kept(&mut spare, START), [1]);
        assert_eq!(kept(&mut spare, START + WINDOW), [4]);
        assert_eq!(kept(&mut spare, START + WINDOW * 2), [1]);
    }

    #[test]
    fn tasks_that_run_long_keep_no_room_for_others() {
        let mut spare = Spare::new(LINGER);
        spare.launched(START, &cpus(500));
        assert_eq!(kept(&mut spare, START + LINGER), [0; 0]);

        spare.launched(START + LINGER * 2, &cpus(500));

        assert_eq!(kept(&mut spare, START + LINGER * 2), [1]);
        assert_eq!(kept(&mut spare, START + LINGER * 2 + WINDOW), [2]);
    }

    #[test]
    fn who_does_not_linger_keeps_nothing() {
        let mut spare = Spare::new(Duration::ZERO);
        spare.launched(START, &cpus(500));
        assert_eq!(kept(&mut spare, START), [0; 0]);
        assert_eq!(spare.next_deadline(), None);
    }

    #[test]
    fn kinds_and_units_are_bounded() {
        let mut spare = Spare::new(LINGER);
        for milli in 1..=100 {
            spare.launched(START + Duration::from_millis(milli), &cpus(milli));
        }
        for _ in 0..2 * UNITS_MAX {
            spare.launched(START + Duration::from_millis(100), &cpus(100));
        }

        let kept = kept(&mut spare, START + WINDOW * 2);

        assert_eq!((kept.len(), kept.last()), (KINDS_MAX, Some(&UNITS_MAX)));
        assert!(spare.kinds().all(|(need, _)| need.resources.cpus > MilliCpu::new(84)));
    }
}
