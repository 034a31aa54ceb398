//! The daemons' words, on standard error or in a file.

mod file;

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use file::LogFile;
use tracing_subscriber::EnvFilter;

use crate::args::{LogArgs, LogFormat};
use crate::error::CommandError;

static IN_FILE: AtomicBool = AtomicBool::new(false);

/// Logs as the flags say; `default` where neither they nor RUST_LOG say how much.
///
/// # Errors
/// When the filter is none, or the file cannot be written to.
pub(crate) fn start(args: &LogArgs, default: &str) -> Result<(), CommandError> {
    let filter = filter(args.log_level.as_deref(), default)?;
    // A log that cannot be written is no reason to fail: without this, telling of it would panic.
    let log = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let Some(path) = &args.log_file else {
        let log = log.with_writer(io::stderr);
        match args.log_format {
            LogFormat::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        return Ok(());
    };
    let file = LogFile::open(path).map_err(|source| CommandError::LogFile { path: path.clone(), source })?;
    let log = log.with_writer(Mutex::new(file)).with_ansi(false);
    match args.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    IN_FILE.store(true, Ordering::Relaxed);
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(())
}

/// Whether what is logged goes to a file, and so not to standard error.
pub(crate) fn is_in_file() -> bool {
    IN_FILE.load(Ordering::Relaxed)
}

/// Logs of a cluster that lives for one command: only what RUST_LOG asks for.
///
/// # Errors
/// When RUST_LOG is no filter.
pub(crate) fn start_if_asked() -> Result<(), CommandError> {
    if std::env::var_os(EnvFilter::DEFAULT_ENV).is_none_or(|filter| filter.is_empty()) {
        return Ok(());
    }
    let args = LogArgs { log_format: LogFormat::Text, log_level: None, log_file: None };
    start(&args, "off")
}

fn filter(given: Option<&str>, default: &str) -> Result<EnvFilter, CommandError> {
    let from_environment = || std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|filter| !filter.is_empty());
    let filter = given.map(str::to_string).or_else(from_environment).unwrap_or_else(|| default.to_string());
    EnvFilter::try_new(&filter).map_err(|reason| CommandError::LogFilter { filter, reason: reason.to_string() })
}
