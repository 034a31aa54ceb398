//! The daemons' words on standard error.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::args::{LogArgs, LogFormat};
use crate::error::CommandError;

/// Logs to standard error as the flags say; `default` where neither they nor RUST_LOG say how much.
///
/// # Errors
/// When the filter is none.
pub(crate) fn start(args: &LogArgs, default: &str) -> Result<(), CommandError> {
    let filter = filter(args.log_level.as_deref(), default)?;
    // A log that cannot be written is no reason to fail: without this, telling of it would panic.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    match args.log_format {
        LogFormat::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Logs of a cluster that lives for one command: only what RUST_LOG asks for.
///
/// # Errors
/// When RUST_LOG is no filter.
pub(crate) fn start_if_asked() -> Result<(), CommandError> {
    if std::env::var_os(EnvFilter::DEFAULT_ENV).is_none_or(|filter| filter.is_empty()) {
        return Ok(());
    }
    let args = LogArgs { log_format: LogFormat::Text, log_level: None };
    start(&args, "off")
}

fn filter(given: Option<&str>, default: &str) -> Result<EnvFilter, CommandError> {
    let from_environment = || std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|filter| !filter.is_empty());
    let filter = given.map(str::to_string).or_else(from_environment).unwrap_or_else(|| default.to_string());
    EnvFilter::try_new(&filter).map_err(|reason| CommandError::LogFilter { filter, reason: reason.to_string() })
}
