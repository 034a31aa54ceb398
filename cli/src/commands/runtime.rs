//! `haggle runtime`.

use std::path::{Path, PathBuf};

use haggle_core::Bytes;
use haggle_sdk::Language;
use serde::Serialize;

use super::Verdict;
use crate::args::{AddRuntimeArgs, Contradiction, ListArgs, RmRuntimeArgs, RuntimeArgs, RuntimeCommand};
use crate::output::{self, Table};
use crate::runtime::{self, CATALOG, Known, Record, RuntimeError};

pub(super) fn run(args: RuntimeArgs) -> Verdict {
    match args.command {
        RuntimeCommand::Ls(args) => list(&args),
        RuntimeCommand::Add(args) => add(&args),
        RuntimeCommand::Rm(args) => remove(&args),
    }
}

/// One that is listed.
#[derive(Serialize)]
struct Row {
    name: String,
    version: Option<String>,
    /// How the names of its scripts end, where that is known.
    scripts: Option<&'static str>,
    /// Whether it is on this machine, or known to be at the master.
    here: bool,
    size_bytes: Option<u64>,
    source: Option<String>,
    digest: Option<String>,
    /// Its module, where it is kept on this machine.
    path: Option<PathBuf>,
    licence: Option<String>,
}

impl Row {
    fn kept(record: Record) -> Result<Self, RuntimeError> {
        let path = runtime::file(&record)?;
        let language = Known::named(&record.name).map(|known| known.language);
        Ok(Self {
            path,
            scripts: language.map(Language::suffix),
            version: record.version,
            here: true,
            size_bytes: record.size,
            source: Some(record.source.to_string()),
            digest: Some(record.digest),
            licence: record.licence,
            name: record.name,
        })
    }

    fn known(known: &'static Known) -> Self {
        let release = &known.release;
        Self {
            name: known.name.to_owned(),
            version: Some(release.version.to_owned()),
            scripts: Some(known.language.suffix()),
            here: false,
            size_bytes: None,
            source: Some(release.source()),
            digest: Some(release.digest().to_string()),
            path: None,
            licence: Some(release.licence.to_owned()),
        }
    }

    fn state(&self) -> String {
        match (self.here, self.size_bytes) {
            (true, Some(size)) => format!("here, {}", Bytes::new(size)),
            (true, None) => "at the master".into(),
            (false, _) => "fetched when needed".into(),
        }
    }
}

fn list(args: &ListArgs) -> Verdict {
    let mut kept = runtime::kept()?;
    let mut rows = Vec::new();
    for known in &CATALOG {
        let place = kept.iter().position(|record| record.name == known.name);
        rows.push(match place {
            Some(place) => Row::kept(kept.remove(place))?,
            None => Row::known(known),
        });
    }
    for record in kept {
        rows.push(Row::kept(record)?);
    }
    output::list(&rows, args.json, || table(&rows))?;
    Ok(0)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(["RUNTIME", "SCRIPTS", "VERSION", "STATE", "SOURCE", "LICENCE"]);
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    for row in rows {
        table.row([
            row.name.clone(),
            row.scripts.map_or_else(|| "-".into(), |suffix| format!("*{suffix}")),
            text(&row.version),
            row.state(),
            text(&row.source),
            text(&row.licence),
        ]);
    }
    table
}

fn add(args: &AddRuntimeArgs) -> Verdict {
    let is_file = |place: &str| !place.starts_with("sha256:");
    if args.digest.is_some() && !args.runtime.split_once('=').is_some_and(|(_, place)| is_file(place)) {
        return Err(Contradiction::DigestOfNothing.into());
    }
    let record = match args.runtime.split_once('=') {
        None => runtime::add_known(&args.runtime, args.quiet)?,
        Some((name, file)) if is_file(file) => runtime::add_file(name, Path::new(file), args.digest)?,
        Some((name, digest)) => runtime::add_stored(name, digest.parse().map_err(RuntimeError::from)?)?,
    };
    if args.list.json {
        output::json(&Row::kept(record)?)?;
    } else {
        let Record { name, digest, source, .. } = &record;
        output::line(&format!("{name} is {digest}, from {source}"))?;
    }
    Ok(0)
}

fn remove(args: &RmRuntimeArgs) -> Verdict {
    let name = runtime::remove(&args.name)?;
    output::said(
        args.list.json,
        &serde_json::json!({ "runtime": name, "removed": true }),
        &format!("the runtime {name} is removed from this machine"),
    )?;
    Ok(0)
}
