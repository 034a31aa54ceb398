//! `haggle inspect`.

use haggle_core::{Bytes, Digest};
use haggle_executor::inspect::{self, Inspection, Kind, Need};
use haggle_sdk::Language;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Verdict;
use crate::args::InspectArgs;
use crate::error::CommandError;
use crate::module::{self, Module, ModuleError};
use crate::output;
use crate::script::{Script, Wanted};
use crate::sources;

pub(super) async fn run(args: InspectArgs) -> Verdict {
    let wanted = Wanted { module: Some(&args.module), runtime: args.runtime.as_deref(), ..Wanted::default() };
    if let Some(script) = wanted.find()? {
        return show_script(&script, args.json);
    }
    let (name, bytes, pinned) = match module::find(&args.module, args.bin.as_deref(), false)? {
        Module::Bytes { name, bytes } => (name, bytes, None),
        Module::Remote(source) => {
            let (bytes, pinned) = sources::fetch(&source).await?;
            (source.name().to_owned(), bytes, Some(pinned))
        }
        Module::Stored(digest) => return Err(ModuleError::NotHere(digest).into()),
    };
    let found =
        inspect::inspect(&bytes).map_err(|source| CommandError::NotAModule { name: args.module.clone(), source })?;
    let digest = Digest(Sha256::digest(&bytes).into());
    if args.json {
        output::json(&Record { pinned: pinned.as_deref(), ..Record::new(&name, digest, bytes.len(), &found) })?;
    } else {
        output::bytes(sheet(&name, digest, pinned.as_deref(), bytes.len(), &found).as_bytes())?;
    }
    Ok(0)
}

/// What would run it: nothing is fetched for that.
fn show_script(Script { file_name, source, runtime }: &Script, json: bool) -> Verdict {
    let digest = Digest(Sha256::digest(source).into());
    if json {
        output::json(&ScriptRecord {
            name: file_name,
            kind: "script",
            digest: digest.to_string(),
            size_bytes: source.len(),
            path: Language::script_path(file_name),
            runtime: RuntimeRecord {
                name: &runtime.name,
                version: runtime.version(),
                here: runtime.is_here(),
                source: runtime.source(),
                digest: runtime.digest()?.to_string(),
                licence: runtime.licence(),
            },
        })?;
        return Ok(0);
    }
    let there = if runtime.is_here() { "here" } else { "fetched when it is run" };
    let version = runtime.version().map_or_else(String::new, |version| format!("{version}, "));
    let lines = [
        ("name", file_name.clone()),
        ("kind", format!("script; a task finds it as {}", Language::script_path(file_name))),
        ("digest", digest.to_string()),
        ("size", Bytes::new(source.len() as u64).to_string()),
        ("runtime", format!("{}: {version}{there}", runtime.name)),
        ("from", runtime.source()),
        ("module", runtime.digest()?.to_string()),
        ("licence", runtime.licence().unwrap_or("unknown").to_owned()),
    ];
    output::bytes(
        lines.map(|(title, value)| format!("{title:<9}{}\n", output::printable(&value))).concat().as_bytes(),
    )?;
    Ok(0)
}

#[derive(Serialize)]
struct ScriptRecord<'a> {
    name: &'a str,
    kind: &'static str,
    digest: String,
    size_bytes: usize,
    path: String,
    runtime: RuntimeRecord<'a>,
}

#[derive(Serialize)]
struct RuntimeRecord<'a> {
    name: &'a str,
    version: Option<&'a str>,
    here: bool,
    source: String,
    digest: String,
    licence: Option<&'a str>,
}

#[derive(Serialize)]
struct Record<'a> {
    name: &'a str,
    kind: &'static str,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<&'a str>,
    size_bytes: usize,
    runnable: bool,
    needs: Vec<&'static str>,
    memory_min_bytes: u64,
    memory_max_bytes: Option<u64>,
    functions: u64,
    imports: &'a [String],
    exports: &'a [String],
}

impl<'a> Record<'a> {
    fn new(name: &'a str, digest: Digest, size: usize, found: &'a Inspection) -> Self {
        Self {
            name,
            kind: kind(found.kind).0,
            digest: digest.to_string(),
            pinned: None,
            size_bytes: size,
            runnable: found.check_program().is_ok(),
            needs: found.needs.iter().map(|&need| need_name(need).0).collect(),
            memory_min_bytes: found.memory_min,
            memory_max_bytes: found.memory_max,
            functions: found.functions,
            imports: &found.imports,
            exports: &found.exports,
        }
    }
}

fn sheet(name: &str, digest: Digest, pinned: Option<&str>, size: usize, found: &Inspection) -> String {
    let max = found.memory_max.map_or_else(|| "as --mem allows".into(), |max| Bytes::new(max).to_string());
    let needs: Vec<_> = found.needs.iter().map(|&need| need_name(need).1).collect();
    let lines = [
        ("name", name.to_string()),
        ("kind", kind(found.kind).1.into()),
        ("digest", digest.to_string()),
        ("size", format!("{}, {} functions", Bytes::new(size as u64), found.functions)),
        ("runs", found.check_program().map_or_else(|why| format!("not as a task: {why}"), |()| "as a task".to_owned())),
        ("memory", format!("starts with {}, grows up to {max}", Bytes::new(found.memory_min))),
        ("needs", if needs.is_empty() { "nothing but its quotas".into() } else { needs.join("; ") }),
        ("imports", listed(&found.imports)),
        ("exports", listed(&found.exports)),
    ];
    let from = pinned.map_or_else(String::new, |pinned| format!("{:<9}{}\n", "from", output::printable(pinned)));
    lines.map(|(title, value)| format!("{title:<9}{value}\n")).concat() + &from
}

/// One below the other, under the column of the first.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".into();
    }
    names.iter().map(|name| output::printable(name)).collect::<Vec<_>>().join("\n         ")
}

fn kind(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Core => ("core", "core module (WASI 0.1)"),
        Kind::Component => ("component", "component (WASI 0.2)"),
    }
}

/// For programs, and for people.
fn need_name(need: Need) -> (&'static str, &'static str) {
    match need {
        Need::Files => ("files", "files: grant inputs with --input, a scratch folder with --disk"),
        Need::Network => ("network", "the network: grant it with --allow-net and --allow-http"),
        Need::Foreign => ("foreign", "an import that is not WASI, which no task is given: it will not run"),
    }
}
