//! What holds whatever tasks do.

use proptest::prelude::*;

use super::*;
use crate::scheduler::bucket::PERIOD;

#[derive(Clone, Debug)]
enum Step {
    Add(u64, u64),
    Next,
    Rest { sleeps: bool, micros: u64 },
    Remove,
    Wake(Key),
    Interrupt(Key),
    Deadline(Key, u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..12_u64;
    prop_oneof![
        (0..4000_u64, prop_oneof![Just(0), 1..2000_u64]).prop_map(|(own, burst)| Step::Add(own, burst)),
        Just(Step::Next),
        Just(Step::Next),
        (any::<bool>(), 0..20_000_u64).prop_map(|(sleeps, micros)| Step::Rest { sleeps, micros }),
        Just(Step::Remove),
        key.clone().prop_map(Step::Wake),
        key.clone().prop_map(Step::Interrupt),
        (key, 0..50_u64).prop_map(|(key, after)| Step::Deadline(key, after)),
        (0..30_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens, no task has two turns at once, none is lost, and the books balance in the end.
    #[test]
    fn no_task_is_doubled_and_none_is_lost(steps in proptest::collection::vec(step(), 0..200)) {
        let mut queue = Queue::default();
        let mut now = Now::ZERO;
        let mut turns: Vec<Key> = Vec::new();
        let mut keys = 0;
        for step in steps {
            match step {
                Step::Add(own, burst) => {
                    queue.add(keys, bursting(own, burst), now);
                    keys += 1;
                }
                Step::Next => {
                    if let Some(turn) = queue.next(now) {
                        prop_assert!(!turns.contains(&turn.key));
                        turns.push(turn.key);
                    }
                }
                Step::Rest { sleeps, micros } => {
                    if let Some(key) = turns.pop() {
                        let rest = if sleeps { Rest::Asleep } else { Rest::Yielded };
                        queue.rest(key, Duration::from_micros(micros), now, rest);
                    }
                }
                Step::Remove => {
                    if let Some(key) = turns.pop() {
                        queue.remove(key, Duration::ZERO);
                    }
                }
                Step::Wake(key) => queue.wake(key, now),
                Step::Interrupt(key) => queue.interrupt(key, now),
                Step::Deadline(key, after) => queue.set_deadline(key, now + Duration::from_millis(after)),
                Step::Pass(millis) => {
                    now = now + Duration::from_millis(millis);
                    queue.advance(now);
                }
            }
        }
        for key in turns {
            queue.remove(key, Duration::ZERO);
        }
        let mut left: Vec<Key> = queue.tasks.keys().copied().collect();
        for &key in &left {
            queue.interrupt(key, now);
        }
        let mut ended: Vec<Key> = std::iter::from_fn(|| Some(queue.next(now)?.key)).collect();
        for &key in &ended {
            queue.remove(key, Duration::ZERO);
        }
        left.sort_unstable();
        ended.sort_unstable();
        prop_assert_eq!(left, ended);
        prop_assert_eq!((queue.ready.competing, queue.waiting(), queue.next_timer()), (0, 0, None));
        prop_assert_eq!((queue.fresh, queue.newcomers), (0, 0));
        prop_assert_eq!(queue.spare.competing, 0);
    }
}

/// Some spinners, each with what is its own and its burst.
fn spinners() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((0..900_u64, prop_oneof![Just(0), 1..1500_u64]), 1..10)
}

/// Milliseconds of a simulation. Long enough that a period more or less is little.
const LONG: u64 = 2000;

fn simulate(workers: usize, spinners: &[(u64, u64)]) -> Simulation {
    let mut simulation = Simulation::new(workers);
    for (key, &(own, burst)) in (0..).zip(spinners) {
        simulation.queue.add(key, bursting(own, burst), Now::ZERO);
    }
    simulation.run_until(Now::from_millis(LONG));
    simulation
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A bucket that is half full from the start, what a task is owed for the turns of others although it may have burst
    /// meanwhile, and the slices in which both its buckets run dry, are all that comes on top.
    #[test]
    fn nobody_gets_more_than_ceiling_and_burst(workers in 1..4_usize, spinners in spinners()) {
        let simulation = simulate(workers, &spinners);

        for (key, &(own, burst)) in (0..).zip(&spinners) {
            let rate = (own + burst) as f64 / 1000.0;
            let earned = rate * (Duration::from_millis(LONG) + PERIOD / 2).as_secs_f64();
            let owed = if burst > 0 { own as f64 / 1000.0 * ROTATION.as_secs_f64() } else { 0.0 };
            let at_most = earned + owed + 0.0002 + 4.0 * SLICE.as_secs_f64();
            let used = simulation.used.get(&key).map_or(0.0, Duration::as_secs_f64);
            prop_assert!(used <= at_most, "task {key} used {used} s of {at_most} s");
        }
    }

    /// Where the ceilings of all fit the workers, everybody reaches its own, whatever the others' bursts: but for half a
    /// period, and two rounds of turns at the end.
    #[test]
    fn nobody_starves_below_its_ceiling(workers in 1..4_usize, mut spinners in spinners()) {
        let mut left = workers as u64 * 900;
        spinners.retain(|(own, _)| left.checked_sub(*own).inspect(|&rest| left = rest).is_some());

        let simulation = simulate(workers, &spinners);

        for (key, &(own, _)) in (0..).zip(&spinners) {
            let earned = own as f64 / 1000.0 * (Duration::from_millis(LONG) - PERIOD / 2 - 2 * ROTATION).as_secs_f64();
            let at_least = earned - 4.0 * SLICE.as_secs_f64();
            let used = simulation.used.get(&key).map_or(0.0, Duration::as_secs_f64);
            prop_assert!(used >= at_least, "task {key} used {used} s of {at_least} s");
        }
    }

    #[test]
    fn a_burst_delays_nobody_by_more_than_a_slice(workers in 1..4_usize, spinners in spinners()) {
        let simulation = simulate(workers, &spinners);

        prop_assert!(simulation.longest_delay <= SLICE, "{:?}", simulation.longest_delay);
    }
}
