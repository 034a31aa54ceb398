//! CPU time of the calling thread on Windows.
//!
//! The system counts each thread's cycles, exactly, and its times in steps of 10 to 16 ms. Cycles are what the processor's
//! time-stamp counter counts, at one rate on every processor of the last fifteen years. Where they are not counted, or not at
//! that rate, the times have to do.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::Threading::{GetCurrentThread, GetThreadTimes};
use windows_sys::Win32::System::WindowsProgramming::QueryThreadCycleTime;

use super::coarse::Coarse;

/// Longer than any step in which times of threads are counted: a tick of the system's timer.
const STEP: Duration = Duration::from_micros(15_625);

/// How long the two counters are compared, once in a process.
const COMPARED: Duration = Duration::from_millis(5);

/// How fast cycles are counted, where they are.
static RATE: LazyLock<Option<f64>> = LazyLock::new(cycles_per_nanosecond);

thread_local! {
    static COARSE: Cell<Coarse> = const { Cell::new(Coarse::NEW) };
}

pub(crate) fn thread_cpu_time() -> Duration {
    match *RATE {
        Some(rate) => cycles().map_or(Duration::ZERO, |cycles| nanoseconds(cycles, rate)),
        None => by_times(),
    }
}

pub(crate) fn thread_slept() {
    if RATE.is_none() {
        let mut coarse = COARSE.get();
        coarse.slept(on_the_wall());
        COARSE.set(coarse);
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within 100 days"
)]
fn nanoseconds(cycles: u64, rate: f64) -> Duration {
    Duration::from_nanos((cycles as f64 / rate) as u64)
}

/// How fast the time-stamp counter counts, if that is what cycles are counted by.
fn cycles_per_nanosecond() -> Option<f64> {
    let (start, first, own) = (Instant::now(), stamp()?, cycles()?);
    while start.elapsed() < COMPARED {
        std::hint::spin_loop();
    }
    let (last, passed, used) = (stamp()?, start.elapsed(), cycles()? - own);
    let stamps = last.checked_sub(first)?;
    // The thread may have been away for a part of that time, but not have used more of it than there was.
    let plausible = used <= stamps + stamps / 50 && used > 0;
    #[expect(clippy::cast_precision_loss, reason = "both are small")]
    plausible.then(|| stamps as f64 / passed.as_nanos() as f64)
}

#[cfg(target_arch = "x86_64")]
fn stamp() -> Option<u64> {
    #[expect(unsafe_code, reason = "an instruction")]
    // SAFETY: every processor of this kind has it.
    Some(unsafe { std::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn stamp() -> Option<u64> {
    None
}

fn cycles() -> Option<u64> {
    let mut cycles = 0;
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: it means the calling thread, and a number is written to a number.
    let told = unsafe { QueryThreadCycleTime(GetCurrentThread(), &raw mut cycles) };
    (told != 0).then_some(cycles)
}

fn by_times() -> Duration {
    let mut coarse = COARSE.get();
    let used = coarse.at(on_the_wall(), STEP, counted);
    COARSE.set(coarse);
    used
}

/// Never 0, which tells a thread that was never asked.
fn on_the_wall() -> Duration {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    ORIGIN.elapsed() + Duration::from_nanos(1)
}

/// User and kernel time, in units of 100 ns.
fn counted() -> Duration {
    let [mut made, mut ended, mut kernel, mut user] = [FILETIME::default(); 4];
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: it means the calling thread, and times are written to times.
    let told =
        unsafe { GetThreadTimes(GetCurrentThread(), &raw mut made, &raw mut ended, &raw mut kernel, &raw mut user) };
    let units = |time: FILETIME| (u64::from(time.dwHighDateTime) << 32) + u64::from(time.dwLowDateTime);
    if told == 0 { Duration::ZERO } else { Duration::from_nanos((units(kernel) + units(user)) * 100) }
}
