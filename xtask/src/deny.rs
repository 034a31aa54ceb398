//! `cargo xtask deny`: whether we may build on what we build on; `deny.toml` says what is asked.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::process::{self, step};
use crate::tools;
use crate::workspace::Workspace;

/// Whoever cannot fetch a few hundred kilobytes in this time is better served by an answer.
const FETCH_PATIENCE: Duration = Duration::from_secs(60);

/// Whether known holes in our dependencies were looked for. To be told last, where it is read.
#[must_use]
pub(crate) enum Advisories {
    /// There are none.
    Clear,
    /// The database is out of reach, for this reason.
    NotChecked(String),
}

impl Advisories {
    /// Silence would read as an all-clear.
    pub(crate) fn warn(&self) {
        if let Self::NotChecked(reason) = self {
            eprintln!("\nWARNING: advisories were NOT checked: {reason}\n");
        }
    }
}

/// Checks licences, sources and duplicates, and advisories where their database can be had. With
/// `require_advisories`, it is an error when it cannot.
pub(crate) fn run(workspace: &Workspace, require_advisories: bool) -> anyhow::Result<Advisories> {
    let deny = tools::DENY.ensure(workspace)?;
    let check = |offline: &[&str], what: &[&str]| {
        let mut command = Command::new(&deny);
        command.current_dir(&workspace.root).args(offline).args(["check", "--deny", "warnings"]).args(what);
        command
    };
    step("bans, licences and sources of dependencies", &mut check(&[], &["bans", "licenses", "sources"]))?;
    if let Err(error) = fetch(workspace, &deny) {
        let reason = format!("{error:#}");
        if require_advisories {
            bail!("advisories were not checked: {reason}");
        }
        return Ok(Advisories::NotChecked(reason));
    }
    step("advisories on dependencies", &mut check(&[], &["advisories"]))?;
    Ok(Advisories::Clear)
}

/// Gets the database of advisories, or says what stands in the way.
fn fetch(workspace: &Workspace, deny: &Path) -> anyhow::Result<()> {
    let mut fetch = Command::new(deny);
    fetch.current_dir(&workspace.root).args(["fetch", "db"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = fetch.spawn().context("cannot start cargo-deny")?;
    match process::wait(&mut child, FETCH_PATIENCE)? {
        Some(status) if status.success() => Ok(()),
        Some(_) => bail!("their database cannot be fetched (as cargo-deny says above)"),
        None => {
            child.kill()?;
            child.wait()?;
            bail!("their database was not fetched within {} s", FETCH_PATIENCE.as_secs())
        }
    }
}
