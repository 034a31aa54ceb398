use proptest::prelude::*;

use super::*;

const QUARTER: MilliCpu = MilliCpu::new(250);
const THREE_QUARTERS: MilliCpu = MilliCpu::new(750);
const WHOLE: MilliCpu = MilliCpu::from_cores(1);

/// What a spinner burns between two looks at the clock.
const SLICE: Duration = Duration::from_micros(300);

/// Workers that poll spinners, in simulated time: each goes on until its turn is used up.
struct Simulation {
    queue: Queue,
    now: Now,
    /// The turn of each worker, what it has used, and when its slice ends.
    workers: Vec<Option<(Turn, Duration, Now)>>,
    used: HashMap<Key, Duration>,
}

impl Simulation {
    fn new(workers: usize) -> Self {
        Self { queue: Queue::default(), now: Now::ZERO, workers: vec![None; workers], used: HashMap::new() }
    }

    fn run_until(&mut self, end: Now) {
        while self.now < end {
            self.queue.advance(self.now);
            for worker in &mut self.workers {
                if worker.is_none()
                    && let Some(turn) = self.queue.next(self.now)
                {
                    *worker = Some((turn, Duration::ZERO, self.now + SLICE));
                }
            }
            let slices = self.workers.iter().flatten().map(|&(_, _, until)| until);
            let Some(next) = slices.chain(self.queue.next_timer()).min() else { return };
            self.now = next.max(self.now).min(end);
            self.finish_slices();
        }
    }

    fn finish_slices(&mut self) {
        for worker in &mut self.workers {
            let Some((turn, used, until)) = worker else { continue };
            if *until > self.now {
                continue;
            }
            *used += SLICE;
            *self.used.entry(turn.key).or_default() += SLICE;
            if *used >= turn.budget {
                self.queue.rest(turn.key, *used, self.now, Rest::Yielded);
                *worker = None;
            } else {
                *until = self.now + SLICE;
            }
        }
    }

    fn share(&self, key: Key) -> f64 {
        self.used.get(&key).map_or(0.0, Duration::as_secs_f64) / (self.now - Now::ZERO).as_secs_f64()
    }
}

#[track_caller]
fn assert_close(got: f64, wanted: f64, tolerance: f64) {
    assert!((got - wanted).abs() <= wanted * tolerance, "got {got}, wanted {wanted}");
}

#[test]
fn two_spinners_get_a_quarter_and_three_quarters_of_a_core() {
    for workers in [1, 2] {
        let mut simulation = Simulation::new(workers);
        simulation.queue.add(1, QUARTER, Now::ZERO);
        simulation.queue.add(2, THREE_QUARTERS, Now::ZERO);

        simulation.run_until(Now::from_millis(5000));

        assert_close(simulation.share(1), 0.25, 0.005);
        assert_close(simulation.share(2), 0.75, 0.005);
    }
}

#[test]
fn a_ceiling_holds_when_nobody_else_wants_the_core() {
    for (milli, tolerance) in [(50, 0.01), (100, 0.005), (500, 0.003), (900, 0.003)] {
        let mut simulation = Simulation::new(2);
        simulation.queue.add(1, MilliCpu::new(milli), Now::ZERO);

        simulation.run_until(Now::from_millis(5000));

        assert_close(simulation.share(1), milli as f64 / 1000.0, tolerance);
    }
}

#[test]
fn a_crowded_core_is_shared_by_weight() {
    let mut simulation = Simulation::new(1);
    for (key, cores) in [(1, 1), (2, 2), (3, 4)] {
        simulation.queue.add(key, MilliCpu::from_cores(cores), Now::ZERO);
    }

    simulation.run_until(Now::from_millis(5000));

    for (key, parts) in [(1, 1.0), (2, 2.0), (3, 4.0)] {
        assert_close(simulation.share(key), parts / 7.0, 0.02);
    }
}

#[test]
fn who_comes_late_does_not_make_up_for_the_time_before() {
    let mut simulation = Simulation::new(1);
    simulation.queue.add(1, WHOLE, Now::ZERO);
    simulation.run_until(Now::from_millis(1000));
    simulation.queue.add(2, WHOLE, simulation.now);

    simulation.run_until(Now::from_millis(2000));

    assert_close(simulation.used[&1].as_secs_f64(), 1.5, 0.02);
    assert_close(simulation.used[&2].as_secs_f64(), 0.5, 0.05);
}

#[test]
fn a_task_that_just_came_is_next() {
    let mut simulation = Simulation::new(1);
    for key in 1..=10 {
        simulation.queue.add(key, WHOLE, Now::ZERO);
    }
    simulation.run_until(Now::from_millis(500));
    let busy = simulation.workers[0].take();
    if let Some((turn, used, _)) = busy {
        simulation.queue.rest(turn.key, used, simulation.now, Rest::Yielded);
    }

    simulation.queue.add(99, WHOLE, simulation.now);

    let turns: Vec<Key> = (0..6).filter_map(|_| Some(simulation.queue.next(simulation.now)?.key)).collect();
    assert!(turns.contains(&99), "{turns:?}");
}

#[test]
fn a_sleeper_is_woken_once() {
    let mut queue = Queue::default();
    queue.add(1, QUARTER, Now::ZERO);
    queue.next(Now::ZERO);
    queue.rest(1, Duration::ZERO, Now::ZERO, Rest::Asleep);
    assert_eq!(queue.next(Now::ZERO), None);

    queue.wake(1, Now::from_millis(1));
    queue.wake(1, Now::from_millis(1));

    assert_eq!(queue.next(Now::from_millis(1)).map(|turn| turn.key), Some(1));
    assert_eq!(queue.next(Now::from_millis(1)), None);
}

#[test]
fn an_interrupted_task_has_the_next_turn_wherever_it_is() {
    let mut queue = Queue::default();
    for key in 1..=3 {
        queue.add(key, QUARTER, Now::ZERO);
    }
    // 1 sleeps, 2 is above its ceiling, 3 waits for its turn.
    queue.next(Now::ZERO);
    queue.rest(1, Duration::ZERO, Now::ZERO, Rest::Asleep);
    queue.next(Now::ZERO);
    queue.rest(2, Duration::from_secs(1), Now::ZERO, Rest::Yielded);

    for key in [2, 1, 3] {
        queue.interrupt(key);
    }

    let turns: Vec<Key> = std::iter::from_fn(|| Some(queue.next(Now::ZERO)?.key)).collect();
    assert_eq!(turns, [2, 1, 3]);
    for key in 1..=3 {
        queue.remove(key, Duration::ZERO);
    }
    assert_eq!((queue.next_timer(), queue.competing, queue.waiting()), (None, 0, 0));
}

#[test]
fn a_deadline_interrupts_a_sleeper() {
    let mut queue = Queue::default();
    queue.add(1, WHOLE, Now::ZERO);
    queue.next(Now::ZERO);
    queue.rest(1, Duration::ZERO, Now::ZERO, Rest::Asleep);
    queue.set_deadline(1, Now::from_millis(10));

    queue.advance(Now::from_millis(9));
    assert_eq!(queue.next(Now::from_millis(9)), None);
    queue.advance(Now::from_millis(10));

    assert_eq!(queue.next(Now::from_millis(10)).map(|turn| turn.key), Some(1));
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64),
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
        (1..4000_u64).prop_map(Step::Add),
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
                Step::Add(milli) => {
                    queue.add(keys, MilliCpu::new(milli), now);
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
                Step::Interrupt(key) => queue.interrupt(key),
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
            queue.interrupt(key);
        }
        let mut ended: Vec<Key> = std::iter::from_fn(|| Some(queue.next(now)?.key)).collect();
        for &key in &ended {
            queue.remove(key, Duration::ZERO);
        }
        left.sort_unstable();
        ended.sort_unstable();
        prop_assert_eq!(left, ended);
        prop_assert_eq!((queue.competing, queue.waiting(), queue.fresh, queue.next_timer()), (0, 0, 0, None));
    }
}
