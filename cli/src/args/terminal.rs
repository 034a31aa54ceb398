//! What can be typed after the commands that make a terminal a good place to work in.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::ListArgs;

/// Watch the cluster live: what is used, who waits, what runs, and what a task writes
///
/// Pages for the whole, agents, roles, frameworks and tasks, and one for each task with why it waits and the end of its output; keys
/// as in k9s, and ? lists them. It listens to what happens, as `haggle watch` does, and asks the master for no more than is shown.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle top
  haggle top --once                        the first page as text
  haggle top --once --json | jq .roles     everything, as one JSON object")]
pub(crate) struct TopArgs {
    /// Print how it is now, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// With --once: everything as one JSON object
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
}

/// Print what has a shell complete commands, flags and names
///
/// Names of tasks, agents, frameworks, roles and the like are those of the cluster that the line is for. It is asked while you
/// type and has a second to answer; where there is none, or none that lets you in, there are no names, and no error either.
#[derive(Args, Debug)]
#[command(after_help = "\
Where it goes, once:
  bash         echo 'source <(haggle completions bash)' >> ~/.bashrc
  zsh          echo 'source <(haggle completions zsh)' >> ~/.zshrc      (below the line with compinit)
  fish         echo 'haggle completions fish | source' > ~/.config/fish/completions/haggle.fish
  PowerShell   Add-Content $PROFILE 'haggle completions powershell | Out-String | Invoke-Expression'

It is printed anew by each shell that starts, so that it suits the haggle that is installed then.")]
pub(crate) struct CompletionsArgs {
    /// Whose
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A shell that can be told how to complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell", alias = "pwsh")]
    Power,
}

/// Print the manual page of haggle, or write those of all commands into a folder
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle man ~/.local/share/man/man1       then: man haggle, man haggle-run, man haggle-agents-gone
  haggle man | man -l -                    nothing is written")]
pub(crate) struct ManArgs {
    /// Where to write one file for each command; made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

/// Say what this machine lacks, and what to do about it
///
/// Looks at what the sandbox needs of the system, the master's port, clocks, disks, open files, the compiler for tasks, and
/// the clusters that you are logged in to, and changes nothing. A line for each: `ok`, `warn` (it works, with less), or `fail`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle doctor
  haggle doctor --context work             also whether that cluster lets you in, and whose clock is wrong
  haggle doctor --json | jq -r 'select(.verdict != \"ok\") | .advice'

Exit codes: 0 when nothing fails, else 1.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
