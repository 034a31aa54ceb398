//! What can be typed after `haggle`.

mod daemon;
mod operator;
mod run;
pub(crate) mod values;

use clap::{Parser, Subcommand};

pub(crate) use daemon::{AgentArgs, LogArgs, LogFormat, MasterArgs, UpArgs};
pub(crate) use operator::{KillArgs, ListArgs, LogsArgs, PsArgs, WatchArgs};
pub(crate) use run::{BuildArgs, InspectArgs, RunArgs};

/// Two flags which cannot both be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Contradiction {
    #[error("{flag} names {name:?} twice; once is wanted")]
    Twice { flag: String, name: String },
    #[error("--env {0} cannot be set: each task is told its own")]
    OwnVariable(String),
    #[error("the inputs {file} and {below} exclude each other: the first is a file, so nothing can lie below it")]
    FileAndFolder { file: String, below: String },
}

/// Run WebAssembly tasks on a cluster, each under its own quota of CPU, memory, time, disk and output.
#[derive(Parser, Debug)]
#[command(name = "haggle", version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The master to speak to, like http://127.0.0.1:5050
    ///
    /// Without it, `run` brings up a cluster of its own for as long as the task runs, and the other commands ask
    /// http://127.0.0.1:5050.
    #[arg(long, global = true, env = "HAGGLE_MASTER", value_name = "URL")]
    master: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The master that was named, if one was. An empty variable names none.
    pub(crate) fn master(&self) -> Option<&str> {
        self.master.as_deref().filter(|url| !url.is_empty())
    }
}

const EXAMPLES: &str = "\
Examples:
  haggle run hello.wasm                      run a module; no cluster needed
  haggle run ./my-task -- --verbose          build a cargo package to wasm and run it
  haggle run hungry.wasm --mem 32MiB         under a quota of memory
  haggle up --agents 3                       a whole cluster on this machine, until Ctrl-C
  haggle --master http://127.0.0.1:5050 run primes.wasm --instances 100
                                             a hundred tasks on that cluster
  haggle ps --all                            what runs there, and what ended

Every list takes --json and then prints one JSON object per line.";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Up(UpArgs),
    Master(MasterArgs),
    Agent(AgentArgs),
    Run(Box<RunArgs>),
    Build(BuildArgs),
    Inspect(InspectArgs),
    Ps(PsArgs),
    /// List the agents: what they have, and how much of it is used
    Agents(ListArgs),
    /// List the frameworks that are subscribed or may still come back
    Frameworks(ListArgs),
    /// List the roles with their weights and shares
    Roles(ListArgs),
    /// List the open offers
    Offers(ListArgs),
    Logs(LogsArgs),
    Kill(KillArgs),
    Watch(WatchArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_master_may_be_named_before_and_after_the_command() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap();

        let before = parse("haggle --master 127.0.0.1:7000 ps");
        let after = parse("haggle ps --master 127.0.0.1:7000");

        assert_eq!(before.master(), Some("127.0.0.1:7000"));
        assert_eq!(after.master(), Some("127.0.0.1:7000"));
    }
}
