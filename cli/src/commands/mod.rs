//! Every command: which function runs it, and on how many threads.

mod again;
mod agent;
pub(crate) mod agents;
mod artifacts;
mod build;
mod ca;
mod context;
mod drain;
mod follow;
pub(crate) mod frameworks;
mod inspect;
mod kill;
mod limits;
mod login;
mod logs;
mod maintenance;
mod master;
mod offers;
mod proxy;
mod ps;
mod push;
mod quota;
mod reserve;
pub(crate) mod roles;
mod run;
mod runtime;
mod service;
mod token;
mod ui;
mod up;
mod upload;
mod volume;
pub(crate) mod watch;
mod weight;
mod whoami;
mod why;

pub(crate) use run::{InputError, PackageError};

use haggle_sdk::{CallError, Client, ClientBuilder, ConnectError};
use tokio::runtime::{Builder, Runtime};

use crate::args::{Cli, Command};
use crate::error::CommandError;
use crate::target::{Origin, Target};
use crate::{completions, doctor, logging, man, top};

/// What a command that worked ends with.
pub(crate) type Verdict = Result<u8, CommandError>;

/// Where a master is expected when none is named.
pub(crate) const DEFAULT_MASTER: &str = "http://127.0.0.1:5050";

/// Before the name of its tasks in the name of the framework that `haggle run` is.
const FRAMEWORK_OF_RUN: &str = "haggle run ";

/// A proxy carries what many connections say: one may be held up by another's work.
const PROXY_THREADS: usize = 2;

/// Runs what was typed, to its end, and gives back the exit code.
///
/// # Errors
/// When the cluster or the command line is at fault.
pub(crate) fn run(cli: Cli) -> Verdict {
    let Cli { cluster, command } = cli;
    match command {
        Command::Up(args) => in_one_loop(up::run(args)),
        Command::Master(args) => logged(in_one_loop(master::run(*args))),
        Command::Agent(args) => logged(in_one_loop(agent::run(cluster.only_master()?, args))),
        Command::Service(args) => service::run(cluster.only_master()?.as_deref(), args),
        Command::Build(args) => build::run(&args),
        Command::Inspect(args) => on_this_thread(inspect::run(args)),
        Command::Push(args) => on_this_thread(push::run(args)),
        Command::Runtime(args) => runtime::run(args),
        Command::Login(args) => on_this_thread(login::run(cluster.only_master()?, args)),
        Command::Context(args) => context::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Doctor(args) => on_this_thread(doctor::run(cluster.target(), args)),
        asking => {
            let target = cluster.target()?;
            ask(&target, asking).map_err(|error| error.of(&target.origin))
        }
    }
}

/// Runs a command that asks a cluster.
fn ask(target: &Target, command: Command) -> Verdict {
    match command {
        Command::Run(args) => run::run(target, *args),
        Command::Ps(args) => on_this_thread(ps::run(target, args)),
        Command::Agents(args) => on_this_thread(agents::run(target, args)),
        Command::Frameworks(args) => on_this_thread(frameworks::run(target, args)),
        Command::Roles(args) => on_this_thread(roles::run(target, args)),
        Command::Quota(args) => on_this_thread(quota::run(target, args)),
        Command::Weight(args) => on_this_thread(weight::run(target, args)),
        Command::Reserve(args) => on_this_thread(reserve::reserve(target, args)),
        Command::Unreserve(args) => on_this_thread(reserve::unreserve(target, args)),
        Command::Volume(args) => on_this_thread(volume::run(target, args)),
        Command::Drain(args) => on_this_thread(drain::run(target, args)),
        Command::Undrain(args) => on_this_thread(drain::undo(target, args)),
        Command::Maintenance(args) => on_this_thread(maintenance::run(target, args)),
        Command::Offers(args) => on_this_thread(offers::run(target, args)),
        Command::Why(args) => on_this_thread(why::run(target, args)),
        Command::Limits(args) => on_this_thread(limits::run(target, args)),
        Command::Logs(args) => on_this_thread(logs::run(target, args)),
        Command::Kill(args) => on_this_thread(kill::run(target, args)),
        Command::Again(args) => on_this_thread(again::run(target, args)),
        Command::Upload(args) => on_this_thread(upload::run(target, args)),
        Command::Artifacts(args) => on_this_thread(artifacts::run(target, args)),
        Command::Watch(args) => on_this_thread(watch::run(target, args)),
        Command::Top(args) => on_this_thread(top::run(target, args)),
        Command::Ca(args) => on_this_thread(ca::run(target, args)),
        Command::Token(args) => on_this_thread(token::run(target, args)),
        Command::Proxy(args) => logged(on_threads(PROXY_THREADS, proxy::run(target, args))),
        Command::Ui(args) => logged(on_threads(PROXY_THREADS, ui::run(target, args))),
        Command::Whoami(args) => on_this_thread(whoami::run(target, args)),
        other => unreachable!("{other:?} asks no cluster"),
    }
}

/// A connection for a command that needs a cluster.
pub(crate) async fn connect(target: &Target) -> Result<Client, CommandError> {
    let connected = client(target).connect().await.map_err(|error| match (error, &target.origin) {
        (error @ ConnectError::Unanswered { .. }, Origin::Nobody | Origin::Master(_)) => CommandError::NoCluster(error),
        (source, Origin::Nobody | Origin::Master(_)) => source.into(),
        (source, origin) => CommandError::NoClusterOf { source, origin: origin.clone() },
    })?;
    follow::follow_authority(target, &connected).await;
    Ok(connected)
}

/// What a call failed of that names something: `unknown`, where nobody knows what was named.
fn unknown_as(unknown: CommandError) -> impl FnOnce(CallError) -> CommandError {
    |error| match error {
        CallError::NotFound(_) => unknown,
        error => error.into(),
    }
}

/// How the cluster that is meant is connected to.
pub(crate) fn client(target: &Target) -> ClientBuilder {
    let master = match (&target.master, &target.token) {
        (None, None) => Some(DEFAULT_MASTER),
        (master, _) => master.as_deref(),
    };
    let builder = master.into_iter().fold(Client::builder(), ClientBuilder::master);
    target.token.iter().cloned().fold(builder, ClientBuilder::token)
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

/// As [`on_this_thread`], for what carries a master or an agent: one loop for its sessions and its decisions, so that nothing is handed
/// from thread to thread on a task's way. What takes long is done elsewhere.
fn in_one_loop(command: impl Future<Output = Verdict>) -> Verdict {
    one_loop()?.block_on(command)
}

fn one_loop() -> Result<Runtime, CommandError> {
    // Each peer of a master takes one, and macOS gives a program 256 unless it asks for more.
    haggle_executor::process::raise_open_files();
    Builder::new_current_thread().enable_all().build().map_err(CommandError::Threads)
}

fn on_threads(threads: usize, command: impl Future<Output = Verdict>) -> Verdict {
    haggle_executor::process::raise_open_files();
    let runtime =
        Builder::new_multi_thread().worker_threads(threads).enable_all().build().map_err(CommandError::Threads)?;
    runtime.block_on(command)
}
