//! Puts a service's file in its place, tells the system's service manager, and takes both back when that fails.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Service, Unsayable, launchd, mark, name, systemd, task};
use crate::args::Daemon;

/// Who runs the services of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    Systemd,
    Launchd,
    TaskScheduler,
}

/// Why a service is not as it was wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagerError {
    #[error("there is no {0}, which says whose service this would be")]
    NoUser(&'static str),
    #[error(
        "{unready} ({said}); nothing was changed, and `haggle service install --dry-run {daemon}` prints what would be"
    )]
    Unready { daemon: Daemon, unready: String, said: String },
    #[error("{path} was not written by `haggle service`, and is left alone; remove it first", path = path.display())]
    Foreign { path: PathBuf },
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{step}: {said}; what was written is taken back")]
    NotStarted { step: String, said: String },
    #[error("{step}: {said}; {path} is still there", path = path.display())]
    NotStopped { step: String, said: String, path: PathBuf },
    #[error("no {daemon} is installed as a service of yours: there is no {path}", path = path.display())]
    NotInstalled { daemon: Daemon, path: PathBuf },
    #[error(transparent)]
    Unsayable(#[from] Unsayable),
}

/// Whose service it is, and where the files of that user are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(super) home: PathBuf,
    /// Where the user's configuration is.
    pub(super) config: PathBuf,
    /// As the service manager knows the user.
    pub(super) user: String,
    /// The user's number, where the service manager wants it.
    pub(super) uid: String,
}

impl Place {
    pub(super) fn log(&self, folder: &Path, daemon: Daemon) -> PathBuf {
        folder.join(format!("{}.log", name(daemon)))
    }
}

/// How one service is handled by one manager.
pub(super) struct Plan {
    /// What is written.
    pub(super) file: PathBuf,
    /// Where the daemon has to log by itself.
    pub(super) log: Option<PathBuf>,
    /// Works where the manager is there for this user.
    pub(super) ready: Step,
    /// What is wrong, and what to do, where it is not.
    pub(super) unready: String,
    /// With the file in place.
    pub(super) start: Vec<Step>,
    /// Before that, where another version of the service runs.
    pub(super) replace: Vec<Step>,
    /// With the file still in place.
    pub(super) stop: Vec<Step>,
    /// With the file gone.
    pub(super) forget: Vec<Step>,
    /// Shows how it is, and fails when it does not run.
    pub(super) show: Step,
    /// Commands for the user, and what they are for.
    pub(super) next: Vec<(String, String)>,
}

/// A program to run, that ends soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    program: &'static str,
    args: Vec<String>,
    may_fail: bool,
}

impl Step {
    pub(super) fn of(program: &'static str, args: &[&str]) -> Self {
        Self { program, args: args.iter().map(ToString::to_string).collect(), may_fail: false }
    }

    /// The same, where it is no matter if that does not work.
    pub(super) fn or_not(self) -> Self {
        Self { may_fail: true, ..self }
    }

    fn line(&self) -> String {
        format!("{} {}", self.program, self.args.join(" "))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(&self.args).stdin(Stdio::null());
        command
    }

    /// Runs it. The error is what it said, in one line.
    fn run(&self) -> Result<(), String> {
        let output = self.command().output().map_err(|error| format!("{}: {error}", self.program))?;
        if output.status.success() || self.may_fail {
            return Ok(());
        }
        let said = [output.stderr, output.stdout].map(|said| String::from_utf8_lossy(&said).trim().to_owned());
        let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_else(|| output.status.to_string());
        Err(said.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl Manager {
    /// That of this system, and the user who runs this.
    ///
    /// # Errors
    /// When the environment does not say who that is.
    pub(crate) fn here() -> Result<(Self, Place), ManagerError> {
        let text = |name: &'static str| env::var(name).ok().filter(|value| !value.is_empty());
        let folder = |name: &'static str| text(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let user = || text("USER").or_else(|| text("LOGNAME")).unwrap_or_else(|| "you".to_owned());
        let home = || folder("HOME").ok_or(ManagerError::NoUser("HOME"));
        Ok(match env::consts::OS {
            "windows" => {
                let config = folder("LOCALAPPDATA").ok_or(ManagerError::NoUser("LOCALAPPDATA"))?.join("haggle");
                let name = text("USERNAME").ok_or(ManagerError::NoUser("USERNAME"))?;
                let user = text("USERDOMAIN").map_or_else(|| name.clone(), |domain| format!("{domain}\\{name}"));
                (Self::TaskScheduler, Place { config, user, ..Place::default() })
            }
            "macos" => {
                let output = Command::new("id").arg("-u").output().ok();
                let uid = output.and_then(|output| String::from_utf8(output.stdout).ok());
                let uid = uid.ok_or(ManagerError::NoUser("id -u"))?.trim().to_owned();
                (Self::Launchd, Place { home: home()?, user: user(), uid, ..Place::default() })
            }
            _ => {
                let home = home()?;
                let config = folder("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
                (Self::Systemd, Place { home, config, user: user(), ..Place::default() })
            }
        })
    }

    fn plan(self, place: &Place, daemon: Daemon) -> Plan {
        match self {
            Self::Systemd => systemd::plan(place, daemon),
            Self::Launchd => launchd::plan(place, daemon),
            Self::TaskScheduler => task::plan(place, daemon),
        }
    }

    /// Where the daemon has to log by itself, for this manager keeps nothing of what it says.
    pub(crate) fn log(self, place: &Place, daemon: Daemon) -> Option<PathBuf> {
        self.plan(place, daemon).log
    }

    /// What would be written, and where.
    ///
    /// # Errors
    /// When the manager's file cannot hold it.
    pub(crate) fn file(self, place: &Place, service: &Service) -> Result<(PathBuf, String), Unsayable> {
        let text = match self {
            Self::Systemd => systemd::unit(service)?,
            Self::Launchd => launchd::plist(service)?,
            Self::TaskScheduler => task::xml_of(service, &place.user)?,
        };
        Ok((self.plan(place, service.daemon).file, text))
    }

    fn encoded(self, text: &str) -> Vec<u8> {
        match self {
            Self::Systemd | Self::Launchd => text.as_bytes().to_vec(),
            Self::TaskScheduler => task::encoded(text),
        }
    }

    /// Writes the service's file and starts the service; one that was there is replaced. Gives back the file's path, and
    /// what its user may want to do next.
    ///
    /// # Errors
    /// When the manager does not answer or does not start it; then everything is as it was.
    pub(crate) fn install(
        self,
        place: &Place,
        service: &Service,
    ) -> Result<(PathBuf, Vec<(String, String)>), ManagerError> {
        let daemon = service.daemon;
        let plan = self.plan(place, daemon);
        let (file, text) = self.file(place, service)?;
        let before = self.ours(&file, daemon)?;
        plan.ready.run().map_err(|said| ManagerError::Unready { daemon, unready: plan.unready, said })?;

        write(&file, &self.encoded(&text))?;
        let replace: &[Step] = if before.is_some() { &plan.replace } else { &[] };
        for step in replace.iter().chain(&plan.start) {
            if let Err(said) = step.run() {
                if before.is_none() {
                    // What is not there cannot be stopped.
                    plan.stop.iter().for_each(|step| drop(step.run()));
                }
                take_back(&file, before)?;
                plan.forget.iter().for_each(|step| drop(step.run()));
                return Err(ManagerError::NotStarted { step: step.line(), said });
            }
        }
        Ok((file, plan.next))
    }

    /// Shows what the manager says of the service. True when it runs.
    ///
    /// # Errors
    /// When it is not installed.
    pub(crate) fn status(self, place: &Place, daemon: Daemon) -> Result<bool, ManagerError> {
        let plan = self.installed(place, daemon)?;
        let file = |source| ManagerError::File { path: plan.show.program.into(), source };
        Ok(plan.show.command().status().map_err(file)?.success())
    }

    /// Stops the service and removes its file, whose path it gives back.
    ///
    /// # Errors
    /// When it is not installed, or cannot be stopped; then its file stays.
    pub(crate) fn uninstall(self, place: &Place, daemon: Daemon) -> Result<PathBuf, ManagerError> {
        let Plan { file, ready, unready, stop, forget, .. } = self.installed(place, daemon)?;
        ready.run().map_err(|said| ManagerError::Unready { daemon, unready, said })?;
        for step in stop {
            let not_stopped = |said| ManagerError::NotStopped { step: step.line(), said, path: file.clone() };
            step.run().map_err(not_stopped)?;
        }
        take_back(&file, None)?;
        // Whatever it says, there is nothing left to read.
        forget.iter().for_each(|step| drop(step.run()));
        Ok(file)
    }

    fn installed(self, place: &Place, daemon: Daemon) -> Result<Plan, ManagerError> {
        let plan = self.plan(place, daemon);
        match self.ours(&plan.file, daemon)? {
            Some(_) => Ok(plan),
            None => Err(ManagerError::NotInstalled { daemon, path: plan.file }),
        }
    }

    /// What is in the file, if there is one.
    ///
    /// # Errors
    /// When it was written by somebody else.
    fn ours(self, path: &Path, daemon: Daemon) -> Result<Option<Vec<u8>>, ManagerError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ManagerError::File { path: path.to_owned(), source }),
        };
        let mut mark = self.encoded(&mark(daemon));
        if self == Self::TaskScheduler {
            // Without the sign of the encoding, which only a file begins with.
            mark.drain(..2);
        }
        if bytes.windows(mark.len()).any(|window| window == mark) {
            Ok(Some(bytes))
        } else {
            Err(ManagerError::Foreign { path: path.to_owned() })
        }
    }
}

/// Puts the file back as it was.
fn take_back(path: &Path, before: Option<Vec<u8>>) -> Result<(), ManagerError> {
    match before {
        Some(before) => write(path, &before),
        None => fs::remove_file(path).map_err(|source| ManagerError::File { path: path.to_owned(), source }),
    }
}

/// Nobody ever sees half of it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ManagerError> {
    let failed = |source| ManagerError::File { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(failed)?;
    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    io::Write::write_all(&mut draft, bytes).map_err(failed)?;
    haggle_tls::replace_file(draft, path).map_err(failed)
}
