//! What can be typed after `service`.

use std::ffi::OsString;
use std::fmt;

use clap::{Args, Subcommand, ValueEnum};

/// Have a master or an agent run as a service of yours, without root
///
/// It starts with your session and again when it ends: by a user unit of systemd on Linux, an agent of launchd on macOS,
/// a task at logon on Windows. Nothing is installed for other users.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle service install agent --master http://127.0.0.1:5050 --cpus 2
  haggle service install --dry-run master   print what would be written, and write nothing
  haggle service status agent
  haggle service uninstall agent

Exit codes of status: 0 when it runs, 3 when it does not, 125 when it is not installed.")]
pub(crate) struct ServiceArgs {
    #[command(subcommand)]
    pub(crate) command: ServiceCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ServiceCommand {
    /// Write the service's file and start it; again with other flags to change it
    Install(InstallArgs),
    /// Show how it is
    Status(DaemonArgs),
    /// Stop it and remove its file; its state stays
    Uninstall(DaemonArgs),
}

#[derive(Args, Debug)]
pub(crate) struct InstallArgs {
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// What to run
    #[arg(value_enum)]
    pub(crate) daemon: Daemon,
    /// The flags of `haggle master` or `haggle agent`, whose --help lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    pub(crate) flags: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct DaemonArgs {
    /// Which service
    #[arg(value_enum)]
    pub(crate) daemon: Daemon,
}

/// What can be a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Daemon {
    /// `haggle master`
    Master,
    /// `haggle agent`
    Agent,
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Agent => "agent",
        })
    }
}
