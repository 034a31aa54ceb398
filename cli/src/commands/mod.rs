//! Every command: which function runs it, and on how many threads.

mod agent;
mod agents;
mod build;
mod frameworks;
mod inspect;
mod kill;
mod logs;
mod master;
mod offers;
mod ps;
mod roles;
mod run;
mod service;
mod up;
mod watch;

pub(crate) use run::InputError;

use haggle_sdk::Client;
use tokio::runtime::Builder;

use crate::args::{Cli, Command};
use crate::error::CommandError;
use crate::logging;

/// What a command that worked ends with.
type Verdict = Result<u8, CommandError>;

/// Where a master is expected when none is named.
const DEFAULT_MASTER: &str = "http://127.0.0.1:5050";

/// A whole cluster in one process: one thread may be held up by the other's work.
const CLUSTER_THREADS: usize = 2;

/// Runs what was typed, to its end, and gives back the exit code.
///
/// # Errors
/// When the cluster or the command line is at fault.
pub(crate) fn run(cli: Cli) -> Verdict {
    let master = cli.master().map(str::to_string);
    let at = master.clone().unwrap_or_else(|| DEFAULT_MASTER.into());
    match cli.command {
        Command::Up(args) => on_threads(CLUSTER_THREADS, up::run(args)),
        Command::Master(args) => logged(on_threads(CLUSTER_THREADS, master::run(args))),
        Command::Agent(args) => logged(on_threads(CLUSTER_THREADS, agent::run(at, args))),
        Command::Service(args) => service::run(master.as_deref(), args),
        Command::Run(args) => run::run(master, *args),
        Command::Build(args) => build::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Ps(args) => on_this_thread(ps::run(&at, args)),
        Command::Agents(args) => on_this_thread(agents::run(&at, args)),
        Command::Frameworks(args) => on_this_thread(frameworks::run(&at, args)),
        Command::Roles(args) => on_this_thread(roles::run(&at, args)),
        Command::Offers(args) => on_this_thread(offers::run(&at, args)),
        Command::Logs(args) => on_this_thread(logs::run(&at, args)),
        Command::Kill(args) => on_this_thread(kill::run(&at, args)),
        Command::Watch(args) => on_this_thread(watch::run(&at, args)),
    }
}

/// A connection for a command that needs a cluster.
async fn connect(master: &str) -> Result<Client, CommandError> {
    Client::connect(master).await.map_err(|error| match error {
        haggle_sdk::ConnectError::Unanswered { .. } => CommandError::NoCluster(error),
        error => error.into(),
    })
}

/// Says why it ended also where nobody sees its standard error.
fn logged(ended: Verdict) -> Verdict {
    ended.inspect_err(|error| {
        if logging::is_in_file() {
            tracing::error!("{error}");
        }
    })
}

fn on_this_thread(command: impl Future<Output = Verdict>) -> Verdict {
    Builder::new_current_thread().enable_all().build().map_err(CommandError::Threads)?.block_on(command)
}

fn on_threads(threads: usize, command: impl Future<Output = Verdict>) -> Verdict {
    // Each peer of a master takes one, and macOS gives a program 256 unless it asks for more.
    haggle_executor::process::raise_open_files();
    let runtime =
        Builder::new_multi_thread().worker_threads(threads).enable_all().build().map_err(CommandError::Threads)?;
    runtime.block_on(command)
}
