//! `haggle service`.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use super::Verdict;
use super::agent::JOIN_VARIABLE;
use crate::args::{Daemon, InstallArgs, ServiceArgs, ServiceCommand};
use crate::error::CommandError;
use crate::exit;
use crate::output;
use crate::service::flags::{self, Elsewhere};
use crate::service::{Manager, ManagerError, Place, Service};
use crate::target;

/// Variables that say where a daemon's folders are, if they are not where they are by default.
const FOLDERS: [&str; 2] = ["XDG_STATE_HOME", "XDG_CACHE_HOME"];

pub(super) fn run(master: Option<&str>, args: ServiceArgs) -> Verdict {
    let (manager, place) = Manager::here()?;
    match args.command {
        ServiceCommand::Install(args) => install(manager, &place, master, &args),
        ServiceCommand::Status(args) => Ok(if manager.status(&place, args.daemon)? { 0 } else { exit::NOT_RUNNING }),
        ServiceCommand::Uninstall(args) => {
            let file = manager.uninstall(&place, args.daemon)?;
            let daemon = args.daemon;
            output::line(&format!("removed {}\nThe {daemon} has stopped. What it kept stays.", shown(&file)))?;
            Ok(0)
        }
    }
}

fn install(manager: Manager, place: &Place, master: Option<&str>, args: &InstallArgs) -> Verdict {
    let daemon = args.daemon;
    let (said, join) = (target::environment(), target::variable(JOIN_VARIABLE));
    let elsewhere = Elsewhere { master: master.or(said.master.as_deref()), join: join.as_deref() };
    let mut words = flags::words(daemon, elsewhere, &args.flags)?;
    if let Some(log) = manager.log(place, daemon) {
        flags::set_default(&mut words, "log-file", log.as_os_str());
    }
    let service = Service {
        daemon,
        program: env::current_exe().map_err(CommandError::OwnProgram)?,
        words,
        environment: FOLDERS.into_iter().filter_map(|name| Some((name, folder(name)?))).collect(),
    };
    if args.dry_run {
        let (path, text) = manager.file(place, &service).map_err(ManagerError::from)?;
        output::line(&format!("would write {}:\n\n{}", shown(&path), text.trim_end()))?;
        return Ok(0);
    }
    let (file, next) = manager.install(place, &service)?;
    output::line(&installed(daemon, &file, &next))?;
    Ok(0)
}

/// What was done, and what to do next.
fn installed(daemon: Daemon, file: &Path, next: &[(String, String)]) -> String {
    let ours = |command, what: &str| (format!("haggle service {command} {daemon}"), what.to_owned());
    let (status, uninstall) =
        (ours("status", "how it is"), ours("uninstall", "stops it, and removes what was written"));
    // Nobody sees the tokens that it prints.
    let token = ("haggle token create --kind agent".to_owned(), "lets another machine join".to_owned());
    let token = Some(&token).filter(|_| daemon == Daemon::Master);
    let next: Vec<_> = [&status].into_iter().chain(token).chain(next).chain([&uninstall]).collect();
    let width = next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    let mut text = format!("wrote {}\nThe {daemon} runs, and starts with your session.\n", shown(file));
    for (command, what) in next {
        text.push_str(&format!("\n  {command:width$}   {what}"));
    }
    text
}

fn shown(path: &Path) -> String {
    output::printable(&path.to_string_lossy())
}

fn folder(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| Path::new(value).is_absolute())
}
