//! Whatever can make a command fail, in one line for the person who typed it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use haggle_core::access::TokenId;
use haggle_core::{AgentId, Bytes, Digest, FrameworkId, MaintenanceId, TaskId, VolumeId};
use haggle_executor::inspect::NotAModule;
use haggle_master::{BadCollector, NotKept};
use haggle_sdk::{ArtifactError, CallError, ConnectError, RunError};
use haggle_tls::PrivateFolderError;

use crate::args::{Contradiction, Unreadable};
use crate::commands::{InputError, PackageError};
use crate::contexts::ContextError;
use crate::module::ModuleError;
use crate::output::OutputError;
use crate::runtime::RuntimeError;
use crate::script::ScriptError;
use crate::service::ManagerError;
use crate::service::flags::FlagError;
use crate::sources::FetchError;
use crate::target::{Origin, TargetError};
use crate::toolchain::BuildError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Usage(clap::Error),
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Collector(#[from] BadCollector),
    #[error("--stdin {path}: {source}", path = path.display())]
    Stdin { path: PathBuf, source: io::Error },
    #[error(
        "--stdin has more than the {0} that can be sent to each task; larger input belongs in a file, given with --input"
    )]
    StdinTooLarge(Bytes),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Packages(#[from] PackageError),
    #[error("{path} cannot be written: {source}", path = path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("cannot make a temporary folder: {0}")]
    TemporaryFolder(io::Error),
    #[error("cannot log to {path}: {source}", path = path.display())]
    LogFile { path: PathBuf, source: io::Error },
    #[error("cannot find out where this program is: {0}")]
    OwnProgram(io::Error),
    #[error(transparent)]
    Flags(FlagError),
    #[error(transparent)]
    Service(#[from] ManagerError),
    #[error("cannot start the threads that this needs: {0}")]
    Threads(io::Error),
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
    #[error("{filter:?} is not a log filter like info or haggle_master=debug: {reason}")]
    LogFilter { filter: String, reason: String },
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error("{name} is not a WebAssembly module: {source}")]
    NotAModule { name: String, source: NotAModule },
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}; is a cluster running? `haggle up` brings one up, --master names another")]
    NoCluster(ConnectError),
    #[error("{source} (asked for by {origin})")]
    NoClusterOf { source: ConnectError, origin: Origin },
    #[error("{0}; a master that speaks TLS hangs up on who comes without a token: is it this user's own?")]
    HungUp(CallError),
    #[error("{source} (you come by {origin})")]
    TurnedAway { source: CallError, origin: Origin },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("this user has no home in which the token of the proxy could be kept: set HOME or XDG_STATE_HOME")]
    NoHome,
    #[error("the token of the proxy cannot be kept: {0}")]
    ProxyToken(#[from] PrivateFolderError),
    #[error(
        "haggle top draws on a terminal, and what it reads or writes here is none: `haggle top --once` prints how it is now"
    )]
    NoTerminal,
    #[error("the terminal cannot be drawn on: {0}")]
    Terminal(io::Error),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Join(#[from] Arc<TargetError>),
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    NotKept(#[from] NotKept),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the master does not have the module {0}; a file or package is uploaded when it is run")]
    NoSuchModule(Digest),
    #[error("the master has no artifact {0}; `haggle artifacts ls` lists those it keeps")]
    NoSuchArtifact(Digest),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the master knows no {0}; `haggle ps --all` lists those it knows")]
    NoSuchTask(TaskId),
    #[error("the master knows no {0}; it left, or was declared gone before")]
    NoSuchAgent(AgentId),
    #[error("the master knows no {0}; it has ended, or was cancelled before")]
    NoSuchMaintenance(MaintenanceId),
    #[error("the master knows no {0}; `haggle volume ls` lists those that there are")]
    NoSuchVolume(VolumeId),
    #[error("the task cannot mount {volume}: {why}")]
    Volume { volume: VolumeId, why: String },
    #[error("the master knows no {0}; it expired, was used up, or was revoked before")]
    NoSuchToken(TokenId),
    #[error("the role {0} has no quota; `haggle quota ls` lists those that have one")]
    NoQuota(String),
    #[error("the master knows no {0}; `haggle frameworks` lists those it knows")]
    NoSuchFramework(FrameworkId),
    #[error(
        "nobody is called {0:?}: it is no role (`haggle roles`), and not the name of a framework (`haggle frameworks`) or a task (`haggle ps`)"
    )]
    NobodyCalled(String),
    #[error("no authority is ending, so that nothing is to be finished: `haggle ca rotate` comes first")]
    NoFormerAuthority,
    #[error(transparent)]
    StartMaster(#[from] haggle_master::StartError),
    #[error("the master ended: {0}")]
    MasterEnded(#[from] haggle_master::Failure),
    #[error(transparent)]
    StartAgent(#[from] haggle_agent::StartError),
    #[error(transparent)]
    Machine(#[from] haggle_agent::HostError),
    #[error(transparent)]
    AgentEnded(#[from] haggle_agent::Stopped),
}

impl CommandError {
    /// The same, with what has told as whom to come where that is the trouble.
    pub(crate) fn of(self, origin: &Origin) -> Self {
        let turned_away = |error: &CallError| matches!(error, CallError::Unauthenticated(_) | CallError::NotAllowed(_));
        let is_nobodys = matches!(origin, Origin::Nobody | Origin::Master(_));
        match self {
            Self::Call(source @ CallError::Unreachable { .. }) if is_nobodys => Self::HungUp(source),
            Self::Call(source) | Self::Artifact(ArtifactError::Call(source)) | Self::Run(RunError::Call(source))
                if turned_away(&source) =>
            {
                Self::TurnedAway { source, origin: origin.clone() }
            }
            other => other,
        }
    }
}

impl From<FlagError> for CommandError {
    fn from(error: FlagError) -> Self {
        match error {
            // Told as if the daemon itself had been typed.
            FlagError::Unreadable(error) => Self::Usage(error),
            error => Self::Flags(error),
        }
    }
}
