mod properties;

use super::*;

const QUARTER: MilliCpu = MilliCpu::new(250);
const THREE_QUARTERS: MilliCpu = MilliCpu::new(750);
const WHOLE: MilliCpu = MilliCpu::from_cores(1);

/// So much of a core, and the weight of so much.
fn own(ceiling: MilliCpu) -> Share {
    Share { ceiling, weight: ceiling, burst: MilliCpu::ZERO }
}

/// Milli-cpus of its own and beyond.
fn bursting(own: u64, burst: u64) -> Share {
    Share { ceiling: MilliCpu::new(own), weight: MilliCpu::new(own.max(1)), burst: MilliCpu::new(burst) }
}

/// What a spinner burns between two looks at the clock.
const SLICE: Duration = Duration::from_micros(300);

/// Workers that poll spinners, in simulated time: each goes on until its turn is over. Timers are looked at as the real
/// workers do, when they take a turn or are idle.
struct Simulation {
    queue: Queue,
    now: Now,
    /// The turn of each worker, what it has used, and when its slice ends.
    workers: Vec<Option<(Turn, Duration, Now)>>,
    used: HashMap<Key, Duration>,
    /// Since when a task below its ceiling waits while another one has what is left over.
    delayed_since: Option<Now>,
    longest_delay: Duration,
}

impl Simulation {
    fn new(workers: usize) -> Self {
        Self {
            queue: Queue::default(),
            now: Now::ZERO,
            workers: vec![None; workers],
            used: HashMap::new(),
            delayed_since: None,
            longest_delay: Duration::ZERO,
        }
    }

    fn run_until(&mut self, end: Now) {
        while self.now < end {
            self.give_turns();
            self.look_for_delays();
            let idle = self.workers.contains(&None);
            let timer = if idle { self.queue.next_timer() } else { None };
            let slices = self.workers.iter().flatten().map(|&(_, _, until)| until);
            let Some(next) = slices.chain(timer).min() else { return };
            self.now = next.max(self.now).min(end);
            self.finish_slices();
        }
    }

    fn give_turns(&mut self) {
        for worker in &mut self.workers {
            if worker.is_none() {
                self.queue.advance(self.now);
                *worker = self.queue.next(self.now).map(|turn| (turn, Duration::ZERO, self.now + SLICE));
            }
        }
    }

    fn look_for_delays(&mut self) {
        let spare = self.workers.iter().flatten().any(|(turn, ..)| turn.spare.is_some());
        let earned = self.queue.timers.iter().any(|&(at, _, timer)| timer == Timer::EarnedEnough && at <= self.now);
        if spare && (earned || self.queue.ready.len() > 0) {
            let since = *self.delayed_since.get_or_insert(self.now);
            self.longest_delay = self.longest_delay.max(self.now - since);
        } else {
            self.delayed_since = None;
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
            if turn.is_over(*used, self.queue.pressure(), || self.now) {
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
        simulation.queue.add(1, own(QUARTER), Now::ZERO);
        simulation.queue.add(2, own(THREE_QUARTERS), Now::ZERO);

        simulation.run_until(Now::from_millis(5000));

        assert_close(simulation.share(1), 0.25, 0.005);
        assert_close(simulation.share(2), 0.75, 0.005);
    }
}

#[test]
fn a_ceiling_holds_when_nobody_else_wants_the_core() {
    for (milli, tolerance) in [(50, 0.01), (100, 0.005), (500, 0.003), (900, 0.003)] {
        let mut simulation = Simulation::new(2);
        simulation.queue.add(1, own(MilliCpu::new(milli)), Now::ZERO);

        simulation.run_until(Now::from_millis(5000));

        assert_close(simulation.share(1), milli as f64 / 1000.0, tolerance);
    }
}

#[test]
fn a_crowded_core_is_shared_by_weight() {
    let mut simulation = Simulation::new(1);
    for (key, cores) in [(1, 1), (2, 2), (3, 4)] {
        simulation.queue.add(key, own(MilliCpu::from_cores(cores)), Now::ZERO);
    }

    simulation.run_until(Now::from_millis(5000));

    for (key, parts) in [(1, 1.0), (2, 2.0), (3, 4.0)] {
        assert_close(simulation.share(key), parts / 7.0, 0.02);
    }
}

#[test]
fn a_weight_of_its_own_decides_and_not_the_ceiling() {
    let mut simulation = Simulation::new(1);
    for (key, weight) in [(1, 100), (2, 300)] {
        simulation.queue.add(key, Share { weight: MilliCpu::new(weight), ..own(WHOLE) }, Now::ZERO);
    }

    simulation.run_until(Now::from_millis(5000));

    assert_close(simulation.share(1), 0.25, 0.02);
    assert_close(simulation.share(2), 0.75, 0.02);
}

#[test]
fn a_burst_is_held_like_a_ceiling_when_nobody_else_wants_the_core() {
    let mut simulation = Simulation::new(1);
    simulation.queue.add(1, bursting(250, 500), Now::ZERO);

    simulation.run_until(Now::from_millis(5000));

    assert_close(simulation.share(1), 0.75, 0.005);
}

#[test]
fn a_task_without_cpus_lives_from_what_the_others_leave() {
    let mut simulation = Simulation::new(1);
    simulation.queue.add(1, own(MilliCpu::new(600)), Now::ZERO);
    simulation.queue.add(2, bursting(0, 1000), Now::ZERO);

    simulation.run_until(Now::from_millis(5000));

    assert_close(simulation.share(1), 0.6, 0.005);
    assert_close(simulation.share(2), 0.4, 0.01);
}

/// What is revocable is a burst of so much, without a ceiling of its own: of whoever has one, nobody notices.
#[test]
fn tasks_with_a_promise_have_the_same_beside_those_that_live_from_what_is_left() {
    let promised = [100, 250, 400, 550].map(MilliCpu::new);
    let rates = |revocable: u64| {
        let mut simulation = Simulation::new(2);
        for (key, ceiling) in (1..).zip(promised) {
            simulation.queue.add(key, own(ceiling), Now::ZERO);
        }
        for key in 100..100 + revocable {
            simulation.queue.add(key, bursting(0, 500), Now::ZERO);
        }
        simulation.run_until(Now::from_millis(10_000));
        let left: f64 = (100..100 + revocable).map(|key| simulation.share(key)).sum();
        (promised.iter().zip(1..).map(|(_, key)| simulation.share(key)).collect::<Vec<_>>(), left)
    };

    let ((alone, _), (beside, left)) = (rates(0), rates(4));

    for (alone, beside) in alone.iter().zip(&beside) {
        assert!((beside / alone - 1.0).abs() < 0.01, "{alone} alone, and {beside} beside others");
    }
    // Of two cores, 1.3 are promised. Where one with a promise is about to run, the rest of a slice is nobody's.
    assert_close(left, 0.7, 0.05);
}

#[test]
fn what_is_left_over_is_shared_by_weight() {
    let mut simulation = Simulation::new(1);
    for (key, weight) in [(1, 1), (2, 2), (3, 4)] {
        let share = Share { weight: MilliCpu::from_cores(weight), ..bursting(0, 1000) };
        simulation.queue.add(key, share, Now::ZERO);
    }

    simulation.run_until(Now::from_millis(5000));

    for (key, parts) in [(1, 1.0), (2, 2.0), (3, 4.0)] {
        assert_close(simulation.share(key), parts / 7.0, 0.02);
    }
}

#[test]
fn a_burst_gives_way_at_the_end_of_its_slice() {
    let mut queue = Queue::default();
    queue.add(1, bursting(0, 1000), Now::ZERO);
    let turn = queue.next(Now::ZERO).unwrap();
    assert!(!turn.is_over(SLICE, queue.pressure(), || Now::ZERO));

    queue.add(2, own(QUARTER), Now::ZERO);

    assert!(turn.is_over(SLICE, queue.pressure(), || Now::ZERO));
}

#[test]
fn who_comes_late_does_not_make_up_for_the_time_before() {
    let mut simulation = Simulation::new(1);
    simulation.queue.add(1, own(WHOLE), Now::ZERO);
    simulation.run_until(Now::from_millis(1000));
    simulation.queue.add(2, own(WHOLE), simulation.now);

    simulation.run_until(Now::from_millis(2000));

    assert_close(simulation.used[&1].as_secs_f64(), 1.5, 0.02);
    assert_close(simulation.used[&2].as_secs_f64(), 0.5, 0.05);
}

#[test]
fn a_task_that_just_came_is_next() {
    let mut simulation = Simulation::new(1);
    for key in 1..=10 {
        simulation.queue.add(key, own(WHOLE), Now::ZERO);
    }
    simulation.run_until(Now::from_millis(500));
    let busy = simulation.workers[0].take();
    if let Some((turn, used, _)) = busy {
        simulation.queue.rest(turn.key, used, simulation.now, Rest::Yielded);
    }

    simulation.queue.add(99, own(WHOLE), simulation.now);

    let turns: Vec<Key> = (0..6).filter_map(|_| Some(simulation.queue.next(simulation.now)?.key)).collect();
    assert!(turns.contains(&99), "{turns:?}");
}

#[test]
fn a_sleeper_is_woken_once() {
    let mut queue = Queue::default();
    queue.add(1, own(QUARTER), Now::ZERO);
    queue.next(Now::ZERO);
    queue.rest(1, Duration::ZERO, Now::ZERO, Rest::Asleep);
    assert_eq!(queue.next(Now::ZERO), None);

    queue.wake(1, Now::from_millis(1));
    queue.wake(1, Now::from_millis(1));

    assert_eq!(queue.next(Now::from_millis(1)).map(|turn| turn.key), Some(1));
    assert_eq!(queue.next(Now::from_millis(1)), None);
}

#[test]
fn what_a_ceiling_holds_back_is_the_rest_of_the_time_of_a_spinner_and_none_of_a_sleeper() {
    let mut simulation = Simulation::new(2);
    simulation.queue.add(1, own(QUARTER), Now::ZERO);
    simulation.queue.add(2, own(WHOLE), Now::ZERO);
    simulation.queue.add(3, own(QUARTER), Now::ZERO);
    let turns: Vec<Key> = std::iter::from_fn(|| Some(simulation.queue.next(Now::ZERO)?.key)).collect();
    for key in turns {
        let rest = if key == 3 { Rest::Asleep } else { Rest::Yielded };
        simulation.queue.rest(key, Duration::ZERO, Now::ZERO, rest);
    }
    let end = Now::from_millis(4000);

    simulation.run_until(end);

    let held_back = |key| simulation.queue.throttled(key, end).as_secs_f64();
    assert_close(held_back(1), 3.0, 0.03);
    assert!(held_back(2) < 0.2 && held_back(3) == 0.0, "{} {}", held_back(2), held_back(3));
}

#[test]
fn an_interrupted_task_has_the_next_turn_wherever_it_is() {
    let mut queue = Queue::default();
    for key in 1..=3 {
        queue.add(key, own(QUARTER), Now::ZERO);
    }
    // 1 sleeps, 2 is above its ceiling, 3 waits for its turn.
    queue.next(Now::ZERO);
    queue.rest(1, Duration::ZERO, Now::ZERO, Rest::Asleep);
    queue.next(Now::ZERO);
    queue.rest(2, Duration::from_secs(1), Now::ZERO, Rest::Yielded);

    for key in [2, 1, 3] {
        queue.interrupt(key, Now::ZERO);
    }

    let turns: Vec<Key> = std::iter::from_fn(|| Some(queue.next(Now::ZERO)?.key)).collect();
    assert_eq!(turns, [2, 1, 3]);
    for key in 1..=3 {
        queue.remove(key, Duration::ZERO);
    }
    assert_eq!((queue.next_timer(), queue.ready.competing, queue.waiting()), (None, 0, 0));
}

#[test]
fn a_deadline_interrupts_a_sleeper() {
    let mut queue = Queue::default();
    queue.add(1, own(WHOLE), Now::ZERO);
    queue.next(Now::ZERO);
    queue.rest(1, Duration::ZERO, Now::ZERO, Rest::Asleep);
    queue.set_deadline(1, Now::from_millis(10));

    queue.advance(Now::from_millis(9));
    assert_eq!(queue.next(Now::from_millis(9)), None);
    queue.advance(Now::from_millis(10));

    assert_eq!(queue.next(Now::from_millis(10)).map(|turn| turn.key), Some(1));
}

#[test]
fn nobody_bursts_for_a_while_where_others_want_the_cpu() {
    let mut queue = Queue::default();
    queue.add(1, bursting(0, 1000), Now::ZERO);
    let mut now = Now::ZERO;
    let burst = |queue: &mut Queue, crowded, now| {
        let turn = queue.next(now).expect("nothing speaks against it");
        queue.rest(turn.key, SLICE, now, Rest::Yielded);
        queue.burst_was(crowded, now);
    };

    for back_off in [5, 10, 20, 40, 80, 160, 160] {
        burst(&mut queue, true, now);
        assert_eq!((queue.next(now), queue.waiting()), (None, 0));
        now = now + Duration::from_millis(back_off);
        assert_eq!(queue.next_timer(), Some(now));
        queue.advance(now);
    }
    burst(&mut queue, false, now);
    burst(&mut queue, true, now);

    assert_eq!(queue.next_timer(), Some(now + BACK_OFF));
}

#[test]
fn only_newcomers_wait_until_one_of_them_has_run() {
    let mut queue = Queue::default();
    queue.add(1, own(WHOLE), Now::ZERO);
    queue.add(2, own(WHOLE), Now::ZERO);
    assert!(queue.only_newcomers_wait());

    let turn = queue.next(Now::ZERO).unwrap();
    queue.rest(turn.key, SLICE, Now::ZERO, Rest::Yielded);

    assert!(!queue.only_newcomers_wait());
}

#[test]
fn who_wakes_is_no_newcomer() {
    let mut queue = Queue::default();
    queue.add(1, own(WHOLE), Now::ZERO);
    let turn = queue.next(Now::ZERO).unwrap();
    queue.rest(turn.key, SLICE, Now::ZERO, Rest::Asleep);

    queue.wake(1, Now::ZERO);

    assert!(!queue.only_newcomers_wait());
}
