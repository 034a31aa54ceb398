//! What a shell offers to complete a command line with.
//!
//! The script that a shell reads calls this program back with the words that were typed so far.

mod names;
mod words;

use std::env;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::env::{Bash, EnvCompleter, Fish, Powershell, Zsh};

use crate::args::{Cli, CompletionsArgs, Shell};
use crate::commands::Verdict;
use crate::exit;
use crate::output::{self, OutputError};

pub(crate) use names::{agents, contexts, living_tasks, maintenance, roles, tasks, tokens, volumes, whom};

/// Set by the script, to the name of its shell, for a call that completes.
const VARIABLE: &str = "HAGGLE_COMPLETE";

/// What is completed.
const PROGRAM: &str = "haggle";

/// Prints the script of a shell.
pub(crate) fn run(args: &CompletionsArgs) -> Verdict {
    output::bytes(&script(args.shell, &program()).map_err(OutputError::from)?)?;
    Ok(0)
}

/// Completes a line, when a shell asks for that; `None` means that this process is something else.
pub(crate) fn answer() -> Option<ExitCode> {
    let here = env::current_dir().ok();
    match CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .bin(PROGRAM)
        .try_complete(env::args_os(), here.as_deref())
    {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        // Whatever were said here would stand in the line that somebody is typing.
        Err(_) => Some(exit::code(exit::FAULT)),
    }
}

/// How a script calls this program: as it was called now, from whatever folder.
fn program() -> String {
    let called = env::args_os().next().unwrap_or_else(|| PROGRAM.into());
    let path = Path::new(&called);
    let whole = if path.components().count() > 1 { std::path::absolute(path).ok() } else { None };
    whole.as_deref().unwrap_or(path).to_string_lossy().into_owned()
}

fn script(shell: Shell, program: &str) -> io::Result<Vec<u8>> {
    let shell: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
        Shell::Power => &Powershell,
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, program, &mut script)?;
    Ok(script)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_has_a_script_that_calls_this_program_back() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell, "/opt/my tools/haggle").unwrap()).unwrap();

            assert!(script.contains(VARIABLE), "{shell:?}: {script}");
            assert!(script.contains("'/opt/my tools/haggle'"), "{shell:?}: {script}");
        }
    }
}
