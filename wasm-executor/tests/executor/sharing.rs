//! Ceilings, weights and bursts of guests in both forms of metering.

use std::thread;
use std::time::{Duration, Instant};

use haggle_core::{Fuel, MilliCpu, Reason, TaskSpec, TaskState, Usage};
use haggle_executor::{Event, Meter};

use crate::kit::{Bench, Form, Report, guest, spec};

const SPIN: &str = r#"(memory (export "memory") 1) (func (export "_start") (call $spin))"#;

/// Long enough that a slice more or less is little.
const WINDOW: Duration = Duration::from_millis(1500);

const METERS: [Meter; 2] = [Meter::Fuel, Meter::Epochs];

fn spinner(cpus: u64, weight: Option<u64>, burst: u64) -> TaskSpec {
    let mut spec = spec();
    spec.resources.cpus = MilliCpu::new(cpus);
    spec.sharing.weight = weight.map(MilliCpu::new);
    spec.sharing.burst = MilliCpu::new(burst);
    spec.limits.time = Some(WINDOW);
    spec
}

/// Of each spinner that is started with the others.
fn together(bench: &Bench, meter: Meter, specs: Vec<TaskSpec>) -> Vec<Usage> {
    let bytes = guest(Form::Core, SPIN);
    // Once ahead, so that no window begins with a compilation.
    bench.report(bench.launch_metered(meter, spinner(1000, None, 0), &bytes, &[]));
    let ids: Vec<_> = specs.into_iter().map(|spec| bench.launch_metered(meter, spec, &bytes, &[])).collect();
    let reports: Vec<Report> = ids.into_iter().map(|id| bench.report(id)).collect();
    for report in &reports {
        assert_eq!(report.verdict(), (TaskState::Failed, Some(Reason::TimeLimit)), "{}", report.ending.message);
    }
    reports.into_iter().map(|report| report.ending.usage).collect()
}

fn rate(usage: &Usage) -> f64 {
    usage.cpu.as_secs_f64() / usage.wall.as_secs_f64()
}

/// By how much the turn in which a task is ended may be too long: the thread that ends it may come late, and CPU time may be
/// counted in steps. That of every turn before was made good.
const LAST_TURN: Duration = Duration::from_millis(if cfg!(windows) { 20 } else { 5 });

/// Whether a task used no more than this rate brings, but for its last turn.
fn is_below(usage: &Usage, ceiling: f64) -> bool {
    usage.cpu <= usage.wall.mul_f64(ceiling * 1.03) + LAST_TURN
}

#[test]
fn a_ceiling_holds_in_both_forms() {
    let bench = Bench::new();
    for meter in METERS {
        let usages = together(&bench, meter, vec![spinner(100, None, 0), spinner(300, None, 0)]);

        // A machine that is busy with others may give less, and never more.
        for (usage, ceiling) in usages.iter().zip([0.1, 0.3]) {
            assert!(is_below(usage, ceiling), "{} of {ceiling} with {meter:?}", rate(usage));
            assert!(usage.throttled + usage.cpu <= usage.wall + LAST_TURN, "{usage:?} with {meter:?}");
        }
        assert_eq!(usages[0].fuel == Fuel::ZERO, meter == Meter::Epochs, "only fuel is counted");
    }
}

/// The system may run others while a guest is about to begin, for longer than epochs go on that nobody needs.
#[test]
fn a_loop_ends_at_its_time_limit_though_its_thread_was_held_up_before_it_began() {
    const HELD_UP: Duration = Duration::from_millis(200);
    let bench = Bench::hearing(|event| {
        let began = Instant::now();
        while matches!(event, Event::Started { .. }) && began.elapsed() < HELD_UP {
            thread::yield_now();
        }
    });
    let mut spec = spec();
    spec.limits.time = Some(HELD_UP * 2);

    let id = bench.launch_metered(Meter::Epochs, spec, &guest(Form::Core, SPIN), &[]);

    assert_eq!(bench.report(id).verdict(), (TaskState::Failed, Some(Reason::TimeLimit)));
}

#[test]
#[cfg_attr(windows, ignore = "in two seconds, Wine's CPU clock makes a few dozen steps")]
fn a_crowd_shares_by_weight_in_both_forms() {
    let bench = Bench::with_workers(1);
    for meter in METERS {
        let specs = [1000, 2000, 4000].map(|weight| spinner(1000, Some(weight), 0));

        let usages = together(&bench, meter, specs.to_vec());

        let all: f64 = usages.iter().map(rate).sum();
        for (usage, parts) in usages.iter().zip([1.0, 2.0, 4.0]) {
            let share = rate(usage) / all * 7.0 / parts;
            // A few dozen turns where the machine is busy with others; the queue's own tests are stricter.
            assert!((0.8..1.2).contains(&share), "{share} of its share with {meter:?}");
        }
    }
}

#[test]
fn a_burst_takes_what_is_left_and_no_more() {
    let bench = Bench::with_workers(1);
    for meter in METERS {
        let alone = together(&bench, meter, vec![spinner(0, None, 500)]);
        let usages = together(&bench, meter, vec![spinner(100, None, 200), spinner(400, None, 0)]);

        // How much there is to be had, a machine that is busy with others does not promise.
        assert!(alone[0].cpu > Duration::ZERO, "it never ran with {meter:?}");
        for (usage, at_most) in alone.iter().chain(&usages).zip([0.5, 0.3, 0.4]) {
            assert!(is_below(usage, at_most), "{} of {at_most} with {meter:?}", rate(usage));
        }
    }
}

#[test]
fn what_a_task_uses_is_told_while_it_runs() {
    let bench = Bench::new();
    // So little that any machine has more for it.
    let mut endless = spinner(5, None, 0);
    endless.limits.time = None;
    let id = bench.launch_metered(Meter::Epochs, endless, &guest(Form::Core, SPIN), &[]);
    bench.wait_for(|event| *event == Event::Started { task: id });

    let used = loop {
        let used = bench.executor.usage(id).expect("it runs");
        if !used.cpu.is_zero() && !used.throttled.is_zero() {
            break used;
        }
        std::thread::yield_now();
    };
    bench.executor.kill(id);

    let all = bench.report(id).ending.usage;
    assert!(all.cpu >= used.cpu && all.throttled >= used.throttled && all.wall >= used.wall, "{used:?} of {all:?}");
    assert_eq!(bench.executor.usage(id), None);
}

/// It has earned no slice yet when it comes, and the worker that lets it in need not be the one that waits for timers.
#[test]
fn a_task_that_lives_from_a_burst_alone_begins_though_all_workers_sleep() {
    let bench = Bench::with_workers(2);
    let bytes = guest(Form::Core, SPIN);
    for _ in 0..20 {
        let mut endless = spinner(0, None, 400);
        endless.limits.time = None;
        let id = bench.launch_metered(Meter::Fuel, endless, &bytes, &[]);
        bench.wait_for(|event| *event == Event::Started { task: id });

        bench.executor.kill(id);
        bench.report(id);
    }
}

#[test]
fn what_is_revocable_is_left_by_those_that_have_a_promise_and_is_no_more_than_was_given() {
    let bench = Bench::with_workers(1);
    for meter in METERS {
        let revocable = |cpus| {
            let mut spec = spinner(0, None, 0);
            spec.resources.revocable = MilliCpu::new(cpus);
            spec
        };

        let usages = together(&bench, meter, vec![spinner(600, None, 0), revocable(100), revocable(1000)]);

        let [promised, little, rest] = &usages[..] else { panic!("three ran") };
        assert!(is_below(promised, 0.6) && is_below(little, 0.1), "{usages:?} with {meter:?}");
        // What the machine gives is for the one with a promise first.
        let left = 1.0 - rate(promised);
        assert!(rate(promised) > rate(rest), "{usages:?} with {meter:?}");
        assert!(rate(little) + rate(rest) < left + 0.05, "{usages:?} with {meter:?}");
    }
}

#[test]
fn a_kill_stops_a_loop_that_no_fuel_ends() {
    let bench = Bench::new();
    let mut endless = spinner(1000, None, 0);
    endless.limits.time = None;
    let id = bench.launch_metered(Meter::Epochs, endless, &guest(Form::Component, SPIN), &[]);
    bench.wait_for(|event| *event == Event::Started { task: id });

    bench.executor.kill(id);

    assert_eq!(bench.report(id).verdict(), (TaskState::Killed, Some(Reason::KillRequested)));
}

#[test]
fn a_fuel_budget_is_not_held_where_no_fuel_is_counted_and_so_is_refused() {
    let bench = Bench::new();
    let mut budgeted = spinner(1000, None, 0);
    budgeted.limits.fuel = Some(Fuel::new(1000));

    let id = bench.launch_metered(Meter::Epochs, budgeted, &guest(Form::Core, SPIN), &[]);

    assert_eq!(bench.report(id).verdict(), (TaskState::Failed, Some(Reason::TaskInvalid)));
}
