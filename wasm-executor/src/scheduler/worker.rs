//! The threads that run guests: take a turn, poll, read the CPU clock, charge, give it back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::arrivals::work_here;
use super::cell::{Body, Cell, Guest};
use super::release::{Heavy, release};
use super::ticker;
use super::turn::{Pressure, Turn};
use super::{After, Next, Scheduler, Stay};
use crate::charge::Debt;
use crate::clock::{thread_cpu_time, thread_slept};
use crate::event::{Listener, Meter};
use crate::outcome::Outcome;
use crate::pace;
use crate::process::system::run_when_idle;
use crate::run::Remains;
use crate::site::Site;

/// A slice that takes so much longer than the CPU time in it was interrupted by others who want the CPU. Interrupts of
/// the hardware take less.
const CROWDED: Duration = Duration::from_micros(500);

/// Starts the workers, which run on what is idle only if they are to. Guests find their timers in `timers`, which runs elsewhere
/// and polls no guest.
pub(crate) fn start(
    scheduler: &Arc<Scheduler>,
    idle_only: bool,
    timers: &Handle,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    for number in 0..scheduler.workers {
        let timers = timers.clone();
        let worker = Worker::new(scheduler, number, false);
        let thread = thread::Builder::new().name(format!("haggle-guest-{number}")).spawn(move || {
            let _timers = timers.enter();
            if idle_only && let Err(error) = run_when_idle() {
                // Bursts back off from whoever wants the processor, and all that runs here is one.
                tracing::warn!(%error, "this thread cannot be made one for idle times");
            }
            worker.work();
        })?;
        threads.push(thread);
    }
    threads.push(ticker::start(scheduler)?);
    Ok(threads)
}

/// Falling asleep and waking up are on the account of the task that was served last, up to this much: it is a few
/// microseconds, unless the worker was woken in vain meanwhile.
const WAITING_MAX: Duration = Duration::from_micros(50);

/// From a task's last turn to the next turn of its worker it takes less, unless whoever hears of the end does much. By the
/// machine's clock.
const STEPS_MAX: Duration = Duration::from_micros(10);

/// Ends of short tasks that are passed on together. More save little: what is left is a few microseconds for all of them.
const NEWS_TOGETHER: usize = 32;

/// For so long at most: the next one may be longer than those before.
const HELD_BACK: Duration = Duration::from_millis(5);

/// A task that used more CPU time than this has the news of its end passed on at once.
const SHORT: Duration = Duration::from_millis(1);

/// Who pays for what a worker does between two turns.
enum Payer {
    /// The task that was served, should the worker fall asleep.
    Task(Arc<Debt>),
    /// Nobody: the task had its last turn, which ended then.
    Nobody(Instant),
}

/// How a turn ended.
enum End {
    /// The guest wants to go on.
    Yielded,
    /// The guest waits for something.
    Asleep,
    /// With what it held, if that was much.
    Over(Outcome, Option<Remains>),
}

/// One of the threads that run guests.
pub(super) struct Worker {
    number: usize,
    scheduler: Arc<Scheduler>,
    /// The scheduler's, with references of this worker's own.
    site: Arc<Site>,
    /// Whether it has other things to do: then a turn is over when the guest comes back for the first time, and it takes no other
    /// one by itself.
    is_visitor: bool,
}

impl Worker {
    pub(super) fn new(scheduler: &Arc<Scheduler>, number: usize, is_visitor: bool) -> Self {
        Self { number, site: scheduler.site.near(), scheduler: Arc::clone(scheduler), is_visitor }
    }

    /// Serves one turn on a thread that has other things to do, and passes on what came of it.
    pub(super) fn serve_once(&self, turn: Turn, cell: &Arc<Cell>) {
        self.serve(turn, cell, thread_cpu_time());
        self.pass_on();
    }

    fn work(&self) {
        work_here(self.number);
        let mut paid = thread_cpu_time();
        let mut payer = Payer::Nobody(Instant::now());
        let mut next = None;
        let mut held_back = 0;
        while let Some(Next { turn, cell, waited }) = next.or_else(|| self.scheduler.next_turn(self.number)) {
            if waited {
                thread_slept();
            }
            // From one turn to the next it is a few steps, which the next task pays for: asking the clock, which is a
            // call of the kernel, would take as long again. After a task's last turn it may be more, and nobody's.
            if waited || matches!(payer, Payer::Nobody(ended) if ended.elapsed() >= STEPS_MAX) {
                let now = thread_cpu_time();
                if let Payer::Task(debt) = &payer {
                    debt.charge((now - paid).min(WAITING_MAX));
                }
                paid = now;
            }
            let (used, short);
            (used, short, payer, next) = self.serve(turn, &cell, paid);
            paid += used;
            // One that begins now is likely to be as short, and its end goes along.
            let goes_along = short && next.as_ref().is_some_and(|next| next.cell.is_new());
            if goes_along && held_back + 1 < NEWS_TOGETHER {
                held_back += 1;
                self.scheduler.ticker.holds_news(self.site.clock.now() + HELD_BACK);
            } else {
                held_back = 0;
                self.pass_on();
            }
        }
    }

    /// Has the news passed on, or later by the ticker what can wait.
    fn pass_on(&self) {
        self.scheduler.ticker.pass_on(&self.site);
    }

    /// Up to `since` of the thread's CPU clock is paid for. Says how much more is now, whether that was the end of a short
    /// task, who pays from then on, and which turn is next if there is one already.
    fn serve(&self, turn: Turn, cell: &Arc<Cell>, since: Duration) -> (Duration, bool, Payer, Option<Next>) {
        cell.turn_begins();
        let mut body = cell.body.lock();
        let (end, on_thread, crowded) = self.poll(turn, cell, &mut body, since);
        let used = on_thread + cell.debt().take();
        body.cpu += used;
        let cpu = body.cpu;
        cell.used(cpu);
        match end {
            End::Over(outcome, remains) => {
                let payer = Payer::Nobody(Instant::now());
                drop(body);
                let next = match remains {
                    None => {
                        // Room is made before the news goes out: whoever hears it may launch the next task.
                        let next = self.change_turns(cell, used, &After::Over);
                        self.scheduler.tell_end(cell, outcome, cpu);
                        next
                    }
                    Some(remains) => {
                        let (scheduler, cell) = (Arc::clone(&self.scheduler), Arc::clone(cell));
                        let heavy = Heavy { scheduler, cell, outcome, remains, cpu, used };
                        self.scheduler.releases.leave(heavy);
                        None
                    }
                };
                (on_thread, cpu <= SHORT, payer, next)
            }
            End::Yielded | End::Asleep => {
                let deadline = if body.deadline_set { None } else { cell.deadline() };
                body.deadline_set |= deadline.is_some();
                drop(body);
                guarded(|| cell.flush());
                let sleeps = matches!(end, End::Asleep);
                let stay = Stay { sleeps, deadline, crowded: turn.spare.map(|_| crowded) };
                let next = self.change_turns(cell, used, &After::Rest(stay));
                (on_thread, false, Payer::Task(Arc::clone(cell.debt())), next)
            }
        }
    }

    fn change_turns(&self, cell: &Cell, used: Duration, after: &After) -> Option<Next> {
        let takes_next = (!self.is_visitor).then_some(self.number);
        self.scheduler.change_turns(takes_next, cell, used, after)
    }

    /// Polls the guest until its turn is over, it sleeps, or it ends. Says how, the CPU time it took, and whether the
    /// system ran something else in the last slice.
    fn poll(&self, turn: Turn, cell: &Arc<Cell>, body: &mut Body, since: Duration) -> (End, Duration, bool) {
        let stopped = |body: &mut Body, outcome| {
            let guest = body.guest.take();
            over(cell, outcome, Box::new(guest), since)
        };
        let now = || self.site.clock.now();
        if let Some(outcome) = cell.must_end(now) {
            return stopped(body, outcome);
        }
        let waker = Waker::from(Arc::clone(cell));
        let mut context = Context::from_waker(&waker);
        let mut before = Duration::ZERO;
        loop {
            let guest = body.guest.get_or_insert_with(|| cell.guest(&self.site));
            let began = pace::slice_begins();
            let length = match cell.meter() {
                Meter::Fuel if self.is_visitor => Duration::ZERO,
                Meter::Fuel => pace::SLICE.min(turn.budget.saturating_sub(before)),
                // It is over when the epoch is.
                Meter::Epochs => Duration::ZERO,
            };
            let epochs = (cell.meter() == Meter::Epochs).then(|| self.scheduler.ticker.epochs());
            let polled = slice(cell, guest, &mut context, began, length);
            drop(epochs);
            match polled {
                Ok(Poll::Ready((outcome, remains))) => {
                    body.guest = None;
                    return over(cell, outcome, remains, since);
                }
                Ok(Poll::Pending) => {
                    if let Some(outcome) = cell.must_end(now) {
                        return stopped(body, outcome);
                    }
                }
                Err(panic) => {
                    let outcome = Outcome::broken(&format!("the executor panicked: {}", panic_text(&*panic)));
                    return stopped(body, outcome);
                }
            }
            // What it wrote is sent on at its own expense.
            self.pass_on();
            let used = thread_cpu_time() - since;
            let crowded = turn.spare.is_some() && began.elapsed() >= used - before + CROWDED;
            before = used;
            if !cell.goes_on() {
                return (End::Asleep, used, crowded);
            }
            let pressure = Pressure::from_u8(self.scheduler.pressure.load(Ordering::Relaxed));
            if self.is_visitor || crowded || turn.is_over(used, pressure, now) {
                return (End::Yielded, used, crowded);
            }
        }
    }
}

impl Scheduler {
    /// A task is over, and holds nothing any more, not even a place here.
    pub(super) fn tell_end(&self, cell: &Cell, outcome: Outcome, cpu: Duration) {
        let now = self.now();
        guarded(|| cell.end(&*self.site.listener, outcome, cpu, now));
    }
}

/// Polls the guest for this long and little more, however often it comes back meanwhile. The clock of the machine is no
/// call of the kernel, as that of the thread is: so guests can come back so often that all their slices are about as long.
fn slice(
    cell: &Cell,
    guest: &mut Guest,
    context: &mut Context<'_>,
    began: Instant,
    length: Duration,
) -> thread::Result<Poll<(Outcome, Remains)>> {
    loop {
        let polled = catch_unwind(AssertUnwindSafe(|| guest.as_mut().poll(context)))?;
        if polled.is_ready() || began.elapsed() >= length || !cell.goes_on() {
            return Ok(polled);
        }
    }
}

/// The turn was the last one. Releases what the guest held, unless that may take long.
fn over(cell: &Cell, outcome: Outcome, remains: Remains, since: Duration) -> (End, Duration, bool) {
    let much = if cell.is_heavy() {
        Some(remains)
    } else {
        release(cell.task(), remains);
        None
    };
    (End::Over(outcome, much), thread_cpu_time() - since, false)
}

/// The listener may break; the worker goes on.
fn guarded(tell: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(tell)).is_err() {
        tracing::error!("the executor's listener panicked");
    }
}

/// Has the listener pass on what it has heard. For how long it waits for more, if it does.
pub(super) fn pause(listener: &dyn Listener) -> Option<Duration> {
    let mut waits = None;
    guarded(|| waits = listener.pause());
    waits
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
