//! The files that an earlier agent's logs are in.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use haggle_core::{FrameworkId, TaskId};
use haggle_executor::Stream;

/// What lies in a folder of logs.
#[derive(Debug)]
pub(crate) struct Leftovers {
    files: HashMap<(TaskId, Stream), File>,
    strangers: Vec<PathBuf>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Offset in the output of its first byte.
    start: u64,
    len: u64,
}

impl Leftovers {
    /// Takes stock.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn find(dir: &Path) -> io::Result<Self> {
        let mut found = Self { files: HashMap::new(), strangers: Vec::new() };
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let (path, len) = (entry.path(), entry.metadata()?.len());
            let Some((task, stream, start)) = entry.file_name().to_str().and_then(parse) else {
                found.strangers.push(path);
                continue;
            };
            // Of two, the older was being given up when its agent ended.
            let file = File { path, start, len };
            let older = match found.files.remove(&(task, stream)) {
                Some(other) if other.start > start => {
                    found.files.insert((task, stream), other);
                    Some(file)
                }
                other => {
                    found.files.insert((task, stream), file);
                    other
                }
            };
            found.strangers.extend(older.map(|older| older.path));
        }
        Ok(found)
    }

    /// Whose they are; one of two files is named twice.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = TaskId> {
        self.files.keys().map(|&(task, _)| task)
    }

    /// The offset of the first byte that is left of an output, and how many there are.
    pub(super) fn of(&self, task: TaskId, stream: Stream) -> Option<(u64, u64)> {
        self.files.get(&(task, stream)).map(|file| (file.start, file.len))
    }

    /// Removes everything that is not of one of these tasks.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub(crate) fn sweep(self, keep: impl Fn(TaskId) -> bool) -> io::Result<()> {
        let others = self.files.into_iter().filter(|((task, _), _)| !keep(*task)).map(|(_, file)| file.path);
        others.chain(self.strangers).try_for_each(fs::remove_file)
    }
}

/// `<framework>.<task>.<out or err>.<offset>`, as logs name their files.
fn parse(name: &str) -> Option<(TaskId, Stream, u64)> {
    let mut parts = name.split('.');
    let framework = FrameworkId(parts.next()?.parse().ok()?);
    let number = parts.next()?.parse().ok()?;
    let stream = match parts.next()? {
        "out" => Stream::Stdout,
        "err" => Stream::Stderr,
        _ => return None,
    };
    let start = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((TaskId { framework, number }, stream, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u64) -> TaskId {
        TaskId { framework: FrameworkId(1), number }
    }

    #[test]
    fn what_tasks_left_is_found_and_the_rest_swept() {
        let dir = tempfile::tempdir().unwrap();
        for (name, len) in [("1.7.out.0", 3), ("1.7.out.90", 4), ("1.8.err.5", 1), ("1.9.out.0", 2), ("else", 1)] {
            fs::write(dir.path().join(name), vec![0; len]).unwrap();
        }

        let found = Leftovers::find(dir.path()).unwrap();

        assert_eq!(found.of(task(7), Stream::Stdout), Some((90, 4)), "the newer of two");
        assert_eq!(found.of(task(7), Stream::Stderr), None);
        assert_eq!(found.of(task(8), Stream::Stderr), Some((5, 1)));
        found.sweep(|task| task.number != 9).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["1.7.out.90", "1.8.err.5"]);
    }
}
