//! Real text that a fresh machine has after the build: the sources that cargo fetched.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// How many files the text is spread over: enough for every agent to be busy and for progress to be seen.
pub(super) const FILES: usize = 48;

/// Less text would be no work.
const AT_LEAST: usize = 20_000_000;

/// More text would only take longer.
const AT_MOST: usize = 64 * 1024 * 1024;

/// What holds text.
const EXTENSIONS: [&str; 4] = ["rs", "md", "txt", "toml"];

/// Text in files.
pub(super) struct Corpus {
    /// The files' folder, which holds nothing else.
    pub(super) folder: PathBuf,
    /// The files' names, in order.
    pub(super) names: Vec<String>,
    /// How much text it is.
    pub(super) bytes: usize,
}

impl Corpus {
    /// Collects text into files of about one size.
    pub(super) fn collect(workspace: &Workspace, folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut sources = Vec::new();
        for package in workspace.packages()?.iter().filter(|package| !package.starts_with(&workspace.root)) {
            find(package, &mut sources)?;
        }
        sources.sort();

        let mut parts = vec![Vec::new(); FILES];
        let mut bytes = 0;
        for source in sources {
            let text = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
            if bytes + text.len() > AT_MOST {
                break;
            }
            if std::str::from_utf8(&text).is_err() {
                continue;
            }
            bytes += text.len();
            let smallest = parts.iter_mut().min_by_key(|part| part.len()).context("there are parts")?;
            smallest.extend(text);
        }
        if bytes < AT_LEAST {
            bail!("the sources that cargo fetched are {bytes} bytes of text; wanted {AT_LEAST} at least");
        }

        let names: Vec<String> = (0..FILES).map(|number| format!("{number:02}.txt")).collect();
        for (name, part) in names.iter().zip(&parts) {
            File::create(folder.join(name))?.write_all(part)?;
        }
        Ok(Self { folder, names, bytes })
    }

    /// Counts the words right here, by the shortest code that can, for the cluster's result to be compared with.
    pub(super) fn count(&self) -> anyhow::Result<HashMap<String, u64>> {
        let mut counts = HashMap::new();
        for name in &self.names {
            let text = fs::read(self.folder.join(name))?.to_ascii_lowercase();
            for word in text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
                let word = std::str::from_utf8(word)?;
                match counts.get_mut(word) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(word.to_string(), 1)),
                }
            }
        }
        Ok(counts)
    }
}

/// All text files below a folder.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find(&path, found)?;
        } else if path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|&text| extension == text)) {
            found.push(path);
        }
    }
    Ok(())
}
