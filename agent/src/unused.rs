//! How much of the processor time that tasks hold they leave unused: from looks at what they hold and have used, each with its time.
//!
//! What counts is the look in the window at which least was unused: what tasks used once in a while they will use again. Of that a
//! margin is kept back, a tenth of what they hold. It is also what keeps the figure still: as long as tasks use no more than the
//! margin beyond what they did, nobody who runs on what was told has to go.

use std::collections::VecDeque;
use std::time::Duration;

use haggle_core::{MilliCpu, Now};

/// Looks in one window.
const LOOKS: usize = 10;

/// The part of what tasks hold that is kept back.
const MARGIN: u64 = 10;

/// A figure that grows by less is not worth a message, nor the offers that follow.
const WORTH_TELLING: MilliCpu = MilliCpu::new(50);

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Unused {
    period: Duration,
    last: Option<Look>,
    /// What was unused from one look to the next, the newest last, and what was held then.
    measured: VecDeque<(MilliCpu, MilliCpu)>,
    told: Option<MilliCpu>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Now,
    held: MilliCpu,
    cpu: Duration,
}

impl Unused {
    /// The shortest and the longest window: in a shorter one chance decides, and after a longer one the figure is of another day.
    pub(crate) const WINDOWS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

    /// Over this time.
    pub(crate) fn over(window: Duration) -> Self {
        let period = window / u32::try_from(LOOKS).expect("a handful");
        Self { period, last: None, measured: VecDeque::new(), told: None }
    }

    /// When to look next.
    pub(crate) fn next_look(&self) -> Now {
        self.last.map_or(Now::ZERO, |last| last.at + self.period)
    }

    /// The last figure that was to be told; `None` before there is one.
    pub(crate) fn told(&self) -> Option<MilliCpu> {
        self.told
    }

    /// Tasks hold so much now, and have used so much CPU time in all so far. Gives the figure that is to be told, if it is another
    /// one.
    pub(crate) fn look(&mut self, now: Now, held: MilliCpu, cpu: Duration) -> Option<MilliCpu> {
        let last = self.last.replace(Look { at: now, held, cpu })?;
        let passed = now.since(last.at).as_nanos().max(1);
        let used = (cpu.saturating_sub(last.cpu).as_nanos() * 1000).div_ceil(passed);
        // A task that came or went meanwhile counts once it was there from one look to the next.
        let held = held.min(last.held);
        let unused = held.saturating_sub(MilliCpu::new(u64::try_from(used).unwrap_or(u64::MAX)));
        self.measured.push_back((unused, held));
        if self.measured.len() > LOOKS {
            self.measured.pop_front();
        }
        if self.measured.len() < LOOKS {
            return None;
        }
        let &(most, held) = self.measured.iter().min()?;
        let figure = most.saturating_sub(MilliCpu::new(held.get().div_ceil(MARGIN)));
        let is_news = match self.told {
            None => true,
            Some(told) => told > most || figure >= told.saturating_add(WORTH_TELLING),
        };
        is_news.then(|| *self.told.insert(figure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: MilliCpu = MilliCpu::from_cores(2);

    /// Looks once a second.
    struct World {
        unused: Unused,
        seconds: u64,
        cpu: Duration,
    }

    impl World {
        fn new() -> Self {
            let unused = Unused::over(Duration::from_secs(10));
            let mut world = Self { unused, seconds: 0, cpu: Duration::ZERO };
            assert_eq!(world.unused.look(Now::ZERO, TWO, Duration::ZERO), None);
            world
        }

        /// For so many seconds tasks hold this and use so many thousandths of a core: what is told meanwhile.
        fn pass(&mut self, seconds: u64, held: MilliCpu, used: u64) -> Vec<u64> {
            let mut told = Vec::new();
            for _ in 0..seconds {
                self.seconds += 1;
                self.cpu += Duration::from_millis(used);
                let now = Now::from_millis(self.seconds * 1000);
                assert_eq!(self.unused.next_look(), now);
                told.extend(self.unused.look(now, held, self.cpu).map(MilliCpu::get));
            }
            told
        }
    }

    #[test]
    fn what_is_held_and_not_used_is_told_after_a_window_less_a_tenth_of_what_is_held() {
        let mut world = World::new();

        assert_eq!(world.pass(9, TWO, 400), []);
        assert_eq!(world.pass(1, TWO, 400), [1400]);
        assert_eq!(world.pass(60, TWO, 400), []);
        assert_eq!(world.unused.told(), Some(MilliCpu::new(1400)));
    }

    #[test]
    fn what_is_wanted_back_is_told_at_the_next_look_and_what_is_left_again_after_a_window() {
        let mut world = World::new();
        world.pass(10, TWO, 400);

        assert_eq!(world.pass(1, TWO, 1500), [300]);
        assert_eq!(world.pass(9, TWO, 400), []);
        assert_eq!(world.pass(1, TWO, 400), [1400]);
    }

    #[test]
    fn within_the_margin_nothing_is_told() {
        let mut world = World::new();
        world.pass(10, TWO, 400);

        for used in [450, 600, 380, 590] {
            assert_eq!(world.pass(3, TWO, used), [], "{used}");
        }
        assert_eq!(world.pass(1, TWO, 601), [1199]);
    }

    #[test]
    fn little_more_is_not_worth_telling() {
        let mut world = World::new();
        world.pass(10, TWO, 400);

        assert_eq!(world.pass(20, TWO, 360), []);
        assert_eq!(world.pass(10, TWO, 350), [1450]);
    }

    #[test]
    fn a_task_that_came_counts_once_it_was_there_for_a_window() {
        let mut world = World::new();
        world.pass(10, TWO, 400);

        assert_eq!(world.pass(10, MilliCpu::from_cores(4), 400), []);
        assert_eq!(world.pass(1, MilliCpu::from_cores(4), 400), [3200]);
    }

    #[test]
    fn what_a_task_held_that_has_ended_is_unused_no_longer() {
        let mut world = World::new();
        world.pass(10, TWO, 400);

        assert_eq!(world.pass(1, MilliCpu::ZERO, 400), [0]);
        assert_eq!(world.pass(30, MilliCpu::ZERO, 0), []);
    }

    #[test]
    fn who_uses_more_than_it_holds_leaves_nothing() {
        let mut world = World::new();

        assert_eq!(world.pass(10, TWO, 5000), [0]);
    }
}
