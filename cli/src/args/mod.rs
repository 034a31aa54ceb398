//! What can be typed after `haggle`.

mod access;
mod artifacts;
mod authority;
mod daemon;
#[cfg(test)]
mod documented;
mod etcd;
mod operator;
mod otlp;
mod proxy;
mod roles;
mod run;
mod runtime;
mod service;
mod terminal;
mod tls;
mod upkeep;
pub(crate) mod values;
mod volume;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use haggle_core::MilliCpu;
use haggle_tls::TokenKind;

pub(crate) use access::{
    ContextArgs, ContextCommand, CreateArgs, ForgetArgs, LoginArgs, RevokeArgs, TokenArgs, TokenCommand, UseArgs,
};
pub(crate) use artifacts::{
    ArtifactsArgs, ArtifactsCommand, GcArgs, LsArtifactsArgs, PullArgs, PushArgs, RmArtifactArgs,
};
pub(crate) use authority::{CaArgs, CaCommand, RotateArgs, SealKeyArgs};
pub(crate) use daemon::{AgentArgs, LogArgs, LogFormat, MasterArgs, ModuleArgs, UpArgs};
pub(crate) use etcd::Unreadable;
pub(crate) use operator::{
    AgainArgs, AgentsArgs, AgentsCommand, DeactivateArgs, GoneArgs, KillArgs, LimitsArgs, ListArgs, LogsArgs, PsArgs,
    RemoveArgs, UploadArgs, WatchArgs,
};
pub(crate) use proxy::{ProxyArgs, UiArgs};
pub(crate) use roles::{
    OffersArgs, QuotaArgs, QuotaCommand, QuotaRmArgs, QuotaSetArgs, ReserveArgs, RolesArgs, RolesCommand, RolesSetArgs,
    UnreserveArgs, WeightArgs, WhyArgs,
};
pub(crate) use run::{BuildArgs, InspectArgs, RunArgs};
pub(crate) use runtime::{AddRuntimeArgs, RmRuntimeArgs, RuntimeArgs, RuntimeCommand};
pub(crate) use service::{Daemon, InstallArgs, ServiceArgs, ServiceCommand};
pub(crate) use terminal::{CompletionsArgs, DoctorArgs, ManArgs, Shell, TopArgs};

pub(crate) use volume::{VolumeArgs, VolumeCommand, VolumeCreateArgs, VolumeLsArgs, VolumeRmArgs, VolumeShareArgs};

pub(crate) use upkeep::{CancelArgs, DrainArgs, MaintenanceArgs, MaintenanceCommand, ScheduleArgs, UndrainArgs};

use crate::completions;
use crate::target::{self, Said, Target, TargetError};

/// Two flags which cannot both be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Contradiction {
    #[error("{flag} names {name:?} twice; once is wanted")]
    Twice { flag: String, name: String },
    #[error("--env {0} cannot be set: each task is told its own HAGGLE_* variables")]
    OwnVariable(String),
    #[error("the inputs {file} and {below} exclude each other: the first is a file, so nothing can lie below it")]
    FileAndFolder { file: String, below: String },
    #[error("{0} is the script, and cannot be an --input as well")]
    ScriptTwice(String),
    #[error("--digest says what a FILE has to be, and none was named")]
    DigestOfNothing,
    #[error("--uses is for a token that lets agents join; one of kind {0} may be used until it expires")]
    UsesOfOthers(TokenKind),
    #[error("--role is for a token of kind framework or viewer; one of kind {0} is not bound to roles")]
    RolesOfOthers(TokenKind),
    #[error("--revocable runs on what the tasks of a cluster leave unused: name one with --master, or a context")]
    NobodyToLeaveAnything,
    #[error(
        "--otlp records what the cluster of this command does, and this one runs its tasks on {0}: its master and agents have flags of their own"
    )]
    TracesElsewhere(String),
    #[error("{0} has no meaning for this command: `haggle login TOKEN` and `haggle agent --join TOKEN` name their own")]
    NoLogin(&'static str),
}

/// Run WebAssembly tasks on a cluster, each under its own quota of CPU, memory, time, disk and output.
#[derive(Parser, Debug)]
#[command(name = "haggle", version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads a command line: every flag by itself, and then what one flag means for another.
    ///
    /// # Errors
    /// When it cannot be meant, or when help was asked for.
    pub(crate) fn read<W>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error>
    where
        W: Into<OsString> + Clone,
    {
        let cli = Self::try_parse_from(words)?;
        if let Command::Run(run) = &cli.command
            && run.cpus.is_some_and(MilliCpu::is_zero)
            && (run.burst.is_zero() || run.revocable)
        {
            const NO_CPU: &str = "invalid value '0' for '--cpus <N>': 0 cpus would never run; the least is 0.001, and a \
                                  task that shall live from what others leave needs a --burst";
            return Err(Self::command().error(ErrorKind::ValueValidation, NO_CPU));
        }
        Ok(cli)
    }
}

/// Which cluster is meant, and as whom.
#[derive(Args, Debug)]
pub(crate) struct ClusterArgs {
    /// The master to speak to, like http://127.0.0.1:5050; several are joined by commas [env: HAGGLE_MASTER]
    ///
    /// With a token or a context, where its masters are instead of where it says. Alone it names a master of yours on
    /// this machine. Without it, a token and a context, `run` brings up a cluster of its own for as long as the task
    /// runs, and the other commands ask 127.0.0.1:5050. Of several masters each is tried in turn, and one that stands by
    /// tells which one leads.
    #[arg(long, global = true, value_name = "URL")]
    master: Option<String>,

    /// What lets you in: a token of `haggle token create`, @FILE, or - for standard input [env: HAGGLE_TOKEN]
    ///
    /// Whoever lists processes sees the words of a command line: on a machine that you share, give a file, or use the
    /// variable, which only you and its programs can see. `haggle login` keeps it.
    #[arg(long, global = true, value_name = "TOKEN|@FILE|-")]
    token: Option<String>,

    /// The cluster to speak to, by the name that `haggle login` gave it [default: as `haggle context use` said]
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "token", add = completions::contexts())]
    context: Option<String>,
}

impl ClusterArgs {
    /// The cluster that is meant, and as whom.
    ///
    /// # Errors
    /// When a token or context cannot be read.
    pub(crate) fn target(&self) -> Result<Target, TargetError> {
        let said = |flag: &Option<String>| flag.clone().filter(|value| !value.is_empty());
        let flags = Said { master: said(&self.master), token: said(&self.token) };
        Target::choose(flags, self.context.as_deref(), target::environment(), target::stored_contexts)
    }

    /// The master alone, for a command that comes with a token of its own.
    ///
    /// # Errors
    /// When another flag was given.
    pub(crate) fn only_master(&self) -> Result<Option<String>, Contradiction> {
        if self.token.is_some() {
            return Err(Contradiction::NoLogin(target::TOKEN_FLAG));
        }
        if self.context.is_some() {
            return Err(Contradiction::NoLogin("--context"));
        }
        Ok(self.master.clone().filter(|url| !url.is_empty()))
    }
}

const EXAMPLES: &str = "\
Examples:
  haggle run hello.wasm                      run a module; no cluster needed
  haggle run ./my-task -- --verbose          build a cargo package to wasm and run it
  haggle run job.py -- --verbose             run a script; its interpreter is fetched once
  haggle run hungry.wasm --mem 32MiB         under a quota of memory
  haggle up --agents 3                       a whole cluster on this machine, until Ctrl-C
  haggle --master http://127.0.0.1:5050 run primes.wasm --instances 100
                                             a hundred tasks on that cluster
  haggle ps --all                            what runs there, and what ended

On several machines:
  host1$ haggle master --listen 0.0.0.0:5050 makes a cluster, and prints the two tokens
  host2$ haggle agent --join hgl1.…          one more machine
  you$   haggle login hgl1.…                 then: haggle run hello.wasm, from anywhere

Every list takes --json and then prints one JSON object per line.";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Up(UpArgs),
    Master(Box<MasterArgs>),
    Agent(AgentArgs),
    Service(ServiceArgs),
    Run(Box<RunArgs>),
    Build(BuildArgs),
    Inspect(InspectArgs),
    Runtime(RuntimeArgs),
    Ps(PsArgs),
    Agents(AgentsArgs),
    /// List the frameworks that are subscribed or may still come back
    Frameworks(ListArgs),
    Roles(RolesArgs),
    Quota(QuotaArgs),
    Weight(WeightArgs),
    Reserve(ReserveArgs),
    Unreserve(UnreserveArgs),
    Volume(VolumeArgs),
    Drain(DrainArgs),
    Undrain(UndrainArgs),
    Maintenance(MaintenanceArgs),
    Offers(OffersArgs),
    Why(WhyArgs),
    Limits(LimitsArgs),
    Logs(LogsArgs),
    Kill(KillArgs),
    Again(AgainArgs),
    Upload(UploadArgs),
    Artifacts(ArtifactsArgs),
    Push(PushArgs),
    Watch(WatchArgs),
    Top(TopArgs),
    Token(TokenArgs),
    Ca(CaArgs),
    Login(LoginArgs),
    Context(ContextArgs),
    Proxy(ProxyArgs),
    Ui(UiArgs),
    /// Say who you are to the cluster, and what told so
    Whoami(ListArgs),
    Doctor(DoctorArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// What is wrong with a command line, without the usage and the hints that clap draws below it.
pub(crate) fn in_one_line(error: &clap::Error) -> String {
    let drawn = error.to_string();
    let telling =
        drawn.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    // That a flag might also be meant as a value is hardly ever so.
    let words: Vec<_> = telling.filter(|line| !line.is_empty() && !line.starts_with("tip: to pass")).collect();
    let line = words.join(" ").replace(" tip: ", "; ");
    format!("{} (--help tells more)", line.strip_prefix("error: ").unwrap_or(&line))
}

#[cfg(test)]
mod tests {
    use haggle_sdk::WindowStart;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_is_told_in_one_line() {
        let said = |line: &str| in_one_line(&Cli::read(line.split(' ')).unwrap_err());

        assert_eq!(
            said("haggle up --cpus 0"),
            "invalid value '0' for '--cpus <N>': 0 cpus would never run; the least is 0.001 (--help tells more)"
        );
        assert_eq!(
            said("haggle run"),
            "the following required arguments were not provided: <MODULE> (--help tells more)"
        );
        assert_eq!(
            said("haggle run a.wasm --timout 3s"),
            "unexpected argument '--timout' found; a similar argument exists: '--timeout' (--help tells more)"
        );
    }

    #[test]
    fn a_task_may_live_from_its_burst_alone() {
        let read = |line: &str| Cli::read(line.split(' ')).map_err(|error| in_one_line(&error));

        assert!(read("haggle run a.wasm --cpus 0 --burst 1").is_ok());
        let refused = read("haggle run a.wasm --cpus 0").unwrap_err();
        assert!(refused.contains("0 cpus would never run"), "{refused}");
        assert!(refused.contains("needs a --burst"), "{refused}");
    }

    #[test]
    fn agents_are_listed_unless_one_is_declared_gone() {
        let read = |line: &str| Cli::read(line.split(' ')).map(|cli| cli.command);

        assert!(matches!(read("haggle agents --json"), Ok(Command::Agents(AgentsArgs { command: None, .. }))));
        let Ok(Command::Agents(AgentsArgs { command: Some(AgentsCommand::Gone(gone)), .. })) =
            read("haggle agents gone agent-3 --json")
        else {
            panic!("not read")
        };
        assert_eq!((gone.agent.0, gone.list.json), (3, true));
        assert!(read("haggle agents gone 3").is_err());
    }

    #[test]
    fn a_maintenance_window_begins_at_a_moment_or_from_now_on() {
        let start = |start: &str| {
            let line = ["haggle", "maintenance", "schedule", "agent-1", "agent-2", "--start", start, "--for", "2h"];
            let command = Cli::read(line).map(|cli| cli.command).map_err(|error| in_one_line(&error))?;
            let Command::Maintenance(MaintenanceArgs { command: MaintenanceCommand::Schedule(args) }) = command else {
                panic!("not read")
            };
            Ok::<_, String>(args.start)
        };
        let seconds = |seconds| std::time::Duration::from_secs(seconds);

        assert_eq!(start("now"), Ok(WindowStart::In(seconds(0))));
        assert_eq!(start("90m"), Ok(WindowStart::In(seconds(5400))));
        let at = std::time::SystemTime::UNIX_EPOCH + seconds(1_799_550_000);
        assert_eq!(start("2027-01-10T03:00:00Z"), Ok(WindowStart::At(at)));
        let wrong = start("tomorrow").unwrap_err();
        assert!(wrong.contains("neither now, nor a time from now like 2h, nor a moment like"), "{wrong}");
    }

    #[test]
    fn the_master_may_be_named_before_and_after_the_command() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap();

        let before = parse("haggle --master 127.0.0.1:7000 ps");
        let after = parse("haggle ps --master 127.0.0.1:7000");

        let several = parse("haggle ps --master a:5050,b:5050,c");
        assert_eq!(several.cluster.master.as_deref(), Some("a:5050,b:5050,c"));
        assert_eq!(before.cluster.master.as_deref(), Some("127.0.0.1:7000"));
        assert_eq!(after.cluster.master.as_deref(), Some("127.0.0.1:7000"));
    }

    #[test]
    fn a_token_is_made_for_a_kind_and_only_with_what_that_kind_can_use() {
        let check = |line: &str| {
            let Ok(Command::Token(TokenArgs { command: TokenCommand::Create(args) })) =
                Cli::read(line.split(' ')).map(|cli| cli.command)
            else {
                panic!("not read: {line}")
            };
            args.check().map_err(|contradiction| contradiction.to_string())
        };

        check("haggle token create --kind agent --uses 3 --ttl 2h").unwrap();
        check("haggle token create --kind framework --role ci/* --role eng --name ci").unwrap();
        let uses = check("haggle token create --kind viewer --uses 2").unwrap_err();
        assert!(uses.contains("one of kind viewer may be used until it expires"), "{uses}");
        let roles = check("haggle token create --kind operator --role a").unwrap_err();
        assert!(roles.contains("one of kind operator is not bound to roles"), "{roles}");
        for wrong in ["--kind owner", "--kind agent --uses 0", "--kind framework --role a//b", ""] {
            assert!(Cli::read(format!("haggle token create {wrong}").split_whitespace()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_brings_a_token_of_its_own_takes_no_other() {
        let master = |line: &str| Cli::read(line.split(' ')).unwrap().cluster.only_master();

        assert_eq!(master("haggle agent --master a").unwrap().as_deref(), Some("a"));
        assert!(master("haggle agent --token hgl1.x").unwrap_err().to_string().starts_with("--token has no meaning"));
        assert!(master("haggle login x --context y").is_err());
    }
}
