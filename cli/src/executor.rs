//! The process that an agent starts for itself: an executor behind a socket.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use haggle_executor::process;
use tracing_subscriber::EnvFilter;

use crate::exit;

/// Bytes of its log. What a guest does may lead to a line; a guest that goes on must not fill the disk.
const LOG_MAX: usize = 1 << 20;

/// Is an executor, when these are the arguments of one, the program's own name first. To be called first thing in
/// `main`, while there is one thread; `None` means that this process is something else.
pub(crate) fn child(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != process::COMMAND || args.next().is_some() {
        return None;
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Log).with_ansi(false);
    log.log_internal_errors(false).init();
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(Log, "{panic}");
    }));
    Some(match process::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(Log, "{error}");
            exit::code(exit::FAULT)
        }
    })
}

/// Standard error, which is a file, up to its limit.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        static WRITTEN: AtomicUsize = AtomicUsize::new(0);
        if WRITTEN.fetch_add(bytes.len(), Ordering::Relaxed) < LOG_MAX {
            io::stderr().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
