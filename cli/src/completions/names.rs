//! Names that exist: in the cluster that the line is for, and among the contexts.

use std::env;
use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use haggle_core::cluster::{TaskView, VolumeView};
use haggle_sdk::{CallError, Client};
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::words;
use crate::target;
use crate::{commands, output};

/// Whoever presses Tab waits no longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Names that are offered at once; more than that nobody looks through.
const MOST: usize = 200;

/// A name, and what it is the name of.
type Name = (String, String);

/// Tasks that have not ended, and the last that have.
pub(crate) fn tasks() -> ArgValueCompleter {
    from_cluster(async |client| Ok(of_tasks(&client.tasks(true).await?)))
}

/// Tasks that have not ended.
pub(crate) fn living_tasks() -> ArgValueCompleter {
    from_cluster(async |client| Ok(of_tasks(&client.tasks(false).await?)))
}

pub(crate) fn agents() -> ArgValueCompleter {
    from_cluster(async |client| {
        let agents = client.agents().await?;
        Ok(agents.into_iter().map(|agent| (agent.id.to_string(), agent.info.name)).collect())
    })
}

pub(crate) fn roles() -> ArgValueCompleter {
    from_cluster(async |client| of_roles(client).await)
}

/// Whatever can be asked after: tasks, frameworks by their ids and their names, and roles.
pub(crate) fn whom() -> ArgValueCompleter {
    from_cluster(async |client| {
        let (roles, frameworks, tasks) = tokio::try_join!(of_roles(client), client.frameworks(), client.tasks(false))?;
        let by_id = frameworks.iter().map(|framework| (framework.id.to_string(), framework.info.name.clone()));
        let by_name = frameworks.iter().map(|framework| (framework.info.name.clone(), framework.id.to_string()));
        Ok(roles.into_iter().chain(by_id).chain(by_name).chain(of_tasks(&tasks)).collect())
    })
}

/// Maintenance windows that are under way or to come.
pub(crate) fn maintenance() -> ArgValueCompleter {
    from_cluster(async |client| {
        let windows = client.maintenance().await?;
        Ok(windows.into_iter().map(|window| (window.id.to_string(), String::new())).collect())
    })
}

pub(crate) fn volumes() -> ArgValueCompleter {
    from_cluster(async |client| {
        let named =
            |volume: VolumeView| (volume.id.to_string(), volume.known.map_or_else(String::new, |known| known.name));
        Ok(client.volumes().await?.into_iter().map(named).collect())
    })
}

pub(crate) fn tokens() -> ArgValueCompleter {
    from_cluster(async |client| {
        let tokens = client.tokens().await?;
        Ok(tokens.into_iter().map(|token| (token.id.to_string(), token.principal.name)).collect())
    })
}

/// The clusters that this user is logged in to.
pub(crate) fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let contexts = target::stored_contexts().unwrap_or_default();
        let names = contexts.named.iter().map(|(name, context)| (name.clone(), context.token.cluster.to_string()));
        offered(names.collect(), typed)
    })
}

fn of_tasks(tasks: &[TaskView]) -> Vec<Name> {
    tasks.iter().map(|task| (task.id.to_string(), format!("{} {}", task.name, task.status.state))).collect()
}

async fn of_roles(client: &Client) -> Result<Vec<Name>, CallError> {
    Ok(client.roles().await?.into_iter().map(|role| (role.name, String::new())).collect())
}

fn from_cluster(
    ask: impl AsyncFn(&Client) -> Result<Vec<Name>, CallError> + Send + Sync + 'static,
) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| offered(asked(&ask).unwrap_or_default(), typed))
}

/// What the cluster answers that the line is for, if there is one that answers in time.
fn asked(ask: &impl AsyncFn(&Client) -> Result<Vec<Name>, CallError>) -> Option<Vec<Name>> {
    let target = words::target(env::args_os())?;
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let asking = async {
        let client = commands::client(&target).patience(Duration::ZERO).connect().await.ok()?;
        ask(&client).await.ok()
    };
    let names = runtime.block_on(async { timeout(PATIENCE, asking).await.ok().flatten() });
    // The name of a host may still be looked up.
    runtime.shutdown_background();
    names
}

/// Those that go on as it was typed, in order.
fn offered(mut names: Vec<Name>, typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    names.retain(|(name, _)| name.starts_with(typed) && is_plain(name));
    names.sort_by(|(one, _), (other, _)| in_order(one).cmp(&in_order(other)));
    names.dedup_by(|(one, _), (other, _)| one == other);
    let candidate = |(place, (name, of)): (usize, Name)| {
        let help = Some(output::printable(&of)).filter(|of| !of.is_empty());
        CompletionCandidate::new(name).help(help.map(Into::into)).display_order(Some(place))
    };
    names.into_iter().take(MOST).enumerate().map(candidate).collect()
}

/// Whether a shell takes it for a word, and for nothing else. Strangers choose names, bash writes them into the line as they
/// are, and the next thing that is pressed is Enter.
fn is_plain(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '/' | '@' | '+');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

/// Names with numbers in them by their numbers: `task-1.9` before `task-1.10`.
fn in_order(name: &str) -> (String, Vec<u64>, &str) {
    let words = name.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect();
    (name.chars().filter(|letter| !letter.is_ascii_digit()).collect(), words, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: &[&str], typed: &str) -> Vec<String> {
        let names = names.iter().map(|&name| (name.to_owned(), String::new())).collect();
        let text = |candidate: &CompletionCandidate| candidate.get_value().to_str().unwrap().to_owned();
        offered(names, OsStr::new(typed)).iter().map(text).collect()
    }

    #[test]
    fn names_go_on_as_typed_each_once_and_in_the_order_of_their_numbers() {
        let names = ["task-1.10", "task-1.9", "task-2.1", "task-1.9", "agent-1"];

        assert_eq!(shown(&names, "task-1"), ["task-1.9", "task-1.10"]);
        assert_eq!(shown(&names, ""), ["agent-1", "task-1.9", "task-1.10", "task-2.1"]);
        assert_eq!(shown(&names, "task-3"), [""; 0]);
    }

    #[test]
    fn a_name_that_a_shell_would_run_is_not_offered() {
        let names = ["eng/batch", "$(reboot)", "a;b", "`x`", "*", "a b", "-rf", "a\u{1b}[2J", "a\nb", "grün", ""];

        assert_eq!(shown(&names, ""), ["eng/batch"]);
    }

    #[test]
    fn more_names_than_anybody_reads_are_left_out() {
        let names: Vec<String> = (0..=MOST).map(|number| format!("task-1.{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();

        assert_eq!(shown(&names, "").len(), MOST);
    }
}
