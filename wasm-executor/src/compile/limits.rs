//! What the child takes from itself before it reads anything that is not trusted.

#[cfg(windows)]
mod windows;

use std::ffi::OsString;
use std::time::Duration;

use haggle_core::Bytes;

use super::config::Allowed;
use crate::event::Meter;
#[cfg(unix)]
use crate::module::{Exhausted, ModuleError};

/// What the parent tells the child on its command line: form, CPU seconds, bytes of memory, of code and of
/// the module, how many threads it has and how nice they are, and who the parent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) meter: Meter,
    pub(super) limits: Allowed,
    pub(super) threads: usize,
    pub(super) niceness: u8,
    pub(super) parent: u32,
}

impl Order {
    pub(super) fn to_args(self) -> [String; 8] {
        let Allowed { cpu, mem, code, module } = self.limits;
        [
            name(self.meter).to_owned(),
            seconds(cpu).to_string(),
            mem.get().to_string(),
            code.get().to_string(),
            module.get().to_string(),
            self.threads.to_string(),
            self.niceness.to_string(),
            self.parent.to_string(),
        ]
    }

    pub(super) fn from_args(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut next = || args.next().and_then(|arg| arg.into_string().ok());
        let order = Self {
            meter: next().and_then(|named| METERS.into_iter().find(|&meter| name(meter) == named))?,
            limits: Allowed {
                cpu: Duration::from_secs(next()?.parse().ok()?),
                mem: Bytes::new(next()?.parse().ok()?),
                code: Bytes::new(next()?.parse().ok()?),
                module: Bytes::new(next()?.parse().ok()?),
            },
            threads: next()?.parse().ok()?,
            niceness: next()?.parse().ok()?,
            parent: next()?.parse().ok()?,
        };
        next().is_none().then_some(order)
    }

    /// Bytes that count as memory of the child beside what compiling the module takes: they are there before it is read.
    #[cfg(any(target_os = "linux", windows))]
    fn reserved(&self) -> u64 {
        crate::engine::COMPILING_RESERVES.saturating_add((self.threads as u64).saturating_mul(STACK as u64))
    }
}

/// Bytes of stack of each thread that compiles a part of a module.
pub(super) const STACK: usize = 2 << 20;

const METERS: [Meter; 2] = [Meter::Fuel, Meter::Epochs];

const fn name(meter: Meter) -> &'static str {
    match meter {
        Meter::Fuel => "fuel",
        Meter::Epochs => "epochs",
    }
}

/// The system counts whole seconds.
fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// # Errors
/// What could not be limited.
#[cfg(unix)]
pub(super) fn apply(order: &Order) -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};

    // Two of the limits are told by signals.
    crate::process::signals::reset_all_signals();
    let Allowed { cpu, mem, code, .. } = order.limits;
    let cap = |soft: u64, hard: u64| Rlimit { current: Some(soft), maximum: Some(hard) };
    // The signal at the soft limit says what it was; the one at the hard limit would not.
    setrlimit(Resource::Cpu, cap(seconds(cpu), seconds(cpu) + 1))?;
    setrlimit(Resource::Fsize, cap(code.get(), code.get()))?;
    setrlimit(Resource::Core, cap(0, 0))?;
    // Private memory that can be written, touched or not. Address space would also count the terabytes of a pool.
    #[cfg(target_os = "linux")]
    {
        let data = mem.get().saturating_add(order.reserved());
        setrlimit(Resource::Data, cap(data, data))?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = mem;
    nice(order.niceness.into())?;
    #[cfg(target_os = "linux")]
    linux::apply(order)?;
    // It has all the descriptors that it needs. What this system cannot take from it, the executor's log tells.
    drop(crate::process::Lockdown::default().apply());
    Ok(())
}

#[cfg(windows)]
pub(super) use windows::{apply, verdict};

/// What it means that the system ended a child in this way, if it did.
#[cfg(unix)]
pub(super) fn verdict(status: std::process::ExitStatus, limits: &Allowed) -> Option<ModuleError> {
    use rustix::process::Signal;
    use std::os::unix::process::ExitStatusExt;
    let signal = status.signal()?;
    match Signal::from_named_raw(signal)? {
        Signal::XCPU => Some(ModuleError::CompileLimit(Exhausted::Cpu(limits.cpu))),
        Signal::XFSZ => Some(ModuleError::CompileLimit(Exhausted::Code(limits.code))),
        // Not for anything that it did itself: somebody, or a machine without memory, wanted it gone.
        Signal::KILL | Signal::TERM | Signal::INT | Signal::HUP => {
            Some(ModuleError::Interrupted(format!("its compiler was killed by signal {signal}")))
        }
        _ => None,
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;

    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    use rustix::thread::set_no_new_privs;

    use super::Order;

    pub(super) fn apply(order: &Order) -> io::Result<()> {
        set_no_new_privs(true)?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have gone before it was asked for.
        let parent = getppid().and_then(|parent| u32::try_from(parent.as_raw_nonzero().get()).ok());
        if parent != Some(order.parent) {
            return Err(io::Error::other("whoever wanted this module compiled is gone"));
        }
        // When the machine runs out of memory, this goes before any task and before the agent. Best effort: `/proc`
        // need not be there.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::CompileLimits;

    #[test]
    fn an_order_reads_back_as_it_was_given() {
        let order =
            Order { meter: Meter::Epochs, limits: CompileLimits::default().of(7), threads: 8, niceness: 5, parent: 7 };

        let read = Order::from_args(order.to_args().into_iter().map(OsString::from));

        assert_eq!(read, Some(order));
    }

    #[test]
    fn what_is_no_order_is_none() {
        for args in ["fuel 1 2 3 4 5 6", "fuel 1 2 3 4 5 6 7 8", "gas 1 2 3 4 5 6 7", "fuel 1 2 3 x 5 6 7"] {
            assert_eq!(Order::from_args(args.split(' ').map(OsString::from)), None, "{args:?}");
        }
        assert!(Order::from_args("fuel 1 2 3 4 5 6 7".split(' ').map(OsString::from)).is_some());
    }

    #[test]
    fn parts_of_a_second_are_rounded_up() {
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(1001)), 2);
        assert_eq!(seconds(Duration::from_secs(2)), 2);
    }
}
