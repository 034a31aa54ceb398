//! What `haggle run` is to do, once everything on this machine was looked at.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use haggle_core::{Bytes, Constraint, Digest, Endpoint, Fuel, HttpHost, MilliCpu, OutputOverrun, TraceContext};
use haggle_sdk::{Language, Task};
use haggle_sources::Source;

use super::inputs::{Found, Inputs};
use super::packages::{self, Packages};
use crate::args::values::{Mount, OpenFolder, without_duplicates};
use crate::args::{Contradiction, RunArgs};
use crate::error::CommandError;
use crate::module::{self, Module};
use crate::script::{Script, Wanted};

/// Standard input travels within the launch, which takes no more than this.
const STDIN_MAX: u64 = 4 << 20;

/// Begins the names of what the cluster tells a task; under a second value a task could take another's word for it.
const OWN_VARIABLES: &str = "HAGGLE_";

/// Every task of an array carries its own copy.
const STDIN_TOTAL_MAX: u64 = 256 << 20;

/// What a task that works on copies of folders may add to them unless it is told: as much as it has of memory.
const ROOM_BESIDE_COPIES: Bytes = Bytes::from_mib(64);

/// What the tasks need, as the master has it.
pub(super) struct Stored {
    pub(super) module: Digest,
    pub(super) script: Option<Digest>,
    pub(super) inputs: Vec<(String, Digest)>,
}

/// Everything that was typed, checked.
pub(super) struct Plan {
    /// The task's module; a script's interpreter.
    pub(super) module: Module,
    pub(super) script: Option<Script>,
    /// On disk for as long as they may be read.
    _packages: Packages,
    pub(super) label: String,
    pub(super) inputs: Inputs,
    pub(super) cpus: Option<MilliCpu>,
    /// Whether these are revocable.
    pub(super) revocable: bool,
    pub(super) count: u32,
    /// Whether it is an array, be it of one.
    pub(super) array: bool,
    /// Whether all of them start together, and live and die together.
    pub(super) gang: bool,
    pub(super) retries: u32,
    pub(super) role: String,
    pub(super) json: bool,
    pub(super) quiet: bool,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    mem: Bytes,
    disk: Bytes,
    fuel: Option<Fuel>,
    timeout: Option<Duration>,
    output: (Bytes, OutputOverrun),
    weight: Option<MilliCpu>,
    burst: MilliCpu,
    resources: BTreeMap<String, u64>,
    constraints: Vec<Constraint>,
    host_dirs: Vec<OpenFolder>,
    pub(super) volumes: Vec<Mount>,
    net: Vec<Endpoint>,
    http: Vec<HttpHost>,
    anonymous: bool,
}

impl Plan {
    /// Checks what was typed, the cheap things first: builds the module if it is a package, and reads standard input.
    ///
    /// # Errors
    /// When something cannot be meant, or is not there.
    pub(super) fn of(args: RunArgs) -> Result<Self, CommandError> {
        let array = args.instances.is_some();
        let count = args.instances.unwrap_or(1);
        without_duplicates("--env", args.env.iter().map(|(name, _)| name.as_str()))?;
        if let Some((name, _)) = args.env.iter().find(|(name, _)| name.starts_with(OWN_VARIABLES)) {
            return Err(Contradiction::OwnVariable(name.clone()).into());
        }
        let folders = args.dirs.iter().chain(&args.host_dirs);
        let folders = folders.map(|folder| &folder.guest).chain(args.volumes.iter().map(|mount| &mount.guest));
        without_duplicates("--dir", folders.map(String::as_str))?;
        let mut inputs = Inputs::of(&args.inputs, &args.dirs)?;
        let disk = args.disk.unwrap_or(match args.dirs.as_slice() {
            [] => Bytes::ZERO,
            [..] => Bytes::new(inputs.copied).saturating_add(ROOM_BESIDE_COPIES),
        });
        let stdin = args.stdin.as_deref().map(open).transpose()?;
        let wanted = Wanted {
            module: args.module.as_deref(),
            code: args.script.code.as_deref(),
            runtime: args.script.runtime.as_deref(),
            reads_stdin: args.stdin.as_deref() == Some(Path::new("-")),
        };
        let script = wanted.find()?;
        let language = script.as_ref().map(|script| script.runtime.language);
        let requirements = args.script.requirements.as_deref();
        let packages = Packages::of(language, &args.script.with, requirements, args.quiet, &mut inputs)?;
        let script_path = script.as_ref().map(|script| Language::script_path(&script.file_name));
        inputs.check(script_path.as_deref())?;
        let module = match &script {
            Some(script) => script.runtime.module(args.quiet)?,
            None => module::find(args.module.as_deref().unwrap_or_default(), args.bin.as_deref(), args.quiet)?,
        };
        // A runtime was looked at when it was added.
        if script.is_none() {
            module::check_program(&module)?;
        }
        let stdin = stdin.map_or_else(|| Ok(Vec::new()), |(path, file)| read(path, file, count))?;
        let label = args.name.unwrap_or_else(|| match (&script, &module) {
            (Some(script), _) => script.file_name.clone(),
            (None, Module::Bytes { name, .. }) => name.clone(),
            (None, Module::Stored(_)) => "task".into(),
            (None, Module::Remote(source)) => source.name().to_owned(),
        });
        let mut env = with_packages(args.env, &packages);
        if let Some(caller) = haggle_sdk::caller().filter(|_| !args.anonymous)
            && TraceContext::of_env(&env).is_none()
        {
            caller.set_in(&mut env);
        }
        Ok(Self {
            module,
            script,
            _packages: packages,
            label,
            inputs,
            cpus: args.cpus,
            revocable: args.revocable,
            count,
            array,
            gang: args.gang,
            retries: args.retries,
            role: args.role,
            json: args.json,
            quiet: args.quiet,
            args: args.args,
            env,
            stdin,
            mem: args.mem,
            disk,
            fuel: args.fuel,
            timeout: args.timeout,
            output: args.output_limit,
            weight: args.weight,
            burst: args.burst,
            resources: args.resources.unwrap_or_default(),
            constraints: args.constraints,
            host_dirs: args.host_dirs,
            volumes: args.volumes,
            net: args.allow_net,
            http: args.allow_http,
            anonymous: args.anonymous,
        })
    }

    /// Without a cluster there is nothing to tell a task that is alone.
    pub(super) fn without_a_cluster(mut self) -> Self {
        self.anonymous |= !self.array;
        self
    }

    /// What the task may read of the agent's machine, if its operator allows that.
    pub(super) fn host_folders(&self) -> Vec<PathBuf> {
        self.host_dirs.iter().map(|folder| folder.host.clone()).collect()
    }

    /// What is fetched from elsewhere.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        let module = match &self.module {
            Module::Remote(source) => Some(source),
            _ => None,
        };
        let inputs = self.inputs.found.values().filter_map(|found| match found {
            Found::Remote(source) => Some(source),
            _ => None,
        });
        module.into_iter().chain(inputs)
    }

    /// What the framework is called that runs them.
    pub(super) fn framework_name(&self) -> String {
        format!("{}{}", crate::commands::FRAMEWORK_OF_RUN, self.label)
    }

    /// The tasks, once the artifacts have their digests and the default of cpus is known.
    pub(super) fn tasks(&self, stored: &Stored, cpus: MilliCpu) -> Vec<Task> {
        vec![self.task(stored, cpus); self.count as usize]
    }

    /// One of them.
    pub(super) fn task(&self, stored: &Stored, cpus: MilliCpu) -> Task {
        let task = match (&self.script, stored.script) {
            (Some(script), Some(digest)) => {
                Task::script(script.runtime.language, stored.module, &script.file_name, digest)
            }
            _ => Task::new(stored.module),
        };
        let mut task = task
            .name(&self.label)
            .args(&self.args)
            .stdin(self.stdin.as_slice())
            .cpus(cpus)
            .mem(self.mem)
            .disk(self.disk)
            .burst(self.burst)
            .output_limit(self.output.0);
        if self.revocable {
            task = task.revocable(cpus);
        }
        if self.output.1 == OutputOverrun::Truncate {
            task = task.truncate_output();
        }
        if let Some(weight) = self.weight {
            task = task.weight(weight);
        }
        if self.anonymous {
            task = task.anonymous();
        }
        if let Some(fuel) = self.fuel {
            task = task.fuel(fuel);
        }
        if let Some(timeout) = self.timeout {
            task = task.timeout(timeout);
        }
        for (guest_path, content) in &stored.inputs {
            task = task.input(guest_path, *content);
        }
        for (guest_path, copy) in &self.inputs.copies {
            task = task.folder(guest_path, copy);
        }
        for (name, amount) in &self.resources {
            task = task.scalar(name, *amount);
        }
        for constraint in &self.constraints {
            task = task.constraint(constraint.clone());
        }
        for folder in &self.host_dirs {
            task = task.host_folder(&folder.guest, folder.host.to_string_lossy());
        }
        for Mount { volume, guest, writable } in &self.volumes {
            task = task.volume(guest, *volume, *writable);
        }
        for endpoint in &self.net {
            task = task.allow_net(&endpoint.to_string());
        }
        for host in &self.http {
            task = task.allow_http(&host.to_string());
        }
        for (name, value) in &self.env {
            task = task.env(name, value);
        }
        task
    }
}

/// The variables of a task whose packages come before those that somebody named by hand.
fn with_packages(mut env: Vec<(String, String)>, packages: &Packages) -> Vec<(String, String)> {
    if packages.path.is_empty() {
        return env;
    }
    let mut path = packages.path.join(packages::SEPARATOR);
    match env.iter_mut().find(|(name, _)| name == packages::VARIABLE) {
        Some((_, own)) => {
            path.push_str(packages::SEPARATOR);
            own.insert_str(0, &path);
        }
        None => env.push((packages::VARIABLE.to_owned(), path)),
    }
    env
}

fn open(path: &Path) -> Result<(&Path, Box<dyn Read>), CommandError> {
    if path == Path::new("-") {
        return Ok((path, Box::new(io::stdin())));
    }
    let file = File::open(path).map_err(|source| CommandError::Stdin { path: path.into(), source })?;
    Ok((path, Box::new(file)))
}

fn read(path: &Path, file: Box<dyn Read>, count: u32) -> Result<Vec<u8>, CommandError> {
    let most = STDIN_MAX.min(STDIN_TOTAL_MAX / u64::from(count));
    let mut stdin = Vec::new();
    file.take(most + 1).read_to_end(&mut stdin).map_err(|source| CommandError::Stdin { path: path.into(), source })?;
    if stdin.len() as u64 > most {
        return Err(CommandError::StdinTooLarge(Bytes::new(most)));
    }
    Ok(stdin)
}
