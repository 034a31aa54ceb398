//! The files: found, split over tasks, and counted right here for comparison.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::counts::Counts;

/// Files that are looked at. A folder with more is most likely not the one that was meant.
const FILES_MAX: usize = 100_000;

/// Input files of one task.
const FILES_OF_ONE_TASK: usize = 1000;

/// A file to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// The files of one map task.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    files: Vec<Text>,
    size: u64,
}

impl Split {
    pub(crate) fn files(&self) -> &[Text] {
        &self.files
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

/// Every file in a folder and below, in the order of their paths. Links are not followed.
pub(crate) fn find(folder: &Path) -> anyhow::Result<Vec<Text>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(Text { path: entry.path(), size: entry.metadata()?.len() });
            }
        }
        ensure!(files.len() <= FILES_MAX, "there are more than {FILES_MAX} files in {}", folder.display());
    }
    ensure!(!files.is_empty(), "there is no file in {}", folder.display());
    files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Splits files into `count` parts of about the same size, or more parts if there are many files, or fewer if there
/// are few: the largest file goes first, each to the part that has least.
pub(crate) fn split(mut files: Vec<Text>, count: usize) -> Vec<Split> {
    let count = count.max(files.len().div_ceil(FILES_OF_ONE_TASK)).min(files.len());
    let mut splits: Vec<Split> = Vec::new();
    splits.resize_with(count, Split::default);
    files.sort_by_key(|file| Reverse(file.size));
    for file in files {
        let least = splits.iter_mut().filter(|split| split.files.len() < FILES_OF_ONE_TASK);
        if let Some(least) = least.min_by_key(|split| (split.size, split.files.len())) {
            least.size += file.size;
            least.files.push(file);
        }
    }
    splits
}

/// Counts the words right here. Words end with their file, as they do for the tasks.
pub(crate) fn count(files: &[Text]) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    for file in files {
        let mut text = Vec::new();
        File::open(&file.path)
            .and_then(|opened| BufReader::new(opened).read_to_end(&mut text))
            .with_context(|| format!("cannot read {}", file.path.display()))?;
        counts.add_text(&text);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sizes: &[u64]) -> Vec<Text> {
        sizes.iter().enumerate().map(|(at, &size)| Text { path: at.to_string().into(), size }).collect()
    }

    fn sizes(splits: &[Split]) -> Vec<u64> {
        splits.iter().map(Split::size).collect()
    }

    #[test]
    fn parts_are_of_about_the_same_size() {
        assert_eq!(sizes(&split(texts(&[1, 9, 2, 8, 3, 7]), 3)), [10, 10, 10]);
    }

    #[test]
    fn there_are_no_more_parts_than_files() {
        assert_eq!(sizes(&split(texts(&[5, 5]), 12)), [5, 5]);
    }

    #[test]
    fn no_part_has_more_files_than_a_task_may_have() {
        let splits = split(texts(&vec![0; 2 * FILES_OF_ONE_TASK + 1]), 1);

        assert_eq!(splits.len(), 3);
        assert_eq!(splits.iter().map(|split| split.files().len()).sum::<usize>(), 2 * FILES_OF_ONE_TASK + 1);
        assert!(splits.iter().all(|split| split.files().len() <= FILES_OF_ONE_TASK));
    }

    #[test]
    fn a_folder_that_is_none_is_named() {
        let error = find(Path::new("/no/such/folder")).unwrap_err();

        assert!(format!("{error:#}").starts_with("cannot read /no/such/folder: "), "{error:#}");
    }
}
