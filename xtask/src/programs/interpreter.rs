//! How quick an interpreter is under the meter: five small programs, beside the same module in wasmtime and beside this machine's
//! own Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::{Haggle, RUNS, Row, beside, spent};
use crate::languages;
use crate::process;

const PROGRAMS: [(&str, &str); 5] = [
    ("bodies.py", include_str!("python/bodies.py")),
    ("flips.py", include_str!("python/flips.py")),
    ("texts.py", include_str!("python/texts.py")),
    ("records.py", include_str!("python/records.py")),
    ("objects.py", include_str!("python/objects.py")),
];

/// Each prints this and what it found.
pub(super) const DONE: &str = "done";

/// Measures and prints all of them.
pub(super) fn run(haggle: &Haggle, wasmtime: &Path, scripts: &Path) -> anyhow::Result<()> {
    let module = haggle.runtime("python")?;
    let version = process::output(Command::new(languages::python()?).arg("--version"))?;
    println!("\n| program | metered by fuel | wasmtime | ratio | {} | ratio |", version.trim());
    println!("|---|---|---|---|---|---|");
    for (name, text) in PROGRAMS {
        let file = scripts.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let row = Row {
            name,
            module: module.clone(),
            folders: vec![(scripts.to_owned(), "/script")],
            args: vec![format!("/script/{name}")],
            stdin: None,
            prints: DONE,
        };
        let (ours, theirs, native) = (haggle.measure(&row)?, beside(wasmtime, &row)?, native(&file)?);
        let (metered, unmetered) = (ours.cpu_s, theirs.cpu_s);
        println!(
            "| `{name}` | {metered:.2} s | {unmetered:.2} s | {:.2} | {native:.2} s | {:.1} |",
            metered / unmetered,
            metered / native
        );
    }
    Ok(())
}

/// CPU seconds of a process of this machine's Python, its start included.
fn native(script: &PathBuf) -> anyhow::Result<f64> {
    let mut took = Vec::new();
    for _ in 0..RUNS {
        let mut own = Command::new(languages::python()?);
        own.arg(script);
        let (said, seconds) = spent(&own)?;
        ensure!(said.contains(DONE), "{} printed {said:?}", script.display());
        took.push(seconds);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[RUNS / 2])
}
