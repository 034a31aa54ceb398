//! Lays out the files that a task is given, for the side that launches it.
//!
//! An executor may be shut out of everything but a few folders, so it cannot gather a task's files by itself. Who
//! launches the task lays them out in a folder of the task's own, says so in [`Launch`](crate::Launch), and removes
//! the folder when the task has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use haggle_core::Reason;
use haggle_core::grants::SCRATCH;

use crate::event::HostFolder;
use crate::names;

/// The files of one task where its executor finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaidOut {
    /// For [`Launch::folders`](crate::Launch::folders).
    pub folders: Vec<HostFolder>,
    /// For [`Launch::copies`](crate::Launch::copies).
    pub copies: Option<PathBuf>,
}

/// Why a task's files cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// No path of a file, or one that leads elsewhere.
    #[error("input {path:?} is not an absolute path without `.` and `..`")]
    Path {
        /// As it was given.
        path: String,
    },
    /// Two files in one place.
    #[error("input {path:?} is given twice")]
    Twice {
        /// The place.
        path: String,
    },
    /// Nobody would find it behind the scratch folder of that name.
    #[error("input {path:?} has the name of the scratch folder")]
    Scratch {
        /// The name.
        path: String,
    },
    /// Nobody can have a file of that name on this machine.
    #[error("input {path:?} has a name that no file can have on {os}, or that means another file there", os = std::env::consts::OS)]
    Name {
        /// As it was given.
        path: String,
    },
    /// The disk refuses, or the file is not there.
    #[error("cannot lay out input {path:?}: {source}")]
    Input {
        /// The file in the guest.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The disk refuses a folder.
    #[error("cannot make folder {dir} for inputs: {source}", dir = dir.display())]
    Folder {
        /// Which.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LayoutError {
    /// Why the task ends that has these inputs.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Path { .. } | Self::Name { .. } | Self::Twice { .. } | Self::Scratch { .. } => Reason::TaskInvalid,
            Self::Input { .. } => Reason::ArtifactUnavailable,
            Self::Folder { .. } => Reason::ExecutorTerminated,
        }
    }
}

/// Lays out files of this machine, each under its path in the guest, below `dir`, which is made for it.
///
/// The guest is given folders, not files: one for each topmost folder that inputs lie in, holding those and no more.
/// Inputs below [`SCRATCH`] are the guest's to change: the executor copies them; one whose path ends in `/` is a folder
/// with nothing in it. A file takes no room here where the
/// file system can link it, and must then not be changed as long as the task runs.
///
/// # Errors
/// The first input that has no place or cannot be read. What was laid out until then stays, for the caller to remove.
pub fn lay_out(dir: &Path, inputs: &[(String, PathBuf)]) -> Result<LaidOut, LayoutError> {
    fs::create_dir_all(dir).map_err(|source| LayoutError::Folder { dir: dir.to_owned(), source })?;
    let mut places = Vec::with_capacity(inputs.len());
    let mut seen = BTreeSet::new();
    for (guest_path, file) in inputs {
        let path = || guest_path.clone();
        let (place, is_folder) = match guest_path.strip_suffix('/') {
            Some(folder) if below(SCRATCH, folder).is_some_and(|rest| !rest.is_empty()) => (folder, true),
            _ => (guest_path.as_str(), false),
        };
        let (parent, name) = split(place).ok_or_else(|| LayoutError::Path { path: path() })?;
        if guest_path == SCRATCH {
            return Err(LayoutError::Scratch { path: path() });
        }
        if !names::is_plain(place) {
            return Err(LayoutError::Name { path: path() });
        }
        if !seen.insert(names::folded(place)) {
            return Err(LayoutError::Twice { path: path() });
        }
        places.push((guest_path, parent, name, (!is_folder).then_some(file)));
    }
    let parents: BTreeSet<&str> = places.iter().map(|&(_, parent, ..)| parent).collect();

    let mut laid_out = LaidOut::default();
    let mut roots: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for (guest_path, parent, name, file) in places {
        let (tree, rest) = match below(SCRATCH, parent) {
            Some(rest) => (&*laid_out.copies.get_or_insert_with(|| dir.join("copies")), rest),
            None => {
                let root = parents.iter().copied().find(|root| below(root, parent).is_some()).unwrap_or(parent);
                let number = roots.len();
                let tree = roots.entry(root).or_insert_with(|| {
                    let host = dir.join(number.to_string());
                    laid_out.folders.push(HostFolder { guest_path: root.to_owned(), host: host.clone() });
                    host
                });
                (&*tree, below(root, parent).unwrap_or_default())
            }
        };
        let folder = tree.join(rest);
        let put = || {
            fs::create_dir_all(&folder)?;
            match file {
                Some(file) => link_or_copy(file, &folder.join(name)),
                None => fs::create_dir(folder.join(name)),
            }
        };
        put().map_err(|source| LayoutError::Input { path: guest_path.clone(), source })?;
    }
    Ok(laid_out)
}

/// The folder and the name of an absolute path without `.` and `..`.
fn split(path: &str) -> Option<(&str, &str)> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\\']);
    if !path.strip_prefix('/')?.split('/').all(is_plain) {
        return None;
    }
    let (parent, name) = path.rsplit_once('/')?;
    Some((if parent.is_empty() { "/" } else { parent }, name))
}

/// What leads from one folder to another that is the same or lies in it.
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    if folder == "/" {
        return path.strip_prefix('/');
    }
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// The same bytes under another name: for nothing where the file system can link, else as a copy.
fn link_or_copy(file: &Path, to: &Path) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    if !fs::metadata(&file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    fs::hard_link(&file, to).or_else(|_| {
        let mut copy = File::create_new(to)?;
        io::copy(&mut File::open(&file)?, &mut copy).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The guest paths of folders, and what lies in each.
    fn laid_out(paths: &[&str]) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "to be read").unwrap();
        let inputs: Vec<_> = paths.iter().map(|path| ((*path).to_owned(), file.clone())).collect();

        let laid_out = lay_out(&dir.path().join("task"), &inputs).map_err(|error| error.to_string())?;

        let mut found = Vec::new();
        let copies = laid_out.copies.map(|host| HostFolder { guest_path: "copies".to_owned(), host });
        for HostFolder { guest_path, host } in laid_out.folders.into_iter().chain(copies) {
            list(&host, &guest_path, &mut found);
        }
        Ok(found)
    }

    fn list(host: &Path, as_path: &str, found: &mut Vec<String>) {
        let mut names: Vec<_> = fs::read_dir(host).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            let (path, shown) = (host.join(&name), format!("{as_path}:{}", name.to_str().unwrap()));
            if path.is_dir() {
                if fs::read_dir(&path).unwrap().next().is_none() {
                    found.push(format!("{shown}/"));
                }
                list(&path, &shown, found);
            } else {
                found.push(shown);
            }
        }
    }

    #[test]
    fn a_guest_is_given_the_topmost_folders_of_its_inputs() {
        let found = laid_out(&["/data/b", "/data/in/c", "/database/d", "/other/e"]);

        assert_eq!(found.unwrap(), ["/data:b", "/data:in:c", "/database:d", "/other:e"]);
    }

    #[test]
    fn all_lie_in_the_root_when_one_does() {
        assert_eq!(laid_out(&["/data/b", "/a"]).unwrap(), ["/:a", "/:data:b"]);
    }

    #[test]
    fn inputs_in_the_scratch_folder_are_kept_apart_to_be_copied() {
        assert_eq!(laid_out(&["/scratch/in/b", "/a", "/scratch/a"]).unwrap(), ["/:a", "copies:a", "copies:in:b"]);
    }

    #[test]
    fn a_path_below_the_scratch_folder_that_ends_in_a_slash_is_an_empty_folder() {
        assert_eq!(laid_out(&["/scratch/in/b", "/scratch/in/c/"]).unwrap(), ["copies:in:b", "copies:in:c/"]);
        assert!(laid_out(&["/scratch/"]).is_err());
        assert!(laid_out(&["/scratch/a/", "/scratch/a"]).is_err());
    }

    #[test]
    fn input_paths_are_absolute_and_plain_and_there_once() {
        for odd in ["", "/", "a.txt", "/data/", "/data/../a", "/./a", "//a", "/a\0"] {
            assert!(laid_out(&[odd]).unwrap_err().contains("is not an absolute path"), "{odd:?}");
        }
        assert_eq!(laid_out(&["/a", "/a"]).unwrap_err(), r#"input "/a" is given twice"#);
        assert_eq!(laid_out(&["/scratch"]).unwrap_err(), r#"input "/scratch" has the name of the scratch folder"#);
    }

    #[test]
    #[cfg(windows)]
    fn inputs_have_names_that_mean_one_file_here() {
        for odd in ["/data/NUL", "/con/a", "/data/aux.txt", "/data/a:b", "/data/a.", "/data/a ", "/C:/a"] {
            assert!(laid_out(&[odd]).unwrap_err().contains("no file can have on windows"), "{odd:?}");
        }
        assert_eq!(laid_out(&["/data/a", "/data/A"]).unwrap_err(), r#"input "/data/A" is given twice"#);
    }
}
